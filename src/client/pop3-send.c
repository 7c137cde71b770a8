/* Commands on their way, and their answers, which come in the same order: a queue is all that is
 * needed to tell what an answer is about.
 *
 * Lines are only buffered here; pop3_session_pump() sends them, so that those of one flight go out
 * together.
 */
#include "client/pop3-internal.h"
#include "base/error.h"
#include "base/limits.h"

#include <string.h>

void pop3_result_clear(Pop3Result *result)
{
    g_clear_pointer(&result->code, g_free);
    g_clear_pointer(&result->text, g_free);
    *result = (Pop3Result){0};
}

/* -- Out --------------------------------------------------------------------------------------- */

static gboolean write_out(Pop3Session *session, const void *data, gsize length, gboolean is_secret,
                          GError **error)
{
    session->has_unsent = TRUE;
    return session_write(&session->base, data, length, is_secret, error);
}

gboolean pop3_session_send_line(Pop3Session *session, const char *line, gboolean is_secret,
                                GError **error)
{
    return write_out(session, line, strlen(line), is_secret, error) &&
           write_out(session, "\r\n", 2, FALSE, error);
}

/* Waits until fewer than @max commands are in flight. */
static gboolean make_room(Pop3Session *session, guint max, GError **error)
{
    while (session->in_flight.length >= max)
        if (!pop3_session_pump(session, session_patience(&session->base), error))
            return FALSE;
    return TRUE;
}

void pop3_session_expect(Pop3Session *session, const InFlight *command)
{
    if (command->result)
        *command->result = (Pop3Result){0};
    g_queue_push_tail(&session->in_flight, g_memdup2(command, sizeof *command));
}

gboolean pop3_session_put(Pop3Session *session, const InFlight *command, GBytes *line,
                          gsize n_shown, GError **error)
{
    g_autoptr(GBytes) taken = line;
    gboolean is_retr = command->expects == POP3_EXPECT_MESSAGE && command->task == POP3_RETR;
    guint max = is_retr ? MAX_RETR_IN_FLIGHT : MAX_IN_FLIGHT;
    const char *octets;
    gsize length;

    if (command->result)
        *command->result = (Pop3Result){0};
    if (!line || !session_is_alive(&session->base, error) ||
        !make_room(session, session->caps.has[POP3_CAP_PIPELINING] ? max : 1, error))
        return FALSE;
    octets = g_bytes_get_data(line, &length);
    n_shown = MIN(n_shown, length);
    session->n_commands++;
    pop3_session_expect(session, command);
    return write_out(session, octets, n_shown, FALSE, error) &&
           (n_shown == length ||
            write_out(session, octets + n_shown, length - n_shown, TRUE, error));
}

gboolean pop3_session_await(Pop3Session *session, const Pop3Result *result, Deadline deadline,
                            GError **error)
{
    while (!result->is_done)
        if (!pop3_session_pump(session, deadline, error)) {
            if (!result->is_done)
                return FALSE;
            g_clear_error(error); /* the answer came before the end */
        }
    return TRUE;
}

gboolean pop3_session_ask(Pop3Session *session, const char *words, Pop3Result *ret_result,
                          GError **error)
{
    const InFlight command = {.result = ret_result};

    return pop3_session_put(session, &command, pop3_command_new(words, NULL, 0, error), G_MAXSIZE,
                            error) &&
           pop3_session_await(session, ret_result, session_patience(&session->base), error);
}

gboolean pop3_session_await_continuation(Pop3Session *session, const Pop3Result *result,
                                         char **ret_text, GError **error)
{
    session->base.awaits_continuation = TRUE;
    while (session->base.awaits_continuation && !result->is_done)
        if (!pop3_session_pump(session, session_patience(&session->base), error))
            return FALSE;
    session->base.awaits_continuation = FALSE;
    *ret_text = g_steal_pointer(&session->base.continuation);
    return TRUE;
}

/* -- In ---------------------------------------------------------------------------------------- */

static void tell_end(Pop3Session *session, const InFlight *command, const Pop3Reply *refusal)
{
    g_autoptr(GError) error = NULL;

    if (refusal)
        pop3_session_refused(refusal->code, refusal->text, &error);
    if (session->handler->end)
        session->handler->end(session->handler_data, command->number, error);
}

/* The answer to the first command in flight is whole. */
static void complete(Pop3Session *session, gboolean ok)
{
    g_autofree InFlight *command = g_queue_pop_head(&session->in_flight);

    if (command->result)
        command->result->is_done = TRUE;
    else if (ok && command->needs_proof)
        session->unproved = command->number;
    else
        tell_end(session, command, ok ? NULL : pop3_parser_reply(session->parser));
}

gboolean pop3_session_lose_step(GError **error)
{
    return mail_fail(error, MAIL_ERROR_DAMAGED,
                     "the server does not mark the end of this message as RFC 1939 section 3 wants "
                     "it (a line in it may be a dot alone), so that it cannot be read; nothing of "
                     "it was kept, and it stays on the server");
}

/* TRUE when the reply says what the server alone can say of the message. */
static gboolean is_proved(const Pop3Session *session, const InFlight *proof)
{
    gsize length, n;
    const char *line = pop3_parser_line(session->parser, &length), *uid;
    guint32 number;
    guint64 size;

    if (!pop3_parser_reply(session->parser)->ok)
        return FALSE;
    line += strlen("+OK");
    length -= strlen("+OK");
    if (proof->uid)
        return pop3_response_uidl(line, length, &number, &uid, &n) && number == proof->number &&
               uid && n == strlen(proof->uid) && memcmp(uid, proof->uid, n) == 0;
    return !proof->size || (pop3_response_list(line, length, &number, &size) &&
                            number == proof->number && size == proof->size);
}

/* Of a message that was refused nothing is to be proved.  Behind the last answer nothing more may
 * have come. */
static gboolean take_proof(Pop3Session *session, GError **error)
{
    g_autofree InFlight *proof = g_queue_pop_head(&session->in_flight);

    if (!session->unproved)
        return TRUE;
    if (!is_proved(session, proof) ||
        (session->in_flight.length == 0 && pop3_parser_pending(session->parser) > 0))
        return pop3_session_lose_step(error);
    session->unproved = 0;
    tell_end(session, proof, NULL);
    return TRUE;
}

gboolean pop3_session_take_reply(Pop3Session *session, GError **error)
{
    const Pop3Reply *reply = pop3_parser_reply(session->parser);
    InFlight *command = g_queue_peek_head(&session->in_flight);

    if (!command)
        return mail_fail(error, MAIL_ERROR_PROTOCOL,
                         "the server sent an answer to a command that was not given");
    session->base.is_greeted = TRUE;
    if (command->is_proof)
        return take_proof(session, error);
    if (command->result) {
        command->result->ok = reply->ok;
        command->result->code = g_strdup(reply->code);
        command->result->text = g_strdup(reply->text);
    }
    if (!reply->ok || command->expects == POP3_EXPECT_REPLY) {
        complete(session, reply->ok);
        return TRUE;
    }
    pop3_parser_expect(session->parser, command->expects);
    if (command->expects == POP3_EXPECT_MESSAGE && session->handler->begin)
        session->handler->begin(session->handler_data, command->number);
    return TRUE;
}

gboolean pop3_session_take_line(Pop3Session *session, GError **error)
{
    const InFlight *command = g_queue_peek_head(&session->in_flight);
    gsize length;
    const char *line = pop3_parser_line(session->parser, &length);

    return command->take_line(session, command->into, line, length, error);
}

gboolean pop3_session_take_chunk(Pop3Session *session, GError **error)
{
    InFlight *command = g_queue_peek_head(&session->in_flight);
    gsize length;
    const char *data = pop3_parser_chunk(session->parser, &length);

    command->n_octets += length;
    if (command->n_octets > LIMIT_POP3_MESSAGE)
        return mail_fail(error, MAIL_ERROR_PROTOCOL,
                         "the server sends a message that does not end");
    if (session->handler->data)
        session->handler->data(session->handler_data, data, length);
    return TRUE;
}

gboolean pop3_session_take_end(Pop3Session *session, GError **error)
{
    complete(session, TRUE);
    return TRUE;
}

/* -- Messages ---------------------------------------------------------------------------------- */

static gboolean put_numbered(Pop3Session *session, const InFlight *command, const char *words,
                             GError **error)
{
    g_autofree char *line = g_strdup_printf("%s %u", words, command->number);

    return pop3_session_put(session, command, pop3_command_new(line, NULL, 0, error), G_MAXSIZE,
                            error);
}

/* Buffers the command of a task. */
static gboolean put_task(Pop3Session *session, Pop3Task task, guint32 number, guint32 n_lines,
                         GError **error)
{
    static const char *const words[] = {"RETR", "TOP", "DELE"};
    const InFlight command = {
        .expects = task == POP3_DELE ? POP3_EXPECT_REPLY : POP3_EXPECT_MESSAGE,
        .task = task,
        .number = number,
    };
    char line[64];

    if (task == POP3_DELE)
        session->n_marked++;
    if (task != POP3_TOP)
        return put_numbered(session, &command, words[task], error);
    g_snprintf(line, sizeof line, "TOP %u %u", number, n_lines);
    return pop3_session_put(session, &command, pop3_command_new(line, NULL, 0, error), G_MAXSIZE,
                            error);
}

static gboolean put_proved(Pop3Session *session, const Pop3Message *message, GError **error)
{
    const InFlight retr = {
        .expects = POP3_EXPECT_MESSAGE,
        .task = POP3_RETR,
        .number = message->number,
        .needs_proof = TRUE,
    };
    const InFlight proof = {
        .is_proof = TRUE,
        .number = message->number,
        .uid = message->uid,
        .size = message->size,
    };

    if (!put_numbered(session, &retr, "RETR", error))
        return FALSE;
    if (message->uid || message->size)
        return put_numbered(session, &proof, message->uid ? "UIDL" : "LIST", error);
    return pop3_session_put(session, &proof, pop3_command_new("NOOP", NULL, 0, error), G_MAXSIZE,
                            error);
}

static gboolean send_out(Pop3Session *session, GError **error)
{
    session->has_unsent = FALSE;
    return session_flush(&session->base, error);
}

gboolean pop3_session_send(Pop3Session *session, Pop3Task task, guint32 number, guint32 n_lines,
                           GError **error)
{
    if (!session_is_alive(&session->base, error))
        return FALSE;
    g_assert(session->base.state == STATE_READY);
    return put_task(session, task, number, n_lines, error) && send_out(session, error);
}

gboolean pop3_session_retrieve(Pop3Session *session, const Pop3Message *message, GError **error)
{
    if (!session_is_alive(&session->base, error))
        return FALSE;
    g_assert(session->base.state == STATE_READY);
    return put_proved(session, message, error) && send_out(session, error);
}

guint32 pop3_session_unproved(const Pop3Session *session)
{
    return session->unproved;
}

gboolean pop3_session_finish(Pop3Session *session, GError **error)
{
    return session_is_alive(&session->base, error) && make_room(session, 1, error);
}

static gboolean run_all(Pop3Session *session, Pop3Task task, const guint32 *numbers, guint n,
                        guint32 n_lines, GError **error)
{
    if (!session_is_alive(&session->base, error))
        return FALSE;
    g_assert(session->base.state == STATE_READY);
    for (guint i = 0; i < n; i++)
        if (!put_task(session, task, numbers[i], n_lines, error))
            return FALSE;
    return pop3_session_finish(session, error);
}

gboolean pop3_session_retr(Pop3Session *session, const guint32 *numbers, guint n, GError **error)
{
    return run_all(session, POP3_RETR, numbers, n, 0, error);
}

gboolean pop3_session_top(Pop3Session *session, const guint32 *numbers, guint n, guint32 n_lines,
                          GError **error)
{
    return run_all(session, POP3_TOP, numbers, n, n_lines, error);
}

gboolean pop3_session_dele(Pop3Session *session, const guint32 *numbers, guint n, GError **error)
{
    return run_all(session, POP3_DELE, numbers, n, 0, error);
}

static gboolean run(Pop3Session *session, const char *words, GError **error)
{
    g_auto(Pop3Result) result = {0};

    return pop3_session_ask(session, words, &result, error) &&
           (result.ok || pop3_session_refused(result.code, result.text, error));
}

gboolean pop3_session_rset(Pop3Session *session, GError **error)
{
    gboolean ok = run(session, "RSET", error);

    if (ok)
        session->n_marked = 0;
    return ok;
}

gboolean pop3_session_noop(Pop3Session *session, GError **error)
{
    return run(session, "NOOP", error);
}
