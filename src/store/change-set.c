/* What the changes of messages have in common: which they are, and what becomes of their rows.
 */
#include "store/change-internal.h"
#include "base/io.h"

StoreChange *change_begin_for(Change *change, StoreFunc func, gpointer user)
{
    StoreChange *waiter = change_add_waiter(change, func, user);

    change_begin(change);
    return waiter;
}

/* -- The entry's messages ---------------------------------------------------------------------- */

static gint by_uid(gconstpointer a, gconstpointer b)
{
    const JournalMessage *x = a, *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

/* What an EXPUNGE compares before it destroys: the server's claim of the size, which is not known
 * any more once the body was seen (there are servers whose claims are wrong). */
static void set_guard(const Change *change, JournalMessage *each, const Message *message)
{
    gboolean is_claim = !message->is_exact || change->entry->kind != JOURNAL_EXPUNGE;

    each->uid = message->uid;
    each->date = message->date;
    each->size = is_claim ? message->size : 0;
}

static void sort(GArray *messages)
{
    g_array_sort(messages, by_uid);
    for (guint i = messages->len; i > 1; i--)
        if (g_array_index(messages, JournalMessage, i - 1).uid ==
            g_array_index(messages, JournalMessage, i - 2).uid)
            g_array_remove_index(messages, i - 1);
}

void change_add_messages(Change *change, const GPtrArray *messages, Mailbox *target)
{
    GArray *entries = change->entry->messages;

    for (guint i = 0; i < messages->len; i++) {
        const Message *message = g_ptr_array_index(messages, i);

        change_add_message(change, message, target ? change_new_item(target) : 0);
        set_guard(change, &g_array_index(entries, JournalMessage, entries->len - 1), message);
    }
    sort(entries);
}

void change_refresh(Change *change)
{
    GArray *messages = change->entry->messages;

    if (change->entry->state != JOURNAL_PREP)
        return;
    for (guint i = messages->len; i > 0; i--) {
        JournalMessage *each = &g_array_index(messages, JournalMessage, i - 1);
        const Message *message = change_message(change, each);

        /* What was to come and did not is as if it had gone. */
        if (message && message->uid < MESSAGE_UID_PENDING)
            set_guard(change, each, message);
        else
            g_array_remove_index(messages, i - 1);
    }
    sort(messages);
}

JournalMessage *change_find_uid(const Change *change, guint32 uid)
{
    GArray *messages = change->entry->messages;

    for (guint low = 0, high = messages->len; low < high;) {
        guint middle = low + (high - low) / 2;
        JournalMessage *each = &g_array_index(messages, JournalMessage, middle);

        if (each->uid == uid)
            return each;
        if (each->uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

guint32 change_first_possible_uid(const Mailbox *mailbox)
{
    guint n = mailbox_n_given(mailbox);
    guint32 highest = n > 0 ? mailbox_nth(mailbox, n - 1)->uid : 0;

    return MAX(mailbox->uidnext, n > 0 ? highest + 1 : 0);
}

Job *change_expunge_job(const Change *change)
{
    const Mailbox *mailbox = change_mailbox(change);
    Job *job = change_own_job(change, JOB_EXPUNGE);

    change_fill_messages(change, job);
    job->change->target = change_trash_here(change->store, job->wire);
    job->change->others = uid_set_new();
    if (!mailbox || mailbox->uidvalidity != change->entry->uidvalidity)
        return job; /* its numbers are of another epoch */
    for (guint i = 0; i < mailbox_n_given(mailbox); i++) {
        const Message *message = mailbox_nth(mailbox, i);

        if (message->is_hidden && !message->is_pending)
            uid_set_add(job->change->others, message->uid);
    }
    return job;
}

/* -- Rows -------------------------------------------------------------------------------------- */

void change_put_row(DiskBatch *batch, const Mailbox *mailbox, const Message *message)
{
    if (message->uid < MESSAGE_UID_PENDING)
        disk_batch_put_message(batch, mailbox->number, mailbox->uidvalidity, message);
}

/* An editor's backup of what is no more: the octets stay under the name they have. */
static void keep_backup(Store *store, Mailbox *mailbox, const Message *message)
{
    g_autoptr(GError) error = NULL;
    autofd int fd = disk_open_body(store->disk, mailbox->number, message->item, &error);
    LocalFile *file = fd >= 0 ? local_create(store, mailbox, message->name, LOCAL_SCRATCH, &error)
                              : NULL;

    if (file && local_fill(file, fd, &error))
        local_set_mtime(file, message->mtime ? message->mtime : message->date);
    if (error)
        g_warning("%s: the backup %s is lost: %s", store->account->id, message->name,
                  error->message);
    local_unref(file);
}

void change_drop_message(Store *store, DiskBatch *batch, Mailbox *mailbox, Message *message)
{
    LocalFile *edit = local_find_item(store, mailbox, message->item);
    gboolean is_backup = change_unpark(store, batch, mailbox, message->item);
    g_autoptr(Message) owned = mailbox_steal(mailbox, message);

    store_sync_forget(store, mailbox, owned->uid);
    if (is_backup)
        keep_backup(store, mailbox, owned);
    if (edit)
        local_remove(edit);
    disk_batch_remove_message(batch, mailbox->number, owned->item);
    if (owned->is_cached)
        disk_remove_body(store->disk, mailbox->number, owned->item);
    mailbox->n_unseen -= mailbox->n_unseen > 0 && !(owned->flags & MESSAGE_SEEN);
    mailbox_touch(mailbox, store_now());
    if (!owned->is_hidden)
        store->params.observer->message_removed(store, mailbox, owned, store->params.user);
}

void change_remove_row(Store *store, DiskBatch *batch, Mailbox *mailbox, Message *message)
{
    (void)change_unpark(store, batch, mailbox, message->item);
    change_drop_message(store, batch, mailbox, message);
}

void change_hide_message(Store *store, DiskBatch *batch, Mailbox *mailbox, Message *message)
{
    if (message->is_hidden)
        return;
    store->params.observer->message_removed(store, mailbox, message, store->params.user);
    message->is_hidden = TRUE;
    message->flags |= MESSAGE_DELETED;
    store_sync_flagged(store, mailbox, message->uid);
    disk_batch_put_message(batch, mailbox->number, mailbox->uidvalidity, message);
    mailbox_touch(mailbox, store_now());
}
