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

#include <string.h>

enum { LOGOUT_MS = 1000 };

/* -- Life -------------------------------------------------------------------------------------- */

static void forget(Session *base)
{
    g_clear_pointer(&((ImapSession *)base)->mailbox, g_free);
}

static const Protocol protocol = {
    .name = "IMAP",
    .scheme = "imap",
    .start_tls = "STARTTLS",
    .forget = forget,
};

static void free_in_flight(gpointer data)
{
    InFlight *command = data;

    imap_result_clear(&command->result);
    g_free(command);
}

ImapSession *imap_session_new(const SessionParams *params, const ImapHandler *handler,
                              gpointer user)
{
    ImapSession *session = g_new0(ImapSession, 1);

    session_init(&session->base, &protocol, params);
    session->wants_compress = params->compress;
    session->handler = handler;
    session->handler_data = user;
    session->idle_ms = LIMIT_IDLE_SECONDS * 1000;
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

    session_reset(&session->base);
    g_clear_pointer(&session->parser, imap_parser_free);
    session->parser = imap_parser_new();
    /* Tags that a third party cannot guess: an answer from nowhere does not fit. */
    for (guint i = 0; i < PREFIX_LENGTH; i++)
        session->prefix[i] = letters[g_random_int_range(0, 26)];
    session->last_number = session->n_in_flight = 0;
    g_hash_table_remove_all(session->commands);
    imap_capabilities_parse(&session->caps, "");
    memset(session->enabled, 0, sizeof session->enabled);
    session->expects_caps = session->idle_refused = FALSE;
    g_clear_pointer(&session->server_id, g_free);
    imap_result_clear(&session->greeting);
    g_clear_pointer(&session->uidplus[0], g_free);
    g_clear_pointer(&session->uidplus[1], g_free);
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
    session_clear(&session->base);
    imap_parser_free(session->parser);
    g_hash_table_unref(session->commands);
    imap_capabilities_clear(&session->caps);
    imap_result_clear(&session->greeting);
    g_string_free(session->keywords, TRUE);
    g_byte_array_unref(session->header);
    uid_set_free(session->found);
    g_free(session->search_tag);
    g_free(session->uidplus[0]);
    g_free(session->uidplus[1]);
    g_free(session->server_id);
    g_free(session);
}

void imap_session_logout(ImapSession *session)
{
    Session *base = &session->base;
    Deadline deadline = deadline_earlier(deadline_in_ms(LOGOUT_MS), session_patience(base));
    guint number;

    if (!base->stream || base->state < STATE_LOGIN || base->state >= STATE_IDLE)
        return;
    number = imap_session_send(session, imap_command_new("LOGOUT"), NULL);
    if (number == 0)
        return;
    session->is_muted = TRUE;
    session_set_state(base, STATE_QUIT);
    while (!imap_session_is_done(session, number) && !deadline_passed(deadline))
        if (!imap_session_pump(session, deadline, NULL))
            return;
    session_die(base, g_error_new(MAIL_ERROR, MAIL_ERROR_OFFLINE, "this session has logged out"),
                NULL);
}

/* -- Reading ----------------------------------------------------------------------------------- */

void imap_session_set_patience(ImapSession *session, gint64 milliseconds)
{
    session->base.patience_ms = milliseconds;
}

void imap_session_set_idle(ImapSession *session, gint64 milliseconds)
{
    session->idle_ms = milliseconds;
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
            ok = session_take_continuation(&session->base, imap_parser_continuation(parser), error);
            break;
        case IMAP_PARSE_BAD:
            return session_fail_input(&session->base, imap_parser_problem(parser), error);
        }
        if (!ok)
            return FALSE;
    }
}

gboolean imap_session_pump(ImapSession *session, Deadline deadline, GError **error)
{
    GError *cause = NULL;
    gssize n;

    if (!session_is_alive(&session->base, error))
        return FALSE;
    n = net_stream_read(session->base.stream, session->base.buffer,
                        session->base.reads_single ? 1 : SESSION_BUFFER_SIZE, deadline, &cause);
    if (n > 0) {
        imap_parser_feed(session->parser, session->base.buffer, (gsize)n);
        if (take_input(session, &cause))
            return TRUE;
    }
    return session_die(&session->base, cause, error);
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
    return session->base.mechanism;
}

void imap_session_octets(const ImapSession *session, guint64 *ret_in, guint64 *ret_out)
{
    session_octets(&session->base, ret_in, ret_out);
}

struct NetStream *imap_session_stream(ImapSession *session)
{
    return session->base.stream;
}
