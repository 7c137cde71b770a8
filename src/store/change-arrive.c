/* A message that the server has now, and the model has to have: under the item and the name that
 * were promised, in the place of what a sync may have brought under its UID before we knew.
 */
#include "store/change-internal.h"

/* What a sync brought under the UID before we knew that it is ours. */
static void drop_duplicate(Store *store, DiskBatch *batch, Mailbox *mailbox,
                           const ChangeArrival *arrival)
{
    Message *known = mailbox_find_uid(mailbox, arrival->uid);

    if (known && known->item != arrival->item)
        change_drop_message(store, batch, mailbox, known);
}

/* The name that the file has; another only if something else has it by now. */
static char *name_of_arrival(const Store *store, const Mailbox *mailbox,
                             const ChangeArrival *arrival)
{
    const LocalFile *file = local_find_item(store, mailbox, arrival->item);
    gboolean is_its_own = file && g_str_equal(file->name, arrival->name) &&
                          !mailbox_find_name(mailbox, arrival->name) &&
                          !account_find_label(mailbox, arrival->name);

    return is_its_own ? g_strdup(arrival->name)
                      : change_free_name(store, mailbox, arrival->name);
}

Message *change_arrive(Store *store, DiskBatch *batch, Mailbox *mailbox,
                       const ChangeArrival *arrival)
{
    const StoreObserver *observer = store->params.observer;
    Message *before, *message = message_new();
    g_autofree char *name = NULL;
    gboolean was_there;

    drop_duplicate(store, batch, mailbox, arrival);
    before = mailbox_find_item(mailbox, arrival->item);
    was_there = before != NULL;
    if (before) {
        message->mtime = before->mtime;
        message->mode = before->mode;
        if (before->uid != arrival->uid)
            store_sync_forget(store, mailbox, before->uid);
        message_free(mailbox_steal(mailbox, before));
    }
    name = name_of_arrival(store, mailbox, arrival);
    if (arrival->mtime)
        message->mtime = arrival->mtime;
    if (arrival->mode)
        message->mode = arrival->mode;
    message->item = arrival->item;
    message->uid = arrival->uid;
    message->name = g_steal_pointer(&name);
    message->size = arrival->size;
    message->is_exact = TRUE;
    message->fingerprint = arrival->fingerprint;
    message->date = arrival->date;
    message->appeared = store_now();
    message->flags = arrival->flags;
    message_set_keywords(message, arrival->keywords);
    disk_batch_put_message(batch, mailbox->number, mailbox->uidvalidity, message);
    if (!mailbox_add(mailbox, message))
        return NULL;
    mailbox->n_messages = MAX(mailbox->n_messages, mailbox_n_messages(mailbox));
    if (was_there)
        observer->message_changed(store, mailbox, message, store->params.user);
    else
        observer->message_added(store, mailbox, message, store->params.user);
    return message;
}
