/* Numbers as people read them, at the edges of each unit. */
#include "base/format.h"

typedef struct {
    gint64 number;
    const char *text;
} Case;

static void check(const Case *cases, gsize n, char *(*format)(gint64))
{
    for (gsize i = 0; i < n; i++) {
        g_autofree char *text = format(cases[i].number);

        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static void test_count(void)
{
    static const Case cases[] = {{0, "0"},          {999, "999"},
                                 {1000, "1 000"},   {12400, "12 400"},
                                 {-100, "-100"},    {-1000, "-1 000"},
                                 {1234567, "1 234 567"}};

    check(cases, G_N_ELEMENTS(cases), format_count);
}

static void test_size(void)
{
    static const Case cases[] = {{0, "0B"},
                                 {1023, "1023B"},
                                 {1024, "1.0K"},
                                 {1288490189, "1.2G"},
                                 {G_GINT64_CONSTANT(2) << 30, "2.0G"},
                                 {(1 << 20) - 1, "1023.9K"},
                                 {G_MAXINT64, "819.1P"}};

    check(cases, G_N_ELEMENTS(cases), format_size);
}

static void test_time(void)
{
    static const Case cases[] = {{0, "0s"},        {59, "59s"},       {60, "1m 0s"},
                                 {3599, "59m 59s"}, {3600, "1h 0m"},   {86399, "23h 59m"},
                                 {90000, "1d 1h"}};

    check(cases, G_N_ELEMENTS(cases), format_time);
}

static void test_bar(void)
{
    static const struct {
        gint64 n, total;
        const char *text;
    } cases[] = {
        {0, 10, "[--------------]   0%"},  {64, 100, "[########------]  64%"},
        {10, 10, "[##############] 100%"}, {11, 10, "[##############] 100%"},
        {-1, 10, "[--------------]   0%"}, {5, 0, ""},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = format_bar(cases[i].n, cases[i].total);

        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/format/count", test_count);
    g_test_add_func("/format/size", test_size);
    g_test_add_func("/format/time", test_time);
    g_test_add_func("/format/bar", test_bar);
    return g_test_run();
}
