/* Turns: which change is carried out now, and what becomes of those that must wait.
 *
 * The list of changes is in the order in which they were asked for.  One has its turn when the
 * account is online and nothing earlier is about the same messages.
 */
#include "store/change-internal.h"
#include "base/deadline.h"
#include "base/error.h"

/* -- Which one --------------------------------------------------------------------------------- */

typedef struct {
    guint16 mailbox;
    guint64 item;
} Key;

static GArray *keys_of(const JournalEntry *entry)
{
    GArray *keys = g_array_new(FALSE, TRUE, sizeof(Key));
    /* The item of a transfer is the one that is replaced over there. */
    guint16 place = entry->target_mailbox ? entry->target_mailbox : entry->mailbox;

    if (entry->item)
        g_array_append_vals(keys, &(Key){place, entry->item}, 1);
    for (guint i = 0; i < entry->messages->len; i++) {
        const JournalMessage *each = &g_array_index(entry->messages, JournalMessage, i);

        g_array_append_vals(keys, &(Key){entry->mailbox, each->item}, 1);
        if (each->new_item)
            g_array_append_vals(keys, &(Key){entry->target_mailbox, each->new_item}, 1);
    }
    return keys;
}

static gboolean share_a_key(const GArray *a, const GArray *b)
{
    for (guint i = 0; i < a->len; i++)
        for (guint k = 0; k < b->len; k++) {
            const Key *x = &g_array_index(a, Key, i), *y = &g_array_index(b, Key, k);

            if (x->mailbox == y->mailbox && x->item == y->item)
                return TRUE;
        }
    return FALSE;
}

/* Renaming or deleting a mailbox is about everything in it and below; they are rare enough to be
 * about everything. */
static gboolean conflicts(const Change *a, const Change *b)
{
    g_autoptr(GArray) keys_a = NULL, keys_b = NULL;

    if (a->entry->kind == JOURNAL_MAILBOX || b->entry->kind == JOURNAL_MAILBOX)
        return TRUE;
    keys_a = keys_of(a->entry);
    keys_b = keys_of(b->entry);
    return share_a_key(keys_a, keys_b);
}

/* Nothing earlier is in its way.  One that waits for a server that is busy is in nobody's. */
static gboolean is_free(const Store *store, const Change *change)
{
    for (GList *link = store->changes; link && link->data != change; link = link->next)
        if (conflicts(link->data, change))
            return FALSE;
    return TRUE;
}

/* After the cache was lost, mailboxes are known by the first LIST only. */
static gboolean is_located(const Change *change)
{
    const JournalEntry *entry = change->entry;

    return change->store->was_polled || ((!entry->mailbox || change_mailbox(change)) &&
                                         (!entry->target_mailbox || change_target(change)));
}

/* Changes may be carried out now. */
static gboolean is_open(const Store *store)
{
    return store->link == LINK_ONLINE || (store->backend && store->ops->works_offline);
}

static gboolean is_due(const Change *change)
{
    return change->phase == CHANGE_WAITING && !change->is_saving &&
           is_open(change->store) && is_located(change) &&
           (!change->retry || deadline_passed(change->retry));
}

/* The first whose turn it is.  Long queues are mostly files that have nothing to do with each
 * other, so what is compared is bounded. */
static Change *next_due(const Store *store)
{
    /* Each upload that is under way has its octets open. */
    enum { LOOK_AT = 64, AT_WORK = 32 };
    guint n = 0, n_at_work = 0;

    for (GList *link = store->changes; link && n < LOOK_AT; link = link->next) {
        Change *change = link->data;

        n += change->phase != CHANGE_AT_WORK;
        n_at_work += change->phase == CHANGE_AT_WORK;
        if (n_at_work == AT_WORK)
            return NULL;
        if (is_due(change) && is_free(store, change))
            return change;
    }
    return NULL;
}

/* -- Taking it --------------------------------------------------------------------------------- */

static void take_turn(Change *change);

static void on_ready(const GError *error, gpointer user)
{
    Change *change = user;

    change->ready = NULL;
    if (!error)
        take_turn(change);
    else if (change_is_temporary(error))
        change_postpone(change, error);
    else
        change_refuse(change, NULL, error);
}

/* A machine looks at the rows of its mailbox, so they must be here; and at those of its target
 * where it matters who has a name there.  A target that was never listed has no names yet. */
static Mailbox *unready_mailbox(const Change *change)
{
    const JournalEntry *entry = change->entry;
    Mailbox *mailbox = entry->mailbox ? change_mailbox(change) : NULL;
    Mailbox *target = entry->target_mailbox && (entry->name || entry->item) ? change_target(change)
                                                                            : NULL;

    if (mailbox && !store_is_ready(change->store, mailbox))
        return mailbox;
    return target && target->is_listed && !store_is_ready(change->store, target) ? target : NULL;
}

/* While it waits for rows it is not at work, or the listing would be held back for its sake. */
static void take_turn(Change *change)
{
    Store *store = change->store;
    Mailbox *mailbox = unready_mailbox(change);

    change_progress(change);
    if (mailbox) {
        change->phase = CHANGE_PREPARING;
        change->ready = store_wait(store, mailbox, on_ready, change);
        return;
    }
    change->phase = CHANGE_AT_WORK;
    change->ops->step(change);
}

static gboolean run_due(gpointer user)
{
    Store *store = user;
    Change *change;

    store->change_timer = 0;
    while ((change = next_due(store)))
        take_turn(change);
    change_schedule(store);
    return G_SOURCE_REMOVE;
}

/* Comes back when something is due: now, or at the earliest retry. */
void change_schedule(Store *store)
{
    gint64 ms = -1;

    if (store->change_timer) {
        g_source_remove(store->change_timer);
        store->change_timer = 0;
    }
    if (next_due(store)) {
        store->change_timer = g_idle_add_full(G_PRIORITY_DEFAULT, run_due, store, NULL);
        return;
    }
    if (!is_open(store))
        return;
    for (GList *link = store->changes; link; link = link->next) {
        const Change *change = link->data;
        int left = deadline_poll_ms(change->retry);

        if (change->phase == CHANGE_WAITING && change->retry && left >= 0)
            ms = ms < 0 ? left : MIN(ms, left);
    }
    if (ms > 0)
        store->change_timer = g_timeout_add((guint)ms + 1, run_due, store);
}

/* -- Waiting for it ---------------------------------------------------------------------------- */

static gboolean may_queue(const Store *store)
{
    return store->params.config->offline == CONFIG_OFFLINE_QUEUE;
}

/* No connection: who waits hears of it.  What nobody was promised and nobody will miss is taken
 * back; a file's octets, which may exist nowhere else, stay in the queue. */
static void give_back(Change *change)
{
    Store *store = change->store;
    g_autoptr(GError) error = NULL;

    store_fail_offline(store, &error);
    if (may_queue(store)) {
        change->was_queued = TRUE;
        change_show(change);
        change_answer_all(change, NULL);
    } else if (change->entry->state == JOURNAL_PREP && change->entry->kind != JOURNAL_CREATE &&
               change->waiters->len > 0) {
        DiskBatch *batch = disk_batch_new();

        disk_batch_remove_journal(batch, change->entry->id);
        disk_submit(store->disk, batch, NULL, NULL);
        if (change->ops->undo)
            change->ops->undo(change, error);
        change_end(change, error);
    } else {
        change_answer_all(change, error);
    }
}

/* PREP is durable (or the change comes back): it waits. */
void change_wait_for_turn(Change *change)
{
    Store *store = change->store;

    change->phase = CHANGE_WAITING;
    if (store->link > LINK_ONLINE && (!is_open(store) || change->entry->n_tries > 0))
        give_back(change);
    change_schedule(store);
    store->params.observer->state_changed(store, store->params.user);
}

void change_begin(Change *change)
{
    Store *store = change->store;

    if (is_open(store) && is_free(store, change))
        take_turn(change);
    else
        change_save(change, NULL, change_wait_for_turn);
}

void store_changes_link(Store *store)
{
    g_autoptr(GList) changes = g_list_copy(store->changes);

    for (GList *link = changes; link; link = link->next) {
        Change *change = link->data;

        if (store->link == LINK_ONLINE)
            change->retry = 0;
        else if (store->link > LINK_ONLINE && !is_open(store) &&
                 change->phase == CHANGE_WAITING && !change->is_saving)
            give_back(change);
    }
    change_schedule(store);
}

gboolean store_may_change(const Store *store, const Mailbox *mailbox, GError **error)
{
    if (store->write_failure)
        return mail_fail(error, MAIL_ERROR_READONLY, "%s", store->write_failure);
    if (mailbox && mailbox->is_readonly)
        return mail_fail(error, MAIL_ERROR_DENIED,
                         "the server gives no right to change anything in %s", mailbox->wire);
    if (store->link > LINK_ONLINE && !is_open(store) && !may_queue(store))
        return store_fail_offline(store, error);
    return TRUE;
}
