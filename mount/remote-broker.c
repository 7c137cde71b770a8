/* Questions to the supervisor from many threads over one socket.
 *
 * There is no thread of its own for reading: among those who wait, one reads (poll(2) bounded by
 * its own deadline), the others sleep on a condition.  When the reader has its answer or runs out
 * of time it wakes them all, and one of them goes on reading.  An answer that nobody waits for
 * any more is wiped and closed.
 */
#include "mount/remote-broker.h"
#include "mount/channel.h"

#include "base/error.h"

#include <poll.h>
#include <unistd.h>

typedef struct {
    guint32 id;
    gboolean is_done;
    Secret *secret;
    int fd;
    GError *error;
} Question;

typedef struct {
    Broker broker; /* first: a Broker * is a RemoteBroker * */
    int channel;

    GMutex lock; /* over what follows */
    GCond changed;
    guint32 last_id;
    GHashTable *questions; /* id -> Question on its asker's stack */
    gboolean is_reading;   /* somebody is in poll() */
    gboolean is_closed;    /* the supervisor has gone */
} RemoteBroker;

/* Hands one answer to the question it belongs to.  Locked. */
static void deliver(RemoteBroker *remote, ChannelMessage *message)
{
    Question *question =
        g_hash_table_lookup(remote->questions, GUINT_TO_POINTER(message->head.id));

    if (question && !question->is_done) {
        question->is_done = TRUE;
        if (message->head.type == CHANNEL_SECRET) {
            question->secret = secret_new(message->text, message->length);
        } else if (message->head.type == CHANNEL_TUNNEL && message->fd >= 0) {
            question->fd = message->fd;
            message->fd = -1;
        } else {
            guint32 code = message->head.code;

            question->error = g_error_new(
                MAIL_ERROR, code < MAIL_ERROR_N_CODES ? (int)code : MAIL_ERROR_LOCKED, "%s",
                message->length > 0 ? message->text : "the supervisor gave no reason");
        }
    }
    channel_message_clear(message);
}

/* Waits for packets and hands them out, until @mine is answered or its time is up.  Locked, but
 * not while it waits. */
static void read_for_all(RemoteBroker *remote, const Question *mine, Deadline deadline)
{
    struct pollfd entry = {.fd = remote->channel, .events = POLLIN};
    ChannelMessage message;

    remote->is_reading = TRUE;
    while (!mine->is_done && !remote->is_closed && !deadline_passed(deadline)) {
        ChannelResult result = channel_receive(remote->channel, &message);

        if (result == CHANNEL_MESSAGE) {
            deliver(remote, &message);
            g_cond_broadcast(&remote->changed);
        } else if (result == CHANNEL_CLOSED) {
            remote->is_closed = TRUE;
        } else {
            g_mutex_unlock(&remote->lock);
            (void)poll(&entry, 1, deadline_poll_ms(deadline));
            g_mutex_lock(&remote->lock);
        }
    }
    remote->is_reading = FALSE;
    g_cond_broadcast(&remote->changed);
}

static void sleep_until_changed(RemoteBroker *remote, Deadline deadline)
{
    int ms = deadline_poll_ms(deadline);

    if (ms < 0)
        g_cond_wait(&remote->changed, &remote->lock);
    else
        (void)g_cond_wait_until(&remote->changed, &remote->lock,
                                g_get_monotonic_time() + (gint64)ms * 1000);
}

/* Asks and waits; on TRUE @question has a secret or a descriptor. */
static gboolean ask(RemoteBroker *remote, ChannelHead head, const char *account,
                    Deadline deadline, Question *question, GError **error)
{
    gboolean is_sent;

    g_mutex_lock(&remote->lock);
    head.id = question->id = ++remote->last_id;
    g_hash_table_insert(remote->questions, GUINT_TO_POINTER(question->id), question);
    is_sent = channel_send_text(remote->channel, head, account, &question->error);
    question->is_done = !is_sent;
    while (!question->is_done && !remote->is_closed && !deadline_passed(deadline)) {
        if (remote->is_reading)
            sleep_until_changed(remote, deadline);
        else
            read_for_all(remote, question, deadline);
    }
    g_hash_table_remove(remote->questions, GUINT_TO_POINTER(question->id));
    g_mutex_unlock(&remote->lock);

    if (question->error) {
        g_propagate_error(error, g_steal_pointer(&question->error));
        return FALSE;
    }
    if (!question->is_done && remote->is_closed)
        return mail_fail(error, MAIL_ERROR_LOCKED, "the mailfs supervisor has ended");
    if (!question->is_done)
        return mail_fail(error, MAIL_ERROR_TIMEOUT, "account %s: no answer from the supervisor "
                         "in time", account);
    return TRUE;
}

static Secret *get_secret(Broker *broker, const char *account, gboolean stale, Deadline deadline,
                          GError **error)
{
    Question question = {.fd = -1};
    ChannelHead head = {.type = CHANNEL_GET_SECRET, .code = stale ? 1 : 0};

    if (!ask((RemoteBroker *)broker, head, account, deadline, &question, error))
        return NULL;
    if (!question.secret) {
        if (question.fd >= 0)
            (void)close(question.fd);
        mail_fail(error, MAIL_ERROR_LOCKED, "the supervisor answered something else");
    }
    return question.secret;
}

static int open_tunnel(Broker *broker, const char *account, Deadline deadline, GError **error)
{
    Question question = {.fd = -1};
    ChannelHead head = {.type = CHANNEL_OPEN_TUNNEL};

    if (!ask((RemoteBroker *)broker, head, account, deadline, &question, error))
        return -1;
    if (question.fd < 0) {
        secret_unref(question.secret);
        mail_fail(error, MAIL_ERROR_LOCKED, "the supervisor answered something else");
    }
    return question.fd;
}

Broker *remote_broker_new(int channel)
{
    RemoteBroker *remote = g_new0(RemoteBroker, 1);

    remote->broker.get_secret = get_secret;
    remote->broker.open_tunnel = open_tunnel;
    remote->channel = channel;
    g_mutex_init(&remote->lock);
    g_cond_init(&remote->changed);
    remote->questions = g_hash_table_new(NULL, NULL);
    return &remote->broker;
}

void remote_broker_free(Broker *broker)
{
    RemoteBroker *remote = (RemoteBroker *)broker;

    if (!remote)
        return;
    g_hash_table_unref(remote->questions);
    g_cond_clear(&remote->changed);
    g_mutex_clear(&remote->lock);
    g_free(remote);
}
