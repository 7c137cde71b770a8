/* The life of a session, and its reading.
 *
 * All waiting happens in one place, pop3_session_pump(): it sends what is buffered, reads once and
 * carries out everything that this completed.  Whoever waits for something (a reply, a "+", the
 * greeting) pumps until it is there.
 */
#include "client/pop3-internal.h"
#include "base/error.h"
#include "base/limits.h"

#include <string.h>

enum { BUFFER_SIZE = 64 * 1024, QUIT_MS = 1000 };

/* -- State ------------------------------------------------------------------------------------- */

static const char *const state_names[N_STATES] = {
    "NEW", "GREETING", "LOGIN", "READY", "QUIT", "DEAD",
};

#define TO(state) (1u << STATE_##state)

static const guint state_edges[N_STATES] = {
    [STATE_NEW] = TO(GREETING) | TO(DEAD),
    [STATE_GREETING] = TO(LOGIN) | TO(READY) | TO(DEAD),
    [STATE_LOGIN] = TO(READY) | TO(QUIT) | TO(DEAD),
    [STATE_READY] = TO(QUIT) | TO(DEAD),
    [STATE_QUIT] = TO(DEAD),
    [STATE_DEAD] = TO(NEW),
};

void pop3_session_set_state(Pop3Session *session, State state)
{
    if (session->state == state)
        return;
    /* Where the answer came and the end right behind it, the session stays dead. */
    if (session->state == STATE_DEAD && state != STATE_NEW)
        return;
    g_assert(state_edges[session->state] & (1u << state));
    g_debug("%s %s -> %s", session->name, state_names[session->state], state_names[state]);
    session->state = state;
}

static void close_stream(Pop3Session *session)
{
    if (!session->stream)
        return;
    session->octets_in += net_stream_octets_in(session->stream);
    session->octets_out += net_stream_octets_out(session->stream);
    g_clear_pointer(&session->stream, net_stream_free);
}

gboolean pop3_session_die(Pop3Session *session, GError *cause, GError **error)
{
    if (session->state != STATE_DEAD) {
        g_debug("%s: %s", session->name, cause->message);
        pop3_session_set_state(session, STATE_DEAD);
        g_clear_error(&session->death);
        session->death = g_error_copy(cause);
        close_stream(session);
        g_queue_clear_full(&session->in_flight, g_free);
    }
    g_propagate_error(error, cause);
    return FALSE;
}

gboolean pop3_session_is_alive(const Pop3Session *session, GError **error)
{
    if (session->state == STATE_DEAD) {
        g_propagate_error(error, g_error_copy(session->death));
        return FALSE;
    }
    g_assert(session->stream != NULL);
    return TRUE;
}

/* -- Life -------------------------------------------------------------------------------------- */

Pop3Session *pop3_session_new(const Pop3SessionParams *params, const Pop3Handler *handler,
                              gpointer user)
{
    static const Pop3Handler deaf = {0};
    Pop3Session *session = g_new0(Pop3Session, 1);

    session->account = g_strdup(params->account);
    session->name = g_strdup_printf("%s#%u", params->account, params->number);
    session->user = g_strdup(params->user ? params->user : "");
    session->auth = g_strdup(params->auth ? params->auth : "auto");
    session->endpoint = endpoint_copy(params->endpoint);
    session->is_token = params->is_token;
    session->n_refused = params->n_refused;
    session->broker = params->broker;
    session->cancel = params->cancel ? cancel_ref(params->cancel) : NULL;
    session->handler = handler ? handler : &deaf;
    session->handler_data = user;
    session->patience_ms = LIMIT_PROGRESS_SECONDS * 1000;
    session->buffer = g_malloc(BUFFER_SIZE);
    g_queue_init(&session->in_flight);
    pop3_capabilities_init(&session->caps);
    pop3_session_reset(session);
    return session;
}

void pop3_session_reset(Pop3Session *session)
{
    if (session->state == STATE_DEAD)
        pop3_session_set_state(session, STATE_NEW);
    close_stream(session);
    g_clear_pointer(&session->parser, pop3_parser_free);
    session->parser = pop3_parser_new();
    g_clear_error(&session->death);
    g_queue_clear_full(&session->in_flight, g_free);
    session->is_greeted = session->has_unsent = session->reads_single = FALSE;
    session->knows_capa = FALSE;
    pop3_capabilities_reset(&session->caps);
    g_clear_pointer(&session->timestamp, g_free);
    session->mechanism = NULL;
    session->n_marked = 0;
    session->awaits_continuation = FALSE;
    g_clear_pointer(&session->continuation, g_free);
}

void pop3_session_free(Pop3Session *session)
{
    if (!session)
        return;
    net_stream_free(session->stream);
    pop3_parser_free(session->parser);
    g_queue_clear_full(&session->in_flight, g_free);
    pop3_capabilities_clear(&session->caps);
    g_clear_error(&session->death);
    endpoint_free(session->endpoint);
    cancel_unref(session->cancel);
    g_free(session->timestamp);
    g_free(session->continuation);
    g_free(session->buffer);
    g_free(session->account);
    g_free(session->name);
    g_free(session->user);
    g_free(session->auth);
    g_free(session);
}

static void close_session(Pop3Session *session)
{
    pop3_session_die(session,
                     g_error_new(MAIL_ERROR, MAIL_ERROR_OFFLINE, "this session has ended"), NULL);
}

/* The server may only now begin to remove what was marked, so its time is that of any answer. */
gboolean pop3_session_quit(Pop3Session *session, GError **error)
{
    g_auto(Pop3Result) result = {0};
    const InFlight command = {.result = &result};
    Deadline deadline;

    if (!pop3_session_finish(session, error) ||
        !pop3_session_put(session, &command, pop3_command_new("QUIT", NULL, 0, error), G_MAXSIZE,
                          error))
        return FALSE;
    deadline = pop3_session_patience(session);
    if (session->n_marked == 0)
        deadline = deadline_earlier(deadline, deadline_in_ms(QUIT_MS));
    pop3_session_set_state(session, STATE_QUIT);
    if (!pop3_session_await(session, &result, deadline, error))
        return FALSE;
    close_session(session);
    if (!result.ok && !result.code)
        return mail_fail(error, MAIL_ERROR_BUSY,
                         "the server did not remove all that was deleted (%s)", result.text);
    return result.ok || pop3_session_refused(result.code, result.text, error);
}

/* -- Reading ----------------------------------------------------------------------------------- */

void pop3_session_set_patience(Pop3Session *session, gint64 milliseconds)
{
    session->patience_ms = milliseconds;
}

Deadline pop3_session_patience(const Pop3Session *session)
{
    return deadline_in_ms(session->patience_ms);
}

static gboolean is_no_pop3(const Pop3Session *session, GError **error)
{
    if (session->endpoint->security == SECURITY_TUNNEL)
        return mail_fail(error, MAIL_ERROR_PROTOCOL,
                         "what the tunnel leads to is no POP3 server; check tunnel= and protocol=");
    return mail_fail(error, MAIL_ERROR_PROTOCOL,
                     "%s port %u is no POP3 server; check the host and the port",
                     session->endpoint->host, session->endpoint->port);
}

static gboolean take_continuation(Pop3Session *session, GError **error)
{
    if (!session->is_greeted)
        return is_no_pop3(session, error);
    if (!session->awaits_continuation)
        return mail_fail(error, MAIL_ERROR_PROTOCOL,
                         "the server asks to go on with a command that is complete");
    session->awaits_continuation = FALSE;
    session->continuation = g_strdup(pop3_parser_continuation(session->parser));
    return TRUE;
}

static gboolean take_problem(Pop3Session *session, GError **error)
{
    if (!session->is_greeted)
        return is_no_pop3(session, error);
    return mail_fail(error, MAIL_ERROR_PROTOCOL, "the server's answer cannot be understood: %s",
                     pop3_parser_problem(session->parser));
}

static gboolean carry_out(Pop3Session *session, Pop3Parse event, GError **error)
{
    switch (event) {
    case POP3_PARSE_NEED_DATA:
        return TRUE;
    case POP3_PARSE_REPLY:
        return pop3_session_take_reply(session, error);
    case POP3_PARSE_LINE:
        return pop3_session_take_line(session, error);
    case POP3_PARSE_CHUNK:
        return pop3_session_take_chunk(session, error);
    case POP3_PARSE_END:
        return pop3_session_take_end(session, error);
    case POP3_PARSE_CONTINUE:
        return take_continuation(session, error);
    case POP3_PARSE_BAD:
        return take_problem(session, error);
    }
    g_assert_not_reached();
}

/* Carries out @n octets of the buffer.  Each piece goes to the wire log when it is known whether
 * it is mail. */
static gboolean take_input(Pop3Session *session, gsize n, GError **error)
{
    Pop3Parser *parser = session->parser;
    const char *at = session->buffer, *end = at + n;
    gboolean ok = TRUE;
    Pop3Parse event;

    pop3_parser_feed(parser, at, n);
    do {
        gboolean is_mail;

        event = pop3_parser_next(parser);
        is_mail = event == POP3_PARSE_CHUNK || (event == POP3_PARSE_NEED_DATA &&
                                                pop3_parser_is_in_message(parser));
        n = (gsize)(end - at) - pop3_parser_pending(parser);
        net_stream_log_input(session->stream, at, event == POP3_PARSE_BAD ? (gsize)(end - at) : n,
                             is_mail);
        at += n;
        ok = carry_out(session, event, error);
    } while (ok && event != POP3_PARSE_NEED_DATA);
    return ok;
}

gboolean pop3_session_pump(Pop3Session *session, Deadline deadline, GError **error)
{
    GError *cause = NULL;
    gssize n = -1;

    if (!pop3_session_is_alive(session, error))
        return FALSE;
    if (!session->has_unsent || net_stream_flush(session->stream, deadline, &cause))
        n = net_stream_read(session->stream, session->buffer,
                            session->reads_single ? 1 : BUFFER_SIZE, deadline, &cause);
    session->has_unsent = FALSE;
    if (n > 0 && take_input(session, (gsize)n, &cause))
        return TRUE;
    return pop3_session_die(session, cause, error);
}

/* -- Facts ------------------------------------------------------------------------------------- */

gboolean pop3_session_has(const Pop3Session *session, Pop3Cap cap)
{
    return session->caps.has[cap];
}

const char *pop3_session_capabilities(const Pop3Session *session)
{
    return session->caps.line->str;
}

const char *pop3_session_implementation(const Pop3Session *session)
{
    return session->caps.implementation;
}

guint32 pop3_session_login_delay(const Pop3Session *session)
{
    return session->caps.login_delay;
}

gboolean pop3_session_expire(const Pop3Session *session, guint32 *ret_days)
{
    *ret_days = session->caps.expire;
    return session->caps.has[POP3_CAP_EXPIRE];
}

const char *pop3_session_mechanism(const Pop3Session *session)
{
    return session->mechanism;
}

struct NetStream *pop3_session_stream(Pop3Session *session)
{
    return session->stream;
}

void pop3_session_octets(const Pop3Session *session, guint64 *ret_in, guint64 *ret_out)
{
    const NetStream *stream = session->stream;

    *ret_in = session->octets_in + (stream ? net_stream_octets_in(stream) : 0);
    *ret_out = session->octets_out + (stream ? net_stream_octets_out(stream) : 0);
}

guint64 pop3_session_commands(const Pop3Session *session)
{
    return session->n_commands;
}

void pop3_session_set_wirelog(const char *directory)
{
    net_wirelog_set_directory(directory);
}

gboolean pop3_session_is_protected(const Pop3Session *session)
{
    /* Clear text is to loopback addresses only: net_stream_connect() sees to it. */
    return session->endpoint->security == SECURITY_TUNNEL ||
           session->endpoint->security == SECURITY_PLAIN ||
           (session->stream && net_stream_is_tls(session->stream));
}
