/* The start: what the journal and the staging folder hold of the run before.
 *
 * An entry goes on in the state that it had; the machines know what to make of SENT and HALF.  A
 * local file goes the way that was promised: an editor's scratch stays, what was flushed is sent,
 * what was only being written goes to lost+found with the reason.  All this may be cut short and
 * done again: nothing is removed before what follows from it is durable.
 */
#include "store/change-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"

/* -- Changes ----------------------------------------------------------------------------------- */

static gboolean load_entries(Store *store, GError **error)
{
    g_autoptr(GPtrArray) entries = journal_load(store->disk, error);

    if (!entries)
        return FALSE;
    for (guint i = 0; i < entries->len; i++) {
        JournalEntry *entry = journal_entry_copy(g_ptr_array_index(entries, i));
        Change *change;

        if (entry->state == JOURNAL_FAILED) {
            g_ptr_array_add(store->failed, entry);
            continue;
        }
        g_info("%s: %s in %s goes on (%s)", store->account->id, journal_kind_name(entry->kind),
               entry->wire ? entry->wire : "", journal_state_name(entry->state));
        change = change_from_entry(store, entry);
        change->was_queued = change->was_saved = TRUE;
        change->phase = CHANGE_WAITING;
    }
    return TRUE;
}

/* -- Local files ------------------------------------------------------------------------------- */

/* The newest, for what the file holds now is what that one was made of. */
static Change *find_create(const Store *store, const JournalLocal *row)
{
    for (GList *link = g_list_last(store->changes); link; link = link->prev) {
        Change *change = link->data;
        const JournalEntry *entry = change->entry;

        if (entry->kind == JOURNAL_CREATE && entry->mailbox == row->mailbox &&
            entry->item == row->item)
            return change;
    }
    return NULL;
}

/* Row and octets are removed when lost+found has them for certain. */
typedef struct {
    Store *store;
    JournalLocal *row; /* owned; NULL for a stage without one */
    guint64 stage;
} Lost;

static void lost_free(gpointer data)
{
    Lost *lost = data;

    journal_local_free(lost->row);
    g_free(lost);
}

static void on_lost(const GError *error, gpointer user)
{
    Lost *lost = user;

    FAULT("recover-lost");
    if (!error) {
        DiskBatch *batch = disk_batch_new();

        if (lost->row)
            disk_batch_remove_local(batch, lost->row->mailbox, lost->row->item);
        disk_submit(lost->store->disk, batch, NULL, NULL);
        stage_remove(lost->store->disk, lost->stage);
    }
    lost->store->losing = g_list_remove(lost->store->losing, lost);
    lost_free(lost);
}

/* Takes @row. */
static void begin_lose(Store *store, JournalLocal *row, guint64 stage, const StageLost *where)
{
    g_autoptr(GError) error = NULL;
    Lost *lost = g_new(Lost, 1);
    autofd int fd = stage_open(store->disk, stage, &error);
    char probe;
    gssize n = fd >= 0 ? io_pread_all(fd, &probe, 1, 0, &error) : -1;

    *lost = (Lost){store, row, stage};
    store->losing = g_list_prepend(store->losing, lost);
    if (n > 0) {
        stage_lose(store->disk, fd, where, on_lost, lost);
    } else if (n == 0 || mail_error_is(error, MAIL_ERROR_GONE)) {
        on_lost(NULL, lost); /* there was nothing in it */
    } else {
        /* Too few descriptors, a disk that errs: it may be there, and be read the next time. */
        g_warning("%s: the octets of %s/%s stay in the staging folder until the next mount: %s",
                  store->account->id, where->folder, where->name, error->message);
        on_lost(error, lost);
    }
}

void change_lose_stage(Store *store, guint64 stage, const StageLost *where)
{
    begin_lose(store, NULL, stage, where);
}

/* Takes @row. */
static void lose(Store *store, JournalLocal *row, guint64 stage, const char *reason)
{
    const Mailbox *mailbox = row ? account_find_number(store->account, row->mailbox) : NULL;
    g_autofree char *folder = mailbox ? mailbox_shown_path(mailbox) : g_strdup("unknown");
    g_autofree char *name =
        row ? g_strdup(row->name) : g_strdup_printf("%016" G_GINT64_MODIFIER "x", stage);
    StageLost where = {folder, name, reason};

    begin_lose(store, row, stage, &where);
}

/* What somebody set; later the entry has what it inherited. */
static void take_flags(LocalFile *file, const JournalEntry *entry)
{
    if (entry->state == JOURNAL_PREP && (entry->flags || entry->keywords))
        local_set_flags(file, entry->flags, entry->keywords != NULL);
}

/* Takes @row.  When the cache was lost, its mailbox is not known before the first LIST. */
static void restore(Store *store, JournalLocal *row)
{
    g_autoptr(JournalLocal) owned = row;
    g_autoptr(GError) error = NULL;
    Change *change = find_create(store, row);
    LocalFile *file;

    if (!store->was_polled && !account_find_number(store->account, row->mailbox)) {
        g_ptr_array_add(store->homeless, g_steal_pointer(&owned));
        return;
    }
    if (!change && row->kind != LOCAL_SCRATCH && !row->is_flushed) {
        lose(store, g_steal_pointer(&owned), row->stage,
             "it was being written when mailfs ended, and never closed");
        return;
    }
    FAULT("recover-local");
    file = local_restore(store, row, &error);
    if (!file) {
        lose(store, g_steal_pointer(&owned), row->stage, error->message);
        return;
    }
    if (change) {
        change->file = local_ref(file);
        change->revision = file->committing = file->revision;
        take_flags(file, change->entry);
    }
    if (change && row->is_flushed) {
        file->revision++; /* what the row has is newer than the entry */
        store_change_forget(store_commit(store, file, NULL, NULL));
    } else if (change) {
        return;
    } else if (row->kind != LOCAL_SCRATCH) {
        store_change_forget(store_commit(store, file, NULL, NULL));
    }
}

static void add_number(GHashTable *numbers, guint64 number)
{
    g_hash_table_add(numbers, g_memdup2(&number, sizeof number));
}

static gboolean load_locals(Store *store, GHashTable *named, GError **error)
{
    g_autoptr(GPtrArray) rows = journal_load_locals(store->disk, error);

    if (!rows)
        return FALSE;
    g_ptr_array_set_free_func(rows, NULL);
    for (guint i = 0; i < rows->len; i++) {
        add_number(named, ((JournalLocal *)g_ptr_array_index(rows, i))->stage);
        restore(store, g_ptr_array_index(rows, i));
    }
    return TRUE;
}

/* -- Stages that nothing names ----------------------------------------------------------------- */

/* A stage is made before its row is durable, so one without a row may hold the first octets of a
 * file; a sealed one without an entry is a copy of what its file holds. */
static void sweep_stages(Store *store, const GArray *found, GHashTable *named)
{
    g_autoptr(GPtrArray) entries = store_queue(store);

    for (guint i = 0; i < entries->len; i++)
        add_number(named, ((const JournalEntry *)g_ptr_array_index(entries, i))->stage);
    for (guint i = 0; i < found->len; i++) {
        guint64 number = g_array_index(found, guint64, i);

        if (!g_hash_table_contains(named, &number))
            lose(store, NULL, number, "mailfs ended before it could note what this is");
    }
}

gboolean store_changes_load(Store *store, GError **error)
{
    /* First of all: what is sent again from here on is sealed into new stages, on the disk's
     * thread, and those are not to be swept. */
    g_autoptr(GArray) found = stage_list(store->disk, error);
    g_autoptr(GHashTable) named =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

    if (!found || !load_entries(store, error) || !change_load_parked(store, error) ||
        !load_locals(store, named, error))
        return FALSE;
    sweep_stages(store, found, named);
    FAULT("recover-loaded");
    return TRUE;
}

void store_changes_polled(Store *store)
{
    g_autoptr(GPtrArray) rows = g_steal_pointer(&store->homeless);

    store->homeless = g_ptr_array_new_with_free_func((GDestroyNotify)journal_local_free);
    for (guint i = 0; i < rows->len; i++)
        restore(store, g_steal_pointer(&g_ptr_array_index(rows, i)));
    change_schedule(store);
}

void store_changes_unload(Store *store)
{
    g_ptr_array_unref(store->homeless);
    g_list_free_full(store->losing, lost_free);
}
