/* STAT, LIST and UIDL: what is in the maildrop.
 *
 * Both lists are put together by message number.  A server may leave numbers out, repeat them, or
 * list one here and not there; each line is taken for what it says, and a number of which UIDL says
 * two things has no unique-id.  What two messages with one id mean is for those to decide who know
 * what the id meant before.
 */
#include "client/pop3-internal.h"
#include "base/error.h"
#include "base/limits.h"

#include <string.h>

typedef struct {
    Pop3Maildrop *maildrop;
    gboolean is_uidl;
    guint n_lines;
} Listing;

enum { CHUNK_SIZE = 64 * 1024 };

static const char ambiguous[] = ""; /* a uid while the list is read: two were there */

void pop3_maildrop_free(Pop3Maildrop *maildrop)
{
    if (!maildrop)
        return;
    g_array_unref(maildrop->messages);
    g_string_chunk_free(maildrop->uids);
    g_free(maildrop);
}

static Pop3Maildrop *maildrop_new(void)
{
    Pop3Maildrop *maildrop = g_new0(Pop3Maildrop, 1);

    maildrop->messages = g_array_new(FALSE, TRUE, sizeof(Pop3Message));
    maildrop->uids = g_string_chunk_new(CHUNK_SIZE);
    return maildrop;
}

/* While the lists are read, message N is at index N - 1; one that is not listed has number 0. */
static Pop3Message *message_at(Pop3Maildrop *maildrop, guint32 number)
{
    Pop3Message *message;

    if (maildrop->messages->len < number)
        g_array_set_size(maildrop->messages, number);
    message = &g_array_index(maildrop->messages, Pop3Message, number - 1);
    message->number = number;
    return message;
}

static void take_uid(Pop3Maildrop *maildrop, Pop3Message *message, const char *uid, gsize length)
{
    if (message->uid == ambiguous)
        return;
    if (!uid)
        message->uid = ambiguous;
    else if (!message->uid)
        message->uid = g_string_chunk_insert_len(maildrop->uids, uid, (gssize)length);
    else if (strlen(message->uid) != length || memcmp(message->uid, uid, length) != 0)
        message->uid = ambiguous;
}

static gboolean take_line(Pop3Session *session, gpointer into, const char *line, gsize length,
                          GError **error)
{
    Listing *listing = into;
    const char *uid = NULL;
    gsize uid_length = 0;
    guint64 size = 0;
    guint32 number;
    Pop3Message *message;

    if (++listing->n_lines > LIMIT_MESSAGES)
        number = G_MAXUINT32;
    else if (listing->is_uidl ? !pop3_response_uidl(line, length, &number, &uid, &uid_length)
                              : !pop3_response_list(line, length, &number, &size))
        return TRUE; /* a line without sense says nothing */
    if (number > LIMIT_MESSAGES)
        return mail_fail(error, MAIL_ERROR_TOOBIG,
                         "the mailbox has more than %d messages, which is more than mailfs reads",
                         LIMIT_MESSAGES);
    message = message_at(listing->maildrop, number);
    if (listing->is_uidl) {
        take_uid(listing->maildrop, message, uid, uid_length);
        return TRUE;
    }
    listing->maildrop->n_listed += !message->is_listed;
    message->is_listed = TRUE;
    message->size = size;
    return TRUE;
}

/* Takes out the numbers that are not listed. */
static void close_gaps(GArray *messages)
{
    guint n = 0;

    for (guint i = 0; i < messages->len; i++) {
        Pop3Message message = g_array_index(messages, Pop3Message, i);

        if (message.number == 0)
            continue;
        if (message.uid == ambiguous)
            message.uid = NULL;
        g_array_index(messages, Pop3Message, n++) = message;
    }
    g_array_set_size(messages, n);
}

/* -ERR to a list: of an empty maildrop some servers have none to give.  To UIDL it means that the
 * server does not know it, unless it said that it does, or says that it is something else: ids
 * that are away for a moment must not look like ids that never were. */
static gboolean judge_list(const Pop3Session *session, const Pop3Maildrop *maildrop,
                           const Pop3Result *result, gboolean is_uidl, GError **error)
{
    g_autoptr(GError) refused = NULL;

    if (result->ok || maildrop->n_messages == 0)
        return TRUE;
    pop3_session_refused(result->code, result->text, &refused);
    if (is_uidl && !session->caps.has[POP3_CAP_UIDL] && !mail_error_is(refused, MAIL_ERROR_BUSY))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&refused));
    return FALSE;
}

/* STAT's numbers, or the sum of LIST's. */
static gboolean judge_stat(Pop3Maildrop *maildrop, const Pop3Result *result, GError **error)
{
    if (!result->ok)
        return pop3_session_refused(result->code, result->text, error);
    if (pop3_response_stat(result->text, &maildrop->n_messages, &maildrop->octets))
        return TRUE;
    maildrop->n_messages = maildrop->messages->len;
    maildrop->octets = 0;
    for (guint i = 0; i < maildrop->messages->len; i++)
        maildrop->octets += g_array_index(maildrop->messages, Pop3Message, i).size;
    return TRUE;
}

static gboolean put_list(Pop3Session *session, const char *words, Listing *listing,
                         Pop3Result *result, GError **error)
{
    const InFlight command = {
        .expects = listing ? POP3_EXPECT_LINES : POP3_EXPECT_REPLY,
        .take_line = take_line,
        .into = listing,
        .result = result,
    };

    return pop3_session_put(session, &command, pop3_command_new(words, NULL, 0, error), G_MAXSIZE,
                            error);
}

Pop3Maildrop *pop3_session_list(Pop3Session *session, GError **error)
{
    g_autoptr(Pop3Maildrop) maildrop = maildrop_new();
    g_auto(Pop3Result) stat = {0}, list = {0}, uidl = {0};
    Listing sizes = {.maildrop = maildrop}, uids = {.maildrop = maildrop, .is_uidl = TRUE};

    if (!session_is_alive(&session->base, error))
        return NULL;
    g_assert(session->base.state == STATE_READY);
    if (!put_list(session, "STAT", NULL, &stat, error) ||
        !put_list(session, "LIST", &sizes, &list, error) ||
        !put_list(session, "UIDL", &uids, &uidl, error) || !pop3_session_finish(session, error))
        return NULL;
    close_gaps(maildrop->messages);
    maildrop->has_uids = uidl.ok;
    if (!judge_stat(maildrop, &stat, error) ||
        !judge_list(session, maildrop, &list, FALSE, error) ||
        !judge_list(session, maildrop, &uidl, TRUE, error))
        return NULL;
    return g_steal_pointer(&maildrop);
}

gboolean pop3_session_stat(Pop3Session *session, guint32 *ret_n_messages, guint64 *ret_octets,
                           GError **error)
{
    g_auto(Pop3Result) result = {0};
    GError *cause = NULL;

    if (!pop3_session_ask(session, "STAT", &result, error))
        return FALSE;
    if (!result.ok)
        return pop3_session_refused(result.code, result.text, error);
    if (pop3_response_stat(result.text, ret_n_messages, ret_octets))
        return TRUE;
    mail_fail(&cause, MAIL_ERROR_PROTOCOL, "the server's count of messages makes no sense (%s)",
              result.text);
    return session_die(&session->base, cause, error);
}
