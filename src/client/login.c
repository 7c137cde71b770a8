/* What is the same in every login, whatever protocol carries it.  See login.h. */
#include "client/login.h"
#include "base/error.h"
#include "base/limits.h"

#include <string.h>

enum { MAX_CHALLENGES = 10 }; /* of one exchange; SCRAM has 3, with what ends it */

void login_answer_clear(LoginAnswer *answer)
{
    g_clear_error(&answer->refusal);
    g_clear_pointer(&answer->text, g_free);
}

/* -- The last word ----------------------------------------------------------------------------- */

/* The server said no, with @text.  @reason: what the mechanism made of it, or NULL. */
static gboolean fail_credentials(const Session *session, const char *text, const GError *reason,
                                 GError **error)
{
    if (reason)
        return mail_fail(error, MAIL_ERROR_AUTH, "%s", reason->message);
    if (session->is_token)
        return mail_fail(error, MAIL_ERROR_AUTH,
                         "the server refuses the access token of %s (%s): token-command must "
                         "give a fresh one",
                         session->user, text);
    return mail_fail(error, MAIL_ERROR_AUTH,
                     "the server refuses the user name or password of %s (%s): check user and "
                     "where the password comes from",
                     session->user, text);
}

/* What the answer means, given how the mechanism sees it: whether it is at its end, or why it gave
 * up. */
static gboolean judge(Session *session, const LoginAnswer *answer, gboolean is_complete,
                      const GError *reason, GError **error)
{
    GError *cause = NULL;

    if (answer->ok && !reason && is_complete)
        return TRUE;
    if (answer->ok) {
        /* The server lets us in without having shown that it knows the password. */
        mail_fail(&cause, MAIL_ERROR_PROTOCOL, "%s",
                  reason ? reason->message : "the server did not prove that it knows the password");
        return session_die(session, cause, error);
    }
    if (answer->is_credentials && !mail_error_is(reason, MAIL_ERROR_PROTOCOL))
        return fail_credentials(session, answer->text, reason, error);
    g_propagate_error(error, g_error_copy(mail_error_is(reason, MAIL_ERROR_PROTOCOL)
                                              ? reason
                                              : answer->refusal));
    return FALSE;
}

gboolean login_judge(Session *session, const LoginAnswer *answer, GError **error)
{
    return judge(session, answer, TRUE, NULL, error);
}

/* -- A mechanism ------------------------------------------------------------------------------- */

typedef struct {
    Session *session;
    const LoginProtocol *protocol;
    Sasl *sasl;
    GError *reason; /* why the mechanism gave up */
    LoginAnswer answer;
} Exchange;

static void exchange_clear(Exchange *exchange)
{
    sasl_free(exchange->sasl);
    g_clear_error(&exchange->reason);
    login_answer_clear(&exchange->answer);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Exchange, exchange_clear)

/* A challenge is base64 and nothing else, or empty; g_base64_decode() skips what it does not know.
 * The caller owns it. */
static GBytes *decode_challenge(const char *text)
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

/* Base64 of a response.  The caller wipes it with free_response(). */
static char *encode_response(GBytes *response)
{
    gsize length;
    const guchar *data = g_bytes_get_data(response, &length);

    return g_base64_encode(data, length);
}

static void free_response(char *response)
{
    secret_wipe(response, strlen(response));
    g_free(response);
}

static gboolean send_response(const Exchange *exchange, GBytes *response, GError **error)
{
    char *encoded = encode_response(response);
    gboolean ok = exchange->protocol->send_line(exchange->session, encoded, TRUE, error);

    free_response(encoded);
    return ok;
}

/* With the initial response where it can go along, an empty one as "=" (RFC 4959, RFC 5034): an
 * OAuth token may be too long for a line. */
static gboolean begin(const Exchange *exchange, GBytes *initial, gboolean *ret_sent, GError **error)
{
    char *encoded = NULL;
    gboolean ok;

    if (initial)
        encoded = g_bytes_get_size(initial) > 0 ? encode_response(initial) : g_strdup("=");
    ok = exchange->protocol->send_auth(exchange->session, exchange->session->mechanism, encoded,
                                       ret_sent, error);
    if (encoded)
        free_response(encoded);
    return ok;
}

/* When the mechanism has given up, the exchange goes on to its end, which is the server's to
 * say. */
static gboolean answer_challenge(Exchange *exchange, const char *text, GError **error)
{
    g_autoptr(GBytes) challenge = decode_challenge(text), response = NULL;

    if (!exchange->reason) {
        if (challenge)
            response = sasl_step(exchange->sasl, challenge, &exchange->reason);
        else
            mail_fail(&exchange->reason, MAIL_ERROR_PROTOCOL,
                      "the server's challenge is not base64");
        if (!response)
            response = sasl_error_response(exchange->sasl);
    }
    return response ? send_response(exchange, response, error)
                    : exchange->protocol->send_line(exchange->session, "*", FALSE, error);
}

/* Challenges and responses until the answer is there; @initial is for the first challenge. */
static gboolean carry_on(Exchange *exchange, GBytes *initial, GError **error)
{
    GError *cause = NULL;

    for (guint i = 0; i < MAX_CHALLENGES; i++) {
        g_autofree char *text = NULL;

        if (!exchange->protocol->await(exchange->session, &text, &exchange->answer, error))
            return FALSE;
        if (!text)
            return TRUE;
        if (initial ? !send_response(exchange, initial, error)
                    : !answer_challenge(exchange, text, error))
            return FALSE;
        initial = NULL;
    }
    mail_fail(&cause, MAIL_ERROR_PROTOCOL, "the server does not come to an end with the login");
    return session_die(exchange->session, cause, error);
}

/* One exchange.  @ret_again: it failed, and @params are for another one on this connection. */
static gboolean authenticate_once(Session *session, const LoginProtocol *protocol,
                                  const SaslMechanism *mechanism, SaslParams *params,
                                  gboolean *ret_again, GError **error)
{
    g_auto(Exchange) exchange = {
        .session = session,
        .protocol = protocol,
        .sasl = sasl_new(mechanism, params),
    };
    g_autoptr(GBytes) initial = NULL;
    gboolean is_sent, ok;

    session->mechanism = sasl_mechanism_name(mechanism);
    if (sasl_client_first(exchange.sasl) && !(initial = sasl_step(exchange.sasl, NULL, error)))
        return FALSE;
    if (!begin(&exchange, initial, &is_sent, error) ||
        !carry_on(&exchange, is_sent ? NULL : initial, error))
        return FALSE;
    ok = judge(session, &exchange.answer, sasl_is_complete(exchange.sasl), exchange.reason, error);
    *ret_again = !exchange.answer.ok && exchange.answer.is_binding &&
                 !mail_error_is(exchange.reason, MAIL_ERROR_PROTOCOL) &&
                 sasl_next_binding(exchange.sasl, params);
    return ok;
}

/* A server cannot say which types of channel binding it takes: Cyrus 3.6 offers -PLUS on TLS 1.3
 * and knows tls-unique only.  What was found out by trying is remembered, for such a refusal may
 * cost seconds. */
static gboolean authenticate(Session *session, const LoginProtocol *protocol,
                             const SaslMechanism *mechanism, SaslParams *params, GError **error)
{
    GError *cause = NULL;
    gboolean again = FALSE;

    while (!authenticate_once(session, protocol, mechanism, params, &again, &cause)) {
        if (!again) {
            g_propagate_error(error, cause);
            return FALSE;
        }
        g_clear_error(&cause);
        again = FALSE;
    }
    if (session->n_refused)
        g_atomic_int_set(session->n_refused, (int)params->n_refused);
    return TRUE;
}

/* -- A try, and another ------------------------------------------------------------------------ */

/* FALSE where there is none.  *ret_secret is NULL where none is wanted. */
static gboolean find_secret(Session *session, const LoginWay *way, Secret *fresh,
                            Secret **ret_secret, GError **error)
{
    if (way->mechanism && strcmp(sasl_mechanism_name(way->mechanism), "EXTERNAL") == 0)
        return TRUE;
    if (!*session->user)
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "the server wants a login: set user= in the configuration");
    *ret_secret = fresh ? secret_ref(fresh)
                        : session->broker->get_secret(session->broker, session->account, FALSE,
                                                      deadline_in(LIMIT_SECRET_SECONDS), error);
    return *ret_secret != NULL;
}

/* One try, with @fresh or else the broker's secret.  @ret_tried is the secret that failed, if any
 * was used. */
static gboolean log_in(Session *session, const LoginProtocol *protocol, Secret *fresh,
                       Secret **ret_tried, GError **error)
{
    SaslParams params = {
        .user = session->user,
        .host = session->endpoint->host,
        .port = session->endpoint->port,
        .stream = session->stream,
        .n_refused = session->n_refused ? (guint)g_atomic_int_get(session->n_refused) : 0,
        .is_secure = session_is_protected(session),
    };
    g_autoptr(Secret) secret = NULL;
    LoginWay way = {0};

    if (!protocol->choose(session, &params, &way, error) ||
        !find_secret(session, &way, fresh, &secret, error))
        return FALSE;
    params.secret = secret;
    if (way.mechanism ? authenticate(session, protocol, way.mechanism, &params, error)
                      : way.command(session, secret, error)) {
        session_set_state(session, STATE_READY);
        return TRUE;
    }
    *ret_tried = g_steal_pointer(&secret);
    return FALSE;
}

static gboolean open_once(Session *session, const LoginProtocol *protocol, Secret *fresh,
                          Secret **ret_tried, GError **error)
{
    return protocol->prepare(session, error) &&
           (session->state == STATE_READY ||
            log_in(session, protocol, fresh, ret_tried, error)) &&
           protocol->settle(session, error);
}

/* After a refusal: a secret that differs from the one that was @refused, for the same again would
 * only bring the account nearer to being locked.  The caller owns it.  NULL keeps @error as it was,
 * or says why there is none. */
static Secret *fresh_secret(Session *session, Secret *refused, GError **error)
{
    GError *cause = NULL;
    g_autoptr(Secret) secret =
        session->broker->get_secret(session->broker, session->account, TRUE,
                                    deadline_in(LIMIT_SECRET_SECONDS), &cause);

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

gboolean login_open(Session *session, const LoginProtocol *protocol, GError **error)
{
    g_autoptr(Secret) refused = NULL, fresh = NULL, tried = NULL;
    GError *cause = NULL;

    if (open_once(session, protocol, NULL, &refused, &cause))
        return TRUE;
    /* A password that was changed, a token that ran out. */
    if (refused && mail_error_is(cause, MAIL_ERROR_AUTH) &&
        (fresh = fresh_secret(session, refused, &cause))) {
        protocol->leave(session);
        g_clear_error(&cause);
        if (open_once(session, protocol, fresh, &tried, &cause))
            return TRUE;
    }
    if (session->state != STATE_DEAD)
        return session_die(session, cause, error);
    g_propagate_error(error, cause);
    return FALSE;
}
