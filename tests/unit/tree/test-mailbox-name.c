/* Names of mailboxes: shown, parsed, and never two of one name. */
#include "tree/mailbox-name.h"
#include "base/error.h"
#include "base/limits.h"

#include <string.h>

static void test_show(void)
{
    static const struct {
        const char *component;
        gsize length;
        gboolean is_top;
        const char *name;
    } cases[] = {
        {"Work", 4, TRUE, "Work"},
        {"", 0, FALSE, "%"},
        {"INBOX", 5, TRUE, "INBOX"},
        {"inbox", 5, TRUE, "INBOX"},
        {"InBox", 5, TRUE, "INBOX"},
        {"inbox", 5, FALSE, "inbox"},
        {"inbox2", 6, TRUE, "inbox2"},
        {".", 1, TRUE, "%2E"},
        {"..", 2, FALSE, "%2E."},
        {"...", 3, FALSE, "..."},
        {".mailfs", 7, TRUE, "%2Emailfs"},
        {".mailfs", 7, FALSE, "%2Emailfs"},
        {".mailfsx", 8, TRUE, ".mailfsx"},
        {".hidden", 7, TRUE, ".hidden"},
        {"a/b", 3, TRUE, "a%2Fb"},
        {"a\0b", 3, TRUE, "a%00b"},
        {"100%", 4, TRUE, "100%25"},
        {"%2F", 3, TRUE, "%252F"},
        {"a\n\x1b\x7f", 4, TRUE, "a%0A%1B%7F"},
        {"\xc2\x85", 2, TRUE, "%C2%85"},
        {"\xc2\xa0", 2, TRUE, "\xc2\xa0"},
        {"\u202ex", 4, TRUE, "%E2%80%AEx"},
        {"\u061cx", 3, TRUE, "%D8%9Cx"},
        {"\u0645\u06cc\u200c\u0631", 9, TRUE, "\u0645\u06cc\u200c\u0631"},
        {"\xff\xd8", 2, TRUE, "%FF%D8"},
        {"\xed\xa0\x80", 3, TRUE, "%ED%A0%80"},
        {"\xc0\xaf", 2, TRUE, "%C0%AF"},
        {" a ", 3, TRUE, " a "},
        {"-rf", 3, TRUE, "-rf"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name =
            mailbox_name_show(cases[i].component, cases[i].length, cases[i].is_top);

        g_assert_cmpstr(name, ==, cases[i].name);
    }
}

static void test_parse_refuses(void)
{
    g_autofree char *too_long = g_strnfill(LIMIT_NAME + 1, 'a');
    const char *const names[] = {"%2", "%zz", "a%", "%%", "a%2f", "%41", ".", "..", ".mailfs",
                                 "inbox", "a\u202e", "a\x01", "\xff", "%00", "a/b", "", too_long};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(mailbox_name_parse(names[i], TRUE, &error));
        g_assert_true(mail_error_is(error, MAIL_ERROR_INVALID));
    }
    g_assert_null(mailbox_name_parse("%2", TRUE, NULL));
}

static void check_round_trip(const char *component, gsize length, gboolean is_top)
{
    g_autofree char *name = mailbox_name_show(component, length, is_top);
    g_autofree char *back = mailbox_name_parse(name, is_top, NULL);

    g_assert_cmpuint(strlen(name), >, 0);
    g_assert_cmpuint(strlen(name), <=, LIMIT_NAME);
    g_assert_true(g_utf8_validate(name, -1, NULL));
    g_assert_null(strchr(name, '/'));
    if (memchr(component, '\0', length) ||
        (is_top && length == 5 && g_ascii_strncasecmp(component, "inbox", 5) == 0))
        return;
    g_assert_nonnull(back);
    g_assert_cmpuint(strlen(back), ==, length);
    g_assert_true(memcmp(back, component, length) == 0);
}

static void test_round_trip(void)
{
    for (guint i = 0; i < 20000; i++) {
        static const char octets[] = "a.%/2F\0\n \xd8\xb3\xe2\x80\xae\xff" "0I";
        char component[12];
        gsize length = g_test_rand_int_range(0, sizeof component);

        for (gsize n = 0; n < length; n++)
            component[n] = octets[g_test_rand_int_range(0, sizeof octets - 1)];
        check_round_trip(component, length, i % 2 == 0);
    }
    check_round_trip(".mailfs", 7, TRUE);
    check_round_trip("..", 2, TRUE);
    check_round_trip("", 0, FALSE);
}

static void test_long(void)
{
    /* Units of every length, cut at every offset. */
    static const char *const units[] = {"a", "\u0633", "\u65e5", "\U0001f600",
                                        "%", "\u202e", "\x85"};

    for (gsize u = 0; u < G_N_ELEMENTS(units); u++)
        for (guint shift = 0; shift < 9; shift++) {
            g_autoptr(GString) component = g_string_new(NULL);
            g_autofree char *name = NULL, *other = NULL, *hash = NULL;
            g_autoptr(GError) error = NULL;

            for (guint i = 0; i < shift; i++)
                g_string_append_c(component, 'z');
            while (component->len < 700)
                g_string_append(component, units[u]);
            name = mailbox_name_show(component->str, component->len, TRUE);
            g_assert_cmpuint(strlen(name), <=, LIMIT_NAME);
            g_assert_cmpuint(strlen(name), >, LIMIT_NAME - 9);
            g_assert_true(g_utf8_validate(name, -1, NULL));
            hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, component->str, component->len);
            g_assert_true(strncmp(name + strlen(name) - 16, hash, 16) == 0);
            g_assert_null(mailbox_name_parse(name, TRUE, &error));
            g_assert_true(mail_error_is(error, MAIL_ERROR_INVALID));
            g_string_append_c(component, 'b');
            other = mailbox_name_show(component->str, component->len, TRUE);
            g_assert_cmpstr(name, !=, other);
        }
}

/* A component that is called what a hashed one would be called. */
static void test_pretender(void)
{
    g_autofree char *component = g_strnfill(700, 'a');
    g_autofree char *name = mailbox_name_show(component, 700, TRUE);
    /* Its plain name ends as a hashed name does: "%25" and 14 digits. */
    g_autofree char *stem = g_strnfill(LIMIT_NAME - 17, 'a');
    g_autofree char *pretender = g_strdup_printf("%s%%abcdefabcdefab", stem);
    g_autofree char *copy = mailbox_name_show(name, strlen(name), TRUE);
    g_autofree char *shown = mailbox_name_show(pretender, strlen(pretender), TRUE);
    g_autofree char *plain = g_strdup_printf("%s%%25abcdefabcdefab", stem);

    g_assert_cmpuint(strlen(plain), ==, LIMIT_NAME);
    g_assert_cmpstr(copy, !=, name);
    g_assert_cmpstr(shown, !=, plain);
    g_assert_null(mailbox_name_parse(shown, TRUE, NULL));
    g_assert_null(mailbox_name_parse(plain, TRUE, NULL));
}

static void test_limit(void)
{
    g_autofree char *component = g_strnfill(LIMIT_NAME, 'a');
    g_autofree char *name = mailbox_name_show(component, LIMIT_NAME, TRUE);
    g_autofree char *back = mailbox_name_parse(name, TRUE, NULL);

    g_assert_cmpstr(name, ==, component);
    g_assert_cmpstr(back, ==, component);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tree/mailbox-name/show", test_show);
    g_test_add_func("/tree/mailbox-name/parse-refuses", test_parse_refuses);
    g_test_add_func("/tree/mailbox-name/round-trip", test_round_trip);
    g_test_add_func("/tree/mailbox-name/long", test_long);
    g_test_add_func("/tree/mailbox-name/pretender", test_pretender);
    g_test_add_func("/tree/mailbox-name/limit", test_limit);
    return g_test_run();
}
