/* INTERNALDATE as servers write it. */
#include "imap/date.h"

#define LAST G_GINT64_CONSTANT(253402300799)

static void test_parse(void)
{
    static const struct {
        const char *text;
        gint64 time;
    } cases[] = {
        {" 1-Jul-1996 02:44:25 -0700", 836214265},
        {"1-Jul-1996 02:44:25 -0700", 836214265},
        {"01-Jul-1996 02:44:25 -0700", 836214265},
        {"01-JUL-1996 02:44:25  -0700", 836214265},
        {"01-Jul-1996 9:44:25", 836214265},
        {"01-Jul-1996 09:44:25 GMT", 836214265},
        {"01-Jul-1996 09:44:25 +0000", 836214265},
        {"01-Jul-1996 15:14:25 +0530", 836214265},
        {"31-Dec-1969 23:59:59 -0001", 59},
        {"01-Jan-1970 00:00:00 +0000", 0},
        {"01-Jan-1970 00:00:01 +0000", 1},
        {"29-Feb-2000 00:00:00 +0000", 951782400},
        {"01-Mar-2000 00:00:00 +0000", 951868800},
        {"29-Feb-2024 23:59:60 +0000", 1709251200},
        {"28-Feb-2100 12:00:00 +0000", 4107499200},
        {"01-Mar-2100 12:00:00 +0000", 4107585600},
        {"19-Jan-2038 03:14:08 +0000", G_GINT64_CONSTANT(2147483648)},
        {"31-Dec-9999 23:59:59 +0000", LAST},
        /* nothing to be read */
        {"", 0},
        {"yesterday", 0},
        {"00-Jan-2020 00:00:00 +0000", 0},
        {"32-Jan-2020 00:00:00 +0000", 0},
        {"001-Jan-2020 00:00:00 +0000", 0},
        {"01-Foo-2020 00:00:00 +0000", 0},
        {"01-Jan-20 00:00:00 +0000", 0},
        {"01-Jan-2020 24:00:00 +0000", 0},
        {"01-Jan-2020 00:61:00 +0000", 0},
        {"01-Jan-2020 00:00:61 +0000", 0},
        {"01-Jan-2020", 0},
        {"01 Jan 2020 00:00:00 +0000", 0},
        {"31-Dec-1969 23:59:59 +0000", 0},
        {"01-Jan-0000 00:00:00 +0000", 0},
        {"31-Dec-9999 23:59:59 -0001", 0},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].text);
        g_assert_cmpint(imap_date_parse(cases[i].text), ==, cases[i].time);
    }
}

static void test_format(void)
{
    static const struct {
        gint64 time;
        const char *text;
    } cases[] = {
        {0, " 1-Jan-1970 00:00:00 +0000"},          {836214265, " 1-Jul-1996 09:44:25 +0000"},
        {951782400, "29-Feb-2000 00:00:00 +0000"},  {LAST, "31-Dec-9999 23:59:59 +0000"},
        {-1, " 1-Jan-1970 00:00:00 +0000"},         {G_MAXINT64, "31-Dec-9999 23:59:59 +0000"},
        {G_MININT64, " 1-Jan-1970 00:00:00 +0000"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = imap_date_format(cases[i].time);

        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

/* Each day of 8,000 years, against GLib's calendar. */
static void test_every_day(void)
{
    for (gint64 day = 0; day * 86400 <= LAST; day++) {
        gint64 time = day * 86400 + day % 86400;
        g_autofree char *text = imap_date_format(time);

        g_assert_cmpint(imap_date_parse(text), ==, time);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/date/parse", test_parse);
    g_test_add_func("/imap/date/format", test_format);
    g_test_add_func("/imap/date/every-day", test_every_day);
    return g_test_run();
}
