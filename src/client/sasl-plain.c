/* The mechanisms that do no cryptography: PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login,
 * for servers that know nothing else) and EXTERNAL (RFC 4422 appendix A: the TLS client
 * certificate says who we are).
 *
 * PLAIN asks for SASLprep on the server's side only (RFC 4616 section 2), so the user name and the
 * password go as they are.
 */
#include "client/sasl-internal.h"

#include <string.h>

GBytes *sasl_plain_step(Sasl *sasl, GBytes *challenge, GError **error)
{
    const SaslPart parts[] = {
        {"", 1}, /* no authorization identity: that of the user */
        {sasl->user, strlen(sasl->user)},
        {"", 1},
        {secret_text(sasl->secret), secret_length(sasl->secret)},
    };

    if (sasl->n_steps > 0)
        return sasl_fail_challenge(sasl, "everything was said", error);
    sasl->is_complete = TRUE;
    return sasl_response_new(parts, G_N_ELEMENTS(parts));
}

/* The challenges are prompts for people, in any wording; only their order counts. */
GBytes *sasl_login_step(Sasl *sasl, GBytes *challenge, GError **error)
{
    const SaslPart user = {sasl->user, strlen(sasl->user)};
    const SaslPart secret = {secret_text(sasl->secret), secret_length(sasl->secret)};

    if (sasl->n_steps > 1)
        return sasl_fail_challenge(sasl, "everything was said", error);
    sasl->is_complete = sasl->n_steps == 1;
    return sasl_response_new(sasl->n_steps == 0 ? &user : &secret, 1);
}

GBytes *sasl_external_step(Sasl *sasl, GBytes *challenge, GError **error)
{
    const SaslPart user = {sasl->user, strlen(sasl->user)};

    if (sasl->n_steps > 0)
        return sasl_fail_challenge(sasl, "everything was said", error);
    sasl->is_complete = TRUE;
    return sasl_response_new(&user, 1); /* empty: whoever the certificate names */
}
