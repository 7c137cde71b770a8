/* Flags by name and as a list, and what may be a keyword. */
#include "imap/flags.h"
#include "base/text.h"

static void test_names(void)
{
    static const struct {
        const char *name;
        ImapFlags bit;
    } cases[] = {
        {"\\Seen", IMAP_FLAG_SEEN},    {"\\ANSWERED", IMAP_FLAG_ANSWERED},
        {"\\draft", IMAP_FLAG_DRAFT},  {"\\Flagged", IMAP_FLAG_FLAGGED},
        {"\\Deleted", IMAP_FLAG_DELETED}, {"\\Recent", 0},
        {"Seen", 0},                   {"", 0},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpint(imap_flag_from_name(cases[i].name), ==, cases[i].bit);
}

static void test_keywords(void)
{
    static const struct {
        const char *text;
        gboolean is_one;
    } cases[] = {
        {"$Forwarded", TRUE}, {"a", TRUE},       {"NonJunk", TRUE}, {"a/b:c,d{", FALSE},
        {"", FALSE},          {"a b", FALSE},    {"a\r\n", FALSE},  {"(", FALSE},
        {")", FALSE},         {"a\"b", FALSE},   {"\\Seen", FALSE}, {"*", FALSE},
        {"%", FALSE},         {"]", FALSE},      {"\177", FALSE},   {"caf\303\251", FALSE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpint(text_is_keyword(cases[i].text), ==, cases[i].is_one);
    g_assert_true(imap_are_keywords(NULL));
    g_assert_true(imap_are_keywords(""));
    g_assert_true(imap_are_keywords("a  $b "));
    g_assert_false(imap_are_keywords("a b) c"));
}

static void test_format(void)
{
    static const struct {
        ImapFlags flags;
        const char *keywords;
        gsize max;
        const char *expected;
    } cases[] = {
        {0, NULL, 100, "()"},
        {0, "", 100, "()"},
        {IMAP_FLAG_SEEN, NULL, 100, "(\\Seen)"},
        {IMAP_FLAG_DRAFT | IMAP_FLAG_SEEN, "$a  b", 100, "(\\Seen \\Draft $a b)"},
        {0, "a) b(", 100, "()"},
        {0, "x \r\n y", 100, "(x y)"},
        {0, "caf\303\251 tea", 100, "(tea)"},
        {0, "one two three", 9, "(one two)"},
        {0, "one seventeen six", 9, "(one six)"},
        {0, "one", 4, "()"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text =
            imap_flags_format(cases[i].flags, cases[i].keywords, cases[i].max);

        g_assert_cmpstr(text, ==, cases[i].expected);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/flags/names", test_names);
    g_test_add_func("/imap/flags/keywords", test_keywords);
    g_test_add_func("/imap/flags/format", test_format);
    return g_test_run();
}
