/* What the logins of all protocols share: base64 of SASL, and what to do about a secret that was
 * refused.  Each session has its own way of carrying it.
 */
#pragma once

#include <glib.h>

#include "base/broker.h"

/* A challenge as the server wrote it: base64 and nothing else; "" is an empty one.  The caller owns
 * it; NULL for what is no base64. */
GBytes *login_decode_challenge(const char *text);

/* Base64 of a response.  The caller wipes it with login_free_response(). */
char *login_encode_response(GBytes *response);
void login_free_response(char *response);

/* The server said no, with @text.  @reason: what the mechanism made of it, or NULL.  Always FALSE,
 * with AUTH and the remedy. */
gboolean login_fail_credentials(const char *user, gboolean is_token, const char *text,
                                const GError *reason, GError **error);

/* After a refusal: a secret that differs from the one that was @refused, for the same again would
 * only bring the account nearer to being locked.  The caller owns it.  NULL keeps @error as it was,
 * or says why there is none. */
Secret *login_fresh_secret(Broker *broker, const char *account, Secret *refused, GError **error);
