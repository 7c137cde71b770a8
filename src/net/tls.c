/* TLS over a descriptor that does not block (OpenSSL): handshake, records, and what went wrong
 * in a sentence.  Whether the certificate is good is decided in tls-verify.c.
 *
 * OpenSSL reads and writes through a BIO of our own.  It sends with MSG_NOSIGNAL (OpenSSL's
 * would raise SIGPIPE), and it remembers what OpenSSL's error queue does not tell: that the
 * connection broke and why, that the descriptor would block (a SSL_ERROR_WANT_READ without that
 * means that there is more to do at once), and the first octets that came, for a server that
 * speaks no TLS says in them what it is.
 */
#include "net/internal.h"

#include <openssl/err.h>
#include <poll.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

enum { FIRST_SIZE = 80 };

struct NetTls {
    int fd; /* borrowed */
    char *host;
    SSL *ssl;
    GError *verify_refusal; /* set by tls-verify.c */

    /* Of the handshake. */
    char first[FIRST_SIZE];
    gsize n_first;

    /* Of the SSL_ call that runs. */
    short blocked_on; /* POLLIN or POLLOUT: the descriptor would block */
    GError *broken;   /* the descriptor failed */
};

/* -- The BIO ----------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *buffer, size_t length, size_t *ret_length)
{
    NetTls *tls = BIO_get_data(bio);
    gssize n;

    BIO_clear_retry_flags(bio);
    if (tls->broken)
        return 0;
    n = net_fd_read(tls->fd, buffer, length, &tls->blocked_on, &tls->broken);
    if (n == 0)
        BIO_set_retry_read(bio);
    if (n <= 0)
        return 0;
    if (tls->n_first < FIRST_SIZE && !SSL_is_init_finished(tls->ssl)) {
        gsize more = MIN((gsize)n, FIRST_SIZE - tls->n_first);

        memcpy(tls->first + tls->n_first, buffer, more);
        tls->n_first += more;
    }
    *ret_length = (size_t)n;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t length, size_t *ret_length)
{
    NetTls *tls = BIO_get_data(bio);
    gssize n;

    BIO_clear_retry_flags(bio);
    if (tls->broken)
        return 0;
    n = net_fd_write(tls->fd, data, length, &tls->blocked_on, &tls->broken);
    if (n == 0)
        BIO_set_retry_write(bio);
    if (n <= 0)
        return 0;
    *ret_length = (size_t)n;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method(void)
{
    static gsize once;
    static BIO_METHOD *method;

    if (g_once_init_enter(&once)) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "mailfs");
        BIO_meth_set_read_ex(method, bio_read);
        BIO_meth_set_write_ex(method, bio_write);
        BIO_meth_set_ctrl(method, bio_ctrl);
        g_once_init_leave(&once, 1);
    }
    return method;
}

/* -- Setting up -------------------------------------------------------------------------------- */

/* OpenSSL's reason for its last failure; the queue is empty then.  The caller owns it. */
static char *take_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return g_strdup(reason ? reason : "no reason given");
}

static int no_passphrase(char *buffer, int size, int is_writing, void *data)
{
    return -1; /* a daemon cannot ask; OpenSSL would, on the terminal */
}

static gboolean load_files(SSL_CTX *context, const Endpoint *endpoint, GError **error)
{
    const char *key = endpoint->tls_key ? endpoint->tls_key : endpoint->tls_cert;
    g_autofree char *reason = NULL;

    if (endpoint->tls_ca) {
        if (SSL_CTX_load_verify_file(context, endpoint->tls_ca) != 1)
            return mail_fail(error, MAIL_ERROR_INVALID,
                             "tls-ca=%s cannot be read as certificates in PEM form: %s",
                             endpoint->tls_ca, reason = take_reason());
    } else if (SSL_CTX_set_default_verify_paths(context) != 1) {
        return mail_fail(error, MAIL_ERROR_INVALID, "the system's certificates cannot be read: %s",
                         reason = take_reason());
    }
    if (!endpoint->tls_cert)
        return TRUE;
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(context, endpoint->tls_cert) != 1)
        return mail_fail(error, MAIL_ERROR_INVALID, "the client certificate %s cannot be read: %s",
                         endpoint->tls_cert, reason = take_reason());
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "the key %s cannot be read, or is not that of the client certificate "
                         "(it must have no passphrase): %s",
                         key, reason = take_reason());
    return TRUE;
}

static SSL_CTX *new_context(const Endpoint *endpoint, GError **error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (!context)
        g_error("out of memory for TLS");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION); /* RFC 8996, RFC 8997 */
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Off, or one SSL_read() could be kept busy with records that carry no data. */
    SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    if (!load_files(context, endpoint, error)) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

NetTls *net_tls_new(int fd, const Endpoint *endpoint, GError **error)
{
    g_autofree char *host = net_host_ascii(endpoint->host, error);
    SSL_CTX *context;
    NetTls *tls;
    BIO *bio;

    if (!host)
        return NULL;
    ERR_clear_error();
    context = new_context(endpoint, error);
    if (!context)
        return NULL;
    tls = g_new0(NetTls, 1);
    tls->fd = fd;
    tls->ssl = SSL_new(context);
    SSL_CTX_free(context); /* the SSL keeps a reference */
    bio = BIO_new(bio_method());
    if (!tls->ssl || !bio)
        g_error("out of memory for TLS");
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    /* Records are read whole, not header and body apart: half the system calls. */
    SSL_set_read_ahead(tls->ssl, 1);
    if (!g_hostname_is_ip_address(host)) /* RFC 6066 section 3: names only */
        (void)SSL_set_tlsext_host_name(tls->ssl, host);
    tls->host = g_steal_pointer(&host);
    if (!net_tls_verify_setup(tls->ssl, endpoint, &tls->verify_refusal, error)) {
        net_tls_free(tls);
        return NULL;
    }
    SSL_set_connect_state(tls->ssl);
    return tls;
}

void net_tls_free(NetTls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    g_free(tls->host);
    g_clear_error(&tls->verify_refusal);
    g_clear_error(&tls->broken);
    g_free(tls);
}

void net_tls_farewell(NetTls *tls)
{
    ERR_clear_error();
    if (SSL_is_init_finished(tls->ssl))
        (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

SSL *net_tls_ssl(NetTls *tls)
{
    return tls->ssl;
}

/* -- Failures ---------------------------------------------------------------------------------- */

/* A server that speaks no TLS: its first octets are not the head of a TLS record (RFC 8446
 * section 5.1: a type from 20 to 24, then 3). */
static gboolean speaks_no_tls(const NetTls *tls)
{
    return (tls->n_first > 0 && (tls->first[0] < 20 || tls->first[0] > 24)) ||
           (tls->n_first > 1 && tls->first[1] != 3);
}

static gboolean fail_no_tls(const NetTls *tls, GError **error)
{
    const char *end = memchr(tls->first, '\r', tls->n_first);
    gsize length = end ? (gsize)(end - tls->first) : tls->n_first;
    g_autofree char *said = text_printable(tls->first, length, 60);

    return mail_fail(error, MAIL_ERROR_PROTOCOL,
                     "%s speaks no TLS on this port (it said \"%s\"): check the port, or write "
                     "imap:// (pop3://) instead of imaps:// (pop3s://) if it is for STARTTLS",
                     tls->host, said);
}

static gboolean fail_by_reason(const NetTls *tls, GError **error)
{
    int code = ERR_GET_REASON(ERR_peek_error());
    g_autofree char *reason = take_reason();

    switch (code) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_WRONG_SSL_VERSION:
        return mail_fail(error, MAIL_ERROR_PROTOCOL,
                         "the TLS of %s is too old: it has no TLS 1.2 or later, and the older "
                         "ones are broken (RFC 8996); its administrator must update it",
                         tls->host);
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return mail_fail(error, MAIL_ERROR_DENIED,
                         "%s wants a client certificate that it knows (%s): set tls-cert and "
                         "tls-key",
                         tls->host, reason);
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return mail_fail(error, MAIL_ERROR_PROTOCOL,
                         "%s and this machine have no TLS cipher in common, or it wants a client "
                         "certificate (%s)",
                         tls->host, reason);
    default:
        return mail_fail(error, MAIL_ERROR_PROTOCOL, "the TLS connection to %s broke: %s",
                         tls->host, reason);
    }
}

/* After a failed SSL_ call: 0 when it is only to be waited for, -1 with the error.  An end of the
 * TCP stream is an error like any other end: whether close_notify came or not, nobody above may
 * take what came before it for complete. */
static gssize tls_result(NetTls *tls, int result, short *ret_events, GError **error)
{
    int code = SSL_get_error(tls->ssl, result);

    if (tls->verify_refusal) {
        ERR_clear_error();
        g_propagate_error(error, g_steal_pointer(&tls->verify_refusal));
        return -1;
    }
    if (tls->broken) {
        ERR_clear_error();
        g_propagate_error(error, g_steal_pointer(&tls->broken));
        if (!SSL_is_init_finished(tls->ssl))
            g_prefix_error(error, "TLS handshake with %s: ", tls->host);
        return -1;
    }
    if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) {
        *ret_events = tls->blocked_on;
        return 0;
    }
    if (code == SSL_ERROR_ZERO_RETURN)
        mail_fail(error, MAIL_ERROR_OFFLINE, "the server closed the connection");
    else if (!SSL_is_init_finished(tls->ssl) && speaks_no_tls(tls))
        fail_no_tls(tls, error);
    else
        fail_by_reason(tls, error);
    ERR_clear_error();
    return -1;
}

/* -- Records ----------------------------------------------------------------------------------- */

/* The error queue belongs to the thread and must be empty before SSL_get_error() is asked. */
static void begin(NetTls *tls)
{
    ERR_clear_error();
    tls->blocked_on = 0;
}

gssize net_tls_handshake(NetTls *tls, short *ret_events, GError **error)
{
    int result;

    begin(tls);
    result = SSL_do_handshake(tls->ssl);
    return result == 1 ? 1 : tls_result(tls, result, ret_events, error);
}

gssize net_tls_read(NetTls *tls, void *buffer, gsize length, short *ret_events, GError **error)
{
    size_t n = 0;
    int result;

    begin(tls);
    result = SSL_read_ex(tls->ssl, buffer, length, &n);
    return result == 1 ? (gssize)n : tls_result(tls, result, ret_events, error);
}

gssize net_tls_write(NetTls *tls, const void *data, gsize length, short *ret_events, GError **error)
{
    size_t n = 0;
    int result;

    begin(tls);
    result = SSL_write_ex(tls->ssl, data, length, &n);
    return result == 1 ? (gssize)n : tls_result(tls, result, ret_events, error);
}

/* -- Channel binding --------------------------------------------------------------------------- */

/* RFC 9266 section 2. */
static GBytes *binding_exporter(SSL *ssl)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    guint8 key[32];

    if (SSL_version(ssl) < TLS1_3_VERSION ||
        SSL_export_keying_material(ssl, key, sizeof key, label, sizeof label - 1,
                                   (const unsigned char *)"", 0, 1) != 1)
        return NULL;
    return g_bytes_new(key, sizeof key);
}

/* RFC 5929 section 3: the first Finished message of the handshake, which is the client's, for no
 * session is ever resumed.  Without the extended master secret (RFC 7627) it does not bind.  TLS
 * 1.3 leaves it undefined (RFC 8446 appendix C.5), though Finished binds there just as well, and
 * there are servers that take nothing else. */
static GBytes *binding_unique(SSL *ssl)
{
    guint8 finished[EVP_MAX_MD_SIZE];
    size_t n;

    if (SSL_session_reused(ssl) ||
        (SSL_version(ssl) < TLS1_3_VERSION && SSL_get_extms_support(ssl) != 1))
        return NULL;
    n = SSL_get_finished(ssl, finished, sizeof finished);
    return n > 0 && n <= sizeof finished ? g_bytes_new(finished, n) : NULL;
}

/* RFC 5929 section 4: the certificate, hashed as its signature is, but never weaker than
 * SHA-256; undefined where the signature has no one hash (Ed25519). */
static GBytes *binding_end_point(SSL *ssl)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    guint8 digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    const EVP_MD *md;
    int hash;

    if (!certificate || X509_get_signature_info(certificate, &hash, NULL, NULL, NULL) != 1)
        return NULL;
    if (hash == NID_md5 || hash == NID_sha1)
        hash = NID_sha256;
    md = EVP_get_digestbynid(hash);
    if (!md || X509_digest(certificate, md, digest, &n) != 1)
        return NULL;
    return g_bytes_new(digest, n);
}

GBytes *net_tls_channel_binding(NetTls *tls, const char *type)
{
    GBytes *binding = NULL;

    if (g_str_equal(type, "tls-exporter"))
        binding = binding_exporter(tls->ssl);
    else if (g_str_equal(type, "tls-unique"))
        binding = binding_unique(tls->ssl);
    else if (g_str_equal(type, "tls-server-end-point"))
        binding = binding_end_point(tls->ssl);
    ERR_clear_error();
    return binding;
}
