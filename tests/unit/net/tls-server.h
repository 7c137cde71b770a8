/* A TLS server in a thread, for tests: an authority and certificates made in memory, one
 * connection, and what is to be said on it.  Each test program includes this once.
 */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "net/stream.h"

/* -- Certificates ---------------------------------------------------------------------------- */

typedef struct {
    X509 *certificate;
    EVP_PKEY *key;
} Identity;

static void identity_clear(Identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Identity, identity_clear)

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    g_assert_nonnull(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/* Valid from @from to @to days from now, for @san (or none), signed by @issuer (or itself). */
static Identity make_identity(const char *common_name, const char *san, int from, int to,
                              const Identity *issuer)
{
    static long serial = 1;
    Identity made = {.certificate = X509_new(), .key = EVP_EC_gen("P-256")};
    X509 *signer = issuer ? issuer->certificate : made.certificate;
    X509_NAME *name = X509_get_subject_name(made.certificate);

    X509_set_version(made.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), from * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), to * 86400L);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const guint8 *)common_name, -1, -1, 0);
    X509_set_issuer_name(made.certificate, X509_get_subject_name(signer));
    X509_set_pubkey(made.certificate, made.key);
    if (san)
        add_extension(made.certificate, signer, NID_subject_alt_name, san);
    else if (!issuer)
        add_extension(made.certificate, signer, NID_basic_constraints, "critical,CA:TRUE");
    g_assert_cmpint(X509_sign(made.certificate, issuer ? issuer->key : made.key, EVP_sha256()), >,
                    0);
    return made;
}

/* What every test has: made by tls_setup(), removed by tls_teardown(). */
static char *directory;
static char *ca_file, *client_file;
static Identity ca;
static Identity good; /* of ca, for localhost */

static char *write_pem(const char *name, const Identity *identity, gboolean with_key)
{
    char *path = g_build_filename(directory, name, NULL);
    FILE *file = fopen(path, "w");

    g_assert_nonnull(file);
    PEM_write_X509(file, identity->certificate);
    if (with_key)
        PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    return path;
}

/* -- The server ------------------------------------------------------------------------------ */

typedef struct Server Server;

struct Server {
    /* What it is to do. */
    const Identity *identity;
    int max_version;               /* 0: all */
    gboolean wants_client;         /* a client certificate of ca */
    const char *before;            /* said in clear text, in one segment, before TLS */
    const char *instead;           /* said once the client has spoken: no TLS at all */
    void (*agree)(Server *, int);  /* the talk in clear text that ends in STARTTLS */
    void (*talk)(Server *, SSL *); /* once TLS stands */
    gpointer user;                 /* for these */

    /* What it did. */
    gboolean is_up; /* the handshake was finished */
    GBytes *exporter, *unique;
    char *client_name;

    int listener;
    guint16 port;
    GThread *thread;
};

static void note_bindings(Server *server, SSL *ssl)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    guint8 octets[EVP_MAX_MD_SIZE];
    gsize n = SSL_get_peer_finished(ssl, octets, sizeof octets);

    server->unique = g_bytes_new(octets, n);
    if (SSL_version(ssl) == TLS1_3_VERSION) {
        SSL_export_keying_material(ssl, octets, 32, label, strlen(label), NULL, 0, 0);
        server->exporter = g_bytes_new(octets, 32);
    }
}

static SSL_CTX *server_context(const Server *server)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (server->max_version) {
        SSL_CTX_set_security_level(context, 0);
        SSL_CTX_set_min_proto_version(context, 0);
        SSL_CTX_set_max_proto_version(context, server->max_version);
    }
    g_assert_cmpint(SSL_CTX_use_certificate(context, server->identity->certificate), ==, 1);
    g_assert_cmpint(SSL_CTX_use_PrivateKey(context, server->identity->key), ==, 1);
    if (server->wants_client) {
        g_assert_cmpint(SSL_CTX_load_verify_file(context, ca_file), ==, 1);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return context;
}

static void serve_tls(Server *server, int fd)
{
    SSL_CTX *context = server_context(server);
    SSL *ssl = SSL_new(context);

    SSL_set_fd(ssl, fd);
    server->is_up = SSL_accept(ssl) == 1;
    if (server->is_up) {
        X509 *client = SSL_get0_peer_certificate(ssl);

        note_bindings(server, ssl);
        if (client)
            server->client_name = X509_NAME_oneline(X509_get_subject_name(client), NULL, 0);
        if (server->talk)
            server->talk(server, ssl);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    ERR_clear_error();
}

static gpointer serve(gpointer data)
{
    Server *server = data;
    autofd int fd = accept(server->listener, NULL, NULL);
    char hello[2000];

    if (server->before)
        g_assert_true(io_write_all(fd, server->before, strlen(server->before), NULL));
    if (server->agree)
        server->agree(server, fd);
    if (server->instead) {
        g_assert_cmpint(read(fd, hello, sizeof hello), >, 0);
        g_assert_true(io_write_all(fd, server->instead, strlen(server->instead), NULL));
        while (read(fd, hello, sizeof hello) > 0)
            ;
    } else {
        serve_tls(server, fd);
    }
    return NULL;
}

static void server_start(Server *server)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof in;

    if (!server->identity)
        server->identity = &good;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(server->listener, (struct sockaddr *)&in, length), ==, 0);
    g_assert_cmpint(listen(server->listener, 1), ==, 0);
    g_assert_cmpint(getsockname(server->listener, (struct sockaddr *)&in, &length), ==, 0);
    server->port = ntohs(in.sin_port);
    server->thread = g_thread_new("server", serve, server);
}

static void server_join(Server *server)
{
    if (server->thread)
        g_thread_join(g_steal_pointer(&server->thread));
}

static void server_clear(Server *server)
{
    server_join(server);
    (void)close(server->listener);
    g_clear_pointer(&server->exporter, g_bytes_unref);
    g_clear_pointer(&server->unique, g_bytes_unref);
    OPENSSL_free(server->client_name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Server, server_clear)

static Endpoint *endpoint_of(const Server *server)
{
    Endpoint *endpoint = g_new0(Endpoint, 1);

    endpoint->security = SECURITY_TLS;
    endpoint->host = g_strdup("localhost");
    endpoint->port = server->port;
    endpoint->tls_ca = g_strdup(ca_file);
    return endpoint;
}

static inline NetStream *must_connect(const Endpoint *endpoint)
{
    g_autoptr(GError) error = NULL;
    NetStream *stream = net_stream_connect(endpoint, "test#1", NULL, deadline_in(10), &error);

    g_assert_no_error(error);
    return stream;
}

/* Starts @server and connects to it, as it is to be done. */
static inline NetStream *start_and_connect(Server *server)
{
    g_autoptr(Endpoint) endpoint = NULL;

    server_start(server);
    endpoint = endpoint_of(server);
    return must_connect(endpoint);
}

static void tls_setup(void)
{
    g_auto(Identity) client = {NULL, NULL};

    (void)signal(SIGPIPE, SIG_IGN); /* for the server's side: OpenSSL's own BIO raises it */
    directory = g_dir_make_tmp("mailfs-test-XXXXXX", NULL);
    ca = make_identity("Test CA", NULL, -1, 10, NULL);
    good = make_identity("localhost", "DNS:localhost", -1, 10, &ca);
    client = make_identity("tim", "email:tim@example.org", -1, 10, &ca);
    ca_file = write_pem("ca.pem", &ca, FALSE);
    client_file = write_pem("client.pem", &client, TRUE);
}

static void tls_teardown(void)
{
    (void)g_unlink(ca_file);
    (void)g_unlink(client_file);
    (void)g_rmdir(directory);
    g_free(ca_file);
    g_free(client_file);
    g_free(directory);
    identity_clear(&ca);
    identity_clear(&good);
}
