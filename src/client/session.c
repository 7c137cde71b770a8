/* A connection, its states and its end, whatever is spoken over it.  See session-internal.h. */
#include "client/session-internal.h"
#include "base/error.h"
#include "base/limits.h"

/* -- State ------------------------------------------------------------------------------------- */

static const char *const state_names[N_STATES] = {
    "NEW", "GREETING", "LOGIN", "READY", "SELECTING", "SELECTED", "IDLE", "QUIT", "DEAD",
};

#define TO(state) (1u << STATE_##state)

static const guint state_edges[N_STATES] = {
    [STATE_NEW] = TO(GREETING) | TO(DEAD),
    [STATE_GREETING] = TO(LOGIN) | TO(READY) | TO(DEAD),
    [STATE_LOGIN] = TO(READY) | TO(QUIT) | TO(DEAD),
    [STATE_READY] = TO(SELECTING) | TO(IDLE) | TO(QUIT) | TO(DEAD),
    [STATE_SELECTING] = TO(SELECTED) | TO(READY) | TO(DEAD),
    [STATE_SELECTED] = TO(SELECTING) | TO(READY) | TO(IDLE) | TO(QUIT) | TO(DEAD),
    [STATE_IDLE] = TO(SELECTED) | TO(READY) | TO(DEAD),
    [STATE_QUIT] = TO(DEAD),
    [STATE_DEAD] = TO(NEW),
};

void session_set_state(Session *session, State state)
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

static void close_connection(Session *session)
{
    session_octets(session, &session->octets_in, &session->octets_out);
    g_clear_pointer(&session->stream, net_stream_free);
    session->protocol->forget(session);
}

gboolean session_die(Session *session, GError *cause, GError **error)
{
    if (session->state != STATE_DEAD) {
        g_debug("%s: %s", session->name, cause->message);
        session_set_state(session, STATE_DEAD);
        g_clear_error(&session->death);
        session->death = g_error_copy(cause);
        close_connection(session);
    }
    g_propagate_error(error, cause);
    return FALSE;
}

gboolean session_is_alive(const Session *session, GError **error)
{
    if (session->state == STATE_DEAD) {
        g_propagate_error(error, g_error_copy(session->death));
        return FALSE;
    }
    g_assert(session->stream != NULL);
    return TRUE;
}

/* -- Life -------------------------------------------------------------------------------------- */

void session_init(Session *session, const Protocol *protocol, const SessionParams *params)
{
    session->protocol = protocol;
    session->account = g_strdup(params->account);
    session->name = g_strdup_printf("%s#%u", params->account, params->number);
    session->user = g_strdup(params->user ? params->user : "");
    session->auth = g_strdup(params->auth ? params->auth : "auto");
    session->endpoint = endpoint_copy(params->endpoint);
    session->is_token = params->is_token;
    session->n_refused = params->n_refused;
    session->broker = params->broker;
    session->cancel = params->cancel ? cancel_ref(params->cancel) : NULL;
    session->patience_ms = LIMIT_PROGRESS_SECONDS * 1000;
    session->buffer = g_malloc(SESSION_BUFFER_SIZE);
}

void session_reset(Session *session)
{
    if (session->state == STATE_DEAD)
        session_set_state(session, STATE_NEW);
    close_connection(session);
    g_clear_error(&session->death);
    session->is_greeted = session->reads_single = session->awaits_continuation = FALSE;
    g_clear_pointer(&session->continuation, g_free);
    session->mechanism = NULL;
}

void session_clear(Session *session)
{
    close_connection(session);
    g_clear_error(&session->death);
    endpoint_free(session->endpoint);
    cancel_unref(session->cancel);
    g_free(session->continuation);
    g_free(session->buffer);
    g_free(session->account);
    g_free(session->name);
    g_free(session->user);
    g_free(session->auth);
}

void session_octets(const Session *session, guint64 *ret_in, guint64 *ret_out)
{
    const NetStream *stream = session->stream;

    *ret_in = session->octets_in + (stream ? net_stream_octets_in(stream) : 0);
    *ret_out = session->octets_out + (stream ? net_stream_octets_out(stream) : 0);
}

void session_set_wirelog(const char *directory)
{
    net_wirelog_set_directory(directory);
}

/* -- Connecting -------------------------------------------------------------------------------- */

Deadline session_connect_deadline(const Session *session)
{
    return deadline_earlier(deadline_in(LIMIT_CONNECT_SECONDS), session_patience(session));
}

gboolean session_connect(Session *session, GError **error)
{
    Deadline deadline = session_connect_deadline(session);
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
    session_set_state(session, STATE_GREETING);
    return TRUE;
}

gboolean session_start_tls(Session *session, gboolean is_offered,
                           gboolean (*say)(Session *session, GError **error), GError **error)
{
    const Protocol *protocol = session->protocol;
    const char *host = session->endpoint->host;
    GError *cause = NULL;
    gboolean ok;

    if (!is_offered)
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                         "%s offers no %s, so that the password could be read on the way; "
                         "use %ss:// if the server has it",
                         host, protocol->start_tls, protocol->scheme);
    session->reads_single = TRUE;
    ok = say(session, error);
    session->reads_single = FALSE;
    if (!ok) {
        g_prefix_error(error, "%s does not begin TLS after %s (%ss:// may do): ", host,
                       protocol->start_tls, protocol->scheme);
        return FALSE;
    }
    return net_stream_start_tls(session->stream, session->endpoint,
                                session_connect_deadline(session), &cause) ||
           session_die(session, cause, error);
}

gboolean session_is_protected(const Session *session)
{
    /* Clear text is to loopback addresses only: net_stream_connect() sees to it. */
    return session->endpoint->security == SECURITY_TUNNEL ||
           session->endpoint->security == SECURITY_PLAIN ||
           (session->stream && net_stream_is_tls(session->stream));
}

/* -- Talking ----------------------------------------------------------------------------------- */

Deadline session_patience(const Session *session)
{
    return deadline_in_ms(session->patience_ms);
}

gboolean session_write(Session *session, const void *data, gsize length, gboolean is_secret,
                       GError **error)
{
    GError *cause = NULL;
    gboolean ok;

    if (!session_is_alive(session, error))
        return FALSE;
    net_stream_mask(session->stream, is_secret);
    ok = net_stream_write(session->stream, data, length, session_patience(session), &cause);
    net_stream_mask(session->stream, FALSE);
    return ok || session_die(session, cause, error);
}

gboolean session_flush(Session *session, GError **error)
{
    GError *cause = NULL;

    if (!session_is_alive(session, error))
        return FALSE;
    return net_stream_flush(session->stream, session_patience(session), &cause) ||
           session_die(session, cause, error);
}

gboolean session_fail_greeting(const Session *session, GError **error)
{
    const char *name = session->protocol->name;

    if (session->endpoint->security == SECURITY_TUNNEL)
        return mail_fail(error, MAIL_ERROR_PROTOCOL,
                         "what the tunnel leads to is no %s server; check tunnel= and protocol=",
                         name);
    return mail_fail(error, MAIL_ERROR_PROTOCOL,
                     "%s port %u is no %s server; check the host and the port",
                     session->endpoint->host, session->endpoint->port, name);
}

gboolean session_fail_input(const Session *session, const char *problem, GError **error)
{
    if (!session->is_greeted)
        return session_fail_greeting(session, error);
    return mail_fail(error, MAIL_ERROR_PROTOCOL, "the server's answer cannot be understood: %s",
                     problem);
}

gboolean session_take_continuation(Session *session, const char *text, GError **error)
{
    if (!session->is_greeted) /* "+OK" to a client of IMAP: POP3 */
        return session_fail_greeting(session, error);
    if (!session->awaits_continuation)
        return mail_fail(error, MAIL_ERROR_PROTOCOL,
                         "the server asks to go on with a command that is complete");
    session->awaits_continuation = FALSE;
    session->continuation = g_strdup(text);
    return TRUE;
}
