/* CREATE where the account has the octets already: in another message, of which COPY makes one more
 * without an upload (the mailbox may be the same: RFC 9051 section 6.4.7 takes any), or in the very
 * message that would be replaced, and then nothing is to be sent.
 */
#include "store/change-create-internal.h"

/* -- Which one --------------------------------------------------------------------------------- */

void store_note_twin(Store *store, LocalFile *file, Mailbox *mailbox, Message *message)
{
    file->twin_mailbox = mailbox->number;
    file->twin_item = message->item;
    file->twin_revision = file->revision;
}

/* With its UID: by the time that it matters, the item may have other octets. */
void create_set_twin(Change *change, guint16 number, guint64 item)
{
    const Mailbox *mailbox = number ? account_find_number(change->store->account, number) : NULL;
    const Message *message = mailbox ? mailbox_find_item(mailbox, item) : NULL;

    change->twin_mailbox = message ? number : 0;
    change->twin_item = item;
    change->twin_uid = message ? message->uid : 0;
}

static void on_twin(guint16 mailbox, guint64 item, gpointer user)
{
    create_set_twin(user, mailbox, item);
    change_begin(user);
}

void create_look_for_twin(Change *change)
{
    const JournalEntry *entry = change->entry;

    disk_find_twin(change->store->disk, entry->size, entry->sha256, on_twin, change);
}

/* -- What it is good for ----------------------------------------------------------------------- */

static gboolean has_wanted_flags(const LocalFile *file, const Message *twin)
{
    return !file || !file->is_flagged ||
           (twin->flags == file->flags &&
            message_has_keyword(twin->keywords, MESSAGE_PASSED) == file->is_passed);
}

/* The message with the same octets, if a copy of it would be the same message: no other flags, no
 * other date than was asked for; and not one that is marked \Deleted, for the copy would be, too,
 * and be taken by whoever expunges next. */
const Message *create_find_twin(const Change *change, Mailbox **ret_mailbox)
{
    Mailbox *mailbox = change->twin_mailbox
                           ? account_find_number(change->store->account, change->twin_mailbox)
                           : NULL;
    const Message *message = mailbox ? mailbox_find_item(mailbox, change->twin_item) : NULL;
    gint64 wanted = change->file ? change->file->mtime : change->entry->date;

    if (!message || create_old(change) || message->uid != change->twin_uid ||
        (message->flags & MESSAGE_DELETED) || message->is_hidden ||
        (wanted && wanted != message->date) || !has_wanted_flags(change->file, message))
        return NULL;
    *ret_mailbox = mailbox;
    return message;
}

/* The octets are those of the message that would be replaced, as when files with LF are copied over
 * what they have become: nothing is to be sent.  What took the message's name is the message. */
gboolean create_is_same(const Change *change, const Mailbox *mailbox)
{
    const JournalMessage *old = create_old(change);
    const LocalFile *file = change->file;
    const Message *message = old ? change_message(change, old) : NULL;

    return message && file && !file->is_gone && !file->replaces &&
           change->twin_mailbox == mailbox->number && change->twin_item == old->item &&
           change->twin_uid == old->uid && has_wanted_flags(file, message) &&
           (old->item == change->entry->item ||
            (file->n_writers == 0 && file->revision == change->revision));
}

void create_done_same(Change *change, Mailbox *mailbox)
{
    Store *store = change->store;
    JournalEntry *entry = change->entry;
    LocalFile *file = change->file;
    Message *message = change_message(change, create_old(change));
    gint64 mtime = file->mtime != message->date ? file->mtime : 0;
    DiskBatch *batch = disk_batch_new();

    store_set_local(store, mailbox, message, file->mode, mtime);
    if (message->item == entry->item) {
        local_committed(file, batch, change->revision);
    } else {
        StoreMoved moved = {mailbox, entry->item, file->name, mailbox, message};

        local_drop(file, batch);
        store->params.observer->message_moved(store, &moved, store->params.user);
    }
    stage_remove(store->disk, entry->stage);
    entry->stage = 0;
    change_finish(change, batch);
}
