/* Commands on their way: written out, in flight, answered.
 *
 * A command is written as a whole before the next one is.  Where that takes long (a literal that
 * comes from a file) the server is listened to in between, or both sides would end up waiting for
 * the other to read.
 */
#include "client/imap-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"

#include <string.h>

enum {
    CHUNK_SIZE = 16 * 1024, /* of a file; each must be taken in LIMIT_PROGRESS_SECONDS */
    PROGRESS_MS = 200,
};

static InFlight *in_flight(const ImapSession *session, guint number)
{
    return g_hash_table_lookup(session->commands, GUINT_TO_POINTER(number));
}

gboolean imap_session_drain(ImapSession *session, GError **error)
{
    if (!session_is_alive(&session->base, error))
        return FALSE;
    while (session->n_in_flight > 0)
        if (!imap_session_pump(session, session_patience(&session->base), error))
            return FALSE;
    return TRUE;
}

gboolean imap_session_send_line(ImapSession *session, const char *line, gboolean is_secret,
                                GError **error)
{
    return session_write(&session->base, line, strlen(line), is_secret, error) &&
           session_write(&session->base, "\r\n", 2, FALSE, error) &&
           session_flush(&session->base, error);
}

gboolean imap_session_await_continuation(ImapSession *session, guint number, char **ret_text,
                                         GError **error)
{
    session->base.awaits_continuation = TRUE;
    while (session->base.awaits_continuation && !imap_session_is_done(session, number))
        if (!imap_session_pump(session, session_patience(&session->base), error))
            return FALSE;
    session->base.awaits_continuation = FALSE;
    *ret_text = g_steal_pointer(&session->base.continuation);
    return TRUE;
}

/* Makes room for a command: few enough in flight, none if this one is a barrier. */
static gboolean make_room(ImapSession *session, const GArray *segments, GError **error)
{
    gsize n_octets = 0;
    gboolean is_barrier = FALSE;

    for (guint i = 0; i < segments->len; i++) {
        const ImapSegment *segment = &g_array_index(segments, ImapSegment, i);

        n_octets += segment->bytes ? g_bytes_get_size(segment->bytes) : 0;
        is_barrier = is_barrier || segment->waits || !segment->bytes;
    }
    if (is_barrier || n_octets > MAX_PIPELINED)
        return imap_session_drain(session, error);
    while (session->n_in_flight >= MAX_IN_FLIGHT)
        if (!imap_session_pump(session, session_patience(&session->base), error))
            return FALSE;
    return TRUE;
}

/* What answers a command before all of it was sent can only refuse it: of an OK nobody can tell
 * what was carried out. */
static gboolean check_early(ImapSession *session, guint number, GError **error)
{
    const InFlight *command = in_flight(session, number);
    GError *cause = NULL;

    if (!command->is_done || command->result.cond != IMAP_OK)
        return TRUE;
    mail_fail(&cause, MAIL_ERROR_PROTOCOL,
              "the server claims to have done what it was not told yet");
    return session_die(&session->base, cause, error);
}

/* -- Files ------------------------------------------------------------------------------------- */

/* The server was told the size: once octets are missing, all that follows would be taken for
 * them. */
static gboolean read_chunk(ImapSession *session, const ImapUpload *upload, char *chunk,
                           gsize length, guint64 offset, GError **error)
{
    GError *cause = NULL;
    gssize n = io_pread_all(upload->fd, chunk, length, (goffset)offset, &cause);

    if (n == (gssize)length)
        return TRUE;
    g_clear_error(&cause);
    mail_fail(&cause, MAIL_ERROR_OFFLINE,
              "the file could not be read to its end while it was sent; the connection was "
              "dropped, so that the server keeps no half of it");
    return session_die(&session->base, cause, error);
}

/* Takes in what the server says meanwhile.  It may be why it will not read on; and one that has
 * much to say and nobody who listens stops reading. */
static gboolean hear(ImapSession *session, GError **error)
{
    GError *cause = NULL;

    switch (net_stream_wait(session->base.stream, NULL, deadline_now(), &cause)) {
    case NET_READABLE:
        return imap_session_pump(session, session_patience(&session->base), error);
    case NET_FAILED:
        return session_die(&session->base, cause, error);
    default:
        return TRUE;
    }
}

static void tell_progress(const ImapUpload *upload, guint64 n_sent, Deadline *next)
{
    if (!upload->progress || (n_sent < upload->size && !deadline_passed(*next)))
        return;
    upload->progress(n_sent, upload->user);
    *next = deadline_in_ms(PROGRESS_MS);
}

/* The literal, to its end whatever the server says to it: the octets are counted. */
static gboolean stream_out(ImapSession *session, guint number, ImapUpload *upload, GError **error)
{
    g_autofree char *chunk = g_malloc(CHUNK_SIZE);
    Deadline next = deadline_in_ms(PROGRESS_MS);
    guint64 n_sent = 0;

    upload->has_begun = TRUE;
    while (n_sent < upload->size) {
        gsize n = (gsize)MIN(CHUNK_SIZE, upload->size - n_sent);

        if (!read_chunk(session, upload, chunk, n, n_sent, error) ||
            !session_write(&session->base, chunk, n, FALSE, error) || !hear(session, error))
            return FALSE;
        n_sent += n;
        tell_progress(upload, n_sent, &next);
    }
    FAULT("literal-sent");
    return check_early(session, number, error);
}

/* -- Commands ---------------------------------------------------------------------------------- */

static gboolean write_segment(ImapSession *session, guint number, const ImapSegment *segment,
                              ImapUpload *upload, GError **error)
{
    const void *data;
    gsize length;

    if (!segment->bytes)
        return stream_out(session, number, upload, error);
    data = g_bytes_get_data(segment->bytes, &length);
    return session_write(&session->base, data, length, segment->is_secret, error);
}

/* Writes the segments, waiting for "+" where one must.  A command that is refused at a "+" is not
 * sent on: its answer tells why. */
static gboolean send_segments(ImapSession *session, guint number, const GArray *segments,
                              ImapUpload *upload, GError **error)
{
    for (guint i = 0; i < segments->len; i++) {
        const ImapSegment *segment = &g_array_index(segments, ImapSegment, i);
        g_autofree char *text = NULL;

        if (!write_segment(session, number, segment, upload, error))
            return FALSE;
        if (!segment->waits)
            continue;
        if (!session_flush(&session->base, error) ||
            !imap_session_await_continuation(session, number, &text, error))
            return FALSE;
        if (!text)
            return check_early(session, number, error);
    }
    return session_flush(&session->base, error);
}

/* The connection ended while the command was sent, but not before the server had refused it. */
static gboolean was_refused(const ImapSession *session, guint number)
{
    const InFlight *command = in_flight(session, number);

    return command->is_done && command->result.cond != IMAP_OK;
}

guint imap_session_upload(ImapSession *session, ImapCommand *command, ImapUpload *upload,
                          GError **error)
{
    g_autoptr(ImapCommand) taken = command;
    g_autoptr(GArray) segments = NULL;
    g_autofree char *tag = NULL;
    ImapEncoding encoding = {
        .literal_plus = session->caps.has[IMAP_CAP_LITERAL_PLUS],
        .literal_minus = session->caps.has[IMAP_CAP_LITERAL_MINUS],
        .utf8 = session->enabled[IMAP_CAP_UTF8_ACCEPT],
    };
    InFlight *new;

    if (!session_is_alive(&session->base, error))
        return 0;
    tag = g_strdup_printf("%s%u", session->prefix, session->last_number + 1);
    segments = imap_command_encode(taken, tag, &encoding, error);
    if (!segments || !make_room(session, segments, error))
        return 0;
    new = g_new0(InFlight, 1);
    new->number = ++session->last_number;
    g_hash_table_insert(session->commands, GUINT_TO_POINTER(new->number), new);
    session->n_in_flight++;
    if (send_segments(session, new->number, segments, upload, error))
        return new->number;
    if (!was_refused(session, new->number))
        return 0;
    g_clear_error(error);
    return new->number;
}

guint imap_session_send(ImapSession *session, ImapCommand *command, GError **error)
{
    return imap_session_upload(session, command, NULL, error);
}

/* -- Answers ----------------------------------------------------------------------------------- */

void imap_result_clear(ImapResult *result)
{
    g_clear_pointer(&result->code, g_free);
    g_clear_pointer(&result->code_args, g_free);
    g_clear_pointer(&result->text, g_free);
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
        if (!imap_session_pump(session, session_patience(&session->base), error)) {
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
