/* The rows of what went to another mailbox: item, name and body go along.
 *
 * The target may be one that nobody has looked at yet.  If its rows are on the disk, or were never
 * listed at all, the message is put on the disk only: loading brings it, or the first listing
 * recalls it by its UID (store-sync-apply.c).
 */
#include "store/change-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"

/* -- Arriving ---------------------------------------------------------------------------------- */

/* How it is to look in the target. */
static void dress(Change *change, Message *message, const Message *expected)
{
    const char *name = expected ? expected->name : change->entry->name;
    gboolean goes_on = expected && expected->is_hidden;

    message->is_hidden = message->is_pending = goes_on ? 1 : 0;
    message->is_withheld = FALSE;
    message->appeared = store_now();
    if (name) {
        g_free(message->name);
        message->name = g_strdup(name);
    }
    if (expected) {
        message->mode = expected->mode;
        message->mtime = expected->mtime;
    }
}

/* The name, or one like it if it is taken; but the message that it replaces gives it up. */
static char *choose_name(Change *change, DiskBatch *batch, Mailbox *target, const char *wanted)
{
    const JournalEntry *entry = change->entry;
    Message *holder = mailbox_find_name(target, wanted);

    if (holder && entry->item && holder->item == entry->item) {
        g_autofree char *other = change_free_name(change->store, target, wanted);

        change_rename_message(change->store, batch, target, holder, other);
    }
    return change_free_name(change->store, target, wanted);
}

/* What a sync brought under the UID before we knew that it is ours; its flags are newer. */
static void take_over(Change *change, DiskBatch *batch, Mailbox *target, Message *message)
{
    Message *known = mailbox_find_uid(target, message->uid);

    if (!known)
        return;
    message->flags = known->flags;
    message_set_keywords(message, known->keywords);
    change_drop_message(change->store, batch, target, known);
}

/* Takes @message, which has its UID in @target already.  Returns it if it is in the table. */
static Message *place(Change *change, DiskBatch *batch, Mailbox *target, Message *message,
                      const DiskBodyMove *body)
{
    g_autoptr(Message) owned = message;
    g_autofree char *name = NULL;
    guint32 uidvalidity = change->entry->target_uidvalidity;

    take_over(change, batch, target, message);
    name = choose_name(change, batch, target, message->name);
    g_free(message->name);
    message->name = g_steal_pointer(&name);
    message->item = body->to_item;
    if (message->is_cached)
        message->is_cached = disk_move_body(change->store->disk, body) ? 1 : 0;
    disk_batch_put_message(batch, target->number, uidvalidity, message);
    if (message->is_cached)
        disk_batch_move_body(batch, body);
    mailbox_touch(target, store_now());
    target->n_unseen += !(message->flags & MESSAGE_SEEN);
    if (target->load == MAILBOX_UNLOADED) {
        target->n_messages++;
        return NULL;
    }
    return mailbox_add(target, g_steal_pointer(&owned)) ? message : NULL;
}

static void tell(Change *change, const StoreMoved *moved, gboolean is_copy)
{
    const StoreObserver *observer = change->store->params.observer;

    if (!is_copy)
        observer->message_moved(change->store, moved, change->store->params.user);
    else if (moved->to->is_listed)
        observer->message_added(change->store, moved->to, moved->message,
                                change->store->params.user);
}

/* UIDs of the target are good for nothing where it was made anew. */
static gboolean is_known(const Change *change, const Mailbox *target, const JournalMessage *each)
{
    guint32 uidvalidity = change->entry->target_uidvalidity;

    return target && !target->is_container && each->new_uid && each->new_item && uidvalidity &&
           (!target->is_listed || target->uidvalidity == uidvalidity) &&
           !mailbox_find_item(target, each->new_item);
}

/* What people made, while there was no connection, of the row that stood for it: another name, a
 * mode, a time; or it is to go on to somewhere else. */
static Message *take_expected(Change *change, Mailbox *target, const JournalMessage *each)
{
    const Message *expected = target ? mailbox_find_item(target, each->new_item) : NULL;
    Message *copy;

    if (!expected || expected->uid < MESSAGE_UID_PENDING)
        return NULL;
    copy = message_copy(expected);
    change_forget_expected(change->store, target, each->new_item);
    return copy;
}

static Message *take_out(Change *change, DiskBatch *batch, Mailbox *from, Message *row)
{
    change_unpark(change->store, batch, from, row->item);
    store_sync_forget(change->store, from, row->uid);
    from->n_unseen -= from->n_unseen > 0 && !(row->flags & MESSAGE_SEEN);
    mailbox_touch(from, store_now());
    return mailbox_steal(from, row);
}

gboolean change_carry_over(Change *change, DiskBatch *batch, const JournalMessage *each)
{
    Store *store = change->store;
    Mailbox *from = change_mailbox(change), *to = change_target(change);
    Message *row = from ? change_message(change, each) : NULL, *message;
    gboolean is_marked = row && row->is_hidden && !row->is_pending;
    gboolean is_copy = change->entry->kind == JOURNAL_COPY || is_marked;
    g_autoptr(Message) expected = take_expected(change, to, each);
    g_autofree char *name = NULL;
    StoreMoved moved;
    DiskBodyMove body;

    if (!row)
        return FALSE;
    if (!is_known(change, to, each)) {
        if (!is_copy)
            change_remove_row(store, batch, from, row);
        return FALSE;
    }
    name = g_strdup(row->name);
    body = (DiskBodyMove){from->number, to->number, each->item, each->new_item, is_copy};
    if (is_copy) {
        message = message_copy(row);
        if (is_marked) /* for removal, after the copy was made */
            message->flags &= (guint16)~MESSAGE_DELETED;
    } else {
        message = take_out(change, batch, from, row);
        /* Nobody will see where it went before that is loaded. */
        if (to->load == MAILBOX_UNLOADED)
            store->params.observer->message_removed(store, from, message, store->params.user);
    }
    message->uid = each->new_uid;
    dress(change, message, expected);
    message = place(change, batch, to, message, &body);
    if (!is_copy)
        disk_batch_remove_message(batch, from->number, each->item);
    moved = (StoreMoved){from, each->item, name, to, message};
    if (message)
        tell(change, &moved, is_copy);
    return TRUE;
}

/* -- On neither side --------------------------------------------------------------------------- */

void change_rescue(Change *change, Mailbox *target, const JournalMessage *each)
{
    Store *store = change->store;
    const Message *message = change_message(change, each);
    g_autoptr(GError) error = NULL;
    g_autofree char *name = NULL;
    autofd int fd = -1;
    LocalFile *file;

    if (!message || !message->is_cached) {
        g_warning("%s: a message was on its way from %s to %s when the connection was lost, and is "
                  "in neither of them now; it was not in the cache", store->account->id,
                  change->entry->wire, change->entry->target);
        return;
    }
    FAULT("transfer-rescue");
    name = change_free_name(store, target, message->name);
    fd = disk_open_body(store->disk, change->entry->mailbox, message->item, &error);
    file = fd >= 0 ? local_create(store, target, name, LOCAL_NEW, &error) : NULL;
    if (file && local_fill(file, fd, &error)) {
        local_set_mtime(file, message->date);
        store_change_forget(store_commit(store, file, NULL, NULL));
    }
    g_warning("%s: %s was on its way from %s to %s when the connection was lost, and is in neither "
              "of them now; %s%s", store->account->id, message->name, change->entry->wire,
              change->entry->target,
              error ? "it could not be taken from the cache: " : "it is uploaded from the cache",
              error ? error->message : "");
    local_unref(file);
}

/* -- Found gone -------------------------------------------------------------------------------- */

gboolean change_claims(Store *store, const Mailbox *mailbox, const Message *message)
{
    for (GList *link = store->changes; link; link = link->next) {
        Change *change = link->data;
        JournalMessage *each;

        if (change->entry->kind != JOURNAL_MOVE || change->entry->state == JOURNAL_PREP ||
            change->entry->mailbox != mailbox->number)
            continue;
        each = change_find_uid(change, message->uid);
        if (each && each->item == message->item)
            return each->is_done = TRUE;
    }
    return FALSE;
}
