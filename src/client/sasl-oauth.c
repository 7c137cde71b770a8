/* OAuth 2 access tokens: OAUTHBEARER (RFC 7628) and its elder, Google's XOAUTH2
 * (https://developers.google.com/gmail/imap/xoauth2-protocol).
 *
 * Both say all in one message.  A second challenge can only be the server's refusal, in JSON;
 * what must be sent then before the server ends the exchange is sasl_error_response().
 */
#include "client/sasl-internal.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"

static GBytes *fail_token(GBytes *challenge, GError **error)
{
    gsize length;
    const char *data = g_bytes_get_data(challenge, &length);
    g_autofree char *text = text_printable(data ? data : "", length, 300);

    mail_fail(error, MAIL_ERROR_AUTH,
              "the server refuses the access token (%s): token-command must give a fresh one",
              text);
    return NULL;
}

/* A token goes into the message as it is, so it must not be able to end its field (RFC 6750
 * section 2.1: printable ASCII). */
static gboolean check_token(const Sasl *sasl, GError **error)
{
    const char *token = secret_text(sasl->secret);
    gsize length = secret_length(sasl->secret);

    for (gsize i = 0; i < length; i++)
        if (token[i] <= ' ' || token[i] > '~')
            return mail_fail(error, MAIL_ERROR_INVALID,
                             "the access token has a character that no token has: token-command "
                             "must print the token alone");
    return length > 0 ||
           mail_fail(error, MAIL_ERROR_INVALID, "the access token is empty: check token-command");
}

static gboolean check_user(const Sasl *sasl, GError **error)
{
    return !strchr(sasl->user, '\001') ||
           mail_fail(error, MAIL_ERROR_INVALID, "the user name has a control character");
}

GBytes *sasl_oauthbearer_step(Sasl *sasl, GBytes *challenge, GError **error)
{
    g_autofree char *user = sasl_escape_name(sasl->user);
    g_autofree char *head = g_strdup_printf("n,a=%s,\001host=%s\001port=%u\001auth=Bearer ", user,
                                            sasl->host, sasl->port);
    const SaslPart parts[] = {
        {head, strlen(head)},
        {secret_text(sasl->secret), secret_length(sasl->secret)},
        {"\001\001", 2},
    };

    if (sasl->n_steps > 0)
        return fail_token(challenge, error);
    if (!check_token(sasl, error) || !check_user(sasl, error))
        return NULL;
    sasl->is_complete = TRUE;
    return sasl_response_new(parts, G_N_ELEMENTS(parts));
}

GBytes *sasl_xoauth2_step(Sasl *sasl, GBytes *challenge, GError **error)
{
    const SaslPart parts[] = {
        {"user=", 5},
        {sasl->user, strlen(sasl->user)},
        {"\001auth=Bearer ", 13},
        {secret_text(sasl->secret), secret_length(sasl->secret)},
        {"\001\001", 2},
    };

    if (sasl->n_steps > 0)
        return fail_token(challenge, error);
    if (!check_token(sasl, error) || !check_user(sasl, error))
        return NULL;
    sasl->is_complete = TRUE;
    return sasl_response_new(parts, G_N_ELEMENTS(parts));
}
