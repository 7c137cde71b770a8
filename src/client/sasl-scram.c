/* SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802, RFC 7677), with and without channel binding.
 *
 *     C: gs2-header n=USER,r=CNONCE
 *     S: r=CNONCE+SNONCE,s=SALT,i=ITERATIONS
 *     C: c=BINDING,r=CNONCE+SNONCE,p=PROOF
 *     S: v=SIGNATURE                             (the server knows the password as well)
 *     C:
 *
 * The password is never sent, and the exchange is complete only when the server's signature was
 * seen and right: a server that says OK before that is not believed (sasl_is_complete()).
 */
#include "client/sasl-internal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/text.h"

enum { NONCE_OCTETS = 24 };

struct SaslScram {
    char *nonce;
    char *gs2_header;
    char *first_bare;                  /* client-first-message-bare */
    guint8 signature[EVP_MAX_MD_SIZE]; /* what the server must send */
    gsize n_signature;
};

static SaslScram *scram_of(Sasl *sasl)
{
    if (!sasl->scram)
        sasl->scram = g_new0(SaslScram, 1);
    return sasl->scram;
}

void sasl_scram_free(SaslScram *scram)
{
    if (!scram)
        return;
    g_free(scram->nonce);
    g_free(scram->gs2_header);
    g_free(scram->first_bare);
    secret_wipe(scram, sizeof *scram);
    g_free(scram);
}

void sasl_scram_set_nonce(Sasl *sasl, const char *nonce)
{
    g_free(scram_of(sasl)->nonce);
    sasl->scram->nonce = g_strdup(nonce);
}

/* -- client-first-message ---------------------------------------------------------------------- */

static char *new_nonce(void)
{
    guint8 octets[NONCE_OCTETS];

    if (RAND_bytes(octets, sizeof octets) != 1)
        g_error("no random numbers");
    return g_base64_encode(octets, sizeof octets);
}

static char *gs2_header(const Sasl *sasl)
{
    switch (sasl->mechanism->binding) {
    case SASL_BINDING_USED:
        return g_strdup_printf("p=%s,,", sasl->binding_type);
    case SASL_BINDING_MISSED:
        return g_strdup("y,,");
    case SASL_BINDING_NONE:
        break;
    }
    return g_strdup("n,,");
}

static GBytes *client_first(Sasl *sasl, GError **error)
{
    SaslScram *scram = scram_of(sasl);
    g_autofree char *user = sasl_prep(sasl->user, "user name", error);
    g_autofree char *name = NULL;

    if (!user)
        return NULL;
    if (sasl->mechanism->binding == SASL_BINDING_USED && !sasl->binding) {
        mail_fail(error, MAIL_ERROR_UNSUPPORTED, "the connection has no channel binding for %s",
                  sasl->mechanism->name);
        return NULL;
    }
    name = sasl_escape_name(user);
    if (!scram->nonce)
        scram->nonce = new_nonce();
    scram->gs2_header = gs2_header(sasl);
    scram->first_bare = g_strdup_printf("n=%s,r=%s", name, scram->nonce);
    return sasl_response_new(
        (const SaslPart[]){
            {scram->gs2_header, strlen(scram->gs2_header)},
            {scram->first_bare, strlen(scram->first_bare)},
        },
        2);
}

/* -- Parsing ----------------------------------------------------------------------------------- */

/* Takes "X=value" and the comma behind it off *message.  NULL when @letter is not next.  The
 * caller owns the value. */
static char *take_attribute(const char **message, char letter)
{
    const char *start = *message;
    gsize length;

    if (start[0] != letter || start[1] != '=')
        return NULL;
    start += 2;
    length = strcspn(start, ",");
    *message = start + length + (start[length] == ',' ? 1 : 0);
    return g_strndup(start, length);
}

/* Strictly: g_base64_decode() skips what it does not know.  NULL when it is not base64. */
static guint8 *decode_base64(const char *text, gsize *ret_length)
{
    gsize length = 0;
    g_autofree guint8 *octets = g_base64_decode(text, &length);
    g_autofree char *again = g_base64_encode(octets, length);

    if (length == 0 || !g_str_equal(text, again))
        return NULL;
    *ret_length = length;
    return g_steal_pointer(&octets);
}

/* The message as text; NULL when it cannot be one.  The caller owns it. */
static char *message_text(GBytes *challenge)
{
    gsize length;
    const char *data = g_bytes_get_data(challenge, &length);

    if (length == 0 || !g_utf8_validate_len(data, length, NULL))
        return NULL; /* which refuses NUL as well */
    return g_strndup(data, length);
}

static GBytes *fail_refused(const char *reason, GError **error)
{
    g_autofree char *text = text_printable(reason, strlen(reason), 200);

    mail_fail(error, MAIL_ERROR_AUTH, "the server refuses the login: %s", text);
    return NULL;
}

/* -- client-final-message ---------------------------------------------------------------------- */

typedef struct {
    char *nonce;
    guint8 *salt;
    gsize n_salt;
    guint64 iterations;
} ServerFirst;

static void server_first_clear(ServerFirst *first)
{
    g_free(first->nonce);
    g_free(first->salt);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ServerFirst, server_first_clear)

static gboolean parse_server_first(const Sasl *sasl, const char *message, ServerFirst *first,
                                   GError **error)
{
    const char *own = sasl->scram->nonce;
    g_autofree char *salt = NULL;
    g_autofree char *iterations = NULL;

    if (g_str_has_prefix(message, "e="))
        return fail_refused(message + 2, error) != NULL;
    if (g_str_has_prefix(message, "m="))
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                         "the server demands an extension of SCRAM that mailfs does not have: set "
                         "auth to another mechanism");
    first->nonce = take_attribute(&message, 'r');
    salt = take_attribute(&message, 's');
    iterations = take_attribute(&message, 'i');
    if (!first->nonce || !salt || !iterations)
        return sasl_fail_challenge(sasl, "it lacks r=, s= or i=", error) != NULL;
    /* The nonce must be ours with something behind it: otherwise it is a replay. */
    if (!g_str_has_prefix(first->nonce, own) || strlen(first->nonce) == strlen(own))
        return sasl_fail_challenge(sasl, "its nonce is not an extension of ours", error) != NULL;
    first->salt = decode_base64(salt, &first->n_salt);
    if (!first->salt)
        return sasl_fail_challenge(sasl, "its salt is not base64", error) != NULL;
    if (!text_parse_number(iterations, strlen(iterations), LIMIT_SCRAM_ITERATIONS,
                           &first->iterations) ||
        first->iterations == 0)
        return sasl_fail_challenge(sasl, "its iteration count is not from 1 to 1000000", error) !=
               NULL;
    return TRUE;
}

static void hmac(const EVP_MD *md, const guint8 *key, const char *text, guint8 *ret_digest)
{
    if (!HMAC(md, key, EVP_MD_get_size(md), (const guint8 *)text, strlen(text), ret_digest, NULL))
        g_error("out of memory for HMAC");
}

/* RFC 5802 section 3: the proof to send, and the signature to be seen.  Uses the names there. */
static gboolean compute_proof(Sasl *sasl, const ServerFirst *first, const char *auth_message,
                              guint8 *ret_proof, GError **error)
{
    const EVP_MD *md = EVP_get_digestbyname(sasl->mechanism->digest);
    gsize n = (gsize)EVP_MD_get_size(md);
    struct {
        guint8 salted_password[EVP_MAX_MD_SIZE];
        guint8 client_key[EVP_MAX_MD_SIZE];
        guint8 stored_key[EVP_MAX_MD_SIZE];
        guint8 client_signature[EVP_MAX_MD_SIZE];
        guint8 server_key[EVP_MAX_MD_SIZE];
    } k;
    char *password = sasl_prep(secret_text(sasl->secret), "password", error);

    if (!password)
        return FALSE;
    if (PKCS5_PBKDF2_HMAC(password, (int)strlen(password), first->salt, (int)first->n_salt,
                          (int)first->iterations, md, (int)n, k.salted_password) != 1)
        g_error("out of memory for PBKDF2");
    secret_wipe(password, strlen(password));
    g_free(password);

    hmac(md, k.salted_password, "Client Key", k.client_key);
    EVP_Digest(k.client_key, n, k.stored_key, NULL, md, NULL);
    hmac(md, k.stored_key, auth_message, k.client_signature);
    for (gsize i = 0; i < n; i++)
        ret_proof[i] = k.client_key[i] ^ k.client_signature[i];
    hmac(md, k.salted_password, "Server Key", k.server_key);
    hmac(md, k.server_key, auth_message, sasl->scram->signature);
    sasl->scram->n_signature = n;
    secret_wipe(&k, sizeof k);
    return TRUE;
}

/* base64 of the GS2 header and, with -PLUS, the channel binding data behind it. */
static char *binding_text(const Sasl *sasl)
{
    g_autoptr(GByteArray) input = g_byte_array_new();
    const char *header = sasl->scram->gs2_header;

    g_byte_array_append(input, (const guint8 *)header, (guint)strlen(header));
    if (sasl->binding)
        g_byte_array_append(input, g_bytes_get_data(sasl->binding, NULL),
                            (guint)g_bytes_get_size(sasl->binding));
    return g_base64_encode(input->data, input->len);
}

static GBytes *client_final(Sasl *sasl, const char *server_first, GError **error)
{
    g_auto(ServerFirst) first = {.nonce = NULL};
    guint8 proof[EVP_MAX_MD_SIZE];
    g_autofree char *binding = NULL;
    g_autofree char *without_proof = NULL;
    g_autofree char *auth_message = NULL;
    g_autofree char *proof_text = NULL;

    if (!parse_server_first(sasl, server_first, &first, error))
        return NULL;
    binding = binding_text(sasl);
    without_proof = g_strdup_printf("c=%s,r=%s", binding, first.nonce);
    auth_message =
        g_strdup_printf("%s,%s,%s", sasl->scram->first_bare, server_first, without_proof);
    if (!compute_proof(sasl, &first, auth_message, proof, error))
        return NULL;
    proof_text = g_base64_encode(proof, sasl->scram->n_signature);
    return sasl_response_new(
        (const SaslPart[]){
            {without_proof, strlen(without_proof)},
            {",p=", 3},
            {proof_text, strlen(proof_text)},
        },
        3);
}

/* -- server-final-message ---------------------------------------------------------------------- */

static GBytes *check_server_final(Sasl *sasl, const char *message, GError **error)
{
    g_autofree char *text = NULL;
    g_autofree guint8 *signature = NULL;
    gsize n = 0;

    if (g_str_has_prefix(message, "e="))
        return fail_refused(message + 2, error);
    text = take_attribute(&message, 'v');
    signature = text ? decode_base64(text, &n) : NULL;
    if (!signature)
        return sasl_fail_challenge(sasl, "it has no signature", error);
    if (n != sasl->scram->n_signature || CRYPTO_memcmp(signature, sasl->scram->signature, n) != 0) {
        mail_fail(error, MAIL_ERROR_AUTH,
                  "the server cannot prove that it knows the password: it is not the server that "
                  "it claims to be, or somebody changed the conversation");
        return NULL;
    }
    sasl->is_complete = TRUE;
    return sasl_response_new(NULL, 0);
}

GBytes *sasl_scram_step(Sasl *sasl, GBytes *challenge, GError **error)
{
    g_autofree char *message = NULL;

    if (sasl->n_steps == 0)
        return client_first(sasl, error);
    message = message_text(challenge);
    if (!message)
        return sasl_fail_challenge(sasl, "it is not text", error);
    if (sasl->n_steps == 1)
        return client_final(sasl, message, error);
    if (sasl->n_steps == 2)
        return check_server_final(sasl, message, error);
    return sasl_fail_challenge(sasl, "everything was said", error);
}
