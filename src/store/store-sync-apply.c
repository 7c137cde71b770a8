/* What a sync says of messages, in the model: rows that come, change and go, what the disk is to
 * keep of them, and what the observer is told.
 *
 * A message that is listed anew gets the item (and with it the inode and the cached body) of
 * the one it was: by UID within the same UIDVALIDITY, otherwise by Message-ID and size.
 */
#include "store/store-sync-internal.h"

/* -- Changes, and the first listing ----------------------------------------------------------- */

static void tell_added(SyncRun *run, Message *message)
{
    const StoreObserver *observer = run->store->params.observer;

    /* Before the first listing is whole nobody has seen anything of it. */
    if (run->mailbox->is_listed)
        observer->message_added(run->store, run->mailbox, message, run->store->params.user);
}

/* What an older entry for the same message leaves to the new one. */
static void inherit(Message *message, const Message *old, gboolean same_uid)
{
    message->item = old->item;
    message->mtime = old->mtime;
    message->mode = old->mode;
    /* One that has lost its mark somebody wants to have back. */
    message->is_hidden =
        same_uid && old->is_hidden && (message->flags & MESSAGE_DELETED) ? 1 : 0;
    if (same_uid && old->name) {
        g_free(message->name);
        message->name = g_strdup(old->name);
    }
    if (old->is_cached) {
        message->is_cached = TRUE;
        message->is_exact = old->is_exact;
        message->is_suspect = old->is_suspect;
        message->size = old->size;
    }
}

/* What state.db and the rows of a listing that was never whole know of a message: number and name,
 * and the body. */
static void recall(SyncRun *run, Message *message)
{
    const Message *old = run->by_uid ? g_hash_table_lookup(run->by_uid,
                                                           GUINT_TO_POINTER(message->uid))
                                     : NULL;
    const Message *row;

    if (!old || mailbox_find_item(run->mailbox, old->item))
        return;
    inherit(message, old, TRUE);
    row = run->before ? g_hash_table_lookup(run->before, &old->item) : NULL;
    if (row && row->is_cached) {
        message->is_cached = TRUE;
        message->is_exact = TRUE;
        message->is_suspect = row->is_suspect;
        message->size = row->size;
    }
    if (row)
        g_hash_table_remove(run->before, &old->item);
}

static void add_message(SyncRun *run, DiskBatch *batch, Message *message)
{
    Mailbox *mailbox = run->mailbox;

    recall(run, message);
    message->appeared = store_now();
    /* Somebody may have given this very name to another file. */
    if (message->name && (mailbox_find_name(mailbox, message->name) ||
                          local_find_name(run->store, mailbox, message->name))) {
        char *name = change_free_name(run->store, mailbox, message->name);

        g_free(message->name);
        message->name = name;
    }
    if (!mailbox_add(mailbox, message)) {
        g_warning("%s: a message of %s cannot be shown", run->store->account->id,
                  mailbox->wire);
        return;
    }
    disk_batch_put_message(batch, mailbox->number, run->uidvalidity, message);
    tell_added(run, message);
}

static gboolean set_flags(SyncRun *run, Message *message, guint16 flags, const char *keywords)
{
    if (message->flags == flags && g_strcmp0(message->keywords, keywords) == 0)
        return FALSE;
    if (run->flagged && uid_set_contains(run->flagged, message->uid)) {
        run->is_behind = TRUE;
        return FALSE;
    }
    message->flags = flags;
    message_set_keywords(message, keywords);
    return TRUE;
}

static void change_flags(SyncRun *run, DiskBatch *batch, guint32 uid, guint16 flags,
                         const char *keywords)
{
    Store *store = run->store;
    Message *message = mailbox_find_uid(run->mailbox, uid);

    if (!message || !set_flags(run, message, flags, keywords))
        return;
    message->appeared = store_now();
    if (message->is_hidden && !message->is_pending && !(flags & MESSAGE_DELETED)) {
        /* Somebody wants to have it back. */
        message->is_hidden = FALSE;
        disk_batch_put_message(batch, run->mailbox->number, run->uidvalidity, message);
        tell_added(run, message);
        return;
    }
    disk_batch_put_flags(batch, run->mailbox->number, message);
    if (message->is_hidden)
        return;
    store->params.observer->message_changed(store, run->mailbox, message, store->params.user);
}

/* A message that a change of ours brought here: date and size as the server keeps them may be
 * others than those it was sent with.  What was read is the truth about the size. */
static void learn(SyncRun *run, DiskBatch *batch, Message *known, const Message *message)
{
    Store *store = run->store;
    gboolean is_resized = !known->is_exact && message->size != known->size;

    if (!known->fingerprint)
        known->fingerprint = message->fingerprint;
    if (known->date == message->date && !is_resized)
        return;
    known->date = message->date;
    if (is_resized) {
        known->size = message->size;
        known->is_size_news = TRUE;
    }
    known->appeared = store_now();
    disk_batch_put_message(batch, run->mailbox->number, run->uidvalidity, known);
    store->params.observer->message_changed(store, run->mailbox, known, store->params.user);
}

void store_sync_apply_messages(SyncRun *run, Event *event)
{
    DiskBatch *batch = disk_batch_new();

    for (guint i = 0; i < event->messages->len; i++) {
        Message *message = g_steal_pointer(&g_ptr_array_index(event->messages, i));
        Message *known = run->fresh ? NULL : mailbox_find_uid(run->mailbox, message->uid);

        if (run->fresh) {
            g_ptr_array_add(run->fresh, message);
        } else if (known) {
            learn(run, batch, known, message);
            change_flags(run, batch, message->uid, message->flags, message->keywords);
            message_free(message);
        } else if (run->gone && uid_set_contains(run->gone, message->uid)) {
            message_free(message);
        } else {
            add_message(run, batch, message);
        }
    }
    run->n_done += event->messages->len;
    disk_submit(run->store->disk, batch, NULL, NULL);
}

void store_sync_apply_flags(SyncRun *run, const Event *event)
{
    DiskBatch *batch = disk_batch_new();

    for (guint i = 0; i < event->flags->len; i++) {
        FlagChange *change = &g_array_index(event->flags, FlagChange, i);

        change_flags(run, batch, change->uid, change->flags, change->keywords);
    }
    disk_submit(run->store->disk, batch, NULL, NULL);
}

static void remove_message(SyncRun *run, DiskBatch *batch, Message *message)
{
    Store *store = run->store;
    g_autoptr(Message) owned = NULL;

    if (message->uid >= MESSAGE_UID_PENDING || change_claims(store, run->mailbox, message))
        return;
    owned = mailbox_steal(run->mailbox, message);
    change_unpark(store, batch, run->mailbox, owned->item);
    disk_batch_remove_message(batch, run->mailbox->number, owned->item);
    if (owned->is_cached)
        disk_remove_body(store->disk, run->mailbox->number, owned->item);
    if (run->mailbox->is_listed && !owned->is_hidden)
        store->params.observer->message_removed(store, run->mailbox, owned,
                                                store->params.user);
}

void store_sync_apply_vanished(SyncRun *run, const UidSet *uids)
{
    DiskBatch *batch = disk_batch_new();

    /* From the end, so that the array moves the least. */
    for (guint r = uid_set_n_ranges(uids); r > 0; r--) {
        UidRange range = uid_set_range(uids, r - 1);

        for (guint i = mailbox_lower_bound(run->mailbox, range.high); ; i--) {
            Message *message = i < mailbox_n_messages(run->mailbox)
                                   ? mailbox_nth(run->mailbox, i)
                                   : NULL;

            if (message && message->uid < range.low)
                break;
            if (message && message->uid <= range.high)
                remove_message(run, batch, message);
            if (i == 0)
                break;
        }
    }
    disk_submit(run->store->disk, batch, NULL, NULL);
}

/* -- A listing anew ---------------------------------------------------------------------------- */

typedef struct {
    guint64 fingerprint, size;
} Likeness;

static guint likeness_hash(gconstpointer key)
{
    return (guint)((const Likeness *)key)->fingerprint;
}

static gboolean likeness_equal(gconstpointer a, gconstpointer b)
{
    const Likeness *x = a, *y = b;

    return x->fingerprint == y->fingerprint && x->size == y->size;
}

/* Likeness -> the message, or NULL where several are alike: then nobody can say who is who. */
static GHashTable *by_likeness(const GPtrArray *messages)
{
    GHashTable *table = g_hash_table_new_full(likeness_hash, likeness_equal, g_free, NULL);

    for (guint i = 0; i < messages->len; i++) {
        const Message *message = g_ptr_array_index(messages, i);
        Likeness key = {message->fingerprint, message->size};
        gboolean is_known = g_hash_table_contains(table, &key);

        if (message->fingerprint)
            g_hash_table_insert(table, g_memdup2(&key, sizeof key),
                                is_known ? NULL : (gpointer)message);
    }
    return table;
}

/* Puts the table that was gathered aside in place of the old one. */
static void replace_table(SyncRun *run)
{
    Store *store = run->store;
    Mailbox *mailbox = run->mailbox;
    g_autoptr(GPtrArray) old = mailbox_steal_all(mailbox);
    g_autoptr(GHashTable) before = by_likeness(old);
    g_autoptr(GHashTable) now = by_likeness(run->fresh);
    g_autoptr(GHashTable) kept = g_hash_table_new(g_direct_hash, g_direct_equal);
    DiskBatch *batch = disk_batch_new();

    for (guint i = 0; i < run->fresh->len; i++) {
        Message *message = g_steal_pointer(&g_ptr_array_index(run->fresh, i));
        Likeness key = {message->fingerprint, message->size};
        Message *was = g_hash_table_lookup(before, &key);

        if (was && g_hash_table_lookup(now, &key) == message) {
            g_hash_table_add(kept, was);
            inherit(message, was, FALSE);
        }
        add_message(run, batch, message);
    }
    for (guint i = 0; i < old->len; i++) {
        Message *message = g_ptr_array_index(old, i);

        if (!g_hash_table_contains(kept, message)) {
            disk_batch_remove_message(batch, mailbox->number, message->item);
            disk_remove_body(store->disk, mailbox->number, message->item);
        }
        store->params.observer->message_removed(store, mailbox, message, store->params.user);
    }
    g_clear_pointer(&run->fresh, g_ptr_array_unref);
    disk_submit(store->disk, batch, NULL, NULL);
}

/* Of the rows from before the listing: what the server has no more. */
static void drop_before(SyncRun *run)
{
    DiskBatch *batch = disk_batch_new();
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, run->before);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Message *message = value;

        if (mailbox_find_item(run->mailbox, message->item))
            continue;
        disk_batch_remove_message(batch, run->mailbox->number, message->item);
        disk_remove_body(run->store->disk, run->mailbox->number, message->item);
    }
    disk_submit(run->store->disk, batch, NULL, NULL);
    g_clear_pointer(&run->before, g_hash_table_unref);
}

void store_sync_apply_state(SyncRun *run, const Event *event)
{
    Store *store = run->store;
    Mailbox *mailbox = run->mailbox;
    gboolean was_listed = mailbox->is_listed;

    if (run->fresh)
        replace_table(run);
    if (run->before)
        drop_before(run);
    if (run->is_reset && run->by_uid)
        change_restore_parked(store, mailbox);
    mailbox->uidvalidity = event->uidvalidity;
    mailbox->uidnext = event->uidnext;
    if (run->is_behind)
        run->again = TRUE;
    else
        mailbox->highestmodseq = event->highestmodseq;
    mailbox->n_messages = mailbox_n_messages(mailbox);
    mailbox->n_unseen = mailbox_count_unseen(mailbox);
    mailbox->is_listed = TRUE;
    if (event->compared)
        mailbox->compared = store_now();
    if (!was_listed)
        mailbox_touch(mailbox, store_now());
    store_put_mailbox(store, mailbox);
    store->params.observer->mailbox_changed(store, mailbox, store->params.user);
    store_end_waits(store, mailbox, NULL, 0);
    read_ahead_policy(store->read_ahead, mailbox);
}
