/* Is this the server that the user meant?
 *
 * OpenSSL checks the chain, the dates and the name.  Each objection is noted by kind and the
 * verdict is given at the end, for two reasons: the user gets the sentence with the remedy and
 * not the first error number, and tls-pin waives one kind only.  A pinned key says who the server
 * is, so nobody has to vouch for it (a self-signed certificate, an unknown authority), but the
 * certificate must still be in date and for this host, and where a pin is set the key must be
 * a pinned one whatever any authority says.
 *
 * The verdict falls inside the handshake: a server that is refused never sees the client's
 * certificate.
 */
#include "net/internal.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/text.h"

/* The kinds of objection, the graver first: one sentence is enough. */
typedef enum {
    OBJECTION_EXPIRED,
    OBJECTION_NOT_YET,
    OBJECTION_HOST,
    OBJECTION_OTHER,       /* too weak, broken, wrong purpose, ... */
    OBJECTION_SELF_SIGNED, /* from here on tls-pin waives it */
    OBJECTION_UNTRUSTED,
    N_OBJECTIONS
} Objection;

typedef struct {
    Endpoint *endpoint;
    GError **refusal;
    int errors[N_OBJECTIONS]; /* X509_V_ERR_..., the first of each kind; X509_V_OK for none */
} Verdict;

static void verdict_free(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long argl,
                         void *argp)
{
    Verdict *verdict = pointer;

    if (!verdict)
        return;
    endpoint_free(verdict->endpoint);
    g_free(verdict);
}

/* Where an SSL keeps its Verdict. */
static int verdict_index(void)
{
    static gsize index;

    if (g_once_init_enter(&index))
        g_once_init_leave(&index,
                          (gsize)(1 + SSL_get_ex_new_index(0, NULL, NULL, NULL, verdict_free)));
    return (int)index - 1;
}

static Verdict *verdict_of(X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());

    return SSL_get_ex_data(ssl, verdict_index());
}

/* -- The certificate in words ------------------------------------------------------------------ */

char *net_tls_pin(X509 *certificate)
{
    guint8 digest[EVP_MAX_MD_SIZE];
    unsigned int n_digest = 0;
    unsigned char *der = NULL;
    int n_der = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    g_autofree char *base64 = NULL;

    if (n_der <= 0)
        return g_strdup("sha256:");
    EVP_Digest(der, (size_t)n_der, digest, &n_digest, EVP_sha256(), NULL);
    OPENSSL_free(der);
    base64 = g_base64_encode(digest, n_digest);
    return g_strconcat("sha256:", base64, NULL);
}

static char *date_text(const ASN1_TIME *date)
{
    struct tm tm;

    if (!ASN1_TIME_to_tm(date, &tm))
        return g_strdup("an unreadable date");
    return g_strdup_printf("%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

static char *name_text(const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    long n;
    char *text;

    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
    n = BIO_get_mem_data(bio, &data);
    text = text_printable(data ? data : "", n > 0 ? (gsize)n : 0, 200);
    BIO_free(bio);
    return text;
}

static char *general_name_text(const GENERAL_NAME *name)
{
    const ASN1_STRING *value;
    const guint8 *octets;
    gsize n;

    if (name->type != GEN_DNS && name->type != GEN_IPADD)
        return NULL;
    value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
    octets = ASN1_STRING_get0_data(value);
    n = (gsize)ASN1_STRING_length(value);
    if (name->type == GEN_IPADD) {
        char text[INET6_ADDRSTRLEN];

        if ((n != 4 && n != 16) ||
            !inet_ntop(n == 4 ? AF_INET : AF_INET6, octets, text, sizeof text))
            return NULL;
        return g_strconcat("address ", text, NULL);
    }
    return text_printable((const char *)octets, n, 100);
}

/* "mail.example.org, *.example.net and 12 more". */
static char *names_text(X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    GString *text = g_string_new(NULL);
    int n_more = 0;
    guint n_shown = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        g_autofree char *name = general_name_text(sk_GENERAL_NAME_value(names, i));

        if (!name)
            continue;
        if (n_shown == LIMIT_CERTIFICATE_NAMES) {
            n_more++;
            continue;
        }
        g_string_append_printf(text, "%s%s", n_shown++ ? ", " : "", name);
    }
    if (n_more > 0)
        g_string_append_printf(text, " and %d more", n_more);
    if (n_shown == 0) {
        g_autofree char *subject = name_text(X509_get_subject_name(certificate));

        g_string_append_printf(text, "no host at all (its subject %s does not count, RFC 9525)",
                               subject);
    }
    GENERAL_NAMES_free(names);
    return g_string_free(text, FALSE);
}

/* -- The verdict ------------------------------------------------------------------------------- */

static Objection kind_of(int error, int depth)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        /* Authorities' certificates come and go; that theirs is out of date is a matter of
         * whom to trust. */
        return depth == 0 ? OBJECTION_EXPIRED : OBJECTION_UNTRUSTED;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return depth == 0 ? OBJECTION_NOT_YET : OBJECTION_UNTRUSTED;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return OBJECTION_HOST;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return OBJECTION_SELF_SIGNED;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        return OBJECTION_UNTRUSTED;
    default:
        return OBJECTION_OTHER;
    }
}

static int note_objection(int ok, X509_STORE_CTX *store)
{
    int error = X509_STORE_CTX_get_error(store);

    if (!ok) {
        Verdict *verdict = verdict_of(store);
        int *first = &verdict->errors[kind_of(error, X509_STORE_CTX_get_error_depth(store))];

        if (*first == X509_V_OK)
            *first = error;
    }
    return 1; /* go on: the verdict comes when all is known */
}

static gboolean is_pinned(const Endpoint *endpoint, const char *pin)
{
    for (guint i = 0; i < ENDPOINT_MAX_PINS; i++)
        if (g_strcmp0(endpoint->tls_pins[i], pin) == 0)
            return TRUE;
    return FALSE;
}

static gboolean has_pins(const Endpoint *endpoint)
{
    for (guint i = 0; i < ENDPOINT_MAX_PINS; i++)
        if (endpoint->tls_pins[i])
            return TRUE;
    return FALSE;
}

/* One sentence: what is wrong and what to do. */
static void object(const Verdict *verdict, Objection kind, X509 *certificate, GError **error)
{
    const char *host = verdict->endpoint->host;
    g_autofree char *pin = net_tls_pin(certificate);
    g_autofree char *text = NULL;

    switch (kind) {
    case OBJECTION_EXPIRED:
        text = date_text(X509_get0_notAfter(certificate));
        mail_fail(error, MAIL_ERROR_DENIED,
                  "the certificate of %s expired on %s: its administrator must renew it (if this "
                  "machine's clock is right)",
                  host, text);
        break;
    case OBJECTION_NOT_YET:
        text = date_text(X509_get0_notBefore(certificate));
        mail_fail(error, MAIL_ERROR_DENIED,
                  "the certificate of %s is not valid before %s: check this machine's clock", host,
                  text);
        break;
    case OBJECTION_HOST:
        text = names_text(certificate);
        mail_fail(error, MAIL_ERROR_DENIED,
                  "the certificate is not for %s: it names %s; if one of these is the server that "
                  "you mean, write it in the configuration",
                  host, text);
        break;
    case OBJECTION_SELF_SIGNED:
        mail_fail(error, MAIL_ERROR_DENIED,
                  "the certificate of %s is self-signed: if its administrator confirms the key, "
                  "set tls-pin=%s (or tls-ca=FILE to a copy of the certificate)",
                  host, pin);
        break;
    case OBJECTION_UNTRUSTED:
        text = name_text(X509_get_issuer_name(certificate));
        mail_fail(error, MAIL_ERROR_DENIED,
                  "the certificate of %s is from %s, which is not trusted here (%s): set "
                  "tls-ca=FILE to that authority's certificate, or tls-pin=%s if the server's "
                  "administrator confirms the key",
                  host, text, X509_verify_cert_error_string(verdict->errors[kind]), pin);
        break;
    case OBJECTION_OTHER:
    case N_OBJECTIONS:
        mail_fail(error, MAIL_ERROR_DENIED,
                  "the certificate of %s is not acceptable: %s; its administrator must replace it",
                  host, X509_verify_cert_error_string(verdict->errors[OBJECTION_OTHER]));
        break;
    }
}

static gboolean judge(const Verdict *verdict, X509 *certificate, GError **error)
{
    g_autofree char *pin = net_tls_pin(certificate);
    gboolean must_pin = has_pins(verdict->endpoint);
    Objection end = must_pin ? OBJECTION_SELF_SIGNED : N_OBJECTIONS;

    if (must_pin && !is_pinned(verdict->endpoint, pin))
        return mail_fail(error, MAIL_ERROR_DENIED,
                         "the key of %s is not the pinned one: either it was changed or somebody "
                         "sits in between; if its administrator confirms the new key, set "
                         "tls-pin=%s",
                         verdict->endpoint->host, pin);
    for (Objection kind = 0; kind < end; kind++)
        if (verdict->errors[kind] != X509_V_OK) {
            object(verdict, kind, certificate, error);
            return FALSE;
        }
    return TRUE;
}

/* Called by OpenSSL in place of its own check.  1 to go on with the handshake. */
static int verify(X509_STORE_CTX *store, void *data)
{
    Verdict *verdict = verdict_of(store);
    X509 *certificate = X509_STORE_CTX_get0_cert(store);

    X509_STORE_CTX_set_verify_cb(store, note_objection);
    if (X509_verify_cert(store) != 1 && verdict->errors[OBJECTION_OTHER] == X509_V_OK)
        verdict->errors[OBJECTION_OTHER] = X509_V_ERR_UNSPECIFIED; /* it gave up: out of memory */
    if (!certificate || !judge(verdict, certificate, verdict->refusal)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

gboolean net_tls_verify_setup(SSL *ssl, const Endpoint *endpoint, GError **refusal, GError **error)
{
    g_autofree char *host = net_host_ascii(endpoint->host, error);
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    Verdict *verdict;
    int ok;

    if (!host)
        return FALSE;
    /* RFC 9525: subjectAltName alone, a wildcard only as the whole of the first label. */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    ok = g_hostname_is_ip_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(param, host)
                                        : X509_VERIFY_PARAM_set1_host(param, host, 0);
    if (ok != 1)
        return mail_fail(error, MAIL_ERROR_INVALID, "\"%s\" is not a host name", endpoint->host);

    verdict = g_new0(Verdict, 1);
    verdict->endpoint = endpoint_copy(endpoint);
    verdict->refusal = refusal;
    SSL_set_ex_data(ssl, verdict_index(), verdict);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(SSL_get_SSL_CTX(ssl), verify, NULL);
    return TRUE;
}
