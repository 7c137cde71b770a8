/* COPY and MOVE: a set of messages to another mailbox of the account.
 *
 *   PREP -> SENT -> MOVE -------------------------------------> the model
 *                   COPY, where the server has no MOVE -> HALF -> EXPUNGE -> the model
 *
 * One command for the whole set.  A tagged OK proves it (a COPY that fails leaves nothing behind,
 * RFC 9051 section 6.4.7); COPYUID says which UIDs the copies have.  Where it does not, the next
 * sync of the target shows them, and they are known by their likeness (change-match.h).
 *
 * When the answer is lost, SENT is found again, and both sides are looked at by a sync
 * (change-transfer-look.c).  Said again, MOVE ignores UIDs that are gone, and EXPUNGE is guarded by
 * date and size, so being killed at any point of this leads back to it.  A sync that finds messages
 * gone which a change is about keeps their rows (change_claims()): name and body are still to be
 * carried over.
 */
#include "store/change-transfer-internal.h"
#include "base/error.h"
#include "base/fault.h"

/* Change.stage: which job is out. */
enum { ASK_TRASH, ASK_COPY, ASK_EXPUNGE };

static void transfer_free(gpointer data)
{
    Transfer *transfer = data;

    if (transfer->is_frozen)
        store_thaw_list(transfer->store);
    g_array_unref(transfer->left);
    g_clear_error(&transfer->error);
    g_free(transfer);
}

Transfer *transfer_own(Change *change)
{
    if (!change->own) {
        Transfer *transfer = g_new0(Transfer, 1);

        transfer->store = change->store;
        transfer->left = g_array_new(FALSE, TRUE, sizeof(JournalMessage));
        change->own = transfer;
        change->own_free = transfer_free;
    }
    return change->own;
}

/* -- The end ----------------------------------------------------------------------------------- */

static void remove_replaced(Store *store, Mailbox *target, guint64 item)
{
    g_autoptr(GPtrArray) messages = g_ptr_array_new();
    Message *replaced = target && item ? mailbox_find_item(target, item) : NULL;

    if (!replaced)
        return;
    g_ptr_array_add(messages, replaced);
    store_change_forget(store_remove(store, target, messages, NULL, NULL));
}

/* What was refused becomes the entry again: it is what a retry is about. */
static void finish(Change *change, DiskBatch *batch)
{
    Store *store = change->store;
    Transfer *transfer = transfer_own(change);
    Mailbox *target = change_target(change);
    guint64 replaced = change->entry->item;
    GArray *left;
    g_autoptr(GError) error = NULL;

    if (!transfer->error) {
        change_finish(change, batch);
        remove_replaced(store, target, replaced);
        return;
    }
    left = g_array_ref(transfer->left);
    error = g_error_copy(transfer->error);
    if (left->len > 0) {
        g_array_unref(change->entry->messages);
        change->entry->messages = g_array_ref(left);
    }
    g_array_unref(left);
    change_refuse(change, batch, error);
}

void transfer_refuse(Change *change, const GError *error)
{
    Mailbox *mailbox = change_mailbox(change);
    DiskBatch *batch = disk_batch_new();
    guint n = mailbox && transfer_is_move(change) ? change->entry->messages->len : 0;

    /* Rows that were kept although a sync found their messages gone. */
    for (guint i = 0; i < n; i++) {
        Message *message = change_message(change, transfer_nth(change, i));

        if (message && transfer_nth(change, i)->is_done)
            change_remove_row(change->store, batch, mailbox, message);
    }
    if (mailbox)
        store_request_sync(change->store, mailbox, JOB_WAITED);
    if (mail_error_is(error, MAIL_ERROR_GONE))
        store_ask_list(change->store, JOB_WAITED);
    change_refuse(change, batch, error);
}

/* Everything that the server has done is done: the model follows. */
void transfer_apply(Change *change)
{
    DiskBatch *batch = disk_batch_new();
    Mailbox *target = change_target(change);
    gboolean is_complete = TRUE;

    FAULT("transfer-apply");
    for (guint i = 0; i < change->entry->messages->len; i++)
        is_complete = change_carry_over(change, batch, transfer_nth(change, i)) && is_complete;
    FAULT("transfer-carried");
    if (target && !is_complete)
        store_request_sync(change->store, target, JOB_WAITED);
    finish(change, batch);
}

/* -- Asking the server ------------------------------------------------------------------------- */

/* Those that are not over there, as far as anybody knows. */
void transfer_ask_copy(Change *change)
{
    const JournalEntry *entry = change->entry;
    Job *job = change_own_job(change, JOB_COPY);

    job->change->target = g_strdup(entry->target);
    job->change->target_uidvalidity = entry->target_uidvalidity;
    job->change->is_move = transfer_is_move(change);
    job->change->messages = g_array_new(FALSE, TRUE, sizeof(ChangeMessage));
    for (guint i = 0; i < entry->messages->len; i++) {
        const JournalMessage *each = transfer_nth(change, i);
        ChangeMessage message = {.uid = each->uid, .item = each->item,
                                 .date = each->date, .size = each->size};

        if (!each->is_done && !each->new_uid)
            g_array_append_val(job->change->messages, message);
    }
    change->stage = ASK_COPY;
    change_send(change, JOURNAL_SENT, job);
}

void transfer_ask_expunge(Change *change)
{
    Job *job = change_expunge_job(change);

    job->change->is_move = TRUE;
    for (guint i = 0; i < job->change->messages->len; i++) {
        ChangeMessage *each = &g_array_index(job->change->messages, ChangeMessage, i);
        const Message *message = change_message(change, change_find_uid(change, each->uid));

        /* As for rm: the server's claim is not known any more. */
        if (message && message->is_exact)
            each->size = 0;
    }
    change->stage = ASK_EXPUNGE;
    change_send(change, JOURNAL_HALF, job);
}

static void ask_trash(Change *change)
{
    Job *job = change_job(JOB_MAILBOX, change->entry->target, 0);

    job->change->verb = MAILBOX_CREATE;
    job->change->special_use = g_strdup("\\Trash");
    change->stage = ASK_TRASH;
    store_freeze_list(change->store);
    transfer_own(change)->is_frozen = transfer_own(change)->made_trash = TRUE;
    change_send(change, JOURNAL_PREP, job);
}

static void begin(Change *change)
{
    JournalEntry *entry = change->entry;
    Mailbox *mailbox = change_mailbox(change);
    Mailbox *target = entry->target_mailbox
                          ? change_target(change)
                          : account_find_wire(change->store->account, entry->target);
    gboolean is_missing =
        !mailbox || (entry->target_mailbox && (!target || target->is_container));
    g_autoptr(GError) error = NULL;

    change_refresh(change);
    if (is_missing || entry->messages->len == 0) {
        mail_fail(&error, MAIL_ERROR_GONE, is_missing ? "the mailbox %s is gone"
                                                      : "the message is no longer in %s",
                  mailbox && is_missing ? entry->target : entry->wire);
        transfer_refuse(change, error);
        return;
    }
    if (!target || target->is_container) {
        ask_trash(change);
        return;
    }
    entry->target_mailbox = target->number;
    g_free(entry->target);
    entry->target = g_strdup(target->wire);
    entry->target_uidvalidity = target->uidvalidity;
    entry->uidnext = change_first_possible_uid(target);
    for (guint i = 0; i < entry->messages->len; i++)
        if (!transfer_nth(change, i)->new_item)
            transfer_nth(change, i)->new_item = change_new_item(target);
    FAULT("transfer-begin");
    transfer_ask_copy(change);
}

static void step(Change *change)
{
    switch (change->entry->state) {
    case JOURNAL_SENT:
        transfer_look(change);
        break;
    case JOURNAL_HALF:
        transfer_ask_expunge(change);
        break;
    default:
        begin(change);
    }
}

/* -- Answers ----------------------------------------------------------------------------------- */

/* Takes what is done out of @result; what was asked for and is not done goes aside. */
static void take_copied(Change *change, const JobChange *result)
{
    Transfer *transfer = transfer_own(change);

    for (guint i = 0; i < result->messages->len; i++) {
        const ChangeMessage *each = &g_array_index(result->messages, ChangeMessage, i);
        JournalMessage *entry = change_find_uid(change, each->uid);

        if (!entry)
            continue;
        if (each->is_done) {
            entry->new_uid = each->target_uid;
            entry->is_done = !transfer_is_move(change) || result->did_move;
        } else {
            g_array_append_val(transfer->left, *entry);
        }
    }
}

static void drop_left(Change *change)
{
    const Transfer *transfer = transfer_own(change);

    for (guint i = 0; i < transfer->left->len; i++) {
        const JournalMessage *left = &g_array_index(transfer->left, JournalMessage, i);
        JournalMessage *entry = change_find_uid(change, left->uid);

        if (entry)
            g_array_remove_index(change->entry->messages, (guint)(entry - transfer_nth(change, 0)));
    }
}

static void note_error(Change *change, const GError *error)
{
    Transfer *transfer = transfer_own(change);

    if (transfer->error)
        return;
    if (error)
        transfer->error = g_error_copy(error);
    else if (transfer->left->len > 0)
        mail_fail(&transfer->error, MAIL_ERROR_GONE, "%u messages are no longer in %s",
                  transfer->left->len, change->entry->wire);
}

/* Perhaps another client removed the Trash that we know: then it is made anew. */
static gboolean is_trash_gone(Change *change, const GError *error)
{
    g_autoptr(GError) missing = NULL;
    const Mailbox *trash = change_trash_always(change->store, &missing);

    return mail_error_is(error, MAIL_ERROR_GONE) && transfer_is_move(change) &&
           !transfer_own(change)->made_trash && trash &&
           trash->number == change->entry->target_mailbox;
}

static void on_copied(Change *change, const JobChange *result, const GError *error)
{
    JournalEntry *entry = change->entry;
    Transfer *transfer = transfer_own(change);
    gboolean all_done = TRUE;

    if (error && change_is_temporary(error) && !result->was_sent &&
        entry->messages->len == result->messages->len)
        entry->state = JOURNAL_PREP; /* what never left needs no search */
    g_array_set_size(transfer->left, 0);
    take_copied(change, result);
    if (error && change_is_temporary(error)) {
        g_array_set_size(transfer->left, 0);
        change_postpone(change, error);
        return;
    }
    if (result->uidvalidity)
        entry->target_uidvalidity = result->uidvalidity;
    if (result->uidnext_then && !entry->uidnext)
        entry->uidnext = result->uidnext_then;
    if (transfer->left->len == entry->messages->len && is_trash_gone(change, error)) {
        g_array_set_size(transfer->left, 0);
        ask_trash(change);
        return;
    }
    note_error(change, error);
    if (transfer->left->len == entry->messages->len) {
        g_autoptr(GError) all = g_error_copy(transfer->error);

        transfer_refuse(change, all);
        return;
    }
    drop_left(change);
    for (guint i = 0; i < entry->messages->len; i++)
        all_done = all_done && transfer_nth(change, i)->is_done;
    FAULT("transfer-copied");
    if (all_done)
        transfer_conclude(change);
    else
        transfer_ask_expunge(change);
}

/* Where a source is not what it was, it stays; so does what the server does not let us remove. */
static void keep_both(Change *change, const GError *error)
{
    Transfer *transfer = transfer_own(change);
    JournalEntry *entry = change->entry;
    Mailbox *target = change_target(change);
    guint before = entry->messages->len;
    DiskBatch *batch = disk_batch_new();

    for (guint i = before; i > 0; i--)
        if (!transfer_nth(change, i - 1)->is_done) {
            change_unshow_message(change, batch, transfer_nth(change, i - 1));
            g_array_remove_index(entry->messages, i - 1);
        }
    disk_submit(change->store->disk, batch, NULL, NULL);
    if (entry->messages->len == before)
        return;
    if (target)
        store_request_sync(change->store, target, JOB_WAITED);
    g_clear_error(&transfer->error);
    mail_fail(&transfer->error, error ? (MailError)error->code : MAIL_ERROR_GONE,
              "%u messages of %s were copied to %s, but could not be removed: %s",
              before - entry->messages->len, entry->wire, entry->target,
              error ? error->message : "they are not what they were");
}

/* The copies are there. */
static void on_expunged(Change *change, const JobChange *result, const GError *error)
{
    Mailbox *mailbox = change_mailbox(change);
    DiskBatch *batch = disk_batch_new();

    FAULT("transfer-expunged");
    for (guint i = 0; i < result->messages->len; i++) {
        const ChangeMessage *each = &g_array_index(result->messages, ChangeMessage, i);
        JournalMessage *entry = change_find_uid(change, each->uid);
        Message *message = entry ? change_message(change, entry) : NULL;

        if (!entry)
            continue;
        entry->is_done = entry->is_done || each->is_done;
        if (mailbox && message && result->is_hidden && !each->is_done) {
            change_hide_message(change->store, batch, mailbox, message);
            entry->is_done = TRUE;
        }
    }
    disk_submit(change->store->disk, batch, NULL, NULL);
    if (error && change_is_temporary(error)) {
        change_postpone(change, error);
        return;
    }
    keep_both(change, error);
    transfer_conclude(change);
}

static void on_trash_made(Change *change)
{
    g_autoptr(GError) unshown = NULL;

    FAULT("transfer-trash-made");
    if (change_mailbox_appeared(change->store, change->entry->target, &unshown))
        begin(change);
    else
        transfer_refuse(change, unshown);
}

static void on_trash_answered(Change *change, const GError *error)
{
    JournalEntry *entry = change->entry;
    g_autofree char *below = NULL;

    if (error && change_is_temporary(error)) {
        change_postpone(change, error);
        return;
    }
    if (!error || mail_error_is(error, MAIL_ERROR_EXISTS)) {
        on_trash_made(change);
        return;
    }
    /* An account that has nothing but an INBOX does not show where its other mailboxes belong. */
    below = change_wire_below_inbox(change->store, entry->target);
    if (below) {
        g_free(entry->target);
        entry->target = g_steal_pointer(&below);
        change->was_saved = FALSE;
        ask_trash(change);
    } else {
        transfer_refuse(change, error);
    }
}

static void answered(Change *change, Job *job, const GError *error)
{
    switch (change->stage) {
    case ASK_TRASH:
        transfer_own(change)->is_frozen = FALSE;
        store_thaw_list(change->store);
        on_trash_answered(change, error);
        break;
    case ASK_COPY:
        on_copied(change, job->change, error);
        break;
    case ASK_EXPUNGE:
        on_expunged(change, job->change, error);
        break;
    }
}

static void undo(Change *change, const GError *error)
{
    change_unshow(change);
}

const ChangeOps change_transfer_ops = {step, answered, undo};

/* -- Asking ------------------------------------------------------------------------------------ */

static StoreChange *begin_transfer(Store *store, JournalKind kind, const StoreTransfer *transfer,
                                   StoreFunc func, gpointer user)
{
    g_autoptr(GError) error = NULL;
    Change *change;

    if (!store_may_change(store, transfer->to, &error) ||
        (kind == JOURNAL_MOVE && !store_may_change(store, transfer->from, &error)))
        return change_answer(store, error, func, user);
    if (transfer->to->is_container) {
        mail_fail(&error, MAIL_ERROR_DENIED, "%s is only a level of folders, it holds no messages",
                  transfer->to->label);
        return change_answer(store, error, func, user);
    }
    if (transfer->messages->len == 0)
        return change_answer(store, NULL, func, user);
    change = change_new(store, kind, transfer->from);
    change->entry->target_mailbox = transfer->to->number;
    change->entry->target = g_strdup(transfer->to->wire);
    change->entry->item = transfer->replaced ? transfer->replaced->item : 0;
    if (transfer->messages->len == 1)
        change->entry->name = g_strdup(transfer->name);
    change_add_messages(change, transfer->messages, transfer->to);
    return change_begin_for(change, func, user);
}

StoreChange *store_move(Store *store, const StoreTransfer *transfer, StoreFunc func,
                        gpointer user)
{
    return begin_transfer(store, JOURNAL_MOVE, transfer, func, user);
}

StoreChange *store_copy(Store *store, const StoreTransfer *transfer, StoreFunc func,
                        gpointer user)
{
    return begin_transfer(store, JOURNAL_COPY, transfer, func, user);
}

StoreChange *change_to_trash(Store *store, Mailbox *mailbox, GPtrArray *messages, Mailbox *trash,
                             StoreFunc func, gpointer user)
{
    Change *change;
    StoreTransfer transfer = {.from = mailbox, .messages = messages, .to = trash};

    if (trash)
        return store_move(store, &transfer, func, user);
    change = change_new(store, JOURNAL_MOVE, mailbox);
    change->entry->target = change_trash_wire(store);
    change_add_messages(change, messages, NULL);
    return change_begin_for(change, func, user);
}
