/* Names in the Maildir view: shown, parsed, and exact in both directions. */
#include "tree/maildir-name.h"
#include "base/error.h"

#include <string.h>

static void test_show(void)
{
    static const struct {
        const char *name;
        guint16 flags;
        const char *keywords;
        gboolean is_new;
        const char *shown;
    } cases[] = {
        {"a.1.eml", 0, NULL, FALSE, "a.1:2,"},
        {"a.1.eml", 0, NULL, TRUE, "a.1"},
        {"a.1.eml", MESSAGE_FLAGGED, NULL, TRUE, "a.1:2,F"},
        {"a.1.eml", 0, "$Forwarded", TRUE, "a.1:2,P"},
        {"a.1.eml", 0, "$Junk $forwarded work", FALSE, "a.1:2,P"},
        {"a.1.eml", 0, "$Forwarded2 x$Forwarded", FALSE, "a.1:2,"},
        {"a.1.eml", 0x1f, "$Forwarded", FALSE, "a.1:2,DFPRST"},
        {"a.1.eml", MESSAGE_SEEN | MESSAGE_ANSWERED, NULL, FALSE, "a.1:2,RS"},
        {"\u0633\u0644\u0627\u0645.1.eml", MESSAGE_SEEN, NULL, FALSE,
         "\u0633\u0644\u0627\u0645.1:2,S"},
        {"Re: x.eml", 0, NULL, FALSE, "Re%3A x:2,"},
        {"x%3Ay.eml", 0, NULL, FALSE, "x%253Ay:2,"},
        {"x%253Ay%.eml", 0, NULL, FALSE, "x%25253Ay%:2,"},
        {"100%.eml", 0, NULL, FALSE, "100%:2,"},
        {"x.eml.eml", 0, NULL, FALSE, "x.eml:2,"},
        {"x.eml~", 0, NULL, FALSE, NULL},
        {".x.eml", 0, NULL, FALSE, NULL},
        {".eml", 0, NULL, FALSE, NULL},
        {"4913", 0, NULL, FALSE, NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *shown = maildir_name_show(cases[i].name, cases[i].flags,
                                                   cases[i].keywords, cases[i].is_new);

        g_assert_cmpstr(shown, ==, cases[i].shown);
    }
}

static void test_parse(void)
{
    static const struct {
        const char *shown, *name;
        guint16 flags;
        gboolean is_passed;
    } cases[] = {
        {"a.1:2,", "a.1.eml", 0, FALSE},
        {"a.1", "a.1.eml", 0, FALSE},
        {"a.1:2,S", "a.1.eml", MESSAGE_SEEN, FALSE},
        {"a.1:2,SSR", "a.1.eml", MESSAGE_SEEN | MESSAGE_ANSWERED, FALSE},
        {"a.1:2,TPabcF", "a.1.eml", MESSAGE_DELETED | MESSAGE_FLAGGED, TRUE},
        {"a.1:1,S", "a.1.eml", 0, FALSE},
        {"Re%3A x:2,", "Re: x.eml", 0, FALSE},
        {"x%25253Ay", "x%253Ay.eml", 0, FALSE},
        {"1700000000.M1P2Q3.host,S=12:2,D", "1700000000.M1P2Q3.host,S=12.eml", MESSAGE_DRAFT,
         FALSE},
        {"", NULL, 0, FALSE},
        {":2,S", NULL, 0, FALSE},
        {".notmuch", NULL, 0, FALSE},
        {"a:b:2,S", NULL, 0, FALSE},
        {"a:3,S", NULL, 0, FALSE},
        {"a/b:2,S", NULL, 0, FALSE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        MaildirName parsed = {0};
        gboolean ok = maildir_name_parse(cases[i].shown, &parsed, &error);

        g_assert_cmpint(ok, ==, cases[i].name != NULL);
        g_assert_cmpstr(parsed.name, ==, cases[i].name);
        if (!ok)
            g_assert_true(mail_error_is(error, MAIL_ERROR_INVALID));
        g_assert_cmpuint(parsed.flags, ==, cases[i].flags);
        g_assert_cmpint(parsed.is_passed, ==, cases[i].is_passed);
        maildir_name_clear(&parsed);
    }
}

/* All short names of the octets that matter: a name comes back, and no two share a base. */
static void test_exact(void)
{
    static const char octets[] = "%235A:x";
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    enum { LENGTH = 6, N = sizeof octets - 1 };
    guint n_names = 1;

    for (guint i = 0; i < LENGTH; i++)
        n_names *= N;
    for (guint i = 0; i < n_names; i++) {
        char name[LENGTH + sizeof ".eml"];
        MaildirName parsed;
        char *shown;

        for (guint at = 0, left = i; at < LENGTH; at++, left /= N)
            name[at] = octets[left % N];
        memcpy(name + LENGTH, ".eml", sizeof ".eml");
        shown = maildir_name_show(name, MESSAGE_SEEN, NULL, FALSE);
        g_assert_true(maildir_name_parse(shown, &parsed, NULL));
        g_assert_cmpstr(parsed.name, ==, name);
        g_assert_true(g_hash_table_add(seen, shown));
        maildir_name_clear(&parsed);
    }
}

/* Whatever the flags, a name that is shown fits a directory; a longer one is not shown. */
static void test_long(void)
{
    for (gsize length = 230; length < 260; length++) {
        g_autofree char *base = g_strnfill(length, 'x');
        g_autofree char *name = g_strconcat(base, ".eml", NULL);
        g_autofree char *shown = maildir_name_show(name, 0x1f, MESSAGE_PASSED, FALSE);
        MaildirName parsed = {0};

        g_assert_cmpint(shown != NULL, ==, length <= 246);
        g_assert_cmpint(maildir_name_parse(base, &parsed, NULL), ==, length <= 246);
        if (shown)
            g_assert_cmpuint(strlen(shown), <=, 255);
        maildir_name_clear(&parsed);
    }
}

static void test_mailboxes(void)
{
    static const struct {
        const char *label, *name;
    } cases[] = {
        {"Work", "Work"}, {"cur", "%63ur"}, {"new", "%6Eew"},
        {"tmp", "%74mp"}, {"Cur", "Cur"},   {"current", "current"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = maildir_name_of_label(cases[i].label);
        g_autofree char *label = maildir_name_to_label(cases[i].name);

        g_assert_cmpstr(name, ==, cases[i].name);
        g_assert_cmpstr(label, ==, cases[i].label);
    }
    g_assert_null(maildir_name_to_label("cur"));
    g_assert_null(maildir_name_to_label("new"));
    g_assert_null(maildir_name_to_label("tmp"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/maildir-name/show", test_show);
    g_test_add_func("/maildir-name/parse", test_parse);
    g_test_add_func("/maildir-name/exact", test_exact);
    g_test_add_func("/maildir-name/long", test_long);
    g_test_add_func("/maildir-name/mailboxes", test_mailboxes);
    return g_test_run();
}
