/* The queue as people see it: what waits, what is under way, what was refused.
 *
 * An entry that was refused for good stays until somebody drops it or has it tried again; its
 * octets are in lost+found as well, for those who look there first.
 */
#include "store/change-internal.h"
#include "base/error.h"

void change_forget_failed(Store *store, guint i, DiskBatch *batch)
{
    const JournalEntry *entry = g_ptr_array_index(store->failed, i);

    disk_batch_remove_journal(batch, entry->id);
    if (entry->stage)
        stage_remove(store->disk, entry->stage);
    g_ptr_array_remove_index(store->failed, i);
}

static gint by_id(gconstpointer a, gconstpointer b)
{
    const JournalEntry *x = *(JournalEntry *const *)a, *y = *(JournalEntry *const *)b;

    return (x->id > y->id) - (x->id < y->id);
}

gboolean store_queue_load(Store *store, GError **error)
{
    if (!store_changes_load(store, error))
        return FALSE;
    if (store->ops->owed)
        store->n_owed = store->ops->owed(store->params.state_dir);
    return TRUE;
}

GPtrArray *store_queue(const Store *store)
{
    GPtrArray *entries = g_ptr_array_new();

    for (GList *link = store->changes; link; link = link->next)
        g_ptr_array_add(entries, ((Change *)link->data)->entry);
    for (guint i = 0; i < store->failed->len; i++)
        g_ptr_array_add(entries, g_ptr_array_index(store->failed, i));
    g_ptr_array_sort(entries, by_id);
    return entries;
}

guint store_queue_pending(const Store *store, gint64 *ret_oldest)
{
    guint n = 0;

    *ret_oldest = 0;
    for (GList *link = store->changes; link; link = link->next, n++) {
        const Change *change = link->data;

        if (*ret_oldest == 0 || change->entry->made < *ret_oldest)
            *ret_oldest = change->entry->made;
    }
    if (n == 0 && store->n_owed > 0)
        *ret_oldest = store_now();
    return n + store->n_owed;
}

guint store_queue_owed(const Store *store)
{
    return store->n_owed;
}

guint store_queue_failed(const Store *store)
{
    return store->failed->len;
}

void store_queue_traffic(const Store *store, guint64 *ret_sent, guint64 *ret_total)
{
    *ret_sent = *ret_total = 0;
    for (GList *link = store->changes; link; link = link->next) {
        const Change *change = link->data;

        *ret_sent += change->n_sent;
        *ret_total += change->entry->size;
    }
}

static Change *find_by_id(const Store *store, guint64 id)
{
    for (GList *link = store->changes; link; link = link->next)
        if (((Change *)link->data)->entry->id == id)
            return link->data;
    return NULL;
}

static gboolean no_such(guint64 id, GError **error)
{
    return mail_fail(error, MAIL_ERROR_GONE,
                     "the queue has no entry %" G_GUINT64_FORMAT "; see: mailfs queue list", id);
}

gboolean store_queue_retry(Store *store, guint64 id, GError **error)
{
    Change *waiting = id ? find_by_id(store, id) : NULL;
    gboolean is_found = id == 0 || waiting;

    for (guint i = store->failed->len; i > 0; i--) {
        JournalEntry *entry = g_ptr_array_index(store->failed, i - 1);
        Change *change;

        if (id && entry->id != id)
            continue;
        is_found = TRUE;
        change = change_from_entry(store, journal_entry_copy(entry));
        g_ptr_array_remove_index(store->failed, i - 1);
        change->entry->state = JOURNAL_PREP;
        change->was_queued = change->is_retried = TRUE;
        change_save(change, NULL, change_wait_for_turn);
    }
    for (GList *link = store->changes; link; link = link->next)
        if (id == 0 || link->data == waiting)
            ((Change *)link->data)->retry = 0;
    change_schedule(store);
    return is_found || no_such(id, error);
}

/* The octets of what is given up, where no file has them: they are kept. */
static void keep_octets(Store *store, const JournalEntry *entry, const char *reason)
{
    const Mailbox *mailbox = account_find_number(store->account, entry->mailbox);
    g_autofree char *path = mailbox ? mailbox_shown_path(mailbox) : g_strdup("unknown");
    StageLost lost = {path, entry->name, reason};

    if (entry->stage)
        change_lose_stage(store, entry->stage, &lost);
}

static void drop_waiting(Change *change)
{
    Store *store = change->store;
    DiskBatch *batch = disk_batch_new();
    g_autoptr(GError) error = NULL;

    mail_fail(&error, MAIL_ERROR_CANCELLED, "given up by: mailfs queue drop");
    keep_octets(store, change->entry, error->message);
    if (change->file && !change_shares_file(change))
        local_drop(change->file, batch);
    else if (change->ops->undo)
        change->ops->undo(change, error);
    disk_batch_remove_journal(batch, change->entry->id);
    disk_submit(store->disk, batch, NULL, NULL);
    change_end(change, error);
}

/* It waits, and nothing of it has been sent. */
static gboolean is_safe(const Change *change)
{
    return change->phase == CHANGE_WAITING && !change->is_saving &&
           change->entry->state == JOURNAL_PREP;
}

gboolean store_is_queued(const Store *store, const LocalFile *file)
{
    gboolean is_found = FALSE;

    for (GList *link = store->changes; link; link = link->next) {
        const Change *change = link->data;

        if (change->file != file)
            continue;
        is_found = TRUE;
        if (!change->was_queued || !is_safe(change))
            return FALSE;
    }
    return is_found;
}

/* Stages of entries whose removal is on its way to the disk. */
typedef struct {
    Store *store;
    GArray *stages; /* of guint64 */
} TakenBack;

void change_taken_back_free(gpointer data)
{
    TakenBack *taken = data;

    g_array_unref(taken->stages);
    g_free(taken);
}

static void on_taken_back(const GError *error, gpointer user)
{
    TakenBack *taken = user;
    Store *store = taken->store;

    for (guint i = 0; !error && i < taken->stages->len; i++)
        stage_remove(store->disk, g_array_index(taken->stages, guint64, i));
    store->taken_back = g_list_remove(store->taken_back, taken);
    change_taken_back_free(taken);
}

gboolean store_take_back(Store *store, LocalFile *file)
{
    g_autoptr(GList) changes = g_list_copy(store->changes);
    TakenBack *taken;
    DiskBatch *batch;

    if (!store_is_queued(store, file))
        return FALSE;
    taken = g_new(TakenBack, 1);
    *taken = (TakenBack){store, g_array_new(FALSE, FALSE, sizeof(guint64))};
    store->taken_back = g_list_prepend(store->taken_back, taken);
    batch = disk_batch_new();
    for (GList *link = changes; link; link = link->next) {
        Change *change = link->data;

        if (change->file != file)
            continue;
        disk_batch_remove_journal(batch, change->entry->id);
        if (change->entry->stage)
            g_array_append_val(taken->stages, change->entry->stage);
        change_end(change, NULL);
    }
    file->committing = 0;
    disk_submit(store->disk, batch, on_taken_back, taken);
    return TRUE;
}

static gboolean drop_owed(Store *store, GError **error)
{
    if (store->n_owed == 0)
        return no_such(0, error);
    if (!store->ops->give_up_owed(store->backend, store->params.state_dir, error))
        return FALSE;
    if (!store->backend)
        store->n_owed = 0;
    return TRUE;
}

static gboolean drop_entry(Store *store, guint64 id, GError **error)
{
    Change *change = find_by_id(store, id);

    for (guint i = 0; i < store->failed->len; i++)
        if (((JournalEntry *)g_ptr_array_index(store->failed, i))->id == id) {
            DiskBatch *batch = disk_batch_new();

            change_forget_failed(store, i, batch);
            disk_submit(store->disk, batch, NULL, NULL);
            return TRUE;
        }
    if (!change)
        return no_such(id, error);
    if (!is_safe(change))
        return mail_fail(error, MAIL_ERROR_BUSY,
                         "entry %" G_GUINT64_FORMAT " may have reached the server already; "
                         "what became of it is found out at the next connection", id);
    drop_waiting(change);
    return TRUE;
}

void store_give_up(Store *store, LocalFile *file, const char *reason)
{
    DiskBatch *batch;

    for (GList *link = store->changes; link && reason; link = link->next) {
        Change *change = link->data;

        if (change->file == file && change->revision == file->committing) {
            keep_octets(store, change->entry, reason);
            change->entry->stage = 0; /* whose it is no more */
        }
    }
    (void)store_take_back(store, file);
    batch = disk_batch_new();
    mailbox_touch(file->mailbox, store_now());
    local_drop(file, batch);
    disk_submit(store->disk, batch, NULL, NULL);
}

gboolean store_queue_drop(Store *store, guint64 id, GError **error)
{
    if (!(id ? drop_entry(store, id, error) : drop_owed(store, error)))
        return FALSE;
    store->params.observer->state_changed(store, store->params.user);
    return TRUE;
}

int store_queue_open(const Store *store, guint64 id, GError **error)
{
    const Change *change = find_by_id(store, id);
    const JournalEntry *entry = change ? change->entry : NULL;

    for (guint i = 0; !entry && i < store->failed->len; i++)
        if (((JournalEntry *)g_ptr_array_index(store->failed, i))->id == id)
            entry = g_ptr_array_index(store->failed, i);
    if (!entry || !entry->stage) {
        no_such(id, error);
        return -1;
    }
    return stage_open(store->disk, entry->stage, error);
}

