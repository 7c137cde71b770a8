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

enum { QUIT_MS = 1000 };

/* -- Life -------------------------------------------------------------------------------------- */

static void forget(Session *base)
{
    Pop3Session *session = (Pop3Session *)base;

    g_queue_clear_full(&session->in_flight, g_free);
    pop3_result_clear(&session->auth_result);
}

static const Protocol protocol = {
    .name = "POP3",
    .scheme = "pop3",
    .start_tls = "STLS",
    .forget = forget,
};

Pop3Session *pop3_session_new(const SessionParams *params, const Pop3Handler *handler,
                              gpointer user)
{
    static const Pop3Handler deaf = {0};
    Pop3Session *session = g_new0(Pop3Session, 1);

    session_init(&session->base, &protocol, params);
    session->handler = handler ? handler : &deaf;
    session->handler_data = user;
    g_queue_init(&session->in_flight);
    pop3_capabilities_init(&session->caps);
    pop3_session_reset(session);
    return session;
}

void pop3_session_reset(Pop3Session *session)
{
    session_reset(&session->base);
    g_clear_pointer(&session->parser, pop3_parser_free);
    session->parser = pop3_parser_new();
    session->has_unsent = session->knows_capa = session->is_in_use = FALSE;
    pop3_capabilities_reset(&session->caps);
    g_clear_pointer(&session->timestamp, g_free);
    session->unproved = 0;
    session->n_marked = 0;
}

void pop3_session_free(Pop3Session *session)
{
    if (!session)
        return;
    session_clear(&session->base);
    pop3_parser_free(session->parser);
    pop3_capabilities_clear(&session->caps);
    g_free(session->timestamp);
    g_free(session);
}

static void close_session(Pop3Session *session)
{
    session_die(&session->base,
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
    deadline = session_patience(&session->base);
    if (session->n_marked == 0)
        deadline = deadline_earlier(deadline, deadline_in_ms(QUIT_MS));
    session_set_state(&session->base, STATE_QUIT);
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
    session->base.patience_ms = milliseconds;
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
        return session_take_continuation(&session->base,
                                         pop3_parser_continuation(session->parser), error);
    case POP3_PARSE_BAD:
        return session_fail_input(&session->base, pop3_parser_problem(session->parser), error);
    }
    g_assert_not_reached();
}

/* Carries out @n octets of the buffer.  Each piece goes to the wire log when it is known whether
 * it is mail. */
static gboolean take_input(Pop3Session *session, gsize n, GError **error)
{
    Pop3Parser *parser = session->parser;
    const char *at = session->base.buffer, *end = at + n;
    gboolean ok = TRUE;
    Pop3Parse event;

    pop3_parser_feed(parser, at, n);
    do {
        gboolean is_mail;

        event = pop3_parser_next(parser);
        is_mail = event == POP3_PARSE_CHUNK || (event == POP3_PARSE_NEED_DATA &&
                                                pop3_parser_is_in_message(parser));
        n = (gsize)(end - at) - pop3_parser_pending(parser);
        net_stream_log_input(session->base.stream, at,
                             event == POP3_PARSE_BAD ? (gsize)(end - at) : n, is_mail);
        at += n;
        ok = carry_out(session, event, error);
    } while (ok && event != POP3_PARSE_NEED_DATA);
    return ok;
}

gboolean pop3_session_pump(Pop3Session *session, Deadline deadline, GError **error)
{
    GError *cause = NULL;
    gssize n = -1;

    if (!session_is_alive(&session->base, error))
        return FALSE;
    if (!session->has_unsent || net_stream_flush(session->base.stream, deadline, &cause))
        n = net_stream_read(session->base.stream, session->base.buffer,
                            session->base.reads_single ? 1 : SESSION_BUFFER_SIZE, deadline, &cause);
    session->has_unsent = FALSE;
    if (n > 0 && take_input(session, (gsize)n, &cause))
        return TRUE;
    if (session->unproved && mail_error_is(cause, MAIL_ERROR_PROTOCOL)) {
        g_debug("%s: %s", session->base.name, cause->message);
        g_clear_error(&cause);
        pop3_session_lose_step(&cause);
    }
    return session_die(&session->base, cause, error);
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

gboolean pop3_session_is_in_use(const Pop3Session *session)
{
    return session->is_in_use;
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
    return session->base.mechanism;
}

struct NetStream *pop3_session_stream(Pop3Session *session)
{
    return session->base.stream;
}

void pop3_session_octets(const Pop3Session *session, guint64 *ret_in, guint64 *ret_out)
{
    session_octets(&session->base, ret_in, ret_out);
}

guint64 pop3_session_commands(const Pop3Session *session)
{
    return session->n_commands;
}
