/* The life of a session, and its reading.
 *
 * All waiting happens in one place, imap_session_pump(): it reads once and carries out every
 * response that this completed.  Whoever waits for something (an answer, a "+", the greeting)
 * pumps until it is there.  So data that nobody asked for is taken in whatever the session is
 * doing, and no answer is ever read twice.
 */
#include "client/imap-internal.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

enum { BUFFER_SIZE = 64 * 1024, LOGOUT_MS = 1000 };

/* -- State ------------------------------------------------------------------------------------- */

static const char *const state_names[N_STATES] = {
    "NEW", "GREETING", "LOGIN", "READY", "SELECTING", "SELECTED", "IDLE", "LOGOUT", "DEAD",
};

#define TO(state) (1u << STATE_##state)

static const guint state_edges[N_STATES] = {
    [STATE_NEW] = TO(GREETING) | TO(DEAD),
    [STATE_GREETING] = TO(LOGIN) | TO(READY) | TO(DEAD),
    [STATE_LOGIN] = TO(READY) | TO(LOGOUT) | TO(DEAD),
    [STATE_READY] = TO(SELECTING) | TO(IDLE) | TO(LOGOUT) | TO(DEAD),
    [STATE_SELECTING] = TO(SELECTED) | TO(READY) | TO(DEAD),
    [STATE_SELECTED] = TO(SELECTING) | TO(READY) | TO(IDLE) | TO(LOGOUT) | TO(DEAD),
    [STATE_IDLE] = TO(SELECTED) | TO(READY) | TO(DEAD),
    [STATE_LOGOUT] = TO(DEAD),
    [STATE_DEAD] = TO(NEW),
};

void imap_session_set_state(ImapSession *session, State state)
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

gboolean imap_session_die(ImapSession *session, GError *cause, GError **error)
{
    if (session->state != STATE_DEAD) {
        g_debug("%s: %s", session->name, cause->message);
        imap_session_set_state(session, STATE_DEAD);
        g_clear_error(&session->death);
        session->death = g_error_copy(cause);
        g_clear_pointer(&session->stream, net_stream_free);
        g_clear_pointer(&session->mailbox, g_free);
    }
    g_propagate_error(error, cause);
    return FALSE;
}

gboolean imap_session_is_alive(const ImapSession *session, GError **error)
{
    if (session->state == STATE_DEAD) {
        g_propagate_error(error, g_error_copy(session->death));
        return FALSE;
    }
    g_assert(session->stream != NULL);
    return TRUE;
}

/* -- Life -------------------------------------------------------------------------------------- */

static void free_in_flight(gpointer data)
{
    InFlight *command = data;

    imap_result_clear(&command->result);
    g_free(command);
}

ImapSession *imap_session_new(const ImapSessionParams *params, const ImapHandler *handler,
                              gpointer user)
{
    ImapSession *session = g_new0(ImapSession, 1);

    session->account = g_strdup(params->account);
    session->name = g_strdup_printf("%s#%u", params->account, params->number);
    session->user = g_strdup(params->user);
    session->auth = g_strdup(params->auth ? params->auth : "auto");
    session->endpoint = endpoint_copy(params->endpoint);
    session->is_token = params->is_token;
    session->wants_compress = params->compress;
    session->n_refused = params->n_refused;
    session->broker = params->broker;
    session->cancel = params->cancel ? cancel_ref(params->cancel) : NULL;
    session->handler = handler;
    session->handler_data = user;
    session->patience_ms = LIMIT_PROGRESS_SECONDS * 1000;
    session->idle_ms = LIMIT_IDLE_SECONDS * 1000;
    session->buffer = g_malloc(BUFFER_SIZE);
    session->keywords = g_string_new(NULL);
    session->header = g_byte_array_new();
    session->commands = g_hash_table_new_full(NULL, NULL, NULL, free_in_flight);
    imap_capabilities_init(&session->caps);
    imap_session_reset(session);
    return session;
}

void imap_session_reset(ImapSession *session)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

    if (session->state == STATE_DEAD)
        imap_session_set_state(session, STATE_NEW);
    g_clear_pointer(&session->stream, net_stream_free);
    g_clear_pointer(&session->parser, imap_parser_free);
    session->parser = imap_parser_new();
    g_clear_error(&session->death);
    /* Tags that a third party cannot guess: an answer from nowhere does not fit. */
    for (guint i = 0; i < PREFIX_LENGTH; i++)
        session->prefix[i] = letters[g_random_int_range(0, 26)];
    session->last_number = session->n_in_flight = 0;
    g_hash_table_remove_all(session->commands);
    imap_capabilities_parse(&session->caps, "");
    memset(session->enabled, 0, sizeof session->enabled);
    session->expects_caps = session->idle_refused = FALSE;
    session->reads_single = FALSE;
    g_clear_pointer(&session->server_id, g_free);
    session->mechanism = NULL;
    imap_result_clear(&session->greeting);
    session->is_greeted = FALSE;
    session->awaits_continuation = FALSE;
    g_clear_pointer(&session->continuation, g_free);
    g_clear_pointer(&session->uidplus[0], g_free);
    g_clear_pointer(&session->uidplus[1], g_free);
    g_clear_pointer(&session->mailbox, g_free);
    session->exists = 0;
    session->is_muted = session->body_began = FALSE;
    session->streaming = IMAP_STREAM_OTHER;
    session->esearch_is_proven = session->esearch_is_broken = FALSE;
    session->n_unsolicited = 0;
}

void imap_session_free(ImapSession *session)
{
    if (!session)
        return;
    net_stream_free(session->stream);
    imap_parser_free(session->parser);
    g_hash_table_unref(session->commands);
    imap_capabilities_clear(&session->caps);
    imap_result_clear(&session->greeting);
    g_clear_error(&session->death);
    g_string_free(session->keywords, TRUE);
    g_byte_array_unref(session->header);
    uid_set_free(session->found);
    endpoint_free(session->endpoint);
    cancel_unref(session->cancel);
    g_free(session->search_tag);
    g_free(session->continuation);
    g_free(session->uidplus[0]);
    g_free(session->uidplus[1]);
    g_free(session->mailbox);
    g_free(session->server_id);
    g_free(session->buffer);
    g_free(session->account);
    g_free(session->name);
    g_free(session->user);
    g_free(session->auth);
    g_free(session);
}

void imap_session_logout(ImapSession *session)
{
    Deadline deadline = deadline_earlier(deadline_in_ms(LOGOUT_MS), imap_session_patience(session));
    guint number;

    if (!session->stream || session->state < STATE_LOGIN || session->state >= STATE_IDLE)
        return;
    number = imap_session_send(session, imap_command_new("LOGOUT"), NULL);
    if (number == 0)
        return;
    session->is_muted = TRUE;
    imap_session_set_state(session, STATE_LOGOUT);
    while (!imap_session_is_done(session, number) && !deadline_passed(deadline))
        if (!imap_session_pump(session, deadline, NULL))
            return;
    imap_session_die(session,
                     g_error_new(MAIL_ERROR, MAIL_ERROR_OFFLINE, "this session has logged out"),
                     NULL);
}

/* -- Reading ----------------------------------------------------------------------------------- */

void imap_session_set_patience(ImapSession *session, gint64 milliseconds)
{
    session->patience_ms = milliseconds;
}

void imap_session_set_idle(ImapSession *session, gint64 milliseconds)
{
    session->idle_ms = milliseconds;
}

Deadline imap_session_patience(const ImapSession *session)
{
    return deadline_in_ms(session->patience_ms);
}

gboolean imap_session_no_imap(const ImapSession *session, GError **error)
{
    return mail_fail(error, MAIL_ERROR_PROTOCOL,
                     "%s port %u is no IMAP server; check the host and the port",
                     session->endpoint->host, session->endpoint->port);
}

static gboolean take_continuation(ImapSession *session, GError **error)
{
    if (!session->is_greeted) /* "+OK": POP3 */
        return imap_session_no_imap(session, error);
    if (!session->awaits_continuation)
        return mail_fail(error, MAIL_ERROR_PROTOCOL,
                         "the server asks to go on with a command that is complete");
    session->awaits_continuation = FALSE;
    session->continuation = g_strdup(imap_parser_continuation(session->parser));
    return TRUE;
}

/* Carries out all that the parser has been fed. */
static gboolean take_input(ImapSession *session, GError **error)
{
    ImapParser *parser = session->parser;

    for (;;) {
        gboolean ok = TRUE;

        switch (imap_parser_next(parser)) {
        case IMAP_PARSE_NEED_DATA:
            return TRUE;
        case IMAP_PARSE_RESPONSE:
            ok = imap_data_response(session, imap_parser_response(parser), error);
            break;
        case IMAP_PARSE_LITERAL_CHUNK:
            ok = imap_data_chunk(session, imap_parser_response(parser),
                                 imap_parser_chunk(parser), error);
            break;
        case IMAP_PARSE_CONTINUE:
            ok = take_continuation(session, error);
            break;
        case IMAP_PARSE_BAD:
            if (!session->is_greeted)
                return imap_session_no_imap(session, error);
            return mail_fail(error, MAIL_ERROR_PROTOCOL,
                             "the server's answer cannot be understood: %s",
                             imap_parser_problem(parser));
        }
        if (!ok)
            return FALSE;
    }
}

gboolean imap_session_pump(ImapSession *session, Deadline deadline, GError **error)
{
    GError *cause = NULL;
    gssize n;

    if (!imap_session_is_alive(session, error))
        return FALSE;
    n = net_stream_read(session->stream, session->buffer, session->reads_single ? 1 : BUFFER_SIZE,
                        deadline, &cause);
    if (n > 0) {
        imap_parser_feed(session->parser, session->buffer, (gsize)n);
        if (take_input(session, &cause))
            return TRUE;
    }
    return imap_session_die(session, cause, error);
}

/* -- Facts ------------------------------------------------------------------------------------- */

gboolean imap_session_has(const ImapSession *session, ImapCap cap)
{
    return session->caps.has[cap];
}

gboolean imap_session_enabled(const ImapSession *session, ImapCap cap)
{
    return session->enabled[cap];
}

const char *imap_session_capabilities(const ImapSession *session)
{
    return session->caps.line;
}

const char *imap_session_server_id(const ImapSession *session)
{
    return session->server_id;
}

const char *imap_session_mechanism(const ImapSession *session)
{
    return session->mechanism;
}

void imap_session_octets(ImapSession *session, guint64 *ret_in, guint64 *ret_out)
{
    *ret_in = session->stream ? net_stream_octets_in(session->stream) : 0;
    *ret_out = session->stream ? net_stream_octets_out(session->stream) : 0;
}

void imap_session_set_wirelog(const char *directory)
{
    net_wirelog_set_directory(directory);
}

struct NetStream *imap_session_stream(ImapSession *session)
{
    return session->stream;
}

gboolean imap_session_is_protected(const ImapSession *session)
{
    /* Clear text is to loopback addresses only: net_stream_connect() sees to it. */
    return session->endpoint->security == SECURITY_TUNNEL ||
           session->endpoint->security == SECURITY_PLAIN ||
           (session->stream && net_stream_is_tls(session->stream));
}
