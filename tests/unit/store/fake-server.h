/* A server as a store sees it through its backend: mailboxes, messages, and connections that are
 * lost right before or right after a change.  Jobs are carried out from the main loop, so that
 * nothing is answered within a call.  Included by one test program each, therefore all static. */
#pragma once

#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "store/change-internal.h"

typedef struct {
    guint32 uid;
    guint64 size, fingerprint;
    gint64 date;
    guint16 flags;
} FakeMessage;

typedef struct {
    char *wire;
    guint32 uidvalidity, uidnext;
    GArray *messages; /* of FakeMessage */
} FakeMailbox;

typedef enum { LOSE_NOTHING, LOSE_COMMAND, LOSE_ANSWER } FakeLoss;

typedef struct {
    GPtrArray *mailboxes; /* of FakeMailbox */
    gboolean has_move, has_uidplus;
    gboolean hides;   /* EXPUNGE would take others' mail: it only marks */
    gboolean is_down; /* nobody gets a connection */
    gboolean is_mute; /* changes get no answer at all: to be killed while one is out */
    /* The next change of the kind: its command, or its answer, is lost. */
    FakeLoss loss;
    JobKind loses;
    gboolean is_sync_lost;     /* the connection, before the next SYNC is answered */
    gboolean is_sync_repeated; /* the next SYNC loses its connection when it has told all */
    gboolean is_list_late;   /* the next LIST's answer comes after that of a change */
    gboolean is_change_late; /* the next change's answer comes after that of a SYNC */
    GQueue late;             /* of Event */
    GString *commands; /* "COPY EXPUNGE": changes that were carried out */
    guint32 next_uidvalidity;
    GQueue jobs;
    guint source;
    BackendEventFunc event;
    gpointer user;
} FakeServer;

static FakeServer fake; /* one a program, for a backend's table has no room for a pointer */

/* -- What is there ----------------------------------------------------------------------------- */

static inline void fake_mailbox_free(gpointer data)
{
    FakeMailbox *mailbox = data;

    g_free(mailbox->wire);
    g_array_unref(mailbox->messages);
    g_free(mailbox);
}

static inline FakeMailbox *fake_find(const char *wire)
{
    for (guint i = 0; i < fake.mailboxes->len; i++) {
        FakeMailbox *mailbox = g_ptr_array_index(fake.mailboxes, i);

        if (g_str_equal(mailbox->wire, wire))
            return mailbox;
    }
    return NULL;
}

static inline FakeMailbox *fake_add_mailbox(const char *wire)
{
    FakeMailbox *mailbox = g_new0(FakeMailbox, 1);

    mailbox->wire = g_strdup(wire);
    mailbox->uidvalidity = fake.next_uidvalidity++;
    mailbox->uidnext = 1;
    mailbox->messages = g_array_new(FALSE, TRUE, sizeof(FakeMessage));
    g_ptr_array_add(fake.mailboxes, mailbox);
    return mailbox;
}

static inline FakeMessage *fake_find_uid(FakeMailbox *mailbox, guint32 uid)
{
    for (guint i = 0; i < mailbox->messages->len; i++) {
        FakeMessage *message = &g_array_index(mailbox->messages, FakeMessage, i);

        if (message->uid == uid)
            return message;
    }
    return NULL;
}

static inline guint32 fake_deliver(FakeMailbox *mailbox, FakeMessage message)
{
    message.uid = mailbox->uidnext++;
    g_array_append_val(mailbox->messages, message);
    return message.uid;
}

static inline void fake_remove(FakeMailbox *mailbox, guint32 uid)
{
    FakeMessage *message = fake_find_uid(mailbox, uid);

    if (message)
        g_array_remove_index(mailbox->messages,
                             (guint)(message - (FakeMessage *)mailbox->messages->data));
}

/* -- Reading jobs ------------------------------------------------------------------------------ */

static inline Event *fake_end(Job *job, GError *error)
{
    Event *event = event_new(EVENT_DONE, job);

    event->done = job;
    event->error = error;
    return event;
}

static inline void fake_done(Job *job, GError *error)
{
    fake.event(fake_end(job, error), fake.user);
}

static inline void fake_list(Job *job)
{
    Event *event = event_new(EVENT_MAILBOXES, job);

    event->mailboxes = g_array_new(FALSE, TRUE, sizeof(ListedMailbox));
    g_array_set_clear_func(event->mailboxes, (GDestroyNotify)listed_mailbox_clear);
    event->is_list = event->is_whole = TRUE;
    for (guint i = 0; i < fake.mailboxes->len; i++) {
        const FakeMailbox *mailbox = g_ptr_array_index(fake.mailboxes, i);
        ListedMailbox listed = {.wire = g_strdup(mailbox->wire),
                                .path = g_strsplit(mailbox->wire, "/", -1),
                                .delimiter = '/'};

        g_array_append_val(event->mailboxes, listed);
    }
    if (fake.is_list_late) {
        fake.is_list_late = FALSE;
        g_queue_push_tail(&fake.late, event);
        g_queue_push_tail(&fake.late, fake_end(job, NULL));
        return;
    }
    fake.event(event, fake.user);
    fake_done(job, NULL);
}

static inline Message *fake_row(const FakeMessage *from)
{
    Message *message = message_new();

    message->uid = from->uid;
    message->size = from->size;
    message->date = from->date;
    message->fingerprint = from->fingerprint;
    message->flags = from->flags;
    message->name = g_strdup_printf("generated.%u.eml", from->uid);
    return message;
}

static inline void fake_sync(Job *job)
{
    FakeMailbox *mailbox = fake_find(job->wire);
    Event *begin, *news, *flags, *gone, *state;
    GError *error = NULL;

    if (fake.is_sync_lost) {
        fake.is_sync_lost = FALSE;
        mail_fail(&error, MAIL_ERROR_OFFLINE, "the connection was lost");
        fake_done(job, error);
        return;
    }
    if (!mailbox) {
        mail_fail(&error, MAIL_ERROR_GONE, "no such mailbox");
        fake_done(job, error);
        return;
    }
    begin = event_new(EVENT_SYNC_BEGIN, job);
    begin->uidvalidity = mailbox->uidvalidity;
    begin->is_reset = job->known.uidvalidity != mailbox->uidvalidity;
    begin->n_expected = mailbox->messages->len;
    news = event_new(EVENT_MESSAGES, job);
    news->messages = g_ptr_array_new_with_free_func((GDestroyNotify)message_free);
    flags = event_new(EVENT_FLAGS, job);
    flags->flags = g_array_new(FALSE, TRUE, sizeof(FlagChange));
    gone = event_new(EVENT_VANISHED, job);
    gone->uids = uid_set_copy(job->known.uids);
    for (guint i = 0; i < mailbox->messages->len; i++) {
        const FakeMessage *message = &g_array_index(mailbox->messages, FakeMessage, i);

        g_array_append_vals(flags->flags,
                            &(FlagChange){.uid = message->uid, .flags = message->flags}, 1);
        if (begin->is_reset || !uid_set_contains(job->known.uids, message->uid))
            g_ptr_array_add(news->messages, fake_row(message));
        uid_set_remove(gone->uids, message->uid);
    }
    state = event_new(EVENT_SYNC_STATE, job);
    state->uidvalidity = mailbox->uidvalidity;
    state->uidnext = mailbox->uidnext;
    fake.event(begin, fake.user);
    fake.event(news, fake.user);
    fake.event(flags, fake.user);
    fake.event(gone, fake.user);
    fake.event(state, fake.user);
    if (fake.is_sync_repeated) {
        fake.is_sync_repeated = FALSE;
        g_queue_push_head(&fake.jobs, job); /* as a backend tries a read once more */
        return;
    }
    fake_done(job, NULL);
}

/* -- Changes ----------------------------------------------------------------------------------- */

static inline void fake_copy(Job *job, GError **error)
{
    FakeMailbox *from = fake_find(job->wire), *to = fake_find(job->change->target);
    gboolean is_move = job->change->is_move && fake.has_move;

    if (!from || !to) {
        mail_fail(error, MAIL_ERROR_GONE, "[TRYCREATE] no such mailbox");
        return;
    }
    for (guint i = 0; i < job->change->messages->len; i++) {
        ChangeMessage *each = &g_array_index(job->change->messages, ChangeMessage, i);
        FakeMessage *message = fake_find_uid(from, each->uid);
        guint32 uid;

        if (!message)
            continue;
        uid = fake_deliver(to, *message);
        each->is_done = TRUE;
        if (fake.has_uidplus)
            each->target_uid = uid;
        if (is_move)
            fake_remove(from, each->uid);
    }
    job->change->did_move = is_move;
    if (fake.has_uidplus)
        job->change->uidvalidity = to->uidvalidity;
}

static inline void fake_flags(Job *job)
{
    FakeMailbox *mailbox = fake_find(job->wire);

    for (guint i = 0; i < job->change->messages->len; i++) {
        ChangeMessage *each = &g_array_index(job->change->messages, ChangeMessage, i);
        FakeMessage *message = fake_find_uid(mailbox, each->uid);

        each->is_done = TRUE;
        if (message)
            message->flags = (guint16)((message->flags | job->change->flags) &
                                       ~job->change->flags_removed);
    }
}

static inline void fake_expunge(Job *job, GError **error)
{
    FakeMailbox *mailbox = fake_find(job->wire);
    guint n_left = 0;

    if (fake.hides) {
        job->change->flags = MESSAGE_DELETED;
        fake_flags(job);
        job->change->is_hidden = TRUE;
        for (guint i = 0; i < job->change->messages->len; i++)
            g_array_index(job->change->messages, ChangeMessage, i).is_done = FALSE;
        return;
    }
    for (guint i = 0; i < job->change->messages->len; i++) {
        ChangeMessage *each = &g_array_index(job->change->messages, ChangeMessage, i);
        const FakeMessage *message = fake_find_uid(mailbox, each->uid);

        each->is_done = !message || ((!each->date || each->date == message->date) &&
                                     (!each->size || each->size == message->size));
        n_left += !each->is_done;
        if (message && each->is_done)
            fake_remove(mailbox, each->uid);
    }
    if (n_left > 0 && n_left == job->change->messages->len)
        mail_fail(error, MAIL_ERROR_GONE, "another message has this number now");
}

static inline void fake_rename(const char *from, const char *to)
{
    gsize length = strlen(from);

    for (guint i = 0; i < fake.mailboxes->len; i++) {
        FakeMailbox *mailbox = g_ptr_array_index(fake.mailboxes, i);
        g_autofree char *before = mailbox->wire;

        if (g_str_has_prefix(before, from) && (!before[length] || before[length] == '/'))
            mailbox->wire = g_strconcat(to, before + length, NULL);
        else
            (void)g_steal_pointer(&before);
    }
}

static inline void fake_change_mailbox(Job *job, GError **error)
{
    FakeMailbox *mailbox = fake_find(job->wire);
    MailboxVerb verb = job->change->verb;
    gboolean is_taken = verb == MAILBOX_CREATE
                            ? mailbox != NULL
                            : verb == MAILBOX_RENAME && mailbox && fake_find(job->change->target);

    if (is_taken)
        mail_fail(error, MAIL_ERROR_EXISTS, "it exists");
    else if (verb != MAILBOX_CREATE && !mailbox)
        mail_fail(error, MAIL_ERROR_GONE, "no such mailbox");
    else if (verb == MAILBOX_CREATE)
        fake_add_mailbox(job->wire);
    else if (verb == MAILBOX_DELETE)
        g_ptr_array_remove(fake.mailboxes, mailbox);
    else
        fake_rename(job->wire, job->change->target);
}

/* APPEND as far as a rescue needs it. */
static inline void fake_append(Job *job, GError **error)
{
    FakeMailbox *mailbox = fake_find(job->wire);
    FakeMessage message = {.size = job->change->size,
                           .date = job->change->date,
                           .fingerprint = message_fingerprint(job->change->message_id)};

    if (!mailbox) {
        mail_fail(error, MAIL_ERROR_GONE, "no such mailbox");
        return;
    }
    job->change->uid = fake_deliver(mailbox, message);
    job->change->uidvalidity = mailbox->uidvalidity;
}

static inline void fake_carry_out(Job *job, GError **error)
{
    static const char *const names[] = {"LIST", "SYNC",  "FETCH",   "APPEND", "FIND",
                                        "COPY", "FLAGS", "EXPUNGE", "MAILBOX"};

    g_string_append_printf(fake.commands, "%s%s", fake.commands->len ? " " : "",
                           names[job->kind]);
    switch (job->kind) {
    case JOB_APPEND:
        fake_append(job, error);
        break;
    case JOB_COPY:
        fake_copy(job, error);
        break;
    case JOB_FLAGS:
        fake_flags(job);
        break;
    case JOB_EXPUNGE:
        fake_expunge(job, error);
        break;
    case JOB_MAILBOX:
        fake_change_mailbox(job, error);
        break;
    default:
        g_assert_not_reached();
    }
}

static inline void fake_catch_up(void)
{
    Event *event;

    while ((event = g_queue_pop_head(&fake.late)))
        fake.event(event, fake.user);
}

static inline void fake_change(Job *job)
{
    FakeLoss loss = job->kind == fake.loses ? fake.loss : LOSE_NOTHING;
    GError *error = NULL;

    if (loss)
        fake.loss = LOSE_NOTHING;
    if (loss != LOSE_COMMAND)
        fake_carry_out(job, &error);
    if (loss) {
        g_clear_error(&error);
        mail_fail(&error, MAIL_ERROR_OFFLINE, "the connection was lost");
        for (guint i = 0; job->change->messages && i < job->change->messages->len; i++) {
            ChangeMessage *each = &g_array_index(job->change->messages, ChangeMessage, i);

            each->is_done = FALSE;
            each->target_uid = 0;
        }
        job->change->uid = 0;
        job->change->did_move = FALSE;
    }
    job->change->was_sent = TRUE;
    if (loss && fake.is_mute)
        job_free(job); /* the process dies before it hears of it */
    else if (fake.is_change_late)
        g_queue_push_tail(&fake.late, fake_end(job, error));
    else
        fake_done(job, error);
    if (fake.is_mute)
        g_clear_error(&error);
    if (!fake.is_change_late)
        fake_catch_up();
    fake.is_change_late = FALSE;
}

static inline gboolean fake_work(gpointer user)
{
    Job *job = g_queue_pop_head(&fake.jobs);
    gboolean is_sync = job->kind == JOB_SYNC;

    if (job->kind == JOB_LIST)
        fake_list(job);
    else if (job->kind == JOB_SYNC)
        fake_sync(job);
    else
        fake_change(job);
    if (is_sync && g_queue_is_empty(&fake.jobs))
        fake_catch_up();
    if (!g_queue_is_empty(&fake.jobs))
        return G_SOURCE_CONTINUE;
    fake.source = 0;
    return G_SOURCE_REMOVE;
}

/* -- The backend ------------------------------------------------------------------------------- */

static inline gboolean fake_connect(gpointer user)
{
    Event *event = event_new(EVENT_LINK, NULL);

    event->link = fake.is_down ? LINK_OFFLINE : LINK_ONLINE;
    if (fake.is_down)
        mail_fail(&event->error, MAIL_ERROR_OFFLINE, "no route to host");
    fake.event(event, fake.user);
    return G_SOURCE_REMOVE;
}

static inline Backend *fake_start(const BackendParams *params)
{
    fake.event = params->event;
    fake.user = params->user;
    g_queue_init(&fake.jobs);
    g_idle_add(fake_connect, NULL);
    return (Backend *)&fake;
}

static inline void fake_stop(Backend *backend)
{
    if (fake.source)
        g_source_remove(fake.source);
    fake.source = 0;
    g_queue_clear_full(&fake.jobs, (GDestroyNotify)job_free);
    g_queue_clear_full(&fake.late, (GDestroyNotify)event_free);
}

static inline void fake_submit(Backend *backend, Job *job)
{
    g_queue_push_tail(&fake.jobs, job);
    if (!fake.source)
        fake.source = g_idle_add(fake_work, NULL);
}

static inline void fake_watch(Backend *backend, const char *wire)
{
}

static inline char *fake_encode(const char *component)
{
    return g_strdup(component);
}

static inline char **fake_path(const char *wire, char delimiter)
{
    return g_strsplit(wire, "/", -1);
}

static inline GHashTable *fake_traffic(Backend *backend, guint64 *in, guint64 *out, guint *n)
{
    *in = *out = *n = 0;
    return g_hash_table_new(g_str_hash, g_str_equal);
}

static const BackendOps fake_ops = {
    .start = fake_start,
    .stop = fake_stop,
    .submit = fake_submit,
    .watch = fake_watch,
    .encode = fake_encode,
    .path = fake_path,
    .traffic = fake_traffic,
};
