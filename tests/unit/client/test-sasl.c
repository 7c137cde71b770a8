/* The choice of a mechanism, and every mechanism but SCRAM (test-sasl-scram.c). */
#include "client/sasl-internal.h"

#include <string.h>

#include "base/error.h"

typedef struct {
    const char *configured;
    const char *offered; /* separated by blanks */
    gboolean is_token;
    gboolean is_secure;
    const char *expected; /* or NULL, and then: */
    MailError code;
} Choice;

static const Choice choices[] = {
    {"auto", "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256", FALSE, TRUE, "SCRAM-SHA-256"},
    {"auto", "LOGIN CRAM-MD5 PLAIN SCRAM-SHA-1", FALSE, TRUE, "SCRAM-SHA-1"},
    {"auto", "LOGIN PLAIN CRAM-MD5", FALSE, TRUE, "CRAM-MD5"},
    {"auto", "LOGIN PLAIN", FALSE, TRUE, "PLAIN"},
    {"auto", "login", FALSE, TRUE, "LOGIN"},
    {"AUTO", "plain", FALSE, TRUE, "PLAIN"},
    /* -PLUS needs a TLS connection, and there is none here. */
    {"auto", "SCRAM-SHA-256-PLUS SCRAM-SHA-1", FALSE, TRUE, "SCRAM-SHA-1"},
    {"scram-sha-256-plus", "SCRAM-SHA-256-PLUS SCRAM-SHA-256", FALSE, TRUE, NULL,
     MAIL_ERROR_UNSUPPORTED},
    {"scram-sha-256", "SCRAM-SHA-256-PLUS SCRAM-SHA-256", FALSE, TRUE, "SCRAM-SHA-256"},
    /* Tokens. */
    {"auto", "PLAIN XOAUTH2 OAUTHBEARER", TRUE, TRUE, "OAUTHBEARER"},
    {"auto", "PLAIN XOAUTH2", TRUE, TRUE, "XOAUTH2"},
    {"auto", "PLAIN SCRAM-SHA-256", TRUE, TRUE, NULL, MAIL_ERROR_UNSUPPORTED},
    {"auto", "XOAUTH2 OAUTHBEARER", FALSE, TRUE, NULL, MAIL_ERROR_UNSUPPORTED},
    {"xoauth2", "OAUTHBEARER XOAUTH2", TRUE, TRUE, "XOAUTH2"},
    /* EXTERNAL never by itself. */
    {"auto", "EXTERNAL", FALSE, TRUE, NULL, MAIL_ERROR_UNSUPPORTED},
    {"external", "PLAIN EXTERNAL", FALSE, TRUE, "EXTERNAL"},
    /* Never another one than configured. */
    {"scram-sha-256", "SCRAM-SHA-1 PLAIN", FALSE, TRUE, NULL, MAIL_ERROR_UNSUPPORTED},
    {"plain", "SCRAM-SHA-256 PLAIN", FALSE, TRUE, "PLAIN"},
    {"plain", "LOGIN", FALSE, TRUE, NULL, MAIL_ERROR_UNSUPPORTED},
    {"auto", "GSSAPI NTLM", FALSE, TRUE, NULL, MAIL_ERROR_UNSUPPORTED},
    {"auto", "", FALSE, TRUE, NULL, MAIL_ERROR_UNSUPPORTED},
    /* Nothing in clear text. */
    {"auto", "PLAIN LOGIN", FALSE, FALSE, NULL, MAIL_ERROR_DENIED},
    {"auto", "PLAIN CRAM-MD5", FALSE, FALSE, "CRAM-MD5"},
    {"auto", "PLAIN SCRAM-SHA-1", FALSE, FALSE, "SCRAM-SHA-1"},
    {"plain", "PLAIN SCRAM-SHA-1", FALSE, FALSE, NULL, MAIL_ERROR_DENIED},
    {"auto", "XOAUTH2 OAUTHBEARER", TRUE, FALSE, NULL, MAIL_ERROR_DENIED},
};

static void test_choose(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(choices); i++) {
        const Choice *choice = &choices[i];
        g_auto(GStrv) offered = g_strsplit(choice->offered, " ", 0);
        g_autoptr(GError) error = NULL;
        SaslParams params = {.user = "tim", .is_secure = choice->is_secure};
        const SaslMechanism *mechanism;

        g_test_message("%s of %s", choice->configured, choice->offered);
        mechanism = sasl_choose(choice->configured, (const char *const *)offered, choice->is_token,
                                &params, &error);
        if (choice->expected) {
            g_assert_no_error(error);
            g_assert_cmpstr(sasl_mechanism_name(mechanism), ==, choice->expected);
        } else {
            g_assert_null(mechanism);
            g_assert_error(error, MAIL_ERROR, (int)choice->code);
        }
    }
}

static void test_choose_sentence(void)
{
    static const char *const offered[] = {"PLAIN", "NTLM", NULL};
    SaslParams params = {.user = "tim", .is_secure = TRUE};
    g_autoptr(GError) error = NULL;

    g_assert_null(sasl_choose("scram-sha-1", offered, FALSE, &params, &error));
    g_assert_nonnull(strstr(error->message, "PLAIN, NTLM"));
    g_assert_nonnull(strstr(error->message, "scram-sha-1"));
}

static void test_known(void)
{
    static const char *const known[] = {"auto", "plain", "Scram-SHA-256-plus", "XOAUTH2", "login"};
    static const char *const unknown[] = {"", "scram", "ntlm", "plain ", "-PLUS", "PLAIN-PLUS"};

    for (guint i = 0; i < G_N_ELEMENTS(known); i++)
        g_assert_true(sasl_is_known(known[i]));
    for (guint i = 0; i < G_N_ELEMENTS(unknown); i++)
        g_assert_false(sasl_is_known(unknown[i]));
}

/* -- Exchanges ------------------------------------------------------------------------------- */

static Sasl *begin(const char *mechanism, const char *user, const char *secret)
{
    const char *const offered[] = {mechanism, NULL};
    g_autoptr(Secret) held = secret ? secret_new(secret, strlen(secret)) : NULL;
    SaslParams params = {
        .user = user, .secret = held, .host = "server.example.com", .port = 143, .is_secure = TRUE};
    g_autoptr(GError) error = NULL;
    const SaslMechanism *chosen = sasl_choose(mechanism, offered, FALSE, &params, &error);

    g_assert_no_error(error);
    return sasl_new(chosen, &params);
}

static void assert_octets(GBytes *bytes, const char *expected, gsize length)
{
    g_autoptr(GBytes) wanted = g_bytes_new_static(expected, length);

    g_assert_true(g_bytes_equal(bytes, wanted));
}

/* @challenge NULL: none.  The response must be the @length octets at @expected. */
static void step(Sasl *sasl, const char *challenge, const char *expected, gsize length)
{
    g_autoptr(GBytes) bytes = challenge ? g_bytes_new(challenge, strlen(challenge)) : NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) response = sasl_step(sasl, bytes, &error);

    g_assert_no_error(error);
    assert_octets(response, expected, length);
}

static void step_fails(Sasl *sasl, const char *challenge, MailError code, const char *words)
{
    g_autoptr(GBytes) bytes = challenge ? g_bytes_new(challenge, strlen(challenge)) : NULL;
    g_autoptr(GError) error = NULL;

    g_assert_null(sasl_step(sasl, bytes, &error));
    g_assert_error(error, MAIL_ERROR, (int)code);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, words));
    g_assert_false(sasl_is_complete(sasl));
}

#define STEP(sasl, challenge, expected) step(sasl, challenge, expected, sizeof(expected) - 1)

static void test_plain(void)
{
    g_autoptr(Sasl) sasl = begin("PLAIN", "tim", "tanstaaftanstaaf"); /* RFC 4616 section 4 */

    g_assert_true(sasl_client_first(sasl));
    g_assert_false(sasl_is_complete(sasl));
    STEP(sasl, NULL, "\0tim\0tanstaaftanstaaf");
    g_assert_true(sasl_is_complete(sasl));
    step_fails(sasl, "more?", MAIL_ERROR_PROTOCOL, "PLAIN");
    g_assert_null(sasl_error_response(sasl));
}

/* A server without SASL-IR asks by an empty challenge; anything else is none of PLAIN's. */
static void test_plain_challenge(void)
{
    g_autoptr(Sasl) sasl = begin("PLAIN", "tim", "secret");
    g_autoptr(Sasl) other = begin("PLAIN", "tim", "secret");

    STEP(sasl, "", "\0tim\0secret");
    step_fails(other, "Password:", MAIL_ERROR_PROTOCOL, "client speaks first");
    step_fails(other, NULL, MAIL_ERROR_PROTOCOL, "failed already");
}

static void test_nul_in_password(void)
{
    g_autoptr(Secret) secret = secret_new("a\0b", 3);
    static const char *const offered[] = {"PLAIN", NULL};
    SaslParams params = {.user = "tim", .secret = secret, .is_secure = TRUE};
    g_autoptr(Sasl) sasl = sasl_new(sasl_choose("auto", offered, FALSE, &params, NULL), &params);

    step_fails(sasl, NULL, MAIL_ERROR_INVALID, "NUL");
}

static void test_login(void)
{
    g_autoptr(Sasl) sasl = begin("LOGIN", "tim", "secret");
    g_autoptr(Sasl) mute = begin("LOGIN", "tim", "secret");

    g_assert_false(sasl_client_first(sasl));
    STEP(sasl, "User Name", "tim");
    g_assert_false(sasl_is_complete(sasl));
    STEP(sasl, "", "secret");
    g_assert_true(sasl_is_complete(sasl));
    step_fails(sasl, "Password:", MAIL_ERROR_PROTOCOL, "LOGIN");
    step_fails(mute, NULL, MAIL_ERROR_PROTOCOL, "missing");
}

static void test_external(void)
{
    g_autoptr(Sasl) named = begin("EXTERNAL", "tim", NULL);
    g_autoptr(Sasl) unnamed = begin("EXTERNAL", NULL, NULL);

    STEP(named, NULL, "tim");
    STEP(unnamed, NULL, "");
    g_assert_true(sasl_is_complete(unnamed));
}

static void test_cram_md5(void)
{
    g_autoptr(Sasl) sasl = begin("CRAM-MD5", "tim", "tanstaaftanstaaf"); /* RFC 2195 section 2 */
    g_autoptr(Sasl) empty = begin("CRAM-MD5", "tim", "tanstaaftanstaaf");

    g_assert_false(sasl_client_first(sasl));
    STEP(sasl, "<1896.697170952@postoffice.reston.mci.net>",
         "tim b913a602c7eda7a495b4e6e7334d3890");
    g_assert_true(sasl_is_complete(sasl));
    step_fails(sasl, "<2>", MAIL_ERROR_PROTOCOL, "CRAM-MD5");
    step_fails(empty, "", MAIL_ERROR_PROTOCOL, "empty");
}

static void test_oauthbearer(void)
{
    /* RFC 7628 section 4.1, and a name that must be escaped. */
    g_autoptr(Sasl) sasl =
        begin("OAUTHBEARER", "user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
    g_autoptr(Sasl) odd = begin("OAUTHBEARER", "a,b=c", "T");
    g_autoptr(GBytes) last = NULL;

    g_assert_true(sasl_client_first(sasl));
    STEP(sasl, NULL,
         "n,a=user@example.com,\001host=server.example.com\001port=143\001"
         "auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\001\001");
    g_assert_true(sasl_is_complete(sasl));
    g_assert_null(sasl_error_response(sasl));
    step_fails(sasl, "{\"status\":\"invalid_token\"}", MAIL_ERROR_AUTH, "invalid_token");
    last = sasl_error_response(sasl);
    assert_octets(last, "\001", 1);

    STEP(odd, NULL,
         "n,a=a=2Cb=3Dc,\001host=server.example.com\001port=143\001auth=Bearer T\001\001");
}

static void test_xoauth2(void)
{
    g_autoptr(Sasl) sasl = begin("XOAUTH2", "someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhd");
    g_autoptr(GBytes) last = NULL;

    STEP(sasl, NULL,
         "user=someuser@example.com\001auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhd\001\001");
    g_assert_true(sasl_is_complete(sasl));
    step_fails(sasl, "{\"status\":\"401\",\"schemes\":\"bearer\"}", MAIL_ERROR_AUTH, "401");
    last = sasl_error_response(sasl);
    g_assert_nonnull(last);
    g_assert_cmpuint(g_bytes_get_size(last), ==, 0);
}

static void test_hostile_token(void)
{
    g_autoptr(Sasl) smuggler = begin("XOAUTH2", "u", "T\001auth=other");
    g_autoptr(Sasl) two_lines = begin("OAUTHBEARER", "u", "T\nlog line");
    g_autoptr(Sasl) empty = begin("OAUTHBEARER", "u", "");
    g_autoptr(Sasl) user = begin("XOAUTH2", "u\001auth=x", "T");

    step_fails(smuggler, NULL, MAIL_ERROR_INVALID, "token");
    step_fails(two_lines, NULL, MAIL_ERROR_INVALID, "token");
    step_fails(empty, NULL, MAIL_ERROR_INVALID, "empty");
    step_fails(user, NULL, MAIL_ERROR_INVALID, "user name");
}

static void test_long_challenge(void)
{
    g_autofree char *longest = g_strnfill(64 * 1024, 'x');
    g_autofree char *longer = g_strnfill(64 * 1024 + 1, 'x');
    g_autoptr(Sasl) sasl = begin("LOGIN", "tim", "secret");

    STEP(sasl, longest, "tim");
    step_fails(sasl, longer, MAIL_ERROR_PROTOCOL, "too long");
}

/* -- SASLprep -------------------------------------------------------------------------------- */

static void test_prep(void)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        /* RFC 4013 section 3 */
        {"I\u00adX", "IX"},
        {"user", "user"},
        {"USER", "USER"},
        {"\u00aa", "a"},
        {"\u2168", "IX"},
        {"\a", NULL},
        /* mapped to a blank, normalized, prohibited, broken */
        {"a\u00a0b\u3000c", "a b c"},
        {"e\u0301", "\u00e9"},
        {"\u00e9\x7f", NULL},
        {"p\u202ess", NULL},
        {"\ue000", NULL},
        {"\ufdd0", NULL},
        {"\U0001fffe", NULL},
        {"\xff", NULL},
        {"p\u00e4ssw\u00f6rd", "p\u00e4ssw\u00f6rd"},
        {"", ""},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *prepared = sasl_prep(cases[i].text, "password", &error);

        g_assert_cmpstr(prepared, ==, cases[i].expected);
        if (!cases[i].expected)
            g_assert_error(error, MAIL_ERROR, MAIL_ERROR_INVALID);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sasl/choose", test_choose);
    g_test_add_func("/sasl/choose-sentence", test_choose_sentence);
    g_test_add_func("/sasl/known", test_known);
    g_test_add_func("/sasl/plain", test_plain);
    g_test_add_func("/sasl/plain-challenge", test_plain_challenge);
    g_test_add_func("/sasl/nul-in-password", test_nul_in_password);
    g_test_add_func("/sasl/login", test_login);
    g_test_add_func("/sasl/external", test_external);
    g_test_add_func("/sasl/cram-md5", test_cram_md5);
    g_test_add_func("/sasl/oauthbearer", test_oauthbearer);
    g_test_add_func("/sasl/xoauth2", test_xoauth2);
    g_test_add_func("/sasl/hostile-token", test_hostile_token);
    g_test_add_func("/sasl/long-challenge", test_long_challenge);
    g_test_add_func("/sasl/prep", test_prep);
    return g_test_run();
}
