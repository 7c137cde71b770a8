/* SCRAM against the RFCs' own exchanges, and against servers that do not play by them. */
#include "client/sasl-internal.h"

#include <string.h>

#include "base/error.h"

typedef struct {
    const char *mechanism, *nonce;
    const char *client_first, *server_first, *client_final, *server_final;
} Exchange;

static const Exchange sha1 = {
    /* RFC 5802 section 5 */
    "SCRAM-SHA-1",
    "fyko+d2lbbFgONRv9qkxdawL",
    "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
    "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
};

static const Exchange sha256 = {
    /* RFC 7677 section 3 */
    "SCRAM-SHA-256",
    "rOprNGfwEbeRWgbNEkqO",
    "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
};

static Sasl *begin_as(const char *mechanism, const char *nonce, const char *user,
                      const char *password)
{
    const char *const offered[] = {mechanism, NULL};
    g_autoptr(Secret) secret = secret_new(password, strlen(password));
    SaslParams params = {.user = user, .secret = secret};
    g_autoptr(GError) error = NULL;
    const SaslMechanism *chosen = sasl_choose("auto", offered, FALSE, &params, &error);
    Sasl *sasl;

    g_assert_no_error(error);
    sasl = sasl_new(chosen, &params);
    if (nonce)
        sasl_scram_set_nonce(sasl, nonce);
    return sasl;
}

static Sasl *begin(const Exchange *exchange)
{
    return begin_as(exchange->mechanism, exchange->nonce, "user", "pencil");
}

static void step(Sasl *sasl, const char *challenge, const char *expected)
{
    g_autoptr(GBytes) bytes = challenge ? g_bytes_new(challenge, strlen(challenge)) : NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) response = sasl_step(sasl, bytes, &error);
    g_autofree char *text = NULL;

    g_assert_no_error(error);
    text = g_strndup(g_bytes_get_data(response, NULL), g_bytes_get_size(response));
    g_assert_cmpstr(text, ==, expected);
}

static void step_fails(Sasl *sasl, const char *challenge, gsize length, MailError code)
{
    g_autoptr(GBytes) bytes = g_bytes_new(challenge, length);
    g_autofree char *shown = g_strescape(challenge, NULL);
    g_autoptr(GError) error = NULL;

    g_test_message("%s", shown);
    g_assert_null(sasl_step(sasl, bytes, &error));
    g_assert_error(error, MAIL_ERROR, (int)code);
    g_assert_false(sasl_is_complete(sasl));
}

static void test_exchange(gconstpointer data)
{
    const Exchange *exchange = data;
    g_autoptr(Sasl) sasl = begin(exchange);

    g_assert_true(sasl_client_first(sasl));
    step(sasl, NULL, exchange->client_first);
    step(sasl, exchange->server_first, exchange->client_final);
    g_assert_false(sasl_is_complete(sasl)); /* an OK here would be a lie */
    step(sasl, exchange->server_final, "");
    g_assert_true(sasl_is_complete(sasl));
    step_fails(sasl, "v=", 2, MAIL_ERROR_PROTOCOL);
}

/* RFC 5802: attributes that are not known may stand at the end. */
static void test_extensions(void)
{
    g_autoptr(Sasl) sasl = begin(&sha1);
    g_autofree char *first = g_strconcat(sha1.server_first, ",x=future", NULL);
    g_autoptr(GBytes) bytes = g_bytes_new(first, strlen(first));
    g_autoptr(GBytes) response = NULL;

    step(sasl, NULL, sha1.client_first);
    response = sasl_step(sasl, bytes, NULL);
    g_assert_nonnull(response);
}

static void test_server_first(void)
{
    static const struct {
        const char *message;
        MailError code;
    } cases[] = {
        /* the nonce: not extended, another's, missing */
        {"r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096", MAIL_ERROR_PROTOCOL},
        {"r=Fyko+d2lbbFgONRv9qkxdawL3rfc,s=QSXCR+Q6sek8bf92,i=4096", MAIL_ERROR_PROTOCOL},
        {"r=3rfcfyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096", MAIL_ERROR_PROTOCOL},
        {"s=QSXCR+Q6sek8bf92,i=4096", MAIL_ERROR_PROTOCOL},
        /* the salt: empty, no base64, missing */
        {"r=fyko+d2lbbFgONRv9qkxdawLx,s=,i=4096", MAIL_ERROR_PROTOCOL},
        {"r=fyko+d2lbbFgONRv9qkxdawLx,s=Q*XCR,i=4096", MAIL_ERROR_PROTOCOL},
        {"r=fyko+d2lbbFgONRv9qkxdawLx,i=4096", MAIL_ERROR_PROTOCOL},
        /* the count: none, 0, signed, beyond the limit, beyond an integer, junk */
        {"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92", MAIL_ERROR_PROTOCOL},
        {"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=", MAIL_ERROR_PROTOCOL},
        {"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=0", MAIL_ERROR_PROTOCOL},
        {"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=-1", MAIL_ERROR_PROTOCOL},
        {"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=1000001", MAIL_ERROR_PROTOCOL},
        {"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=4294967297", MAIL_ERROR_PROTOCOL},
        {"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=40x", MAIL_ERROR_PROTOCOL},
        /* an extension that must be understood; a refusal; nothing; no text */
        {"m=x,r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=1", MAIL_ERROR_UNSUPPORTED},
        {"e=unknown-user", MAIL_ERROR_AUTH},
        {"", MAIL_ERROR_PROTOCOL},
        {"r=fyko+d2lbbFgONRv9qkxdawL\xff,s=QSXCR+Q6sek8bf92,i=1", MAIL_ERROR_PROTOCOL},
    };
    static const char with_nul[] = "r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=1\0";
    g_autoptr(Sasl) last = begin(&sha1);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Sasl) sasl = begin(&sha1);

        step(sasl, NULL, sha1.client_first);
        step_fails(sasl, cases[i].message, strlen(cases[i].message), cases[i].code);
        /* Nothing can be made good afterwards. */
        step_fails(sasl, sha1.server_first, strlen(sha1.server_first), MAIL_ERROR_PROTOCOL);
    }
    step(last, NULL, sha1.client_first);
    step_fails(last, with_nul, sizeof with_nul - 1, MAIL_ERROR_PROTOCOL);
}

static void test_server_final(void)
{
    static const struct {
        const char *message;
        MailError code;
    } cases[] = {
        {"v=rmF9pqV8S7suAoZWja4dJRkFsKR=", MAIL_ERROR_PROTOCOL}, /* not canonical base64 */
        {"v=rmF9pqV8S7suAoZWja4dJRkFsKU=", MAIL_ERROR_AUTH},
        {"v=rmF9pqV8S7suAoZWja4dJRkFsA==", MAIL_ERROR_AUTH},
        {"v=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", MAIL_ERROR_AUTH}, /* our own proof, sent back */
        {"v=", MAIL_ERROR_PROTOCOL},
        {"V=rmF9pqV8S7suAoZWja4dJRkFsKQ=", MAIL_ERROR_PROTOCOL},
        {"", MAIL_ERROR_PROTOCOL},
        {"e=invalid-proof", MAIL_ERROR_AUTH},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Sasl) sasl = begin(&sha1);

        step(sasl, NULL, sha1.client_first);
        step(sasl, sha1.server_first, sha1.client_final);
        step_fails(sasl, cases[i].message, strlen(cases[i].message), cases[i].code);
    }
}

static void test_names(void)
{
    g_autoptr(Sasl) escaped = begin_as("SCRAM-SHA-1", "N", "a=b,c", "x");
    g_autoptr(Sasl) prepared = begin_as("SCRAM-SHA-1", "N", "\u2168", "x");
    g_autoptr(Sasl) control = begin_as("SCRAM-SHA-1", "N", "a\tb", "x");
    g_autoptr(Sasl) password = begin_as("SCRAM-SHA-1", sha1.nonce, "user", "pen\acil");

    step(escaped, NULL, "n,,n=a=3Db=2Cc,r=N");
    step(prepared, NULL, "n,,n=IX,r=N");
    step_fails(control, "", 0, MAIL_ERROR_INVALID);
    step(password, NULL, sha1.client_first);
    step_fails(password, sha1.server_first, strlen(sha1.server_first), MAIL_ERROR_INVALID);
}

/* A nonce of its own each time, and long enough. */
static void test_nonce(void)
{
    g_autoptr(Sasl) a = begin_as("SCRAM-SHA-256", NULL, "user", "x");
    g_autoptr(Sasl) b = begin_as("SCRAM-SHA-256", NULL, "user", "x");
    g_autoptr(GBytes) first_a = sasl_step(a, NULL, NULL);
    g_autoptr(GBytes) first_b = sasl_step(b, NULL, NULL);

    g_assert_cmpuint(g_bytes_get_size(first_a), ==, strlen("n,,n=user,r=") + 32);
    g_assert_false(g_bytes_equal(first_a, first_b));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/sasl-scram/sha-1", &sha1, test_exchange);
    g_test_add_data_func("/sasl-scram/sha-256", &sha256, test_exchange);
    g_test_add_func("/sasl-scram/extensions", test_extensions);
    g_test_add_func("/sasl-scram/server-first", test_server_first);
    g_test_add_func("/sasl-scram/server-final", test_server_final);
    g_test_add_func("/sasl-scram/names", test_names);
    g_test_add_func("/sasl-scram/nonce", test_nonce);
    return g_test_run();
}
