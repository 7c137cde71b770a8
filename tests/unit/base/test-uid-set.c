/* Sets of UIDs: ranges melt, split and travel in the wire form. */
#include "base/uid-set.h"

#include <string.h>

static char *of(const char *text)
{
    g_autoptr(UidSet) set = uid_set_parse(text, strlen(text));

    return set ? uid_set_format(set) : g_strdup("none");
}

static void test_parse(void)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"1", "1"},
        {"1:5", "1:5"},
        {"5:1", "1:5"},
        {"9,7,8", "7:9"},
        {"1,3,5", "1,3,5"},
        {"1:3,2:6,8", "1:6,8"},
        {"4294967295", "4294967295"},
        {"1:4294967295", "1:4294967295"},
        {"4294967294,4294967295", "4294967294:4294967295"},
        {"", "none"},
        {"0", "none"},
        {"1,", "none"},
        {",1", "none"},
        {"1:", "none"},
        {"1:*", "none"},
        {"4294967296", "none"},
        {"-1", "none"},
        {"+1", "none"},
        {"1 ,2", "none"},
        {"99999999999999999999", "none"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *got = of(cases[i].text);

        g_assert_cmpstr(got, ==, cases[i].expected);
    }
}

/* Against a plain array of truth values: whatever is done, both agree. */
static void test_like_an_array(void)
{
    enum { N = 64, STEPS = 20000 };
    gboolean truth[N + 1] = {FALSE};
    g_autoptr(UidSet) set = uid_set_new();
    g_autoptr(GRand) random = g_rand_new_with_seed(7);

    for (guint step = 0; step < STEPS; step++) {
        guint32 low = (guint32)g_rand_int_range(random, 1, N + 1);
        guint32 high = (guint32)g_rand_int_range(random, (gint32)low, N + 1);
        gboolean add = g_rand_boolean(random);
        g_autoptr(UidSet) range = uid_set_new();
        guint n = 0;

        uid_set_add_range(range, low, high);
        if (add)
            uid_set_add_set(set, range);
        else
            uid_set_remove_set(set, range);
        for (guint32 uid = low; uid <= high; uid++)
            truth[uid] = add;
        for (guint32 uid = 1; uid <= N; uid++) {
            g_assert_cmpint(uid_set_contains(set, uid), ==, truth[uid]);
            n += truth[uid];
        }
        g_assert_cmpuint(uid_set_count(set), ==, n);
    }
}

static void test_edges(void)
{
    g_autoptr(UidSet) set = uid_set_new();

    uid_set_add(set, 0);
    g_assert_true(uid_set_is_empty(set));
    uid_set_add(set, G_MAXUINT32);
    uid_set_add(set, 1);
    g_assert_cmpuint(uid_set_n_ranges(set), ==, 2);
    g_assert_cmpuint(uid_set_max(set), ==, G_MAXUINT32);
    uid_set_remove(set, G_MAXUINT32);
    g_assert_cmpuint(uid_set_max(set), ==, 1);
    g_assert_false(uid_set_contains(set, 0));
    uid_set_add_range(set, 1, G_MAXUINT32);
    g_assert_cmpuint(uid_set_count(set), ==, G_MAXUINT32);
    uid_set_remove(set, 5);
    g_assert_cmpuint(uid_set_n_ranges(set), ==, 2);
}

static void test_take(void)
{
    g_autoptr(UidSet) set = uid_set_parse("1:10,20,30,40:50", 16);
    g_autofree char *first = uid_set_take(set, 0, 4);
    g_autofree char *second = uid_set_take(set, 0, 7);
    g_autofree char *third = uid_set_take(set, 1, 0);
    g_autofree char *rest = uid_set_take(set, 0, 0);

    g_assert_cmpstr(first, ==, "1:4");
    g_assert_cmpstr(second, ==, "5:10,20");
    g_assert_cmpstr(third, ==, "30"); /* at least one range, however short the line */
    g_assert_cmpstr(rest, ==, "40:50");
    g_assert_true(uid_set_is_empty(set));
}

static void test_take_stays_below(void)
{
    g_autoptr(UidSet) set = uid_set_new();
    guint n = 0;

    for (guint32 uid = 1; uid < 4000; uid += 2)
        uid_set_add(set, uid + 4294000000u);
    while (!uid_set_is_empty(set)) {
        g_autofree char *text = uid_set_take(set, 100, 0);
        g_autoptr(UidSet) part = uid_set_parse(text, strlen(text));

        g_assert_cmpuint(strlen(text), <=, 100);
        g_assert_nonnull(part);
        n += (guint)uid_set_count(part);
    }
    g_assert_cmpuint(n, ==, 2000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uid-set/parse", test_parse);
    g_test_add_func("/uid-set/like-an-array", test_like_an_array);
    g_test_add_func("/uid-set/edges", test_edges);
    g_test_add_func("/uid-set/take", test_take);
    g_test_add_func("/uid-set/take-stays-below", test_take_stays_below);
    return g_test_run();
}
