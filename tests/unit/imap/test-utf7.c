/* Modified UTF-7: RFC 3501's own examples, all planes, and everything that is not the one encoding
 * of its name. */
#include "imap/utf7.h"

#include <string.h>

static void test_both_ways(void)
{
    static const struct {
        const char *wire, *text;
    } cases[] = {
        {"", ""},
        {"INBOX", "INBOX"},
        {"a&-b", "a&b"},
        {"&-&-", "&&"},
        {"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e"},
        {"Entw&APw-rfe", "Entw\u00fcrfe"},
        {"&BicGRAYIBicGMQYv-", "\u0627\u0644\u0608\u0627\u0631\u062f"},
        {"&2D3eAA-", "\U0001f600"},
        {"x&2D3eANg93gA-y", "x\U0001f600\U0001f600y"},
        {"&2,,f,w-", "\U0010ffff"},
        {"&AKA-", "\u00a0"},
        {"&,,8-", "\uffff"},
        {"&AH8-", "\x7f"},
        {"&AAE-", "\x01"},
        {"&AOk--&AOk-", "\u00e9-\u00e9"},
        {"&AOkA6A-&-", "\u00e9\u00e8&"},
        {"/%*\"\\", "/%*\"\\"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = imap_utf7_decode(cases[i].wire, strlen(cases[i].wire));
        g_autofree char *wire = imap_utf7_encode(cases[i].text);

        g_assert_cmpstr(text, ==, cases[i].text);
        g_assert_cmpstr(wire, ==, cases[i].wire);
    }
}

static void test_refused(void)
{
    static const struct {
        const char *why, *wire;
    } cases[] = {
        {"not closed", "&"},
        {"not closed", "a&U,BT"},
        {"no base64", "&U/BT-"},
        {"no base64", "&U BT-"},
        {"padding", "&U,BTFw==-"},
        {"half a character", "&U-"},
        {"half a character", "&U,BTF-"},
        {"bits left over", "&APx-"},
        {"a digit too many", "&APwA-"},
        {"printable ASCII", "&AGE-"},
        {"printable ASCII", "&ACY-"},
        {"printable ASCII", "&AOkAYQ-"},
        {"U+0000", "&AAA-"},
        {"lone surrogate", "&2D0-"},
        {"lone surrogate", "&3gA-"},
        {"lone surrogate", "&2D0AYQ-"},
        {"surrogates swapped", "&3gDYPQ-"},
        {"two high surrogates", "&2D3YPd4A-"},
        {"superfluous shift", "&U,A-&U,A-"},
        {"8 bits", "Entw\xc3\xbcrfe"},
        {"a control", "a\tb"},
        {"a control", "a\x7f"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = imap_utf7_decode(cases[i].wire, strlen(cases[i].wire));

        if (text)
            g_test_message("%s: %s became %s", cases[i].why, cases[i].wire, text);
        g_assert_null(text);
    }
    g_assert_null(imap_utf7_decode("a\0b", 3));
    g_assert_null(imap_utf7_decode("a\0", 2));
}

/* Every character alone, and beside both kinds of neighbours. */
static void test_all_characters(void)
{
    for (gunichar c = 1; c <= 0x10ffff; c += c < 0x3000 ? 1 : 37) {
        g_autoptr(GString) text = g_string_new("a");
        g_autofree char *wire = NULL, *back = NULL;

        if (c >= 0xd800 && c <= 0xdfff)
            continue;
        g_string_append_unichar(text, c);
        g_string_append(text, "b\u00e9");
        g_string_append_unichar(text, c);
        wire = imap_utf7_encode(text->str);
        for (const char *p = wire; *p; p++)
            g_assert_true(*p >= 0x20 && *p <= 0x7e);
        back = imap_utf7_decode(wire, strlen(wire));
        g_assert_cmpstr(back, ==, text->str);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/utf7/both-ways", test_both_ways);
    g_test_add_func("/imap/utf7/refused", test_refused);
    g_test_add_func("/imap/utf7/all-characters", test_all_characters);
    return g_test_run();
}
