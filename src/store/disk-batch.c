/* What a batch holds: a list of changes, copied from the model.  Carrying it out is
 * disk-write.c's. */
#include "store/disk-internal.h"

#include <string.h>

static void change_clear(gpointer data)
{
    DiskChange *change = data;

    switch (change->kind) {
    case CHANGE_PUT_MAILBOX:
        disk_mailbox_free(change->put_mailbox);
        break;
    case CHANGE_PUT_MESSAGE:
    case CHANGE_PUT_FLAGS:
        message_free(change->message);
        break;
    case CHANGE_PUT_JOURNAL:
        journal_entry_free(change->entry);
        break;
    case CHANGE_PUT_LOCAL:
        journal_local_free(change->local);
        break;
    case CHANGE_PUT_PARKED:
        journal_parked_free(change->parked);
        break;
    default:
        break;
    }
}

DiskBatch *disk_batch_new(void)
{
    DiskBatch *batch = g_new0(DiskBatch, 1);

    batch->changes = g_array_new(FALSE, FALSE, sizeof(DiskChange));
    g_array_set_clear_func(batch->changes, change_clear);
    return batch;
}

void disk_batch_free(DiskBatch *batch)
{
    if (!batch)
        return;
    g_array_unref(batch->changes);
    g_free(batch);
}

gboolean disk_batch_is_empty(const DiskBatch *batch)
{
    return batch->changes->len == 0;
}

void disk_batch_add(DiskBatch *batch, const DiskChange *change)
{
    gboolean is_journal =
        change->kind == CHANGE_PUT_JOURNAL || change->kind == CHANGE_REMOVE_JOURNAL;

    g_assert((is_journal || change->mailbox > 0) && change->item <= DISK_MAX_ITEM);
    batch->has_journal |= is_journal;
    batch->has_paper |= change->kind >= CHANGE_PUT_JOURNAL;
    g_array_append_vals(batch->changes, change, 1);
}

void disk_batch_put_mailbox(DiskBatch *batch, const DiskMailbox *mailbox)
{
    DiskMailbox *copy = g_memdup2(mailbox, sizeof *mailbox);

    g_assert(mailbox->wire && mailbox->path);
    copy->wire = g_strdup(mailbox->wire);
    copy->path = g_strdupv(mailbox->path);
    disk_batch_add(batch, &(DiskChange){.kind = CHANGE_PUT_MAILBOX,
                                        .mailbox = mailbox->number,
                                        .put_mailbox = copy});
}

void disk_batch_remove_mailbox(DiskBatch *batch, guint16 mailbox)
{
    disk_batch_add(batch, &(DiskChange){.kind = CHANGE_REMOVE_MAILBOX, .mailbox = mailbox});
}

void disk_batch_put_message(DiskBatch *batch, guint16 mailbox, guint32 uidvalidity,
                            const Message *message)
{
    g_assert(message->item > 0 && message->name);
    disk_batch_add(batch, &(DiskChange){.kind = CHANGE_PUT_MESSAGE,
                                        .mailbox = mailbox,
                                        .uidvalidity = uidvalidity,
                                        .item = message->item,
                                        .message = message_copy(message)});
}

void disk_batch_put_flags(DiskBatch *batch, guint16 mailbox, const Message *message)
{
    Message *copy = message_new();

    copy->flags = message->flags;
    copy->keywords = message->keywords ? g_ref_string_acquire(message->keywords) : NULL;
    disk_batch_add(batch, &(DiskChange){.kind = CHANGE_PUT_FLAGS,
                                        .mailbox = mailbox,
                                        .item = message->item,
                                        .message = copy});
}

void disk_batch_remove_message(DiskBatch *batch, guint16 mailbox, guint64 item)
{
    disk_batch_add(batch, &(DiskChange){
        .kind = CHANGE_REMOVE_MESSAGE, .mailbox = mailbox, .item = item});
}

void disk_batch_body_cached(DiskBatch *batch, guint16 mailbox, guint64 item, guint64 size,
                            const guint8 *sha256)
{
    DiskChange change = {.kind = CHANGE_BODY_CACHED,
                     .mailbox = mailbox,
                     .item = item,
                     .used = g_get_real_time() / G_USEC_PER_SEC};

    change.body.size = size;
    memcpy(change.body.sha256, sha256, DISK_SHA256);
    disk_batch_add(batch, &change);
}

void disk_batch_body_dropped(DiskBatch *batch, guint16 mailbox, guint64 item)
{
    disk_batch_add(batch, &(DiskChange){.kind = CHANGE_BODY_DROPPED,
                                        .mailbox = mailbox,
                                        .item = item});
}

void disk_batch_body_used(DiskBatch *batch, guint16 mailbox, guint64 item, gint64 now)
{
    disk_batch_add(batch, &(DiskChange){.kind = CHANGE_BODY_USED,
                                        .mailbox = mailbox,
                                        .item = item,
                                        .used = now});
}

void disk_batch_move_body(DiskBatch *batch, const DiskBodyMove *move)
{
    g_assert(move->to_mailbox > 0 && move->to_item > 0 && move->to_item <= DISK_MAX_ITEM);
    disk_batch_add(batch, &(DiskChange){.kind = CHANGE_BODY_MOVED,
                                        .mailbox = move->mailbox,
                                        .item = move->item,
                                        .to = {move->to_mailbox, move->to_item, move->keeps}});
}

/* -- What the disk has to know of it ----------------------------------------------------------- */

void disk_batch_note_holes(const DiskBatch *batch, GHashTable *holes)
{
    for (guint i = 0; i < batch->changes->len; i++) {
        const DiskChange *change = &g_array_index(batch->changes, DiskChange, i);

        if (change->kind >= CHANGE_PUT_JOURNAL) /* nothing that a listing could mend */
            continue;
        g_hash_table_add(holes, GUINT_TO_POINTER(change->mailbox));
        if (change->kind == CHANGE_BODY_MOVED)
            g_hash_table_add(holes, GUINT_TO_POINTER(change->to.mailbox));
    }
}

void disk_note_item(GHashTable *next_items, guint16 mailbox, guint64 item)
{
    guint64 *next = g_hash_table_lookup(next_items, GUINT_TO_POINTER(mailbox));

    if (!next) {
        next = g_new0(guint64, 1);
        g_hash_table_insert(next_items, GUINT_TO_POINTER(mailbox), next);
    }
    *next = MAX(*next, item + 1);
}

static void note_item(guint16 mailbox, guint64 item, gpointer next_items)
{
    disk_note_item(next_items, mailbox, item);
}

void disk_batch_note_items(const DiskBatch *batch, GHashTable *next_items)
{
    for (guint i = 0; i < batch->changes->len; i++) {
        const DiskChange *change = &g_array_index(batch->changes, DiskChange, i);

        if (change->kind == CHANGE_PUT_MESSAGE || change->kind == CHANGE_PUT_LOCAL)
            disk_note_item(next_items, change->mailbox, change->item);
        else if (change->kind == CHANGE_PUT_JOURNAL)
            disk_entry_each_item(change->entry, note_item, next_items);
    }
}
