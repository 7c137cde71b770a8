/* What is the same in every login, whatever protocol carries it.  See login.h. */
#include "client/login.h"
#include "base/error.h"
#include "base/limits.h"

#include <string.h>

/* g_base64_decode() skips what it does not know. */
GBytes *login_decode_challenge(const char *text)
{
    gsize length = strlen(text), decoded_length;
    gsize n_digits =
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    guchar *decoded;

    if (length % 4 != 0 || length - n_digits > 2 ||
        strspn(text + n_digits, "=") != length - n_digits)
        return NULL;
    if (length == 0)
        return g_bytes_new(NULL, 0);
    decoded = g_base64_decode(text, &decoded_length);
    return g_bytes_new_take(decoded, decoded_length);
}

char *login_encode_response(GBytes *response)
{
    gsize length;
    const guchar *data = g_bytes_get_data(response, &length);

    return g_base64_encode(data, length);
}

void login_free_response(char *response)
{
    secret_wipe(response, strlen(response));
    g_free(response);
}

gboolean login_fail_credentials(const char *user, gboolean is_token, const char *text,
                                const GError *reason, GError **error)
{
    if (reason)
        return mail_fail(error, MAIL_ERROR_AUTH, "%s", reason->message);
    if (is_token)
        return mail_fail(error, MAIL_ERROR_AUTH,
                         "the server refuses the access token of %s (%s): token-command must "
                         "give a fresh one",
                         user, text);
    return mail_fail(error, MAIL_ERROR_AUTH,
                     "the server refuses the user name or password of %s (%s): check user and "
                     "where the password comes from",
                     user, text);
}

Secret *login_fresh_secret(Broker *broker, const char *account, Secret *refused, GError **error)
{
    GError *cause = NULL;
    g_autoptr(Secret) secret =
        broker->get_secret(broker, account, TRUE, deadline_in(LIMIT_SECRET_SECONDS), &cause);

    if (!secret) {
        g_clear_error(error);
        g_propagate_error(error, cause);
        return NULL;
    }
    if (secret_length(secret) == secret_length(refused) &&
        memcmp(secret_text(secret), secret_text(refused), secret_length(secret)) == 0)
        return NULL;
    return g_steal_pointer(&secret);
}
