/* The login, whatever protocol carries it: the exchange of a SASL mechanism, what the server's last
 * word means, and what to do about a secret that was refused.
 */
#pragma once

#include "client/sasl.h"
#include "client/session-internal.h"

/* The answer that ends a login. */
typedef struct {
    gboolean ok;
    char *text;              /* what the server said, printable */
    GError *refusal;         /* what that means, unless it is OK */
    gboolean is_credentials; /* it means that the user name or the secret is wrong */
    gboolean is_binding;     /* or, as likely, that the type of channel binding is */
} LoginAnswer;

void login_answer_clear(LoginAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LoginAnswer, login_answer_clear)

/* A way to log in. */
typedef struct {
    const SaslMechanism *mechanism; /* or NULL, and a command of the protocol's own: */
    gboolean (*command)(Session *session, Secret *secret, GError **error);
} LoginWay;

/* What each protocol does in its own way. */
typedef struct {
    /* From NEW to LOGIN, in safety; or READY, where the server has let us in already. */
    gboolean (*prepare)(Session *session, GError **error);

    /* What is to be done first when the session is READY. */
    gboolean (*settle)(Session *session, GError **error);

    /* LOGOUT or QUIT, after a refusal. */
    void (*leave)(Session *session);

    /* Which way it is to be, given what the server offers. */
    gboolean (*choose)(Session *session, const SaslParams *params, LoginWay *ret_way,
                       GError **error);

    /* Begins with a mechanism, and with its initial response in base64 (NULL: it has none) where
     * that may go along and fits.  *ret_sent tells; otherwise it is sent when the server asks. */
    gboolean (*send_auth)(Session *session, const char *mechanism, const char *initial,
                          gboolean *ret_sent, GError **error);

    gboolean (*send_line)(Session *session, const char *line, gboolean is_secret, GError **error);

    /* The next challenge as the server wrote it (the caller owns it), or NULL: *ret_answer. */
    gboolean (*await)(Session *session, char **ret_challenge, LoginAnswer *ret_answer,
                      GError **error);
} LoginProtocol;

/* Opens a session.  A secret that is refused is asked for once more, and tried on a new connection,
 * for many servers hang up after a refusal.  When it fails the session is closed. */
gboolean login_open(Session *session, const LoginProtocol *protocol, GError **error);

/* What @answer means to a login by a command, not a mechanism. */
gboolean login_judge(Session *session, const LoginAnswer *answer, GError **error);
