/* Which lines are envelopes, and which only begin as one. */
#include "mime/mbox.h"

#include <string.h>

static void test_first(void)
{
    static const struct {
        const char *octets;
        gsize length;
    } cases[] = {
        {"From a@b Mon Jan  1 10:00:00 2024\nA: b\n", 34},
        {"From a@b Mon Jan  1 10:00:00 2024\r\nA: b\r\n", 35},
        {"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: a\n", 71},
        {"From \nA: b\n", 6}, /* Thunderbird */
        {"From - who knows\n", 17},
        {"From a\n", 7},
        {"From: a@b\n\n", 0},
        {"From : a@b\n\n", 0}, /* a header field, as it was before RFC 5322 */
        {"From \t : a@b\n\n", 0},
        {"From", 0},
        {"From ", 0},
        {"From a@b Mon Jan  1 10:00:00 2024", 0}, /* no line yet */
        {"from a@b\nA: b\n", 0},
        {">From a@b\nA: b\n", 0},
        {" From a@b\nA: b\n", 0},
        {"\nFrom a@b\nA: b\n", 0},
        {"A: b\n", 0},
        {"", 0},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        gsize length = strlen(cases[i].octets);
        g_autofree guint8 *exact = g_memdup2(cases[i].octets, length);

        g_test_message("%u", i);
        g_assert_cmpuint(mbox_envelope_length(exact, length), ==, cases[i].length);
        for (gsize n = 0; n < cases[i].length; n++) {
            g_autofree guint8 *cut = g_memdup2(exact, n);

            g_assert_cmpuint(mbox_envelope_length(cut, n), ==, 0);
        }
    }
}

static gboolean scan(const char *text, gsize piece)
{
    MboxScan state = {0};
    gsize length = strlen(text);
    gboolean is_found = FALSE;

    for (gsize i = 0; i < length; i += piece)
        is_found = mbox_scan(&state, (const guint8 *)text + i, MIN(piece, length - i)) || is_found;
    return is_found;
}

/* @line, after an empty line and with something behind it. */
static gboolean is_taken(const char *before, const char *line)
{
    g_autofree char *text = g_strconcat("A: b\n", before, line, "\nC: d\n", NULL);
    gboolean whole = scan(text, strlen(text));

    for (gsize piece = 1; piece < 8; piece++)
        g_assert_true(scan(text, piece) == whole);
    return whole;
}

static void test_further(void)
{
    static const char *const envelopes[] = {
        "From a@b Mon Jan  1 10:00:00 2024",
        "From a@b Mon Jan  1 10:00:00 2024\r",
        "From a@b  Tue Dec 31 23:59 1999",
        "From MAILER-DAEMON Fri Jul  8 12:08:34 2011",
        "From - Sat Feb 29 00:00:00 2020",
        "From 1234@xxx Wed May 13 10:00:00 +0000 2015", /* Google Takeout */
        "From a@b Thu Aug 01 10:00:00 MET 1996 remote from c",
        "From a b c Sun Oct  6 10:00:00 2019",
        "From Sun Nov  3 10:00:00 2019",
        "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001",
    };
    static const char *const text[] = {
        "From Monday on, at 10:00, the room of 2024 is open",
        "From the 13th: see you at 10:00 in 2024.",
        "From a@b",
        "From a@b Mon Jan  1 10:00:00",
        "From a@b Mon Jan  1 2024",
        "From a@b Jan Mon  1 10:00:00 2024",
        "From a@b onT Jan  1 10:00:00 2024",
        "From a@b Mon Jan 123 10:00:00 2024",
        "From a@b Mon Jan  1 10:00:00 20240",
        "From a@b Mon Jan  1 10-00-00 2024",
        ">From a@b Mon Jan  1 10:00:00 2024",
        " From a@b Mon Jan  1 10:00:00 2024",
        "From: a@b Mon Jan  1 10:00:00 2024",
        "from a@b Mon Jan  1 10:00:00 2024",
        "From\ta@b Mon Jan  1 10:00:00 2024",
    };

    for (guint i = 0; i < G_N_ELEMENTS(envelopes); i++) {
        g_test_message("%s", envelopes[i]);
        g_assert_true(is_taken("\n", envelopes[i]));
        g_assert_true(is_taken("\r\n", envelopes[i]));
        g_assert_true(is_taken("x\n\n\n", envelopes[i]));
        g_assert_false(is_taken("", envelopes[i])); /* after a header field */
        g_assert_false(is_taken("\nx\n", envelopes[i]));
        g_assert_false(is_taken(" \n", envelopes[i]));
    }
    for (guint i = 0; i < G_N_ELEMENTS(text); i++) {
        g_test_message("%s", text[i]);
        g_assert_false(is_taken("\n", text[i]));
    }
}

/* A line of any length is no more than its beginning. */
static void test_long(void)
{
    g_autofree char *blanks = g_strnfill(MBOX_LINE, ' ');
    g_autofree char *late = g_strconcat("\nFrom a@b", blanks, "Mon Jan  1 10:00:00 2024\n", NULL);
    g_autofree char *early =
        g_strconcat("\nFrom a@b Mon Jan  1 10:00:00 2024", blanks, "x\n", NULL);

    g_assert_false(scan(late, strlen(late)));
    g_assert_true(scan(early, strlen(early)));
    g_assert_true(scan(early, 1));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mbox/first", test_first);
    g_test_add_func("/mbox/further", test_further);
    g_test_add_func("/mbox/long", test_long);
    return g_test_run();
}
