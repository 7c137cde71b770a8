/* Kinds of values: URLs above all, for they decide whom a password is sent to. */
#include "config/value.h"
#include "base/error.h"

static const struct {
    const char *url;
    Security security;
    const char *host;
    guint port;
    const char *user;
} good_urls[] = {
    {"imaps://mail.example.org", SECURITY_TLS, "mail.example.org", 993, NULL},
    {"IMAPS://Mail.Example.Org/", SECURITY_TLS, "mail.example.org", 993, NULL},
    {"imap://mail.example.org", SECURITY_STARTTLS, "mail.example.org", 143, NULL},
    {"imap://ali@mail.example.org:1143", SECURITY_STARTTLS, "mail.example.org", 1143, "ali"},
    {"imaps://ali@example.org@mail.example.org", SECURITY_TLS, "mail.example.org", 993,
     "ali@example.org"},
    {"imaps://ali%40example.org@h:1/", SECURITY_TLS, "h", 1, "ali@example.org"},
    {"imaps://[2001:db8::1]", SECURITY_TLS, "2001:db8::1", 993, NULL},
    {"imaps://[::1]:65535", SECURITY_TLS, "::1", 65535, NULL},
    {"imaps://192.0.2.1:10993", SECURITY_TLS, "192.0.2.1", 10993, NULL},
    {"imaps://b\xc3\xbc"
     "cher.example",
     SECURITY_TLS, "xn--bcher-kva.example", 993, NULL},
    {"imap+plain://localhost", SECURITY_PLAIN, "localhost", 143, NULL},
    {"imap+plain://127.0.0.1:10143", SECURITY_PLAIN, "127.0.0.1", 10143, NULL},
    {"imap+plain://[::1]:10143", SECURITY_PLAIN, "::1", 10143, NULL},
};

static const char *const bad_urls[] = {
    "mail.example.org",
    "imap:mail.example.org",
    "imaps:/mail.example.org",
    "pop3s://mail.example.org",
    "imaps+plain://localhost",
    "imaps://",
    "imaps:///",
    "imaps://:993",
    "imaps://@h",
    "imaps://a:b@h",
    "imaps://%00@h",
    "imaps://%zz@h",
    "imaps://h:0",
    "imaps://h:65536",
    "imaps://h:+1",
    "imaps://h: 1",
    "imaps://h:",
    "imaps://h:993x",
    "imaps://h/INBOX",
    "imaps://h?x",
    "imaps://h#x",
    "imaps://h h",
    "imaps://-h",
    "imaps://.h",
    "imaps://h\\n",
    "imaps://[::1",
    "imaps://[]",
    "imaps://[mail]",
    "imaps://[::1]x",
    "imaps://::1",
    "imap+plain://mail.example.org",
    "imap+plain://127.0.0.1.example.org",
    "imap+plain://localhost.example.org",
    "imap+plain://128.0.0.1",
    "imap+plain://localhost@evil.example",
};

static void test_urls(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(good_urls); i++) {
        g_autoptr(Endpoint) endpoint = g_new0(Endpoint, 1);
        g_autoptr(GError) error = NULL;
        g_autofree char *user = NULL;

        config_value_url(good_urls[i].url, &config_scheme_imap, endpoint, &user, &error);
        g_assert_no_error(error);
        g_assert_cmpint(endpoint->security, ==, good_urls[i].security);
        g_assert_cmpstr(endpoint->host, ==, good_urls[i].host);
        g_assert_cmpuint(endpoint->port, ==, good_urls[i].port);
        g_assert_cmpstr(user, ==, good_urls[i].user);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad_urls); i++) {
        g_autoptr(Endpoint) endpoint = g_new0(Endpoint, 1);
        g_autoptr(GError) error = NULL;
        g_autofree char *user = NULL;

        if (config_value_url(bad_urls[i], &config_scheme_imap, endpoint, &user, &error))
            g_error("taken for a URL: %s", bad_urls[i]);
        g_assert_error(error, MAIL_ERROR, MAIL_ERROR_INVALID);
        g_assert_null(user);
    }
}

/* The two protocols differ in names and ports alone. */
static void test_pop3_urls(void)
{
    static const struct {
        const char *url;
        Security security;
        guint port;
    } good[] = {
        {"pop3s://ali@h", SECURITY_TLS, 995},
        {"POP3://ali@h", SECURITY_STARTTLS, 110},
        {"pop3+plain://ali@[::1]", SECURITY_PLAIN, 110},
        {"pop3s://ali@h:1995/", SECURITY_TLS, 1995},
    };
    static const char *const bad[] = {"imaps://h", "pop://h", "pop3ss://h", "pop3s:/h", "pop3",
                                      "pop3+plain://h", NULL};

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(Endpoint) endpoint = g_new0(Endpoint, 1);
        g_autofree char *user = NULL;

        g_assert_true(config_value_url(good[i].url, &config_scheme_pop3, endpoint, &user, NULL));
        g_assert_cmpint(endpoint->security, ==, good[i].security);
        g_assert_cmpuint(endpoint->port, ==, good[i].port);
        g_assert_cmpstr(user, ==, "ali");
    }
    for (const char *const *url = bad; *url; url++) {
        g_autoptr(Endpoint) endpoint = g_new0(Endpoint, 1);
        g_autofree char *user = NULL;

        g_assert_false(config_value_url(*url, &config_scheme_pop3, endpoint, &user, NULL));
    }
}

static void test_describe(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(good_urls); i++) {
        g_autoptr(Endpoint) endpoint = g_new0(Endpoint, 1);
        g_autoptr(Endpoint) again = g_new0(Endpoint, 1);
        g_autofree char *user = NULL, *no_user = NULL, *text = NULL;

        g_assert_true(
            config_value_url(good_urls[i].url, &config_scheme_imap, endpoint, &user, NULL));
        text = endpoint_describe(endpoint, "imap");
        g_assert_true(config_value_url(text, &config_scheme_imap, again, &no_user, NULL));
        g_assert_cmpstr(again->host, ==, endpoint->host);
        g_assert_cmpuint(again->port, ==, endpoint->port);
        g_assert_cmpint(again->security, ==, endpoint->security);
    }
}

static void test_sizes(void)
{
    static const struct {
        const char *raw;
        guint64 bytes;
        const char *shown;
    } good[] = {
        {"0", 0, "0"},           {"1", 1, "1"},
        {"1024", 1024, "1K"},    {"1025", 1025, "1025"},
        {"512K", 512 << 10, "512K"}, {"1536M", 1536 << 20, "1536M"},
        {"2G", G_GUINT64_CONSTANT(2) << 30, "2G"},
        {"8388607T", G_GUINT64_CONSTANT(8388607) << 40, "8388607T"},
    };
    static const char *const bad[] = {"",   "G",   "-1", "+1",  "1.5G", "2g", "2GB",
                                      "2 G", "1e3", "9223372036854775808", "8388608T", "0x10"};
    guint64 bytes;

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autofree char *shown = NULL;

        g_assert_true(config_value_size(good[i].raw, &bytes, NULL));
        g_assert_cmpuint(bytes, ==, good[i].bytes);
        shown = config_value_size_show(bytes);
        g_assert_cmpstr(shown, ==, good[i].shown);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(config_value_size(bad[i], &bytes, NULL));
}

static void test_durations(void)
{
    static const struct {
        const char *raw;
        guint seconds;
    } good[] = {{"0s", 0}, {"90s", 90}, {"5m", 300}, {"2h", 7200}, {"30d", 2592000}};
    static const char *const bad[] = {"", "5", "s", "5w", "5ms", "-5s", "99999999999s", "24856d"};
    guint seconds;

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(config_value_duration(good[i].raw, &seconds, NULL));
        g_assert_cmpuint(seconds, ==, good[i].seconds);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(config_value_duration(bad[i], &seconds, NULL));
}

static void test_escape(void)
{
    static const char *const texts[] = {"a", " a ", "a\\sb", "a;b", "\t\n\r", "\\", "a b", " "};

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *raw = config_value_escape(texts[i], FALSE);
        g_autofree char *text = NULL;

        g_assert_true(config_value_text(raw, &text, NULL));
        g_assert_cmpstr(text, ==, texts[i]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/value/urls", test_urls);
    g_test_add_func("/value/pop3-urls", test_pop3_urls);
    g_test_add_func("/value/describe", test_describe);
    g_test_add_func("/value/sizes", test_sizes);
    g_test_add_func("/value/durations", test_durations);
    g_test_add_func("/value/escape", test_escape);
    return g_test_run();
}
