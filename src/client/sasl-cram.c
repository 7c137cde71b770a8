/* CRAM-MD5 (RFC 2195): the password keys an HMAC over the server's challenge.  Old and weak
 * against guessing, but it never shows the password, and there are servers with nothing better.
 */
#include "client/sasl-internal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/error.h"

GBytes *sasl_cram_md5_step(Sasl *sasl, GBytes *challenge, GError **error)
{
    guint8 digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    const SaslPart parts[] = {
        {sasl->user, strlen(sasl->user)},
        {" ", 1},
        {hex, 32},
    };

    if (sasl->n_steps > 0)
        return sasl_fail_challenge(sasl, "everything was said", error);
    if (g_bytes_get_size(challenge) == 0)
        return sasl_fail_challenge(sasl, "it is empty", error);
    if (!HMAC(EVP_md5(), secret_text(sasl->secret), (int)secret_length(sasl->secret),
              g_bytes_get_data(challenge, NULL), g_bytes_get_size(challenge), digest, &n) ||
        n != 16) {
        mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                  "this system's OpenSSL does not allow MD5: set auth to another mechanism");
        return NULL;
    }
    for (guint i = 0; i < n; i++)
        g_snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    sasl->is_complete = TRUE;
    return sasl_response_new(parts, G_N_ELEMENTS(parts));
}
