/* What the model shows of changes that wait for a connection (offline=queue).
 *
 * Who was told "done" must see it done: a message that is to be moved is in its new place, one that
 * is to be removed is gone, flags are set, a directory is there.  All this is of the model alone,
 * made anew from the journal at each start and taken back if the server refuses:
 *
 * - a row in the source is hidden;
 * - a row in the target stands for the copy that is to come: it has the item that the copy will
 *   have, a link to the body, and instead of a UID a number that no server gives
 *   (MESSAGE_UID_PENDING); change_carry_over() puts the real one in its place.
 *
 * Rows of both mailboxes must be here; where they are not, they are loaded first.
 */
#include "store/change-internal.h"

static gboolean is_loaded(Store *store, Mailbox *mailbox)
{
    if (mailbox->load == MAILBOX_LOADED)
        return TRUE;
    store_load_mailbox(store, mailbox);
    return FALSE;
}

/* -- Rows that are to go ----------------------------------------------------------------------- */

static void hide(Store *store, Mailbox *mailbox, Message *message)
{
    if (!message || message->is_hidden)
        return;
    store->params.observer->message_removed(store, mailbox, message, store->params.user);
    message->is_hidden = message->is_pending = TRUE;
    mailbox_touch(mailbox, store_now());
}

static void unhide(Store *store, DiskBatch *batch, Mailbox *mailbox, Message *message)
{
    if (!message || !message->is_hidden || !message->is_pending)
        return;
    message->is_hidden = message->is_pending = FALSE;
    change_put_row(batch, mailbox, message);
    mailbox_touch(mailbox, store_now());
    store->params.observer->message_added(store, mailbox, message, store->params.user);
}

/* -- Rows that are to come --------------------------------------------------------------------- */

static guint32 next_pending_uid(const Mailbox *mailbox)
{
    guint n = mailbox_n_messages(mailbox);
    guint32 highest = n > 0 ? mailbox_nth(mailbox, n - 1)->uid : 0;

    return MAX(highest + 1, MESSAGE_UID_PENDING);
}

static void expect(Change *change, Mailbox *from, Mailbox *to, const JournalMessage *each)
{
    Store *store = change->store;
    const Message *row = mailbox_find_item(from, each->item);
    const char *wanted = change->entry->name ? change->entry->name : row ? row->name : NULL;
    DiskBodyMove body = {from->number, to->number, each->item, each->new_item, TRUE};
    Message *message;

    if (!row || !each->new_item || mailbox_find_item(to, each->new_item))
        return;
    message = message_copy(row);
    g_free(message->name);
    message->name = change_free_name(store, to, wanted);
    message->item = each->new_item;
    message->uid = next_pending_uid(to);
    message->appeared = store_now();
    message->is_hidden = FALSE;
    message->is_pending = message->is_withheld = TRUE;
    message->is_suspect = FALSE; /* the link has no hash of its own to be compared with */
    message->is_cached = row->is_cached && disk_move_body(store->disk, &body) ? 1 : 0;
    if (!mailbox_add(to, message))
        return;
    mailbox_touch(to, store_now());
    store->params.observer->message_added(store, to, message, store->params.user);
}

void change_forget_expected(Store *store, Mailbox *mailbox, guint64 item)
{
    Message *message = mailbox_find_item(mailbox, item);
    g_autoptr(Message) owned = NULL;

    if (!message || message->uid < MESSAGE_UID_PENDING)
        return;
    owned = mailbox_steal(mailbox, message);
    disk_remove_body(store->disk, mailbox->number, item);
    if (!owned->is_hidden)
        store->params.observer->message_removed(store, mailbox, owned, store->params.user);
}

/* -- By kind ----------------------------------------------------------------------------------- */

static gboolean show_transfer(Change *change)
{
    Store *store = change->store;
    const JournalEntry *entry = change->entry;
    Mailbox *from = change_mailbox(change), *to = change_target(change);
    gboolean has_target = to && to->is_listed;

    if (!from || !is_loaded(store, from) || (has_target && !is_loaded(store, to)))
        return FALSE;
    if (has_target && entry->item)
        hide(store, to, mailbox_find_item(to, entry->item));
    for (guint i = 0; i < entry->messages->len; i++) {
        const JournalMessage *each = &g_array_index(entry->messages, JournalMessage, i);

        if (has_target)
            expect(change, from, to, each);
        if (entry->kind == JOURNAL_MOVE)
            hide(store, from, mailbox_find_item(from, each->item));
    }
    return TRUE;
}

static gboolean show_expunge(Change *change)
{
    Mailbox *mailbox = change_mailbox(change);
    const GArray *messages = change->entry->messages;

    if (!mailbox || !is_loaded(change->store, mailbox))
        return FALSE;
    for (guint i = 0; i < messages->len; i++)
        hide(change->store, mailbox,
             change_message(change, &g_array_index(messages, JournalMessage, i)));
    return TRUE;
}

static gboolean show_flags(Change *change)
{
    const Mailbox *mailbox = change_mailbox(change);
    DiskBatch *batch;

    if (!mailbox || mailbox->load != MAILBOX_LOADED)
        return FALSE;
    batch = disk_batch_new();
    change_apply_flags(change, batch);
    disk_submit(change->store->disk, batch, NULL, NULL);
    return TRUE;
}

/* Nothing can be in it but what is on its way there, too. */
static gboolean show_mailbox(Change *change)
{
    Mailbox *mailbox;

    if (change->entry->verb != MAILBOX_CREATE)
        return TRUE;
    mailbox = change_mailbox_appeared(change->store, change->entry->wire, NULL);
    if (mailbox && mailbox->uidvalidity == 0) {
        mailbox->is_listed = TRUE;
        mailbox->load = MAILBOX_LOADED;
        store_put_mailbox(change->store, mailbox);
    }
    return TRUE;
}

void change_show(Change *change)
{
    gboolean (*const kinds[JOURNAL_N_KINDS])(Change *change) = {
        [JOURNAL_COPY] = show_transfer,   [JOURNAL_MOVE] = show_transfer,
        [JOURNAL_EXPUNGE] = show_expunge, [JOURNAL_FLAGS] = show_flags,
        [JOURNAL_MAILBOX] = show_mailbox,
    };

    /* Of what may have been sent the server will tell. */
    if (change->is_shown || !change->was_queued || change->entry->state != JOURNAL_PREP ||
        !kinds[change->entry->kind])
        return;
    change->is_shown = kinds[change->entry->kind](change);
}

void change_show_done(Change *change)
{
    change->is_shown = change->is_shown || show_transfer(change);
}

void store_changes_show(Store *store)
{
    for (GList *link = store->changes; link; link = link->next)
        change_show(link->data);
}

/* -- Taken back -------------------------------------------------------------------------------- */

void change_unshow_message(Change *change, DiskBatch *batch, const JournalMessage *each)
{
    Mailbox *mailbox = change_mailbox(change), *target = change_target(change);

    if (target && each->new_item)
        change_forget_expected(change->store, target, each->new_item);
    if (mailbox)
        unhide(change->store, batch, mailbox, change_message(change, each));
}

void change_unshow(Change *change)
{
    Store *store = change->store;
    const JournalEntry *entry = change->entry;
    Mailbox *mailbox = change_mailbox(change), *target = change_target(change);
    DiskBatch *batch;

    if (!change->is_shown)
        return;
    change->is_shown = FALSE;
    batch = disk_batch_new();
    for (guint i = 0; i < entry->messages->len; i++)
        change_unshow_message(change, batch,
                              &g_array_index(entry->messages, JournalMessage, i));
    if (target && entry->item)
        unhide(store, batch, target, mailbox_find_item(target, entry->item));
    disk_submit(store->disk, batch, NULL, NULL);
    /* How they were before is the server's to say: all flags, not only what changed. */
    if (mailbox && entry->kind == JOURNAL_FLAGS) {
        mailbox->highestmodseq = 0;
        store_request_sync(store, mailbox, JOB_WAITED);
    }
}

gboolean store_is_expected(const Store *store, const Mailbox *mailbox)
{
    for (GList *link = store->changes; link; link = link->next) {
        const JournalEntry *entry = ((const Change *)link->data)->entry;

        if (entry->kind == JOURNAL_MAILBOX && entry->verb == MAILBOX_CREATE &&
            g_str_equal(entry->wire, mailbox->wire))
            return TRUE;
    }
    return FALSE;
}
