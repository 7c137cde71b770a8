/* LIST: the folders of the tree, and of some of them whether anything has changed.
 *
 * No message is counted for that: UIDVALIDITY and the stamp of cur/ and new/ say whether a SYNC is
 * worth while.  What is asked for is what is in use, so it is watched as well.
 */
#include "store/maildir-worker-internal.h"
#include "base/error.h"
#include "client/imap-session.h"

static void post_mailboxes(MaildirWorker *worker, GPtrArray *wires, guint n_left_out)
{
    Event *event = event_new(EVENT_MAILBOXES, NULL);

    if (n_left_out > 0)
        g_warning("%s: %u folders are not shown: too many, nested too deep, or of the same name",
                  worker->params.account, n_left_out);
    event->mailboxes = g_array_new(FALSE, FALSE, sizeof(ListedMailbox));
    g_array_set_clear_func(event->mailboxes, (GDestroyNotify)listed_mailbox_clear);
    for (guint i = 0; i < wires->len; i++) {
        const char *wire = g_ptr_array_index(wires, i);
        ListedMailbox listed = {
            .wire = g_strdup(wire), .path = g_strsplit(wire, "/", -1), .delimiter = '/'};

        g_array_append_val(event->mailboxes, listed);
    }
    event->is_list = TRUE;
    event->is_whole = TRUE;
    maildir_worker_post(worker, event);
}

/* Its ledger is opened once a run for this, not at every poll. */
static guint32 uidvalidity_of(MaildirWorker *worker, const char *wire)
{
    gpointer known = g_hash_table_lookup(worker->uidvalidities, wire);
    const MaildirState *state = known ? NULL : maildir_worker_state(worker, wire, NULL);

    if (known)
        return GPOINTER_TO_UINT(known);
    return state ? ledger_uidvalidity(state->ledger) : 0;
}

/* A folder that cannot be looked at says so when it is synced. */
static void post_status(MaildirWorker *worker, const char *wire)
{
    g_autoptr(MaildirFolder) folder = maildir_folder_open(worker->tree, wire, NULL);
    guint32 uidvalidity = folder ? uidvalidity_of(worker, wire) : 0;
    gboolean is_fresh;
    guint64 stamp;
    Event *event;

    if (!uidvalidity)
        return;
    /* First, so that nothing falls between. */
    maildir_worker_watch(worker, folder);
    if (!maildir_folder_stamp(folder, &stamp, &is_fresh, NULL))
        return;
    event = event_new(EVENT_STATUS, NULL);
    event->wire = g_strdup(wire);
    event->status_items = IMAP_STATUS_UIDVALIDITY | IMAP_STATUS_HIGHESTMODSEQ;
    event->uidvalidity = uidvalidity;
    event->highestmodseq = stamp;
    maildir_worker_post(worker, event);
}

gboolean maildir_worker_list(MaildirWorker *worker, Job *job, GError **error)
{
    guint n_left_out;
    g_autoptr(GPtrArray) wires = maildir_tree_list(worker->tree, &n_left_out, error);

    if (!wires)
        return FALSE;
    if (wires->len == 0 && worker->params.has_inbox)
        return mail_fail(error, MAIL_ERROR_OFFLINE,
                         "there is no Maildir in %s any more; is its disk mounted?",
                         worker->params.path);
    maildir_worker_watch(worker, NULL);
    post_mailboxes(worker, wires, n_left_out);
    for (guint i = 0; job->status_of && i < job->status_of->len; i++)
        post_status(worker, g_ptr_array_index(job->status_of, i));
    return TRUE;
}
