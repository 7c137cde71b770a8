/* CREATE, the file's side: how a local file becomes a change, and what becomes of the file when
 * that is refused.
 *
 * Sealing comes first; what cannot be sealed never gets into the journal.  What is refused for good
 * goes to lost+found, and out of its directory when its octets are there; but not before the last
 * one who writes has closed it, for he may still make a message of it, or room for it.
 */
#include "store/change-create-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"

#include <string.h>

/* -- Refusals ---------------------------------------------------------------------------------- */

/* It is a scratch file again when this fails.  Not once the queue has promised the rename. */
static gboolean was_scratch(const Change *change)
{
    return change->scratch_name && !change->was_queued;
}

/* Takes back what the directory shows.  The scratch file that was renamed is what it was. */
void create_undo(Change *change, const GError *error)
{
    LocalFile *file = change->file;

    if (!file)
        return;
    if (file->committing == change->revision)
        file->committing = 0;
    if (file->is_gone || !was_scratch(change))
        return;
    file->kind = LOCAL_SCRATCH;
    local_rename(file, change->scratch_name);
}

static char *folder_of(const Change *change)
{
    const Mailbox *mailbox = change_mailbox(change);

    return mailbox ? mailbox_shown_path(mailbox) : g_strdup("unknown");
}

/* Why it ends, while its octets are on their way to lost+found. */
typedef struct {
    GError *error;
    gboolean is_sealed; /* and so may be in the journal */
} Loss;

static void loss_free(gpointer data)
{
    Loss *loss = data;

    g_error_free(loss->error);
    g_free(loss);
}

static void end_lost(Change *change)
{
    const Loss *loss = change->own;
    g_autoptr(GError) error = g_error_copy(loss->error);

    if (loss->is_sealed)
        change_refuse(change, NULL, error);
    else
        change_abandon(change, error);
}

static void on_lost(const GError *failure, gpointer user)
{
    Change *change = user;
    LocalFile *file = change->file;

    if (failure) {
        g_warning("%s: %s stays where it is: %s", change->store->account->id, change->entry->name,
                  failure->message);
    } else if (file && !file->is_gone && !change_shares_file(change)) {
        DiskBatch *batch = disk_batch_new();

        mailbox_touch(file->mailbox, store_now());
        local_drop(file, batch);
        disk_submit(change->store->disk, batch, NULL, NULL);
    }
    end_lost(change);
}

static void forget_entry(LocalFile *file, DiskBatch *batch)
{
    const GPtrArray *failed = file->store->failed;

    for (guint i = failed->len; file->refused_entry && i > 0; i--)
        if (((JournalEntry *)g_ptr_array_index(failed, i - 1))->id == file->refused_entry) {
            change_forget_failed(file->store, i - 1, batch);
            break;
        }
    file->refused_entry = 0;
}

void create_forget_refusal(LocalFile *file, DiskBatch *batch)
{
    forget_entry(file, batch);
    g_clear_error(&file->refusal);
}

/* The queue has the last version that was refused. */
static void note_refusal(Change *change, const Loss *loss)
{
    LocalFile *file = change->file;

    g_clear_error(&file->refusal);
    file->refusal = g_error_copy(loss->error);
    file->refused = change->revision;
    if (loss->is_sealed) {
        DiskBatch *batch = disk_batch_new();

        forget_entry(file, batch);
        disk_submit(file->store->disk, batch, NULL, NULL);
        file->refused_entry = change->entry->id;
    }
}

/* Its octets go to lost+found, and when they are there, the file out of the directory; a scratch
 * file stays one, and one that is being written, or of which a newer version is on its way, goes
 * on.  Then the change ends. */
static void lose(Change *change, int fd, const GError *error, gboolean is_sealed)
{
    g_autofree char *folder = folder_of(change);
    const char *name = change->file ? change->file->name : change->entry->name;
    StageLost lost = {folder, name, error->message};
    Loss *loss = g_new(Loss, 1);
    gboolean is_written;

    *loss = (Loss){g_error_copy(error), is_sealed};
    change->own = loss;
    change->own_free = loss_free;
    is_written = change->file && !change->file->is_gone && change->file->n_writers > 0 &&
                 !was_scratch(change);
    if (is_written)
        note_refusal(change, loss);
    if (is_written || was_scratch(change) || fd < 0)
        end_lost(change);
    else
        stage_lose(change->store->disk, fd, &lost, on_lost, change);
}

void create_refuse(Change *change, const GError *error)
{
    autofd int fd = stage_open(change->store->disk, change->entry->stage, NULL);

    lose(change, fd, error, TRUE);
}

static Change *new_change(LocalFile *file)
{
    Change *change = change_new(file->store, JOURNAL_CREATE, file->mailbox);

    change->file = local_ref(file);
    change->revision = file->revision;
    change->entry->item = file->item;
    change->entry->name = g_strdup(file->name);
    return change;
}

void create_lose(LocalFile *file)
{
    lose(new_change(file), local_fd(file, NULL), file->refusal, FALSE);
}

/* -- Sealing ----------------------------------------------------------------------------------- */

/* Nothing is in the journal yet: what could not be sealed ends here. */
static void not_sealed(Change *change, const GError *error)
{
    gboolean is_no_message = mail_error_is(error, MAIL_ERROR_INVALID) ||
                             mail_error_is(error, MAIL_ERROR_TOOBIG);

    create_undo(change, error);
    if (is_no_message)
        lose(change, local_fd(change->file, NULL), error, FALSE);
    else
        change_abandon(change, error);
}

static void on_sealed(const StageSeal *seal, const GError *error, gpointer user)
{
    Change *change = user;
    JournalEntry *entry = change->entry;

    local_end_seal(change->file, change->revision);
    if (error) {
        not_sealed(change, error);
        return;
    }
    entry->stage = seal->number;
    entry->size = seal->size;
    memcpy(entry->sha256, seal->sha256, sizeof entry->sha256);
    entry->message_id = g_strdup(seal->message_id);
    FAULT("create-sealed");
    /* A copy of what would not be stored so (a message that begins with an mbox's "From " line) is
     * not the same message. */
    if (change->twin_mailbox && seal->was_canonical)
        change_begin(change);
    else
        create_look_for_twin(change);
}

static Change *begin_commit(Store *store, LocalFile *file)
{
    Change *change = new_change(file);

    change->entry->date = file->mtime ? file->mtime : file->written;
    create_take_flags(change);
    if (file->twin_mailbox && file->twin_revision == file->revision)
        create_set_twin(change, file->twin_mailbox, file->twin_item);
    file->committing = file->revision;
    local_begin_seal(file);
    stage_seal(store->disk, local_fd(file, NULL), on_sealed, change);
    return change;
}

static Change *find_commit(const Store *store, const LocalFile *file, guint revision)
{
    for (GList *link = store->changes; link; link = link->next) {
        Change *change = link->data;

        if (change->file == file && change->revision == revision)
            return change;
    }
    return NULL;
}

StoreChange *store_commit(Store *store, LocalFile *file, StoreFunc func, gpointer user)
{
    g_autoptr(GError) error = NULL;
    Change *change = file->committing ? find_commit(store, file, file->committing) : NULL;

    if (change && change->revision == file->revision && store_is_queued(store, file) &&
        store->params.config->offline == CONFIG_OFFLINE_QUEUE)
        return change_answer(store, NULL, func, user); /* promised already */
    if (change && (change->revision == file->revision || !local_is_dirty(file)))
        return change_add_waiter(change, func, user);
    if (!local_is_dirty(file))
        return change_answer(store, NULL, func, user);
    if (store->write_failure && !store_may_change(store, file->mailbox, &error))
        return change_answer(store, error, func, user);
    return change_add_waiter(begin_commit(store, file), func, user);
}

StoreChange *store_commit_as(Store *store, LocalFile *file, const char *name, Message *replaced,
                             StoreFunc func, gpointer user)
{
    g_autofree char *scratch_name =
        file->kind == LOCAL_SCRATCH ? g_strdup(file->name) : NULL;
    g_autoptr(GError) error = NULL;
    Change *change;

    if (!store_may_change(store, file->mailbox, &error))
        return change_answer(store, error, func, user);
    file->kind = LOCAL_NEW;
    local_rename(file, name);
    change = begin_commit(store, file);
    change->scratch_name = g_steal_pointer(&scratch_name);
    if (replaced)
        change_add_message(change, replaced, 0);
    return change_add_waiter(change, func, user);
}
