/* SASL (RFC 4422), the client's side, as a machine without I/O: it is handed challenges and
 * gives responses; imap-session and pop3-session carry them.
 *
 * One file a family of mechanisms.  Nothing here falls back: sasl_choose() picks the strongest
 * mechanism that the configuration allows and the server offers, and if that one fails, it
 * fails.
 */
#pragma once

#include <glib.h>

#include "base/secret.h"
#include "net/stream.h"

typedef struct SaslMechanism SaslMechanism; /* static description */
typedef struct Sasl Sasl;                   /* one exchange */

typedef struct {
    const char *user;
    Secret *secret;     /* password, or the OAuth 2 access token; NULL for EXTERNAL */
    const char *host;   /* as connected to; OAUTHBEARER sends it */
    guint16 port;
    NetStream *stream;  /* for channel binding; may be NULL */
    guint n_refused;    /* types of channel binding that the server was found not to take */
    gboolean is_secure; /* TLS or tunnel or loopback: without it only CRAM-MD5 and SCRAM may go */
} SaslParams;

/* @configured: "auto", or a mechanism's name in any case ("scram-sha-256" stands for its -PLUS
 * form too where that can be had).  "auto" prefers SCRAM-SHA-256-PLUS, SCRAM-SHA-256,
 * SCRAM-SHA-1-PLUS, SCRAM-SHA-1, CRAM-MD5, PLAIN, LOGIN; the OAuth mechanisms when
 * @is_token, and EXTERNAL, are only chosen by their configuration ("auto" with a token takes
 * OAUTHBEARER, then XOAUTH2).  @offered: names as the server sent them, NULL-terminated.
 * UNSUPPORTED with a sentence naming both sides when nothing fits; DENIED when what fits would
 * show the password in clear text. */
const SaslMechanism *sasl_choose(const char *configured, const char *const *offered,
                                 gboolean is_token, const SaslParams *params, GError **error);

/* A mechanism by its configured name, to check a configuration; NULL if unknown. */
gboolean sasl_is_known(const char *configured);

const char *sasl_mechanism_name(const SaslMechanism *mechanism); /* "SCRAM-SHA-256-PLUS" */

Sasl *sasl_new(const SaslMechanism *mechanism, const SaslParams *params); /* copies @params */
void sasl_free(Sasl *sasl);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sasl, sasl_free)

/* TRUE when the client speaks first, so that SASL-IR (RFC 4959) can carry it. */
gboolean sasl_client_first(const Sasl *sasl);

/* The response to @challenge (decoded; NULL, or an empty one, to ask for the initial response).
 * The caller owns it; its octets are wiped when the last reference goes (g_bytes_unref()), which
 * the caller's base64 of it must be too (secret_wipe()).  NULL on failure, after which the
 * exchange is over and is cancelled with "*" (RFC 4954, RFC 9051 section 6.2.2) unless
 * sasl_error_response() has something to send: PROTOCOL for a challenge that makes no sense, AUTH
 * when the server's proof is wrong or an OAuth error came (its text in the message), INVALID for
 * a user name, password or token that cannot be sent. */
GBytes *sasl_step(Sasl *sasl, GBytes *challenge, GError **error);

/* Asked when the server says OK: TRUE if the exchange is complete from our side too (SCRAM: the
 * server's signature was seen and right). */
gboolean sasl_is_complete(const Sasl *sasl);

/* After the server's NO: TRUE when that may be about the type of channel binding and not about the
 * password, for the type was tls-exporter, which few servers know, and the connection has another
 * one.  @params are for an exchange with that one then. */
gboolean sasl_next_binding(const Sasl *sasl, SaslParams *params);

/* After sasl_step() failed: what the server still waits for before it ends the exchange with its
 * NO (OAUTHBEARER: %x01, RFC 7628 section 3.2.3; XOAUTH2: an empty line).  NULL where it is to be
 * cancelled.  The caller owns it. */
GBytes *sasl_error_response(const Sasl *sasl);
