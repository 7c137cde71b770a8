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

#include <string.h>

/* -- Connection, greeting, TLS ----------------------------------------------------------------- */

/* TRUE for a plain one. */
static gboolean take_refusal(Pop3Session *session, const Pop3Result *result, GError **error)
{
    Pop3Refusal refusal = pop3_session_refused_login(result->code, result->text, error);

    session->is_in_use = refusal == POP3_REFUSAL_IN_USE;
    return refusal == POP3_REFUSAL_PLAIN;
}

/* A greeting with -ERR is about the server, not about us, unless it says so. */
static gboolean judge_greeting(Pop3Session *session, const Pop3Result *greeting, GError **error)
{
    g_autoptr(GError) cause = NULL;

    if (greeting->ok) {
        session->timestamp = pop3_response_timestamp(greeting->text);
        return TRUE;
    }
    if (take_refusal(session, greeting, &cause))
        return mail_fail(error, MAIL_ERROR_BUSY, "the server is not ready to talk (%s)",
                         greeting->text);
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

static gboolean await_greeting(Pop3Session *session, GError **error)
{
    g_auto(Pop3Result) greeting = {0};
    const InFlight command = {.result = &greeting};

    pop3_session_expect(session, &command);
    if (!pop3_session_await(session, &greeting, session_connect_deadline(&session->base), error) ||
        !judge_greeting(session, &greeting, error))
        return FALSE;
    session_set_state(&session->base, STATE_LOGIN);
    return TRUE;
}

/* A tunnel may lead to a server that has let us in, which nothing in POP3 says, and such a server
 * (Dovecot's pop3) may not even greet.  STAT tells: it works in the TRANSACTION state alone, and no
 * greeting looks like its answer. */
static gboolean await_tunnel(Pop3Session *session, GError **error)
{
    g_auto(Pop3Result) first = {0}, stat = {0};
    const InFlight greeting = {.result = &first}, command = {.result = &stat};
    Deadline deadline = session_connect_deadline(&session->base);
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
        session_set_state(&session->base, STATE_READY);
        return TRUE;
    }
    if (!judge_greeting(session, &first, error) ||
        !pop3_session_await(session, &stat, deadline, error))
        return FALSE;
    session_set_state(&session->base, stat.ok ? STATE_READY : STATE_LOGIN);
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
         pop3_session_await(session, &result, session_patience(&session->base), error);
    if (ok && result.ok) {
        pop3_capabilities_clear(&session->caps);
        session->caps = caps;
        session->knows_capa = TRUE;
    } else {
        pop3_capabilities_clear(&caps);
    }
    return ok;
}

static gboolean say_stls(Session *base, GError **error)
{
    Pop3Session *session = (Pop3Session *)base;
    g_auto(Pop3Result) result = {0};

    if (!pop3_session_ask(session, "STLS", &result, error))
        return FALSE;
    if (!result.ok)
        return pop3_session_refused(result.code, result.text, error);
    g_assert(pop3_parser_pending(session->parser) == 0 && pop3_parser_is_between(session->parser));
    pop3_capabilities_reset(&session->caps);
    session->knows_capa = FALSE;
    g_clear_pointer(&session->timestamp, g_free);
    return TRUE;
}

/* A server without CAPA may know STLS all the same. */
static gboolean start_tls(Pop3Session *session, GError **error)
{
    return ask_capabilities(session, error) &&
           session_start_tls(&session->base,
                             !session->knows_capa || session->caps.has[POP3_CAP_STLS], say_stls,
                             error);
}

static gboolean connect_and_greet(Session *base, GError **error)
{
    Pop3Session *session = (Pop3Session *)base;
    Security security = base->endpoint->security;

    pop3_session_reset(session);
    if (!session_connect(base, error))
        return FALSE;
    net_stream_defer_log(base->stream);
    return (security == SECURITY_TUNNEL ? await_tunnel : await_greeting)(session, error) &&
           (security != SECURITY_STARTTLS || start_tls(session, error)) &&
           ask_capabilities(session, error);
}

/* -- AUTH -------------------------------------------------------------------------------------- */

/* Cyrus says [AUTH] to a type of channel binding that it does not know as it does to a wrong
 * password. */
static void read_answer(Pop3Session *session, const Pop3Result *result, LoginAnswer *ret_answer)
{
    gboolean is_auth = g_strcmp0(result->code, "AUTH") == 0;

    *ret_answer = (LoginAnswer){.ok = result->ok, .text = g_strdup(result->text)};
    if (result->ok)
        return;
    ret_answer->is_credentials =
        take_refusal(session, result, &ret_answer->refusal) || is_auth;
    ret_answer->is_binding = is_auth || !result->code;
}

/* "AUTH PLAIN", with the initial response where it fits the line (RFC 5034 section 4). */
static gboolean send_auth(Session *base, const char *mechanism, const char *initial,
                          gboolean *ret_sent, GError **error)
{
    Pop3Session *session = (Pop3Session *)base;
    const InFlight command = {.result = &session->auth_result};
    g_autofree char *words = g_strconcat("AUTH ", mechanism, NULL);
    GBytes *line = NULL;

    if (initial)
        line = pop3_command_new(words, initial, strlen(initial), NULL);
    *ret_sent = line != NULL;
    if (!line)
        line = pop3_command_new(words, NULL, 0, error);
    pop3_result_clear(&session->auth_result);
    return pop3_session_put(session, &command, line, strlen(words) + 1, error);
}

static gboolean send_line(Session *base, const char *line, gboolean is_secret, GError **error)
{
    return pop3_session_send_line((Pop3Session *)base, line, is_secret, error);
}

static gboolean await(Session *base, char **ret_challenge, LoginAnswer *ret_answer, GError **error)
{
    Pop3Session *session = (Pop3Session *)base;

    if (!pop3_session_await_continuation(session, &session->auth_result, ret_challenge, error))
        return FALSE;
    if (!*ret_challenge)
        read_answer(session, &session->auth_result, ret_answer);
    return TRUE;
}

/* -- USER, PASS, APOP -------------------------------------------------------------------------- */

/* One command whose argument comes from elsewhere; the answer is judged as a login's. */
static gboolean say(Session *base, const char *words, const char *argument, gsize length,
                    gboolean is_secret, GError **error)
{
    Pop3Session *session = (Pop3Session *)base;
    g_auto(Pop3Result) result = {0};
    g_auto(LoginAnswer) answer = {0};
    const InFlight command = {.result = &result};
    GBytes *line = pop3_command_new(words, argument, length, error);

    if (!pop3_session_put(session, &command, line, is_secret ? strlen(words) + 1 : G_MAXSIZE,
                          error) ||
        !pop3_session_await(session, &result, session_patience(base), error))
        return FALSE;
    read_answer(session, &result, &answer);
    return login_judge(base, &answer, error);
}

static gboolean log_in_by_user(Session *base, Secret *secret, GError **error)
{
    base->mechanism = "USER";
    return say(base, "USER", base->user, strlen(base->user), FALSE, error) &&
           say(base, "PASS", secret_text(secret), secret_length(secret), TRUE, error);
}

/* APOP (RFC 1939 section 7): MD5 over the greeting's timestamp and the password. */
static gboolean log_in_by_apop(Session *base, Secret *secret, GError **error)
{
    const Pop3Session *session = (const Pop3Session *)base;
    g_autoptr(GChecksum) md5 = g_checksum_new(G_CHECKSUM_MD5);
    g_autofree char *argument = NULL;

    base->mechanism = "APOP";
    if (!session->timestamp)
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                         "the server does not offer APOP%s: set auth=auto",
                         base->endpoint->security == SECURITY_STARTTLS
                             ? " in a way that can be trusted before TLS has begun"
                             : "");
    if (strchr(base->user, ' '))
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "APOP cannot carry a user name with a blank: set auth=auto");
    g_checksum_update(md5, (const guchar *)session->timestamp, -1);
    g_checksum_update(md5, (const guchar *)secret_text(secret), (gssize)secret_length(secret));
    argument = g_strdup_printf("%s %s", base->user, g_checksum_get_string(md5));
    return say(base, "APOP", argument, strlen(argument), TRUE, error);
}

/* -- The way to log in ------------------------------------------------------------------------- */

static gboolean is_auth(const Session *base, const char *name)
{
    return g_ascii_strcasecmp(base->auth, name) == 0;
}

/* USER and PASS show the password as PLAIN and LOGIN do: where one of these may be used and is not
 * there, where nobody listens, and unless the server lists what it has and that is not among it. */
static gboolean may_use_user(const Pop3Session *session)
{
    const Session *base = &session->base;
    gboolean says_no = session->knows_capa && session->caps.has[POP3_CAP_SASL] &&
                       !session->caps.has[POP3_CAP_USER];

    return !base->is_token && !says_no && session_is_protected(base) &&
           (is_auth(base, "auto") || is_auth(base, "plain") || is_auth(base, "login"));
}

static gboolean choose(Session *base, const SaslParams *params, LoginWay *ret_way, GError **error)
{
    const Pop3Session *session = (const Pop3Session *)base;
    const char *const *offered = (const char *const *)session->caps.sasl->pdata;
    GError *cause = NULL;

    *ret_way = (LoginWay){.command = is_auth(base, "apop") ? log_in_by_apop : log_in_by_user};
    if (is_auth(base, "apop"))
        return TRUE;
    ret_way->mechanism = sasl_choose(base->auth, offered, base->is_token, params, &cause);
    if (ret_way->mechanism)
        return TRUE;
    if (mail_error_is(cause, MAIL_ERROR_UNSUPPORTED) && may_use_user(session)) {
        g_clear_error(&cause);
        return TRUE;
    }
    g_propagate_error(error, cause);
    return FALSE;
}

/* After a login CAPA is asked again where it is known: what is listed before need not be what is
 * there after it, and LOGIN-DELAY and EXPIRE may be a user's own. */
static gboolean settle(Session *base, GError **error)
{
    Pop3Session *session = (Pop3Session *)base;

    return !base->mechanism || !session->knows_capa || ask_capabilities(session, error);
}

static void leave(Session *base)
{
    pop3_session_quit((Pop3Session *)base, NULL);
}

static const LoginProtocol protocol = {
    .prepare = connect_and_greet,
    .settle = settle,
    .leave = leave,
    .choose = choose,
    .send_auth = send_auth,
    .send_line = send_line,
    .await = await,
};

gboolean pop3_session_open(Pop3Session *session, GError **error)
{
    return login_open(&session->base, &protocol, error);
}
