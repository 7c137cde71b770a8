/* The life of a session, and the commands in flight.
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

/* FALSE, with the reason, for a session that is not connected. */
static gboolean is_alive(const ImapSession *session, GError **error)
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
    g_clear_pointer(&session->copyuid, g_free);
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
    g_free(session->copyuid);
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

    if (!is_alive(session, error))
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

/* -- Commands ---------------------------------------------------------------------------------- */

void imap_result_clear(ImapResult *result)
{
    g_clear_pointer(&result->code, g_free);
    g_clear_pointer(&result->code_args, g_free);
    g_clear_pointer(&result->text, g_free);
}

gboolean imap_session_drain(ImapSession *session, GError **error)
{
    while (session->n_in_flight > 0)
        if (!imap_session_pump(session, imap_session_patience(session), error))
            return FALSE;
    return TRUE;
}

static gboolean write_out(ImapSession *session, GBytes *bytes, gboolean is_secret, GError **error)
{
    GError *cause = NULL;
    gsize length;
    const void *data = g_bytes_get_data(bytes, &length);
    gboolean ok;

    if (!is_alive(session, error))
        return FALSE;
    net_stream_mask(session->stream, is_secret);
    ok = net_stream_write(session->stream, data, length, imap_session_patience(session), &cause);
    net_stream_mask(session->stream, FALSE);
    return ok || imap_session_die(session, cause, error);
}

static gboolean flush(ImapSession *session, GError **error)
{
    GError *cause = NULL;

    if (!is_alive(session, error))
        return FALSE;
    return net_stream_flush(session->stream, imap_session_patience(session), &cause) ||
           imap_session_die(session, cause, error);
}

gboolean imap_session_send_line(ImapSession *session, const char *line, gboolean is_secret,
                                GError **error)
{
    g_autoptr(GBytes) bytes = g_bytes_new_static(line, strlen(line));
    g_autoptr(GBytes) end = g_bytes_new_static("\r\n", 2);

    return write_out(session, bytes, is_secret, error) && write_out(session, end, FALSE, error) &&
           flush(session, error);
}

gboolean imap_session_await_continuation(ImapSession *session, guint number, char **ret_text,
                                         GError **error)
{
    session->awaits_continuation = TRUE;
    while (session->awaits_continuation && !imap_session_is_done(session, number))
        if (!imap_session_pump(session, imap_session_patience(session), error))
            return FALSE;
    session->awaits_continuation = FALSE;
    *ret_text = g_steal_pointer(&session->continuation);
    return TRUE;
}

/* Makes room for a command: few enough in flight, none if this one is a barrier. */
static gboolean make_room(ImapSession *session, const GArray *segments, GError **error)
{
    gsize n_octets = 0;
    gboolean is_barrier = FALSE;

    for (guint i = 0; i < segments->len; i++) {
        const ImapSegment *segment = &g_array_index(segments, ImapSegment, i);

        n_octets += g_bytes_get_size(segment->bytes);
        is_barrier = is_barrier || segment->waits;
    }
    if (is_barrier || n_octets > MAX_PIPELINED)
        return imap_session_drain(session, error);
    while (session->n_in_flight >= MAX_IN_FLIGHT)
        if (!imap_session_pump(session, imap_session_patience(session), error))
            return FALSE;
    return TRUE;
}

/* Writes the segments, waiting for "+" where one must.  A command that is refused at a "+" is not
 * sent on: its answer tells why. */
static gboolean send_segments(ImapSession *session, guint number, const GArray *segments,
                              GError **error)
{
    for (guint i = 0; i < segments->len; i++) {
        const ImapSegment *segment = &g_array_index(segments, ImapSegment, i);
        g_autofree char *text = NULL;

        if (!write_out(session, segment->bytes, segment->is_secret, error))
            return FALSE;
        if (!segment->waits)
            continue;
        if (!flush(session, error) ||
            !imap_session_await_continuation(session, number, &text, error))
            return FALSE;
        if (!text)
            return TRUE;
    }
    return flush(session, error);
}

guint imap_session_send(ImapSession *session, ImapCommand *command, GError **error)
{
    g_autoptr(ImapCommand) taken = command;
    g_autoptr(GArray) segments = NULL;
    g_autofree char *tag = NULL;
    ImapEncoding encoding = {
        .literal_plus = session->caps.has[IMAP_CAP_LITERAL_PLUS],
        .literal_minus = session->caps.has[IMAP_CAP_LITERAL_MINUS],
        .utf8 = session->enabled[IMAP_CAP_UTF8_ACCEPT],
    };
    InFlight *in_flight;

    if (!is_alive(session, error))
        return 0;
    tag = g_strdup_printf("%s%u", session->prefix, session->last_number + 1);
    segments = imap_command_encode(taken, tag, &encoding, error);
    if (!segments || !make_room(session, segments, error))
        return 0;
    in_flight = g_new0(InFlight, 1);
    in_flight->number = ++session->last_number;
    g_hash_table_insert(session->commands, GUINT_TO_POINTER(in_flight->number), in_flight);
    session->n_in_flight++;
    return send_segments(session, in_flight->number, segments, error) ? in_flight->number : 0;
}

static InFlight *in_flight(const ImapSession *session, guint number)
{
    return g_hash_table_lookup(session->commands, GUINT_TO_POINTER(number));
}

gboolean imap_session_is_done(const ImapSession *session, guint number)
{
    const InFlight *command = in_flight(session, number);

    return command && command->is_done;
}

gboolean imap_session_collect(ImapSession *session, guint number, ImapResult *ret_result,
                              GError **error)
{
    InFlight *command = in_flight(session, number);

    g_assert(command != NULL);
    while (!command->is_done)
        if (!imap_session_pump(session, imap_session_patience(session), error)) {
            if (!command->is_done)
                return FALSE;
            g_clear_error(error); /* the answer came before the end */
        }
    *ret_result = command->result;
    command->result = (ImapResult){0};
    g_hash_table_remove(session->commands, GUINT_TO_POINTER(number));
    return TRUE;
}

gboolean imap_session_wait(ImapSession *session, guint number, ImapResult *ret_result,
                           GError **error)
{
    ImapResult result;

    if (!imap_session_collect(session, number, &result, error))
        return FALSE;
    if (result.cond != IMAP_OK) {
        imap_session_refused(&result, error);
        imap_result_clear(&result);
        return FALSE;
    }
    if (ret_result)
        *ret_result = result;
    else
        imap_result_clear(&result);
    return TRUE;
}

gboolean imap_session_run(ImapSession *session, ImapCommand *command, ImapResult *ret_result,
                          GError **error)
{
    guint number = imap_session_send(session, command, error);

    return number != 0 && imap_session_wait(session, number, ret_result, error);
}

/* RFC 5530, RFC 9051 section 7.1. */
static const struct {
    const char *code;
    MailError error;
    const char *sentence;
} refusals[] = {
    {"ALREADYEXISTS", MAIL_ERROR_EXISTS, "the server has a mailbox of that name"},
    {"AUTHENTICATIONFAILED", MAIL_ERROR_AUTH, "the server refuses the user name or password"},
    {"AUTHORIZATIONFAILED", MAIL_ERROR_AUTH, "the server does not let this user in"},
    {"BADCHARSET", MAIL_ERROR_UNSUPPORTED, "the server cannot search in this character set"},
    {"CANNOT", MAIL_ERROR_DENIED, "the server cannot do this"},
    {"EXPIRED", MAIL_ERROR_AUTH, "the password has expired; set a new one"},
    {"EXPUNGEISSUED", MAIL_ERROR_GONE, "the message is no longer there"},
    {"HASCHILDREN", MAIL_ERROR_NOTEMPTY, "the mailbox has others below it"},
    {"INUSE", MAIL_ERROR_BUSY, "the mailbox is in use; try again later"},
    {"LIMIT", MAIL_ERROR_BUSY, "a limit of the server is reached; try again later"},
    {"NONEXISTENT", MAIL_ERROR_GONE, "it is not on the server"},
    {"NOPERM", MAIL_ERROR_DENIED, "the server does not permit it"},
    {"OVERQUOTA", MAIL_ERROR_QUOTA, "the mailbox is over its quota; delete some mail"},
    {"PRIVACYREQUIRED", MAIL_ERROR_DENIED, "the server wants TLS; use imaps:// or imap://"},
    {"READ-ONLY", MAIL_ERROR_READONLY, "the mailbox is read-only"},
    {"THROTTLED", MAIL_ERROR_BUSY, "the server asks for fewer requests; try again later"},
    {"TOOBIG", MAIL_ERROR_TOOBIG, "the message is too large for the server"},
    {"TRYCREATE", MAIL_ERROR_GONE, "the mailbox does not exist"},
    {"UNAVAILABLE", MAIL_ERROR_BUSY, "the server has a problem; try again later"},
    {"UNKNOWN-CTE", MAIL_ERROR_UNSUPPORTED, "the server cannot decode this part"},
};

gboolean imap_session_refused(const ImapResult *result, GError **error)
{
    if (result->cond == IMAP_BAD)
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                         "the server does not understand the command (%s)", result->text);
    for (guint i = 0; result->code && i < G_N_ELEMENTS(refusals); i++)
        if (strcmp(result->code, refusals[i].code) == 0)
            return mail_fail(error, refusals[i].error, "%s (%s)", refusals[i].sentence,
                             result->text);
    /* Many have no code for these: Exchange, Dovecot, Cyrus. */
    if (strstr(result->text, "doesn't exist") || strstr(result->text, "does not exist"))
        return mail_fail(error, MAIL_ERROR_GONE, "it is not on the server (%s)", result->text);
    if (strstr(result->text, "throttled") || strstr(result->text, "Too many"))
        return mail_fail(error, MAIL_ERROR_BUSY, "the server asks to try again later (%s)",
                         result->text);
    return mail_fail(error, MAIL_ERROR_DENIED, "the server refuses (%s)", result->text);
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
