/* Dates of headers: as RFC 5322 has them, as they were before, and as programs write them. */
#include "mime/date.h"

#include <string.h>

static void test_parse(void)
{
    static const struct {
        const char *value;
        gint64 time;
    } cases[] = {
        {"Mon, 30 Nov 2026 13:15:28 +0330", 1796031928},
        {"30 Nov 2026 13:15:28 +0330", 1796031928},
        {" Mon,30 Nov 2026  09:45:28 -0000 (a (nested) comment)", 1796031928},
        {"Mon, 30 Nov 2026 09:45 GMT", 1796031900},
        {"Mon, 30 Nov 2026 04:45:28 EST", 1796031928},
        {"Mon, 30 Nov 26 09:45:28 Z", 1796031928},
        {"Sun, 6 Nov 94 08:49:37 UT", 784111777},
        {"1 November 1994 08:49:37", 783679777},
        {"Sat, 31 Dec 2016 23:59:60 +0000", 1483228799},
        {"Mon, 31 Nov 2026 09:45:28 +0000", 0},
        {"Mon, 30 Foo 2026 09:45:28 +0000", 0},
        {"the day before yesterday", 0},
        {"30 Nov 2026", 0},
        {"30 Nov 1926 09:45:28 +0000", 0},
        {"99999999999 Nov 2026 09:45:28 +0000", 0},
        {"30 Nov 2026 99:45:28 +0000", 0},
        {"30 Nov 2026 09:45:28:00 +0000", 0},
        {"", 0},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].value);
        g_assert_cmpint(header_date_parse(cases[i].value), ==, cases[i].time);
    }
}

static gint64 date_of(const char *header)
{
    return header_date(header, strlen(header));
}

/* The last server's word goes before the sender's. */
static void test_header(void)
{
    g_assert_cmpint(date_of("Received: from a by b\r\n\tid 1; Mon, 30 Nov 2026 09:45:28 +0000\r\n"
                            "Received: from c by a; Sun, 29 Nov 2026 09:45:28 +0000\r\n"
                            "Date: Sat, 28 Nov 2026 09:45:28 +0000\r\n\r\n"), ==, 1796031928);
    g_assert_cmpint(date_of("Received: from a by b; some day\r\n"
                            "Date: Mon, 30 Nov 2026 09:45:28 +0000\r\n"), ==, 1796031928);
    g_assert_cmpint(date_of("Received: from a by b without a date\n"
                            "date: Mon, 30 Nov 2026 09:45:28 +0000\n"), ==, 1796031928);
    g_assert_cmpint(date_of("Subject: none\r\n\r\nDate: Mon, 30 Nov 2026 09:45:28 +0000\r\n"),
                    ==, 0);
    g_assert_cmpint(date_of(""), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/date/parse", test_parse);
    g_test_add_func("/date/header", test_header);
    return g_test_run();
}
