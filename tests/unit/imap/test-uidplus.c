/* Where new messages are, as servers say it, and all that leaves a doubt. */
#include "imap/uidplus.h"

#include "base/limits.h"

static void test_appended(void)
{
    static const struct {
        const char *args;
        guint32 uidvalidity, uid; /* 0: nothing */
    } cases[] = {
        {"38505 3955", 38505, 3955},
        {"4294967295 4294967295", G_MAXUINT32, G_MAXUINT32},
        {"1  2 ", 1, 2},
        {NULL, 0, 0},
        {"", 0, 0},
        {"38505", 0, 0},
        {"38505 ", 0, 0},
        {"0 1", 0, 0},
        {"1 0", 0, 0},
        {"1 4294967296", 0, 0},
        {"1 99999999999999999999999", 0, 0},
        {"1 -2", 0, 0},
        {"1 2,3", 0, 0},
        {"1 2:3", 0, 0},
        {"1 2 3", 0, 0},
        {"1 2x", 0, 0},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        ImapAppended appended = {0};

        g_assert_cmpint(imap_uidplus_appended(cases[i].args, &appended), ==, cases[i].uid != 0);
        g_assert_cmpuint(appended.uidvalidity, ==, cases[i].uidvalidity);
        g_assert_cmpuint(appended.uid, ==, cases[i].uid);
    }
}

/* "UIDVALIDITY: FROM>TO ...", or NULL. */
static char *show(const char *args)
{
    guint32 uidvalidity;
    g_autoptr(GArray) pairs = imap_uidplus_copied(args, &uidvalidity);
    GString *out;

    if (!pairs)
        return NULL;
    out = g_string_new(NULL);
    g_string_append_printf(out, "%u:", uidvalidity);
    for (guint i = 0; i < pairs->len; i++) {
        const ImapCopyPair *pair = &g_array_index(pairs, ImapCopyPair, i);

        g_string_append_printf(out, " %u>%u", pair->from, pair->to);
    }
    return g_string_free(out, FALSE);
}

static void test_copied(void)
{
    static const struct {
        const char *args, *expected;
    } cases[] = {
        {"38505 304,319:320 3956:3958", "38505: 304>3956 319>3957 320>3958"},
        {"1 5 5", "1: 5>5"},
        {"1 3,1:2 10:12", "1: 1>11 2>12 3>10"},    /* in the order of the copying */
        {"1 1:3 12,10,11", "1: 1>12 2>10 3>11"},
        {"1  1  2  ", "1: 1>2"},
        {"9 4294967294:4294967295 1:2", "9: 4294967294>1 4294967295>2"},
        {NULL, NULL},
        {"", NULL},
        {"14", NULL}, /* Exchange */
        {"14  ", NULL},
        {"14 3", NULL},
        {"0 1 2", NULL},
        {"1 0 2", NULL},
        {"1 1 0", NULL},
        {"1 1:2 3", NULL},
        {"1 1 2:3", NULL},
        {"1 2:1 3:4", NULL}, /* which came first? */
        {"1 1:2 4:3", NULL},
        {"1 1,1 2,3", NULL},
        {"1 1,2 3,3", NULL},
        {"1 1:3,2 4:7", NULL},
        {"1 1:* 1:*", NULL},
        {"1 1, 2", NULL},
        {"1 ,1 2", NULL},
        {"1 1 2 3", NULL},
        {"1 1 2)", NULL},
        {"1 1:4294967295 1:4294967295", NULL},
        {"1 4294967296 1", NULL},
        {"1 1:2:3 1:2:3", NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *shown = show(cases[i].args);

        g_assert_cmpstr(shown, ==, cases[i].expected);
    }
}

static gsize n_pairs(guint from, guint n)
{
    g_autofree char *args = g_strdup_printf("1 1,%u:%u 2:%u", from, from + n - 2, n + 1);
    guint32 uidvalidity;
    g_autoptr(GArray) pairs = imap_uidplus_copied(args, &uidvalidity);

    return pairs ? pairs->len : 0;
}

static void test_limit(void)
{
    g_assert_cmpuint(n_pairs(7, LIMIT_MESSAGES), ==, LIMIT_MESSAGES);
    g_assert_cmpuint(n_pairs(7, LIMIT_MESSAGES + 1), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/uidplus/appended", test_appended);
    g_test_add_func("/imap/uidplus/copied", test_copied);
    g_test_add_func("/imap/uidplus/limit", test_limit);
    return g_test_run();
}
