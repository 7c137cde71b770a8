/* Single lines of a POP3 server: what they mean, and when they mean nothing. */
#include "pop3/response.h"
#include "base/limits.h"

#include <string.h>

/* -- CAPA -------------------------------------------------------------------------------------- */

static void add(Pop3Capabilities *caps, const char *line)
{
    g_assert_true(pop3_capabilities_add(caps, line, strlen(line)));
}

static void test_capabilities(void)
{
    Pop3Capabilities caps;
    g_autofree char *mechanisms = NULL;

    pop3_capabilities_init(&caps);
    g_assert_null(caps.sasl->pdata[0]);
    add(&caps, "TOP");
    add(&caps, "sasl PLAIN  Login");
    add(&caps, "SASL CRAM-MD5");
    add(&caps, "LOGIN-DELAY 900 USER");
    add(&caps, "EXPIRE 60");
    add(&caps, "IMPLEMENTATION  Shlemazle \033-Plotz v302 ");
    add(&caps, "X-UNKNOWN a b");
    add(&caps, "TOPS");
    add(&caps, "");
    mechanisms = g_strjoinv(" ", (char **)caps.sasl->pdata);
    g_assert_cmpstr(mechanisms, ==, "PLAIN Login CRAM-MD5");
    g_assert_true(caps.has[POP3_CAP_TOP] && caps.has[POP3_CAP_SASL] && caps.has[POP3_CAP_EXPIRE]);
    g_assert_false(caps.has[POP3_CAP_UIDL]);
    g_assert_cmpuint(caps.login_delay, ==, 900);
    g_assert_cmpuint(caps.expire, ==, 60);
    g_assert_true(caps.is_per_user);
    g_assert_cmpstr(caps.implementation, ==, "Shlemazle \\x1b-Plotz v302 ");
    g_assert_cmpstr(caps.line->str, ==,
                    "TOP, sasl PLAIN  Login, SASL CRAM-MD5, LOGIN-DELAY 900 USER, EXPIRE 60, "
                    "IMPLEMENTATION  Shlemazle \\x1b-Plotz v302 , X-UNKNOWN a b, TOPS, ");
    pop3_capabilities_reset(&caps);
    g_assert_null(caps.sasl->pdata[0]);
    g_assert_cmpstr(caps.line->str, ==, "");
    g_assert_false(caps.has[POP3_CAP_TOP]);
    pop3_capabilities_clear(&caps);
}

static void test_terms(void)
{
    static const struct {
        const char *line;
        gboolean expires;
        guint32 expire, delay;
    } cases[] = {
        {"EXPIRE NEVER", TRUE, POP3_EXPIRE_NEVER, 0},
        {"expire never user", TRUE, POP3_EXPIRE_NEVER, 0},
        {"EXPIRE 0", TRUE, 0, 0},
        {"EXPIRE 5 USER", TRUE, 5, 0},
        {"EXPIRE", FALSE, 0, 0},
        {"EXPIRE soon", FALSE, 0, 0},
        {"EXPIRE -1", FALSE, 0, 0},
        {"EXPIRE 99999999999", FALSE, 0, 0},
        {"EXPIRENEVER", FALSE, 0, 0},
        {"LOGIN-DELAY 10", FALSE, 0, 10},
        {"LOGIN-DELAY", FALSE, 0, 0},
        {"LOGIN-DELAY 99999999999", FALSE, 0, 0},
        {"LOGIN-DELAY 1x", FALSE, 0, 0},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        Pop3Capabilities caps;

        pop3_capabilities_init(&caps);
        add(&caps, cases[i].line);
        g_assert_cmpint(caps.has[POP3_CAP_EXPIRE], ==, cases[i].expires);
        g_assert_cmpuint(caps.expire, ==, cases[i].expire);
        g_assert_cmpuint(caps.login_delay, ==, cases[i].delay);
        pop3_capabilities_clear(&caps);
    }
}

static void test_capability_limits(void)
{
    g_autofree char *text = g_strnfill(LIMIT_POP3_LINE, 'x');
    Pop3Capabilities caps;

    for (guint i = 4; i < LIMIT_POP3_LINE; i += 2)
        text[i] = ' ';
    memcpy(text, "SASL", 4);
    pop3_capabilities_init(&caps);
    for (guint i = 0; i < LIMIT_POP3_CAPABILITIES; i++)
        add(&caps, text);
    g_assert_false(pop3_capabilities_add(&caps, "TOP", 3));
    g_assert_cmpuint(caps.sasl->len, <=, LIMIT_POP3_MECHANISMS + 1);
    g_assert_cmpuint(caps.line->len, <=, 2 * LIMIT_POP3_LINE);
    pop3_capabilities_clear(&caps);
}

static void test_names(void)
{
    g_assert_cmpint(pop3_cap_from_name("auth-resp-code"), ==, POP3_CAP_AUTH_RESP_CODE);
    g_assert_cmpint(pop3_cap_from_name("UTF8"), ==, POP3_CAP_UTF8);
    g_assert_cmpint(pop3_cap_from_name("TOPS"), ==, POP3_N_CAPS);
    g_assert_cmpint(pop3_cap_from_name(""), ==, POP3_N_CAPS);
}

/* -- UIDL, LIST, STAT -------------------------------------------------------------------------- */

static void test_uidl(void)
{
    static const struct {
        const char *line;
        guint32 number; /* 0: no sense */
        const char *uid;
    } cases[] = {
        {"1 whqtswO00WBw418f9t5JxYwZ", 1, "whqtswO00WBw418f9t5JxYwZ"},
        {"4294967295 a", 4294967295, "a"},
        {"2 a/b", 2, "a/b"},
        {"2 two words", 2, "two words"},
        {"  2\t  x  ", 2, "x"},
        {"2 \xd8\xb3\xff", 2, "\xd8\xb3\xff"},
        {"2 a\x01", 2, NULL},
        {"2 a\x7f", 2, NULL},
        {"2 a\tb", 2, NULL},
        {"2", 2, NULL},
        {"2 ", 2, NULL},
        {"", 0, NULL},
        {"0 a", 0, NULL},
        {"-1 a", 0, NULL},
        {"+1 a", 0, NULL},
        {"1a a", 0, NULL},
        {"4294967296 a", 0, NULL},
        {"a 1", 0, NULL},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *uid;
        guint32 number = 0;
        gsize length;
        gboolean ok =
            pop3_response_uidl(cases[i].line, strlen(cases[i].line), &number, &uid, &length);

        g_assert_cmpint(ok, ==, cases[i].number != 0);
        if (!ok)
            continue;
        g_assert_cmpuint(number, ==, cases[i].number);
        g_assert_cmpint(uid != NULL, ==, cases[i].uid != NULL);
        if (uid) {
            g_autofree char *text = g_strndup(uid, length);

            g_assert_cmpstr(text, ==, cases[i].uid);
        }
    }
}

static void test_long_uid(void)
{
    g_autofree char *text = g_strnfill(LIMIT_POP3_UNIQUE_ID + 3, 'x');
    const char *uid;
    guint32 number;
    gsize length;

    memcpy(text, "1 ", 2);
    g_assert_true(pop3_response_uidl(text, LIMIT_POP3_UNIQUE_ID + 2, &number, &uid, &length));
    g_assert_cmpuint(length, ==, LIMIT_POP3_UNIQUE_ID);
    g_assert_true(pop3_response_uidl(text, LIMIT_POP3_UNIQUE_ID + 3, &number, &uid, &length));
    g_assert_null(uid);
    text[5] = '\0';
    g_assert_true(pop3_response_uidl(text, 10, &number, &uid, &length));
    g_assert_null(uid);
}

static void test_list(void)
{
    guint32 number;
    guint64 size;

    g_assert_true(pop3_response_list("3 1200", 6, &number, &size));
    g_assert_true(number == 3 && size == 1200);
    g_assert_true(pop3_response_list("3  9223372036854775807 more", 27, &number, &size));
    g_assert_true(size == G_MAXINT64);
    for (const char *const *line =
             (const char *const[]){"", "3", "3 ", "3 x", "3 -1", "3 9223372036854775808", "0 1",
                                   "x 1", "3 1.5", NULL};
         *line; line++)
        g_assert_false(pop3_response_list(*line, strlen(*line), &number, &size));
}

static void test_stat(void)
{
    guint32 n;
    guint64 octets;

    g_assert_true(pop3_response_stat("2 320", &n, &octets));
    g_assert_true(n == 2 && octets == 320);
    g_assert_true(pop3_response_stat("0 0 octets", &n, &octets));
    g_assert_false(pop3_response_stat("", &n, &octets));
    g_assert_false(pop3_response_stat("2", &n, &octets));
    g_assert_false(pop3_response_stat("-2 1", &n, &octets));
    g_assert_false(pop3_response_stat("4294967296 1", &n, &octets));
    g_assert_false(pop3_response_stat("POP3 ready", &n, &octets));
}

static void test_timestamp(void)
{
    g_autofree char *good =
        pop3_response_timestamp("POP3 server ready <1896.697170952@dbc.mtcc.com> welcome");

    g_assert_cmpstr(good, ==, "<1896.697170952@dbc.mtcc.com>");
    for (const char *const *text =
             (const char *const[]){"", "ready", "<>", "<@>", "<a@>", "<@b>", "<a>", "<a@b", "a@b>",
                                   "<a b@c>", "<a\\x01@b>", "<a@b@c>", "<a<b@c>", "<\xc3\xa9@b>",
                                   "<a@[1.2.3.4]>", NULL};
         *text; text++)
        g_assert_null(pop3_response_timestamp(*text));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pop3-response/capabilities", test_capabilities);
    g_test_add_func("/pop3-response/terms", test_terms);
    g_test_add_func("/pop3-response/capability-limits", test_capability_limits);
    g_test_add_func("/pop3-response/names", test_names);
    g_test_add_func("/pop3-response/uidl", test_uidl);
    g_test_add_func("/pop3-response/long-uid", test_long_uid);
    g_test_add_func("/pop3-response/list", test_list);
    g_test_add_func("/pop3-response/stat", test_stat);
    g_test_add_func("/pop3-response/timestamp", test_timestamp);
    return g_test_run();
}
