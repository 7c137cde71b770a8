/* From nothing to the TRANSACTION state.
 *
 * The order is what protects the password: connection, TLS, only then capabilities that count, then
 * a way to log in.  In clear text an STLS session says CAPA and STLS and nothing else, and what it
 * heard is forgotten, the greeting's timestamp too (https://nostarttls.secvuln.info has the
 * reasons).
 */
#include "client/pop3-internal.h"
#include "base/error.h"
#include "base/limits.h"
#include "client/login.h"
#include "client/sasl.h"

#include <string.h>

enum { MAX_CHALLENGES = 10 }; /* of one exchange; SCRAM has 3, with what ends it */

/* -- Connection, greeting, TLS ----------------------------------------------------------------- */

static Deadline connect_deadline(const Pop3Session *session)
{
    return deadline_earlier(deadline_in(LIMIT_CONNECT_SECONDS), pop3_session_patience(session));
}

static gboolean connect_stream(Pop3Session *session, GError **error)
{
    Deadline deadline = connect_deadline(session);
    int fd;

    if (session->endpoint->security == SECURITY_TUNNEL) {
        fd = session->broker->open_tunnel(session->broker, session->account, deadline, error);
        if (fd >= 0)
            session->stream = net_stream_new_fd(fd, session->name, session->cancel);
    } else {
        session->stream = net_stream_connect(session->endpoint, session->name, session->cancel,
                                             deadline, error);
    }
    if (!session->stream)
        return FALSE;
    net_stream_defer_log(session->stream);
    pop3_session_set_state(session, STATE_GREETING);
    return TRUE;
}

/* A greeting with -ERR is about the server, not about us, unless it says so. */
static gboolean judge_greeting(Pop3Session *session, const Pop3Result *greeting, GError **error)
{
    if (!greeting->ok && pop3_refusal_is_plain(greeting->code, greeting->text))
        return mail_fail(error, MAIL_ERROR_BUSY, "the server is not ready to talk (%s)",
                         greeting->text);
    if (!greeting->ok)
        return pop3_session_refused(greeting->code, greeting->text, error);
    session->timestamp = pop3_response_timestamp(greeting->text);
    return TRUE;
}

static gboolean await_greeting(Pop3Session *session, GError **error)
{
    g_auto(Pop3Result) greeting = {0};
    const InFlight command = {.result = &greeting};

    pop3_session_expect(session, &command);
    if (!pop3_session_await(session, &greeting, connect_deadline(session), error) ||
        !judge_greeting(session, &greeting, error))
        return FALSE;
    pop3_session_set_state(session, STATE_LOGIN);
    return TRUE;
}

/* A tunnel may lead to a server that has let us in, which nothing in POP3 says, and such a server
 * (Dovecot's pop3) may not even greet.  STAT tells: it works in the TRANSACTION state alone, and no
 * greeting looks like its answer. */
static gboolean await_tunnel(Pop3Session *session, GError **error)
{
    g_auto(Pop3Result) first = {0}, stat = {0};
    const InFlight greeting = {.result = &first}, command = {.result = &stat};
    Deadline deadline = connect_deadline(session);
    guint32 n_messages;
    guint64 octets;

    pop3_session_expect(session, &greeting);
    pop3_session_expect(session, &command);
    session->n_commands++;
    if (!pop3_session_send_line(session, "STAT", FALSE, error) ||
        !pop3_session_await(session, &first, deadline, error))
        return FALSE;
    if (first.ok && pop3_response_stat(first.text, &n_messages, &octets)) {
        g_free(g_queue_pop_head(&session->in_flight)); /* there is no other answer */
        pop3_session_set_state(session, STATE_READY);
        return TRUE;
    }
    if (!judge_greeting(session, &first, error) ||
        !pop3_session_await(session, &stat, deadline, error))
        return FALSE;
    pop3_session_set_state(session, stat.ok ? STATE_READY : STATE_LOGIN);
    return TRUE;
}

static gboolean take_capability(Pop3Session *session, gpointer into, const char *line,
                                gsize length, GError **error)
{
    return pop3_capabilities_add(into, line, length) ||
           mail_fail(error, MAIL_ERROR_PROTOCOL, "the server's list of capabilities has no end");
}

/* CAPA (RFC 2449 section 5); -ERR is as good as an empty list. */
static gboolean ask_capabilities(Pop3Session *session, GError **error)
{
    g_auto(Pop3Result) result = {0};
    Pop3Capabilities caps;
    const InFlight command = {
        .expects = POP3_EXPECT_LINES,
        .take_line = take_capability,
        .into = &caps,
        .result = &result,
    };
    gboolean ok;

    pop3_capabilities_init(&caps);
    ok = pop3_session_put(session, &command, pop3_command_new("CAPA", NULL, 0, error), G_MAXSIZE,
                          error) &&
         pop3_session_await(session, &result, pop3_session_patience(session), error);
    if (ok && result.ok) {
        pop3_capabilities_clear(&session->caps);
        session->caps = caps;
        session->knows_capa = TRUE;
    } else {
        pop3_capabilities_clear(&caps);
    }
    return ok;
}

/* Input is read octet by octet until the answer is there, so that what follows it, which can only
 * be an attack (CVE-2021-33515), is still unread when net_stream_start_tls() looks. */
static gboolean start_tls(Pop3Session *session, GError **error)
{
    g_auto(Pop3Result) result = {0};
    GError *cause = NULL;

    if (!ask_capabilities(session, error))
        return FALSE;
    if (session->knows_capa && !session->caps.has[POP3_CAP_STLS])
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                         "%s offers no STLS, so that the password could be read on the way; "
                         "use pop3s:// if the server has it",
                         session->endpoint->host);
    session->reads_single = TRUE;
    if (!pop3_session_ask(session, "STLS", &result, error))
        return FALSE;
    session->reads_single = FALSE;
    if (!result.ok) {
        pop3_session_refused(result.code, result.text, error);
        g_prefix_error(error, "%s does not begin TLS after STLS (pop3s:// may do): ",
                       session->endpoint->host);
        return FALSE;
    }
    g_assert(pop3_parser_pending(session->parser) == 0 && pop3_parser_is_between(session->parser));
    pop3_capabilities_reset(&session->caps);
    session->knows_capa = FALSE;
    g_clear_pointer(&session->timestamp, g_free);
    return net_stream_start_tls(session->stream, session->endpoint, connect_deadline(session),
                                &cause) ||
           pop3_session_die(session, cause, error);
}

/* A connection on which the login may go ahead. */
static gboolean connect_and_greet(Pop3Session *session, GError **error)
{
    Security security = session->endpoint->security;

    pop3_session_reset(session);
    return connect_stream(session, error) &&
           (security == SECURITY_TUNNEL ? await_tunnel : await_greeting)(session, error) &&
           (security != SECURITY_STARTTLS || start_tls(session, error)) &&
           ask_capabilities(session, error);
}

/* -- AUTH -------------------------------------------------------------------------------------- */

/* What the last answer means, given how the mechanism (or else NULL, TRUE) sees it. */
static gboolean judge_login(Pop3Session *session, const Pop3Result *result, const GError *reason,
                            gboolean is_complete, GError **error)
{
    gboolean is_plain = !result->ok && pop3_refusal_is_plain(result->code, result->text);
    GError *refused = NULL;

    if (result->ok && !reason && is_complete)
        return TRUE;
    if (result->ok) {
        /* The server lets us in without having shown that it knows the password. */
        mail_fail(&refused, MAIL_ERROR_PROTOCOL, "%s",
                  reason ? reason->message : "the server did not prove that it knows the password");
        return pop3_session_die(session, refused, error);
    }
    if (mail_error_is(reason, MAIL_ERROR_PROTOCOL)) {
        g_propagate_error(error, g_error_copy(reason));
        return FALSE;
    }
    if (is_plain || g_strcmp0(result->code, "AUTH") == 0)
        return login_fail_credentials(session->user, session->is_token, result->text, reason,
                                      error);
    return pop3_session_refused(result->code, result->text, error);
}

static gboolean send_response(Pop3Session *session, GBytes *response, GError **error)
{
    char *encoded = login_encode_response(response);
    gboolean ok = pop3_session_send_line(session, encoded, TRUE, error);

    login_free_response(encoded);
    return ok;
}

/* "AUTH PLAIN", with the initial response where it fits the line (RFC 5034 section 4); otherwise it
 * is sent when the server asks.  *ret_sent tells. */
static gboolean put_auth(Pop3Session *session, const char *mechanism, GBytes *initial,
                         Pop3Result *result, gboolean *ret_sent, GError **error)
{
    const InFlight command = {.result = result};
    g_autofree char *words = g_strconcat("AUTH ", mechanism, NULL);
    char *encoded;
    GBytes *line = NULL;

    if (initial) {
        encoded = g_bytes_get_size(initial) > 0 ? login_encode_response(initial) : g_strdup("=");
        line = pop3_command_new(words, encoded, strlen(encoded), NULL);
        login_free_response(encoded);
    }
    *ret_sent = line != NULL;
    if (!line)
        line = pop3_command_new(words, NULL, 0, error);
    return pop3_session_put(session, &command, line, strlen(words) + 1, error);
}

/* Answers one challenge.  Why a mechanism gives up is kept in @ret_reason; the exchange then goes
 * on to its end, which is the server's to say. */
static gboolean answer_challenge(Pop3Session *session, Sasl *sasl, const char *text,
                                 GError **ret_reason, GError **error)
{
    g_autoptr(GBytes) challenge = login_decode_challenge(text), response = NULL;

    if (*ret_reason)
        return pop3_session_send_line(session, "*", FALSE, error);
    if (challenge)
        response = sasl_step(sasl, challenge, ret_reason);
    else
        mail_fail(ret_reason, MAIL_ERROR_PROTOCOL, "the server's challenge is not base64");
    if (!response)
        response = sasl_error_response(sasl);
    return response ? send_response(session, response, error)
                    : pop3_session_send_line(session, "*", FALSE, error);
}

/* Challenges and responses until the last answer is there. */
static gboolean exchange(Pop3Session *session, Sasl *sasl, Pop3Result *result, GBytes *initial,
                         GError **ret_reason, GError **error)
{
    GError *cause = NULL;

    for (guint i = 0; i < MAX_CHALLENGES; i++) {
        g_autofree char *text = NULL;
        gboolean ok;

        if (!pop3_session_await_continuation(session, result, &text, error))
            return FALSE;
        if (!text)
            return TRUE;
        if (initial)
            ok = send_response(session, initial, error);
        else
            ok = answer_challenge(session, sasl, text, ret_reason, error);
        if (!ok)
            return FALSE;
        initial = NULL;
    }
    mail_fail(&cause, MAIL_ERROR_PROTOCOL, "the server does not come to an end with the login");
    return pop3_session_die(session, cause, error);
}

/* One exchange.  @ret_again: it failed, and @params are for another one on this connection. */
static gboolean authenticate_once(Pop3Session *session, const SaslMechanism *mechanism,
                                  SaslParams *params, gboolean *ret_again, GError **error)
{
    g_autoptr(Sasl) sasl = sasl_new(mechanism, params);
    g_autoptr(GBytes) initial = NULL;
    g_autoptr(GError) reason = NULL;
    g_auto(Pop3Result) result = {0};
    gboolean is_sent, ok;

    session->mechanism = sasl_mechanism_name(mechanism);
    if (sasl_client_first(sasl) && !(initial = sasl_step(sasl, NULL, error)))
        return FALSE;
    if (!put_auth(session, session->mechanism, initial, &result, &is_sent, error) ||
        !exchange(session, sasl, &result, is_sent ? NULL : initial, &reason, error))
        return FALSE;
    ok = judge_login(session, &result, reason, sasl_is_complete(sasl), error);
    *ret_again = !ok && session->state == STATE_LOGIN && !reason &&
                 (!result.code || strcmp(result.code, "AUTH") == 0) &&
                 sasl_next_binding(sasl, params);
    return ok;
}

/* See imap-login.c: what a server takes of channel binding is found out by trying.  Cyrus says
 * [AUTH] to a type that it does not know as it does to a wrong password. */
static gboolean authenticate(Pop3Session *session, const SaslMechanism *mechanism,
                             SaslParams *params, GError **error)
{
    GError *cause = NULL;
    gboolean again = FALSE;

    while (!authenticate_once(session, mechanism, params, &again, &cause)) {
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

/* -- USER, PASS, APOP -------------------------------------------------------------------------- */

/* One command whose argument comes from elsewhere; the answer is judged as a login's. */
static gboolean say(Pop3Session *session, const char *words, const char *argument, gsize length,
                    gboolean is_secret, GError **error)
{
    g_auto(Pop3Result) result = {0};
    const InFlight command = {.result = &result};
    GBytes *line = pop3_command_new(words, argument, length, error);

    return pop3_session_put(session, &command, line, is_secret ? strlen(words) + 1 : G_MAXSIZE,
                            error) &&
           pop3_session_await(session, &result, pop3_session_patience(session), error) &&
           judge_login(session, &result, NULL, TRUE, error);
}

static gboolean log_in_by_user(Pop3Session *session, Secret *secret, GError **error)
{
    session->mechanism = "USER";
    return say(session, "USER", session->user, strlen(session->user), FALSE, error) &&
           say(session, "PASS", secret_text(secret), secret_length(secret), TRUE, error);
}

/* APOP (RFC 1939 section 7): MD5 over the greeting's timestamp and the password. */
static gboolean log_in_by_apop(Pop3Session *session, Secret *secret, GError **error)
{
    g_autoptr(GChecksum) md5 = g_checksum_new(G_CHECKSUM_MD5);
    g_autofree char *argument = NULL;

    session->mechanism = "APOP";
    if (!session->timestamp)
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                         "the server does not offer APOP%s: set auth=auto",
                         session->endpoint->security == SECURITY_STARTTLS
                             ? " in a way that can be trusted before TLS has begun"
                             : "");
    if (strchr(session->user, ' '))
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "APOP cannot carry a user name with a blank: set auth=auto");
    g_checksum_update(md5, (const guchar *)session->timestamp, -1);
    g_checksum_update(md5, (const guchar *)secret_text(secret), (gssize)secret_length(secret));
    argument = g_strdup_printf("%s %s", session->user, g_checksum_get_string(md5));
    return say(session, "APOP", argument, strlen(argument), TRUE, error);
}

/* -- The way to log in ------------------------------------------------------------------------- */

typedef struct {
    const SaslMechanism *mechanism; /* or NULL, and: */
    gboolean is_apop;               /* APOP, otherwise USER */
} Way;

static gboolean is_auth(const Pop3Session *session, const char *name)
{
    return g_ascii_strcasecmp(session->auth, name) == 0;
}

/* USER and PASS show the password as PLAIN and LOGIN do: where one of these may be used and is not
 * there, where nobody listens, and unless the server lists what it has and that is not among it. */
static gboolean may_use_user(const Pop3Session *session)
{
    gboolean says_no = session->knows_capa && session->caps.has[POP3_CAP_SASL] &&
                       !session->caps.has[POP3_CAP_USER];

    return !session->is_token && !says_no && pop3_session_is_protected(session) &&
           (is_auth(session, "auto") || is_auth(session, "plain") || is_auth(session, "login"));
}

static gboolean choose_way(const Pop3Session *session, const SaslParams *params, Way *ret_way,
                           GError **error)
{
    const char *const *offered = (const char *const *)session->caps.sasl->pdata;
    GError *cause = NULL;

    *ret_way = (Way){.is_apop = is_auth(session, "apop")};
    if (ret_way->is_apop)
        return TRUE;
    ret_way->mechanism = sasl_choose(session->auth, offered, session->is_token, params, &cause);
    if (ret_way->mechanism)
        return TRUE;
    if (mail_error_is(cause, MAIL_ERROR_UNSUPPORTED) && may_use_user(session)) {
        g_clear_error(&cause);
        return TRUE;
    }
    g_propagate_error(error, cause);
    return FALSE;
}

static gboolean go(Pop3Session *session, const Way *way, SaslParams *params, GError **error)
{
    if (way->mechanism)
        return authenticate(session, way->mechanism, params, error);
    return way->is_apop ? log_in_by_apop(session, params->secret, error)
                        : log_in_by_user(session, params->secret, error);
}

/* One try, with @fresh or else the broker's secret.  @ret_tried is the secret that failed, if any
 * was used. */
static gboolean try_login(Pop3Session *session, Secret *fresh, Secret **ret_tried, GError **error)
{
    SaslParams params = {
        .user = session->user,
        .host = session->endpoint->host,
        .port = session->endpoint->port,
        .stream = session->stream,
        .n_refused = session->n_refused ? (guint)g_atomic_int_get(session->n_refused) : 0,
        .is_secure = pop3_session_is_protected(session),
    };
    g_autoptr(Secret) secret = fresh ? secret_ref(fresh) : NULL;
    Way way;

    if (!*session->user)
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "the server wants a login: set user= in the configuration");
    if (!choose_way(session, &params, &way, error))
        return FALSE;
    if (!secret &&
        !(way.mechanism && strcmp(sasl_mechanism_name(way.mechanism), "EXTERNAL") == 0)) {
        secret = session->broker->get_secret(session->broker, session->account, FALSE,
                                             deadline_in(LIMIT_SECRET_SECONDS), error);
        if (!secret)
            return FALSE;
    }
    params.secret = secret;
    if (go(session, &way, &params, error)) {
        pop3_session_set_state(session, STATE_READY);
        return TRUE;
    }
    *ret_tried = g_steal_pointer(&secret);
    return FALSE;
}

/* After the login CAPA is asked again where it is known: what is listed before need not be what is
 * there after it, and LOGIN-DELAY and EXPIRE may be a user's own. */
static gboolean open_once(Pop3Session *session, Secret *fresh, Secret **ret_tried, GError **error)
{
    if (!connect_and_greet(session, error))
        return FALSE;
    if (session->state == STATE_READY)
        return TRUE;
    return try_login(session, fresh, ret_tried, error) &&
           (!session->knows_capa || ask_capabilities(session, error));
}

/* A session that could not be opened is closed, whatever the reason. */
static gboolean fail_open(Pop3Session *session, GError *cause, GError **error)
{
    if (session->state != STATE_DEAD)
        return pop3_session_die(session, cause, error);
    g_propagate_error(error, cause);
    return FALSE;
}

gboolean pop3_session_open(Pop3Session *session, GError **error)
{
    g_autoptr(Secret) refused = NULL, fresh = NULL, tried = NULL;
    GError *cause = NULL;

    if (open_once(session, NULL, &refused, &cause))
        return TRUE;
    /* A password that was changed, a token that ran out.  On a new connection, for many servers
     * hang up after a refusal. */
    if (refused && mail_error_is(cause, MAIL_ERROR_AUTH) &&
        (fresh = login_fresh_secret(session->broker, session->account, refused, &cause))) {
        pop3_session_quit(session, NULL);
        g_clear_error(&cause);
        if (open_once(session, fresh, &tried, &cause))
            return TRUE;
    }
    return fail_open(session, cause, error);
}
