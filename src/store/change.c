/* A change's life: how it is made, its entry in the journal, its jobs, and its end.
 *
 * Everything that must be done in the right order for all kinds is here: no job goes out before the
 * entry that names it is durable (J2, J3), nobody is answered before the server was, and what is
 * given up leaves a line in the queue.  Whose turn it is, is change-turn.c's business; what a kind
 * does then is its own (change-*.c).
 *
 * In the usual case, online and nothing in the way, PREP and SENT are one commit: the entry is
 * first written as SENT, which only means that a search is due if the answer never comes.
 */
#include "store/change-internal.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/limits.h"

enum {
    /* Refusals that the queue remembers; the oldest go first. */
    MAX_FAILED = 200,
    FIRST_RETRY_MS = 250,
};

void change_progress(Change *change)
{
    change->last_progress = change->store->change_progress = deadline_now();
}

/* -- Making and ending ------------------------------------------------------------------------- */

static const ChangeOps *const kinds[JOURNAL_N_KINDS] = {
    [JOURNAL_CREATE] = &change_create_ops,   [JOURNAL_COPY] = &change_transfer_ops,
    [JOURNAL_MOVE] = &change_transfer_ops,   [JOURNAL_EXPUNGE] = &change_expunge_ops,
    [JOURNAL_FLAGS] = &change_flags_ops,     [JOURNAL_MAILBOX] = &change_mailbox_ops,
};

Change *change_from_entry(Store *store, JournalEntry *entry)
{
    Change *change = g_new0(Change, 1);

    change->store = store;
    change->ops = kinds[entry->kind];
    change->entry = entry;
    change->waiters = g_ptr_array_new();
    if (!entry->messages)
        entry->messages = g_array_new(FALSE, TRUE, sizeof(JournalMessage));
    change_progress(change);
    store->changes = g_list_append(store->changes, change);
    return change;
}

Change *change_new(Store *store, JournalKind kind, Mailbox *mailbox)
{
    JournalEntry *entry = journal_entry_new(kind);

    entry->id = journal_next_id(store->disk);
    entry->state = JOURNAL_PREP;
    entry->made = store_now();
    if (mailbox) {
        entry->mailbox = mailbox->number;
        entry->wire = g_strdup(mailbox->wire);
        entry->uidvalidity = mailbox->uidvalidity;
    }
    return change_from_entry(store, entry);
}

static void change_free(Change *change)
{
    for (guint i = 0; i < change->waiters->len; i++)
        change_waiter_free(g_ptr_array_index(change->waiters, i));
    g_ptr_array_unref(change->waiters);
    if (change->ready)
        store_wait_cancel(change->ready);
    journal_entry_free(change->entry);
    job_free(change->next_job);
    local_unref(change->file);
    g_free(change->scratch_name);
    if (change->own)
        change->own_free(change->own);
    g_free(change);
}

static void resume_sync(Store *store, guint16 number)
{
    Mailbox *mailbox = number ? account_find_number(store->account, number) : NULL;

    if (mailbox && !store_is_changing(store, mailbox))
        store_sync_resume(store, mailbox);
}

/* Out of the list; @error for who still waits, NULL: it is done. */
void change_end(Change *change, const GError *error)
{
    Store *store = change->store;
    guint16 mailbox = change->entry->mailbox, target = change->entry->target_mailbox;

    g_assert(!change->is_saving);
    change_answer_all(change, error);
    store->changes = g_list_remove(store->changes, change);
    change_free(change);
    resume_sync(store, mailbox);
    resume_sync(store, target);
    change_schedule(store);
    change_answer_drains(store);
    store->params.observer->state_changed(store, store->params.user);
}

/* -- The journal ------------------------------------------------------------------------------- */

/* J6: what the disk did not take, it may have lost without saying so the next time. */
void change_lose_faith(Store *store, const GError *error)
{
    if (store->write_failure || !mail_error_is(error, MAIL_ERROR_CACHE))
        return;
    store->write_failure = g_strdup_printf(
        "%s takes no changes until it is mounted again: the journal could not be written: %s",
        store->account->id, error->message);
    g_critical("%s", store->write_failure);
}

/* PREP is durable and SENT could not be made so: nothing was sent, and what is answered with an
 * error is not to be carried out by the next start. */
static void forget_entry(const Change *change)
{
    DiskBatch *batch = disk_batch_new();

    disk_batch_remove_journal(batch, change->entry->id);
    disk_submit(change->store->disk, batch, NULL, NULL);
}

static void on_saved(const GError *error, gpointer user)
{
    Change *change = user;
    void (*then)(Change *) = change->then;

    change->is_saving = FALSE;
    if (!error) {
        FAULT("change-saved");
        change->was_saved = TRUE;
        if (change->stale_stage)
            stage_remove(change->store->disk, change->stale_stage);
        change->stale_stage = 0;
        then(change);
        return;
    }
    change_lose_faith(change->store, error);
    if (change->entry->state == JOURNAL_HALF) {
        change_postpone(change, error);
        return;
    }
    g_clear_pointer(&change->next_job, job_free);
    if (change->was_saved)
        change->entry->state = JOURNAL_PREP; /* as the disk has it */
    if (change->was_saved && change->was_queued) {
        change_postpone(change, error);
        return;
    }
    if (change->was_saved)
        forget_entry(change);
    if (change->ops->undo)
        change->ops->undo(change, error);
    g_message("%s: %s was not begun: %s", change->store->account->id,
              journal_kind_name(change->entry->kind), error->message);
    change_end(change, error);
}

void change_save(Change *change, DiskBatch *batch, void (*then)(Change *change))
{
    g_assert(!change->is_saving);
    if (!batch)
        batch = disk_batch_new();
    disk_batch_put_journal(batch, change->entry);
    if (change->file && !change->was_saved)
        change->stale_stage = local_forget_promise(change->file, batch, change->revision);
    change->is_saving = TRUE;
    change->then = then;
    disk_submit(change->store->disk, batch, on_saved, change);
}

/* -- Jobs -------------------------------------------------------------------------------------- */

Job *change_job(JobKind kind, const char *wire, guint32 uidvalidity)
{
    Job *job = job_new(kind, JOB_INTERACTIVE);

    job->wire = g_strdup(wire);
    job->uidvalidity = uidvalidity;
    return job;
}

Job *change_own_job(const Change *change, JobKind kind)
{
    Job *job = change_job(kind, change->entry->wire, change->entry->uidvalidity);

    job->mailbox = change->entry->mailbox;
    return job;
}

void change_fill_messages(const Change *change, Job *job)
{
    GArray *messages = g_array_new(FALSE, TRUE, sizeof(ChangeMessage));

    for (guint i = 0; i < change->entry->messages->len; i++) {
        const JournalMessage *each =
            &g_array_index(change->entry->messages, JournalMessage, i);
        ChangeMessage message = {.uid = each->uid, .item = each->item,
                                 .date = each->date, .size = each->size};

        if (!each->is_done)
            g_array_append_val(messages, message);
    }
    job->change->messages = messages;
}

void change_submit(Change *change, Job *job)
{
    change->phase = CHANGE_AT_WORK;
    change->job = job->id;
    store_submit(change->store, job);
}

static void submit_next(Change *change)
{
    change_submit(change, g_steal_pointer(&change->next_job));
}

void change_send(Change *change, JournalState state, Job *job)
{
    if (change->entry->state == state && change->was_saved) {
        change_submit(change, job);
        return;
    }
    change->entry->state = state;
    change->next_job = job;
    change_save(change, NULL, submit_next);
}

static Change *find_by_job(const Store *store, guint64 job)
{
    for (GList *link = store->changes; link; link = link->next)
        if (((Change *)link->data)->job == job)
            return link->data;
    return NULL;
}

void store_changes_done(Store *store, Event *event)
{
    Change *change = find_by_job(store, event->done->id);

    if (!change)
        return;
    change->job = 0;
    change_progress(change);
    change->ops->answered(change, event->done, event->error);
}

void store_changes_sent(Store *store, const Event *event)
{
    Change *change = find_by_job(store, event->job);

    if (!change)
        return;
    change->n_sent = event->received;
    change_progress(change);
}

/* -- Ends -------------------------------------------------------------------------------------- */

void change_abandon(Change *change, const GError *error)
{
    change_lose_faith(change->store, error);
    g_message("%s: %s: %s", change->store->account->id, journal_kind_name(change->entry->kind),
              error->message);
    change_end(change, error);
}

void change_finish(Change *change, DiskBatch *batch)
{
    Store *store = change->store;

    FAULT("change-finish");
    if (!batch)
        batch = disk_batch_new();
    disk_batch_remove_journal(batch, change->entry->id);
    disk_submit(store->disk, batch, NULL, NULL);
    change_end(change, NULL);
}

/* What is worth a line in the queue: what a person might want to know or try again, and not that
 * somebody else was faster. */
static gboolean is_worth_keeping(const Change *change, const GError *error)
{
    gboolean was_heard = change->waiters->len > 0 && !change->was_queued;

    return change->entry->kind == JOURNAL_CREATE || !was_heard ||
           !(mail_error_is(error, MAIL_ERROR_GONE) || mail_error_is(error, MAIL_ERROR_EXISTS) ||
             mail_error_is(error, MAIL_ERROR_NOTEMPTY) || mail_error_is(error, MAIL_ERROR_BUSY));
}

void change_refuse(Change *change, DiskBatch *batch, const GError *error)
{
    Store *store = change->store;
    JournalEntry *entry = change->entry;

    FAULT("change-refuse");
    if (!batch)
        batch = disk_batch_new();
    if (change->ops->undo)
        change->ops->undo(change, error);
    g_warning("%s: %s in %s was refused: %s", store->account->id, journal_kind_name(entry->kind),
              entry->wire ? entry->wire : entry->name, error->message);
    if (is_worth_keeping(change, error)) {
        JournalEntry *kept = journal_entry_copy(entry);

        kept->state = JOURNAL_FAILED;
        g_free(kept->reason);
        kept->reason = g_strdup(error->message);
        disk_batch_put_journal(batch, kept);
        g_ptr_array_add(store->failed, kept);
        while (store->failed->len > MAX_FAILED)
            change_forget_failed(store, 0, batch);
    } else {
        disk_batch_remove_journal(batch, entry->id);
        if (entry->stage)
            stage_remove(store->disk, entry->stage);
    }
    disk_submit(store->disk, batch, NULL, NULL);
    change_end(change, error);
}

gboolean change_is_temporary(const GError *error)
{
    return mail_error_is_connection(error) || mail_error_is(error, MAIL_ERROR_CANCELLED) ||
           mail_error_is(error, MAIL_ERROR_BUSY) || mail_error_is(error, MAIL_ERROR_AUTH) ||
           mail_error_is(error, MAIL_ERROR_LOCKED);
}

void change_postpone(Change *change, const GError *error)
{
    Store *store = change->store;
    JournalEntry *entry = change->entry;
    guint16 mailbox = entry->mailbox, target = entry->target_mailbox;
    gint64 ms = (gint64)FIRST_RETRY_MS << MIN(entry->n_tries, 10);

    g_debug("%s: change %" G_GUINT64_FORMAT " waits: %s", store->account->id, entry->id,
            error->message);
    entry->n_tries++;
    g_free(entry->reason);
    entry->reason = g_strdup(error->message);
    change->retry = deadline_in_ms(MIN(ms, LIMIT_BACKOFF_SECONDS * 1000LL));
    change->n_sent = 0;
    change_wait_for_turn(change);
    /* What came meanwhile is to be seen, for this may take long. */
    resume_sync(store, mailbox);
    resume_sync(store, target);
}

/* -- Looking around ---------------------------------------------------------------------------- */

Mailbox *change_mailbox(const Change *change)
{
    return account_find_number(change->store->account, change->entry->mailbox);
}

Mailbox *change_target(const Change *change)
{
    return account_find_number(change->store->account, change->entry->target_mailbox);
}

Message *change_message(const Change *change, const JournalMessage *message)
{
    const Mailbox *mailbox = change_mailbox(change);

    return mailbox ? mailbox_find_item(mailbox, message->item) : NULL;
}

void change_add_message(Change *change, const Message *message, guint64 new_item)
{
    JournalMessage each = {
        .item = message->item,
        .new_item = new_item,
        .date = message->date,
        .size = message->size,
        .uid = message->uid,
    };

    g_array_append_val(change->entry->messages, each);
}

gboolean change_shares_file(const Change *change)
{
    const LocalFile *file = change->file;

    if (file && (file->n_writers > 0 || file->revision != change->revision))
        return TRUE;
    for (GList *link = change->store->changes; link; link = link->next) {
        const Change *other = link->data;

        if (other != change && other->file && other->file == file)
            return TRUE;
    }
    return FALSE;
}

gboolean store_is_changing(const Store *store, const Mailbox *mailbox)
{
    for (GList *link = store->changes; link; link = link->next) {
        const Change *change = link->data;

        if (change->phase == CHANGE_AT_WORK &&
            (change->entry->mailbox == mailbox->number ||
             change->entry->target_mailbox == mailbox->number))
            return TRUE;
    }
    return FALSE;
}

/* -- Life -------------------------------------------------------------------------------------- */

void store_changes_init(Store *store)
{
    store->failed = g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);
    store->homeless = g_ptr_array_new_with_free_func((GDestroyNotify)journal_local_free);
    store->parked = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
}

void store_changes_clear(Store *store)
{
    if (store->change_timer)
        g_source_remove(store->change_timer);
    g_list_free_full(store->changes, (GDestroyNotify)change_free);
    g_list_free_full(store->drains, change_waiter_free);
    g_list_free_full(store->taken_back, change_taken_back_free);
    change_local_clear(store);
    g_ptr_array_unref(store->failed);
    g_hash_table_unref(store->parked);
    g_free(store->write_failure);
}
