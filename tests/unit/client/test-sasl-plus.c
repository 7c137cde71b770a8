/* Channel binding: what SCRAM says of the TLS connection that it runs over. */
#include "../net/tls-server.h"
#include "client/sasl-internal.h"

typedef struct {
    int version;
    const char *configured;
    const char *offered[3];
    const char *chosen;
    const char *header; /* how the first message begins */
} Case;

static const Case cases[] = {
    {TLS1_3_VERSION,
     "auto",
     {"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"},
     "SCRAM-SHA-256-PLUS",
     "p=tls-exporter,,"},
    {TLS1_2_VERSION,
     "auto",
     {"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"},
     "SCRAM-SHA-256-PLUS",
     "p=tls-unique,,"},
    {TLS1_3_VERSION,
     "auto",
     {"SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"},
     "SCRAM-SHA-1-PLUS",
     "p=tls-exporter,,"},
    {TLS1_3_VERSION,
     "scram-sha-256",
     {"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"},
     "SCRAM-SHA-256-PLUS",
     "p=tls-exporter,,"},
    {TLS1_3_VERSION,
     "scram-sha-256-plus",
     {"SCRAM-SHA-256-PLUS", "PLAIN"},
     "SCRAM-SHA-256-PLUS",
     "p=tls-exporter,,"},
    /* Somebody may have cut -PLUS out: the server is told that we could have. */
    {TLS1_3_VERSION, "auto", {"SCRAM-SHA-256", "PLAIN"}, "SCRAM-SHA-256", "y,,"},
    {TLS1_2_VERSION, "scram-sha-1", {"SCRAM-SHA-256", "SCRAM-SHA-1"}, "SCRAM-SHA-1", "y,,"},
};

static GBytes *bytes_of(const char *text)
{
    return g_bytes_new(text, strlen(text));
}

/* The "c=" of the client's last message, decoded. */
static GBytes *sent_binding(GBytes *final)
{
    g_autofree char *text = g_strndup(g_bytes_get_data(final, NULL), g_bytes_get_size(final));
    guint8 *octets;
    gsize n;

    g_assert_true(g_str_has_prefix(text, "c="));
    *strchr(text, ',') = '\0';
    octets = g_base64_decode(text + 2, &n);
    return g_bytes_new_take(octets, n);
}

static void check_exchange(const Case *c, Server *server, Sasl *sasl)
{
    g_autoptr(GByteArray) expected = g_byte_array_new();
    g_autoptr(GBytes) expected_bytes = NULL;
    g_autoptr(GBytes) first = NULL;
    g_autoptr(GBytes) challenge = bytes_of("r=Nx,s=QSXCR+Q6sek8bf92,i=1");
    g_autoptr(GBytes) final = NULL;
    g_autoptr(GBytes) sent = NULL;
    GBytes *binding = server->exporter ? server->exporter : server->unique;

    sasl_scram_set_nonce(sasl, "N");
    first = sasl_step(sasl, NULL, NULL);
    g_assert_cmpint(strncmp(g_bytes_get_data(first, NULL), c->header, strlen(c->header)), ==, 0);
    final = sasl_step(sasl, challenge, NULL);
    sent = sent_binding(final);

    g_byte_array_append(expected, (const guint8 *)c->header, (guint)strlen(c->header));
    if (c->header[0] == 'p')
        g_byte_array_append(expected, g_bytes_get_data(binding, NULL),
                            (guint)g_bytes_get_size(binding));
    expected_bytes = g_bytes_new(expected->data, expected->len);
    g_assert_true(g_bytes_equal(sent, expected_bytes));
}

static void test_plus(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Case *c = &cases[i];
        g_auto(Server) server = {.max_version = c->version};
        const char *const offered[] = {c->offered[0], c->offered[1], NULL};
        g_autoptr(Secret) secret = secret_new("pencil", 6);
        SaslParams params = {.user = "user", .secret = secret, .is_secure = TRUE};
        g_autoptr(NetStream) stream = NULL;
        g_autoptr(GError) error = NULL;
        const SaslMechanism *mechanism;
        g_autoptr(Sasl) sasl = NULL;

        stream = start_and_connect(&server);
        params.stream = stream;
        mechanism = sasl_choose(c->configured, offered, FALSE, &params, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(sasl_mechanism_name(mechanism), ==, c->chosen);
        sasl = sasl_new(mechanism, &params);
        net_stream_free(g_steal_pointer(&stream)); /* an exchange needs it no longer */
        server_join(&server);
        check_exchange(c, &server, sasl);
    }
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    tls_setup();
    g_test_add_func("/sasl-plus/binding", test_plus);
    result = g_test_run();
    tls_teardown();
    return result;
}
