/* CREATE, the file's side: how a local file becomes a change, and what becomes of the file when
 * that is refused.
 *
 * Sealing comes first; what cannot be sealed never gets into the journal.  What is refused for good
 * goes to lost+found, and out of its directory when its octets are there.
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

/* Its octets go to lost+found, and when they are there, the file out of the directory; a scratch
 * file stays one, and so does a file of which a newer version is on its way.  Then the change
 * ends. */
static void lose(Change *change, int fd, const GError *error, gboolean is_sealed)
{
    g_autofree char *folder = folder_of(change);
    const char *name = change->file ? change->file->name : change->entry->name;
    StageLost lost = {folder, name, error->message};
    Loss *loss = g_new(Loss, 1);

    *loss = (Loss){g_error_copy(error), is_sealed};
    change->own = loss;
    change->own_free = loss_free;
    if (was_scratch(change) || fd < 0)
        end_lost(change);
    else
        stage_lose(change->store->disk, fd, &lost, on_lost, change);
}

void create_refuse(Change *change, const GError *error)
{
    autofd int fd = stage_open(change->store->disk, change->entry->stage, NULL);

    lose(change, fd, error, TRUE);
}

/* -- Sealing ----------------------------------------------------------------------------------- */

/* Nothing is in the journal yet: what could not be sealed ends here. */
static void not_sealed(Change *change, const GError *error)
{
    gboolean is_no_message = mail_error_is(error, MAIL_ERROR_INVALID) ||
                             mail_error_is(error, MAIL_ERROR_TOOBIG);

    create_undo(change, error);
    if (is_no_message)
        lose(change, change->file->fd, error, FALSE);
    else
        change_abandon(change, error);
}

static void on_sealed(const StageSeal *seal, const GError *error, gpointer user)
{
    Change *change = user;
    JournalEntry *entry = change->entry;

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
    Change *change = change_new(store, JOURNAL_CREATE, file->mailbox);

    change->file = local_ref(file);
    change->revision = file->revision;
    change->entry->item = file->item;
    change->entry->name = g_strdup(file->name);
    change->entry->date = file->mtime ? file->mtime : file->written;
    if (file->twin_mailbox && file->twin_revision == file->revision)
        create_set_twin(change, file->twin_mailbox, file->twin_item);
    file->committing = file->revision;
    stage_seal(store->disk, file->fd, on_sealed, change);
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
    g_autofree char *scratch_name = g_strdup(file->name);
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
