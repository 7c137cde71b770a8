/* What rm does: a move to Trash, or EXPUNGE.
 *
 *   delete=trash, outside Trash:  MOVE (change-transfer.c), into a Trash that is made if need be
 *   within Trash, delete=expunge: PREP -> SENT -> EXPUNGE -> the rows go
 *
 * EXPUNGE is guarded by date and size (the backend compares them first), so it may be said again
 * when its answer was lost: what went is not there any more, and nothing else goes in its place.
 * Where a server can only expunge everything at once, and something of another client would go as
 * well, the message stays marked \Deleted over there and is hidden here.
 */
#include "store/change-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "client/imap-session.h"

/* -- Trash ------------------------------------------------------------------------------------- */

/* What clients have called it, where the server does not say (RFC 6154), and how good the name is:
 * 0 is the best, G_MAXUINT none.  "Bin" may be for anything, so a guess is a Trash only where there
 * is nothing better. */
static guint rank_trash_name(const char *label)
{
    static const char *const names[] = {"Trash", "Deleted Items", "Deleted Messages", "Deleted",
                                        "Bin"};

    if (g_str_equal(label, names[0]))
        return 0;
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (g_ascii_strcasecmp(label, names[i]) == 0)
            return i + 1;
    return G_MAXUINT;
}

static gboolean is_usable(const Mailbox *mailbox)
{
    return mailbox && !mailbox->is_gone && !mailbox->is_container;
}

/* On the highest level, or right below the INBOX, where some servers keep everything. */
static gboolean is_high(const Store *store, const Mailbox *mailbox)
{
    return mailbox->parent == store->account->root ||
           (mailbox->parent && g_str_equal(mailbox->parent->wire, "INBOX"));
}

/* The one that rm uses, which is also the only one within which rm is for good: its key's, the
 * server's, or the best by name. */
static Mailbox *find_trash(const Store *store)
{
    const char *configured = store->params.config->trash;
    Mailbox *by_name = NULL;
    guint best = G_MAXUINT;

    if (configured) {
        Mailbox *mailbox = account_find_path(store->account, configured);

        return is_usable(mailbox) ? mailbox : NULL;
    }
    for (guint i = 0; i < store->account->all->len; i++) {
        Mailbox *mailbox = g_ptr_array_index(store->account->all, i);
        guint rank;

        if (!is_usable(mailbox))
            continue;
        if (mailbox->list_flags & IMAP_LIST_TRASH)
            return mailbox;
        rank = is_high(store, mailbox) ? rank_trash_name(mailbox->label) : G_MAXUINT;
        if (rank < best) {
            best = rank;
            by_name = mailbox;
        }
    }
    return by_name;
}

static gboolean lies_in(const Mailbox *mailbox, const Mailbox *above)
{
    while (mailbox && mailbox != above)
        mailbox = mailbox->parent;
    return mailbox != NULL;
}

Mailbox *change_trash_always(const Store *store, GError **error)
{
    Mailbox *trash = find_trash(store);

    if (!trash)
        mail_fail(error, MAIL_ERROR_GONE, "%s has no Trash mailbox yet", store->account->id);
    return trash;
}

static gboolean removes_later(const Store *store, const char *wire)
{
    return store->ops->removes_later && store->ops->removes_later(wire);
}

Mailbox *change_trash(const Store *store, const Mailbox *mailbox, GError **error)
{
    Mailbox *trash;

    if (store->params.config->delete == CONFIG_DELETE_EXPUNGE ||
        removes_later(store, mailbox->wire))
        return NULL;
    trash = change_trash_always(store, error);
    return trash && lies_in(mailbox, trash) ? NULL : trash;
}

/* TRUE when all mailboxes but the INBOX lie below it: the personal namespace is "INBOX." then
 * (Courier, Cyrus), and nothing can be made beside it. */
static const Mailbox *find_prefix(const Store *store)
{
    const Mailbox *inbox = account_find_wire(store->account, "INBOX");
    const Mailbox *root = store->account->root;

    return inbox && root->children->len == 1 && inbox->children->len > 0 ? inbox : NULL;
}

char *change_trash_wire(const Store *store)
{
    const char *configured = store->params.config->trash;
    g_auto(GStrv) path = g_strsplit(configured ? configured : "Trash", "/", -1);
    const Mailbox *prefix = configured ? NULL : find_prefix(store);
    char delimiter = change_delimiter(store);
    GString *wire = g_string_new(prefix ? prefix->wire : NULL);

    for (char **each = path; *each; each++) {
        g_autofree char *encoded = store->ops->encode(*each);

        if (wire->len > 0 && delimiter)
            g_string_append_c(wire, delimiter);
        g_string_append(wire, encoded);
    }
    return g_string_free(wire, FALSE);
}

char *change_trash_here(const Store *store, const char *wire)
{
    const Mailbox *trash = find_trash(store);

    if (store->params.config->delete == CONFIG_DELETE_EXPUNGE || !removes_later(store, wire))
        return NULL;
    return trash ? g_strdup(trash->wire) : change_trash_wire(store);
}

/* -- EXPUNGE ----------------------------------------------------------------------------------- */

static void step(Change *change)
{
    change_refresh(change);
    if (change->entry->messages->len == 0) {
        change_finish(change, NULL); /* somebody else was faster */
        return;
    }
    FAULT("expunge-step");
    change_send(change, JOURNAL_SENT, change_expunge_job(change));
}

/* The rows of what went.  Returns how many are neither gone nor hidden. */
static guint apply(Change *change, DiskBatch *batch, const JobChange *result)
{
    Store *store = change->store;
    Mailbox *mailbox = change_mailbox(change);
    guint n_left = 0;

    for (guint i = 0; i < result->messages->len; i++) {
        const ChangeMessage *each = &g_array_index(result->messages, ChangeMessage, i);
        JournalMessage *entry = change_find_uid(change, each->uid);
        Message *message = mailbox && entry ? change_message(change, entry) : NULL;

        n_left += !each->is_done && !result->is_hidden;
        if (entry)
            entry->is_done = each->is_done;
        if (message && each->is_done)
            change_remove_row(store, batch, mailbox, message);
        else if (message && result->is_hidden)
            change_hide_message(store, batch, mailbox, message);
    }
    return n_left;
}

static void answered(Change *change, Job *job, const GError *error)
{
    Mailbox *mailbox = change_mailbox(change);
    g_autoptr(GError) others = NULL;
    DiskBatch *batch;
    guint n_left;

    FAULT("expunge-answered");
    if (error && change_is_temporary(error)) {
        change_postpone(change, error);
        return;
    }
    batch = disk_batch_new();
    n_left = apply(change, batch, job->change);
    if (mailbox && (error || n_left > 0))
        store_request_sync(change->store, mailbox, JOB_WAITED);
    if (!error && n_left > 0)
        mail_fail(&others, MAIL_ERROR_GONE,
                  "%u messages of %s are not what they were; they were not deleted", n_left,
                  change->entry->wire);
    if (error || others)
        change_refuse(change, batch, error ? error : others);
    else
        change_finish(change, batch);
}

static void undo(Change *change, const GError *error)
{
    change_unshow(change);
}

const ChangeOps change_expunge_ops = {step, answered, undo};

/* -- Asking ------------------------------------------------------------------------------------ */

StoreChange *store_remove(Store *store, Mailbox *mailbox, GPtrArray *messages, StoreFunc func,
                          gpointer user)
{
    g_autoptr(GError) error = NULL, missing = NULL;
    Mailbox *trash;
    Change *change;

    if (!store_may_change(store, mailbox, &error))
        return change_answer(store, error, func, user);
    if (messages->len == 0)
        return change_answer(store, NULL, func, user);
    trash = change_trash(store, mailbox, &missing);
    if (trash || missing)
        return change_to_trash(store, mailbox, messages, trash, func, user);
    change = change_new(store, JOURNAL_EXPUNGE, mailbox);
    change_add_messages(change, messages, NULL);
    return change_begin_for(change, func, user);
}
