/* TLS against a server in a thread (tls-server.h): which certificates are taken, what is said of
 * the others, and what the stream does over it.
 */
#include "net/internal.h"
#include "tls-server.h"

#include "base/error.h"

static void must_fail(const Endpoint *endpoint, MailError code, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(net_stream_connect(endpoint, "test#1", NULL, deadline_in(10), &error));
    g_test_message("%s", error->message);
    g_assert_error(error, MAIL_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, words));
}

/* -- Which certificates are taken ------------------------------------------------------------ */

enum { NO_PIN, RIGHT_PIN, WRONG_PIN, WRONG_THEN_RIGHT_PIN };

typedef struct {
    const char *name;
    const char *san;
    int from, to;
    enum { BY_CA, BY_OTHER_CA, BY_ITSELF } issuer;
    int pin;
    const char *host;
    const char *words; /* of the refusal; NULL: taken */
} Case;

static const Case cases[] = {
    {"good", "DNS:localhost", -1, 10, BY_CA, NO_PIN, "localhost", NULL},
    {"final-dot", "DNS:localhost", -1, 10, BY_CA, NO_PIN, "localhost.", NULL},
    {"case", "DNS:LOCALHOST", -1, 10, BY_CA, NO_PIN, "LocalHost", NULL},
    {"address", "IP:127.0.0.1", -1, 10, BY_CA, NO_PIN, "127.0.0.1", NULL},
    {"expired", "DNS:localhost", -10, -1, BY_CA, NO_PIN, "localhost", "expired on 2"},
    {"not-yet", "DNS:localhost", 1, 10, BY_CA, NO_PIN, "localhost", "not valid before 2"},
    {"wrong-name", "DNS:mail.example.org,DNS:*.example.net,IP:192.0.2.7", -1, 10, BY_CA, NO_PIN,
     "localhost", "it names mail.example.org, *.example.net, address 192.0.2.7;"},
    {"name-for-address", "DNS:127.0.0.1", -1, 10, BY_CA, NO_PIN, "127.0.0.1", "not for 127.0.0.1"},
    {"address-for-name", "IP:127.0.0.1", -1, 10, BY_CA, NO_PIN, "localhost", "not for localhost"},
    {"wildcard-alone", "DNS:*", -1, 10, BY_CA, NO_PIN, "localhost", "not for localhost"},
    {"wildcard-partial", "DNS:local*", -1, 10, BY_CA, NO_PIN, "localhost", "not for localhost"},
    {"common-name-only", NULL, -1, 10, BY_CA, NO_PIN, "localhost", "no host at all"},
    {"other-ca", "DNS:localhost", -1, 10, BY_OTHER_CA, NO_PIN, "localhost", "tls-ca=FILE"},
    {"self-signed", "DNS:localhost", -1, 10, BY_ITSELF, NO_PIN, "localhost",
     "self-signed: if its administrator confirms the key, set tls-pin=sha256:"},
    /* A pin stands in for the authority, and for nothing else. */
    {"self-signed-pinned", "DNS:localhost", -1, 10, BY_ITSELF, RIGHT_PIN, "localhost", NULL},
    {"other-ca-pinned", "DNS:localhost", -1, 10, BY_OTHER_CA, RIGHT_PIN, "localhost", NULL},
    {"pin-in-slot-two", "DNS:localhost", -1, 10, BY_ITSELF, WRONG_THEN_RIGHT_PIN, "localhost",
     NULL},
    {"good-pinned", "DNS:localhost", -1, 10, BY_CA, RIGHT_PIN, "localhost", NULL},
    {"good-wrong-pin", "DNS:localhost", -1, 10, BY_CA, WRONG_PIN, "localhost",
     "not the pinned one"},
    {"self-signed-wrong-pin", "DNS:localhost", -1, 10, BY_ITSELF, WRONG_PIN, "localhost",
     "not the pinned one"},
    {"expired-pinned", "DNS:localhost", -10, -1, BY_ITSELF, RIGHT_PIN, "localhost", "expired"},
    {"not-yet-pinned", "DNS:localhost", 1, 10, BY_OTHER_CA, RIGHT_PIN, "localhost",
     "not valid before"},
    {"wrong-name-pinned", "DNS:other.example", -1, 10, BY_ITSELF, RIGHT_PIN, "localhost",
     "not for localhost"},
};

static void test_certificate(gconstpointer data)
{
    static const char wrong_pin[] = "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const Case *c = data;
    g_auto(Identity) other_ca = make_identity("Other CA", NULL, -1, 10, NULL);
    const Identity *issuers[] = {&ca, &other_ca, NULL};
    g_auto(Identity) identity =
        make_identity("localhost", c->san, c->from, c->to, issuers[c->issuer]);
    g_auto(Server) server = {.identity = &identity};
    g_autoptr(Endpoint) endpoint = NULL;
    g_autofree char *pin = net_tls_pin(identity.certificate);

    server_start(&server);
    endpoint = endpoint_of(&server);
    g_free(endpoint->host);
    endpoint->host = g_strdup(c->host);
    if (c->pin == RIGHT_PIN)
        endpoint->tls_pins[0] = g_strdup(pin);
    if (c->pin == WRONG_PIN || c->pin == WRONG_THEN_RIGHT_PIN)
        endpoint->tls_pins[0] = g_strdup(wrong_pin);
    if (c->pin == WRONG_THEN_RIGHT_PIN)
        endpoint->tls_pins[1] = g_strdup(pin);

    if (c->words) {
        must_fail(endpoint, MAIL_ERROR_DENIED, c->words);
        server_join(&server);
        g_assert_false(server.is_up);
    } else {
        g_autoptr(NetStream) stream = must_connect(endpoint);
        g_autofree char *seen = net_stream_tls_pin(stream);

        g_assert_true(net_stream_is_tls(stream));
        g_assert_cmpstr(seen, ==, pin);
        g_assert_cmpint(net_stream_tls_expiry(stream) - g_get_real_time() / G_USEC_PER_SEC, >,
                        9 * 86400);
    }
}

/* The refusal of a self-signed certificate says the very pin that makes it go. */
static void test_pin_of_sentence(void)
{
    g_auto(Identity) identity = make_identity("localhost", "DNS:localhost", -1, 10, NULL);
    g_auto(Server) first = {.identity = &identity}, second = {.identity = &identity};
    g_autoptr(Endpoint) endpoint = NULL;
    g_autoptr(NetStream) stream = NULL;
    g_autoptr(GError) error = NULL;
    const char *pin;

    server_start(&first);
    endpoint = endpoint_of(&first);
    g_assert_null(net_stream_connect(endpoint, "x", NULL, deadline_in(10), &error));
    pin = strstr(error->message, "sha256:");
    g_assert_nonnull(pin);
    server_start(&second);
    endpoint->port = second.port;
    endpoint->tls_pins[0] = g_strndup(pin, strcspn(pin, " "));
    stream = must_connect(endpoint);
}

/* tls-ca takes the place of the system's authorities; without it ours is unknown. */
static void test_system_ca(void)
{
    g_auto(Server) server = {.talk = NULL};
    g_autoptr(Endpoint) endpoint = NULL;

    server_start(&server);
    endpoint = endpoint_of(&server);
    g_clear_pointer(&endpoint->tls_ca, g_free);
    must_fail(endpoint, MAIL_ERROR_DENIED, "CN=Test CA, which is not trusted here");
}

/* A self-signed certificate is its own authority, as the sentence on it says. */
static void test_own_ca(void)
{
    g_auto(Identity) identity = make_identity("localhost", "DNS:localhost", -1, 10, NULL);
    g_auto(Server) server = {.identity = &identity};
    g_autoptr(Endpoint) endpoint = NULL;
    g_autoptr(NetStream) stream = NULL;

    server_start(&server);
    endpoint = endpoint_of(&server);
    g_free(endpoint->tls_ca);
    endpoint->tls_ca = write_pem("own.pem", &identity, FALSE);
    stream = must_connect(endpoint);
    (void)g_unlink(endpoint->tls_ca);
}

static void test_bad_files(void)
{
    g_autofree char *missing = g_build_filename(directory, "missing.pem", NULL);
    g_autofree char *keyless = write_pem("keyless.pem", &good, FALSE);
    const struct {
        const char *ca, *cert;
    } files[] = {{missing, NULL}, {client_file, missing}, {ca_file, keyless}};
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autoptr(NetStream) stream = net_stream_new_fd(dup(fds[0]), "x", NULL);
        g_autoptr(Endpoint) endpoint = g_new0(Endpoint, 1);
        g_autoptr(GError) error = NULL;

        endpoint->host = g_strdup("localhost");
        endpoint->tls_ca = g_strdup(files[i].ca);
        endpoint->tls_cert = g_strdup(files[i].cert);
        g_assert_false(net_stream_start_tls(stream, endpoint, deadline_in(5), &error));
        g_test_message("%s", error->message);
        g_assert_error(error, MAIL_ERROR, MAIL_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, i < 2 ? missing : keyless));
    }
    (void)g_unlink(keyless);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* -- Servers that speak it badly, or not at all ---------------------------------------------- */

static void test_too_old(void)
{
    g_auto(Server) server = {.max_version = TLS1_1_VERSION};
    g_autoptr(Endpoint) endpoint = NULL;

    server_start(&server);
    endpoint = endpoint_of(&server);
    must_fail(endpoint, MAIL_ERROR_PROTOCOL, "too old");
}

static void test_no_tls(void)
{
    static const struct {
        const char *text, *words;
    } answers[] = {
        {"* OK Dovecot ready.\r\n", "it said \"* OK Dovecot ready.\""},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "it said \"HTTP/1.1 400 Bad Request\""},
        {"\x15\x02gh\r\n\r\n\r\n", "no TLS on this port"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(answers); i++) {
        g_auto(Server) server = {.instead = answers[i].text};
        g_autoptr(Endpoint) endpoint = NULL;

        server_start(&server);
        endpoint = endpoint_of(&server);
        must_fail(endpoint, MAIL_ERROR_PROTOCOL, answers[i].words);
    }
}

/* The other side closes at once, or is silent. */
static void test_no_answer(gconstpointer data)
{
    gboolean closes = GPOINTER_TO_INT(data);
    MailError code = closes ? MAIL_ERROR_OFFLINE : MAIL_ERROR_TIMEOUT;
    g_autoptr(Endpoint) endpoint = g_new0(Endpoint, 1);
    g_autoptr(NetStream) stream = NULL;
    g_autoptr(GError) error = NULL;
    int fds[2];

    endpoint->host = g_strdup("localhost");
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    stream = net_stream_new_fd(fds[0], "x", NULL);
    if (closes)
        g_assert_cmpint(shutdown(fds[1], SHUT_WR), ==, 0);
    g_assert_false(net_stream_start_tls(stream, endpoint, deadline_in_ms(closes ? 5000 : 50),
                                        &error));
    g_assert_error(error, MAIL_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, "TLS handshake with localhost"));
    (void)close(fds[1]);
}

/* -- STARTTLS -------------------------------------------------------------------------------- */

static NetStream *begin_starttls(const Endpoint *endpoint, const char *line)
{
    NetStream *stream = must_connect(endpoint);
    char buffer[100] = "";

    g_assert_false(net_stream_is_tls(stream));
    g_assert_cmpint(net_stream_read(stream, buffer, strlen(line), deadline_in(5), NULL), ==,
                    (gssize)strlen(line));
    g_assert_cmpstr(buffer, ==, line);
    return stream;
}

static void test_starttls(void)
{
    g_auto(Server) server = {.before = "a OK begin TLS now\r\n"};
    g_autoptr(Endpoint) endpoint = NULL;
    g_autoptr(NetStream) stream = NULL;
    g_autoptr(GError) error = NULL;

    server_start(&server);
    endpoint = endpoint_of(&server);
    endpoint->security = SECURITY_STARTTLS;
    stream = begin_starttls(endpoint, server.before);
    g_assert_true(net_stream_start_tls(stream, endpoint, deadline_in(10), &error));
    g_assert_no_error(error);
    g_assert_true(net_stream_is_tls(stream));
}

/* Octets behind the line, still in the socket or already taken by wait(). */
static void test_starttls_injection(gconstpointer data)
{
    gboolean has_waited = GPOINTER_TO_INT(data);
    g_auto(Server) server = {.before = "a OK begin TLS now\r\n* CAPABILITY AUTH=PLAIN\r\n"};
    g_autoptr(Endpoint) endpoint = NULL;
    g_autoptr(NetStream) stream = NULL;
    g_autoptr(GError) error = NULL;

    server_start(&server);
    endpoint = endpoint_of(&server);
    endpoint->security = SECURITY_STARTTLS;
    stream = begin_starttls(endpoint, "a OK begin TLS now\r\n");
    if (has_waited)
        g_assert_cmpint(net_stream_wait(stream, NULL, deadline_in(5), NULL), ==, NET_READABLE);
    g_assert_false(net_stream_start_tls(stream, endpoint, deadline_in(10), &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_PROTOCOL);
    g_assert_nonnull(strstr(error->message, "tampering"));
    net_stream_free(g_steal_pointer(&stream));
    server_join(&server);
    g_assert_false(server.is_up);
}

/* -- What goes over it ----------------------------------------------------------------------- */

static void talk_echo(Server *server, SSL *ssl)
{
    guint8 buffer[5000];
    int n;

    while ((n = SSL_read(ssl, buffer, sizeof buffer)) > 0)
        g_assert_cmpint(SSL_write(ssl, buffer, n), ==, n);
}

static gboolean is_echoed(NetStream *stream, guint round)
{
    gsize length = 1 + round * 7919 % 60000, got = 0;
    g_autofree guint8 *sent = g_malloc(length);
    g_autofree guint8 *back = g_malloc(length);

    for (gsize i = 0; i < length; i++)
        sent[i] = (guint8)((i * 2654435761u + round) >> 9);
    g_assert_true(net_stream_write(stream, sent, length, deadline_in(10), NULL));
    g_assert_true(net_stream_flush(stream, deadline_in(10), NULL));
    while (got < length) {
        g_autoptr(GError) error = NULL;
        gssize n;

        if (round % 2)
            g_assert_cmpint(net_stream_wait(stream, NULL, deadline_in(10), NULL), ==, NET_READABLE);
        n = net_stream_read(stream, back + got, length - got, deadline_in(10), &error);
        g_assert_no_error(error);
        got += (gsize)n;
    }
    return memcmp(sent, back, length) == 0;
}

static void test_echo(gconstpointer data)
{
    g_auto(Server) server = {.max_version = GPOINTER_TO_INT(data), .talk = talk_echo};
    g_autoptr(NetStream) stream = NULL;

    stream = start_and_connect(&server);
    for (guint round = 0; round < 40; round++)
        g_assert_true(is_echoed(stream, round));
    net_stream_free(g_steal_pointer(&stream));
}

static void talk_when_told(Server *server, SSL *ssl)
{
    char c;

    while (SSL_read(ssl, &c, 1) == 1)
        g_assert_cmpint(SSL_write(ssl, "* 1 EXISTS\r\n", 12), ==, 12);
}

/* TLS 1.3's session tickets make the socket readable, but there is nothing to read. */
static void test_wait(void)
{
    g_auto(Server) server = {.talk = talk_when_told};
    g_autoptr(NetStream) stream = NULL;
    char buffer[100];

    stream = start_and_connect(&server);
    g_assert_cmpint(net_stream_wait(stream, NULL, deadline_in_ms(100), NULL), ==, NET_TIMEOUT);
    g_assert_cmpuint(net_stream_octets_in(stream), ==, 0);
    g_assert_true(net_stream_write(stream, "x", 1, deadline_in(5), NULL));
    g_assert_true(net_stream_flush(stream, deadline_in(5), NULL));
    g_assert_cmpint(net_stream_wait(stream, NULL, deadline_in(5), NULL), ==, NET_READABLE);
    g_assert_cmpint(net_stream_read(stream, buffer, 5, deadline_in(5), NULL), ==, 5);
    /* The rest lies in OpenSSL, not in the socket. */
    g_assert_cmpint(net_stream_wait(stream, NULL, deadline_in(5), NULL), ==, NET_READABLE);
    g_assert_cmpint(net_stream_read(stream, buffer, 100, deadline_in(5), NULL), ==, 7);
    g_assert_cmpint(net_stream_wait(stream, NULL, deadline_in_ms(20), NULL), ==, NET_TIMEOUT);
}

static void talk_and_cut(Server *server, SSL *ssl)
{
    SSL_write(ssl, "* 1 FETCH {10}\r\nabc", 19);
    SSL_set_quiet_shutdown(ssl, 1); /* no close_notify */
}

static void talk_and_close(Server *server, SSL *ssl)
{
    SSL_write(ssl, "* 1 FETCH {10}\r\nabc", 19);
    SSL_shutdown(ssl);
}

/* With or without close_notify: an end is an error, after what came before it. */
static void test_end(gconstpointer data)
{
    g_auto(Server) server = {.talk = GPOINTER_TO_INT(data) ? talk_and_close : talk_and_cut};
    g_autoptr(NetStream) stream = NULL;
    g_autoptr(GError) error = NULL;
    char buffer[100];

    stream = start_and_connect(&server);
    server_join(&server);
    g_assert_cmpint(net_stream_read(stream, buffer, 100, deadline_in(5), &error), ==, 19);
    g_assert_cmpint(net_stream_read(stream, buffer, 100, deadline_in(5), &error), ==, -1);
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_OFFLINE);
}

/* Clear text put into a TLS connection. */
static void talk_junk(Server *server, SSL *ssl)
{
    g_assert_true(io_write_all(SSL_get_fd(ssl), "* OK injected\r\n", 15, NULL));
    SSL_set_quiet_shutdown(ssl, 1);
}

static void test_junk(void)
{
    g_auto(Server) server = {.talk = talk_junk};
    g_autoptr(NetStream) stream = NULL;
    g_autoptr(GError) error = NULL;
    char buffer[100];

    stream = start_and_connect(&server);
    g_assert_cmpint(net_stream_read(stream, buffer, 100, deadline_in(5), &error), ==, -1);
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_PROTOCOL);
}

static void talk_renegotiate(Server *server, SSL *ssl)
{
    char c;

    SSL_renegotiate(ssl);
    SSL_do_handshake(ssl);
    (void)SSL_read(ssl, &c, 1);
    g_assert_cmpint(SSL_num_renegotiations(ssl), <=, 1);
    server->is_up = SSL_renegotiate_pending(ssl) == 0;
}

/* A server that asks for a new handshake does not get one. */
static void test_no_renegotiation(void)
{
    g_auto(Server) server = {.max_version = TLS1_2_VERSION, .talk = talk_renegotiate};
    g_autoptr(NetStream) stream = NULL;
    char buffer[100];

    stream = start_and_connect(&server);
    g_assert_cmpint(net_stream_read(stream, buffer, 100, deadline_in_ms(500), NULL), ==, -1);
    net_stream_free(g_steal_pointer(&stream));
    server_join(&server);
    g_assert_false(server.is_up);
}

static void test_deflate_over_tls(void)
{
    g_auto(Server) server = {.talk = talk_echo};
    g_autoptr(NetStream) stream = NULL;

    stream = start_and_connect(&server);
    g_assert_true(net_stream_start_deflate(stream, NULL)); /* the echo is its own compressor */
    for (guint round = 0; round < 10; round++)
        g_assert_true(is_echoed(stream, round));
}

/* -- Client certificates and channel binding ------------------------------------------------- */

static void test_client_certificate(void)
{
    g_auto(Server) server = {.wants_client = TRUE, .talk = talk_echo};
    g_autoptr(Endpoint) endpoint = NULL;
    g_autoptr(NetStream) stream = NULL;

    server_start(&server);
    endpoint = endpoint_of(&server);
    endpoint->tls_cert = g_strdup(client_file); /* with the key in the same file */
    stream = must_connect(endpoint);
    g_assert_true(is_echoed(stream, 1));
    net_stream_free(g_steal_pointer(&stream));
    server_join(&server);
    g_assert_cmpstr(server.client_name, ==, "/CN=tim");
}

/* In TLS 1.3 the refusal comes after the handshake, with the first octets. */
static void test_client_certificate_missing(void)
{
    g_auto(Server) server = {.wants_client = TRUE, .talk = talk_echo};
    g_autoptr(NetStream) stream = NULL;
    g_autoptr(GError) error = NULL;
    char buffer[10];

    stream = start_and_connect(&server);
    g_assert_cmpint(net_stream_read(stream, buffer, 10, deadline_in(5), &error), ==, -1);
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_DENIED);
    g_assert_nonnull(strstr(error->message, "tls-cert"));
}

static void test_channel_binding(gconstpointer data)
{
    int version = GPOINTER_TO_INT(data);
    g_auto(Server) server = {.max_version = version, .talk = talk_echo};
    g_autoptr(NetStream) stream = NULL;
    g_autoptr(GBytes) exporter = NULL;
    g_autoptr(GBytes) unique = NULL;
    g_autoptr(GBytes) end_point = NULL;
    g_autofree char *text = NULL;
    guint8 digest[32];

    stream = start_and_connect(&server);
    exporter = net_stream_channel_binding(stream, "tls-exporter");
    unique = net_stream_channel_binding(stream, "tls-unique");
    end_point = net_stream_channel_binding(stream, "tls-server-end-point");
    g_assert_null(net_stream_channel_binding(stream, "tls-unknown"));
    text = net_stream_tls_version(stream);
    net_stream_free(g_steal_pointer(&stream));
    server_join(&server);

    X509_digest(good.certificate, EVP_sha256(), digest, NULL);
    g_assert_cmpmem(g_bytes_get_data(end_point, NULL), 32, digest, 32);
    g_assert_true(g_bytes_equal(unique, server.unique));
    if (version == TLS1_3_VERSION) {
        g_assert_true(g_bytes_equal(exporter, server.exporter));
        g_assert_true(g_str_has_prefix(text, "TLSv1.3, TLS_"));
    } else {
        g_assert_null(exporter);
        g_assert_true(g_str_has_prefix(text, "TLSv1.2, ECDHE-"));
    }
}

/* -------------------------------------------------------------------------------------------- */

static void add_tests(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/tls/certificate/", cases[i].name, NULL);

        g_test_add_data_func(path, &cases[i], test_certificate);
    }
    g_test_add_func("/tls/pin-of-sentence", test_pin_of_sentence);
    g_test_add_func("/tls/system-ca", test_system_ca);
    g_test_add_func("/tls/own-ca", test_own_ca);
    g_test_add_func("/tls/bad-files", test_bad_files);
    g_test_add_func("/tls/too-old", test_too_old);
    g_test_add_func("/tls/no-tls", test_no_tls);
    g_test_add_data_func("/tls/closes", GINT_TO_POINTER(TRUE), test_no_answer);
    g_test_add_data_func("/tls/silent", GINT_TO_POINTER(FALSE), test_no_answer);
    g_test_add_func("/tls/starttls", test_starttls);
    g_test_add_data_func("/tls/starttls-injection/socket", GINT_TO_POINTER(FALSE),
                         test_starttls_injection);
    g_test_add_data_func("/tls/starttls-injection/taken", GINT_TO_POINTER(TRUE),
                         test_starttls_injection);
    g_test_add_data_func("/tls/echo/1.2", GINT_TO_POINTER(TLS1_2_VERSION), test_echo);
    g_test_add_data_func("/tls/echo/1.3", GINT_TO_POINTER(TLS1_3_VERSION), test_echo);
    g_test_add_func("/tls/wait", test_wait);
    g_test_add_data_func("/tls/end/cut", GINT_TO_POINTER(FALSE), test_end);
    g_test_add_data_func("/tls/end/closed", GINT_TO_POINTER(TRUE), test_end);
    g_test_add_func("/tls/junk", test_junk);
    g_test_add_func("/tls/no-renegotiation", test_no_renegotiation);
    g_test_add_func("/tls/deflate", test_deflate_over_tls);
    g_test_add_func("/tls/client-certificate", test_client_certificate);
    g_test_add_func("/tls/client-certificate-missing", test_client_certificate_missing);
    g_test_add_data_func("/tls/channel-binding/1.2", GINT_TO_POINTER(TLS1_2_VERSION),
                         test_channel_binding);
    g_test_add_data_func("/tls/channel-binding/1.3", GINT_TO_POINTER(TLS1_3_VERSION),
                         test_channel_binding);
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    tls_setup();
    add_tests();
    result = g_test_run();
    tls_teardown();
    return result;
}
