/* Syncs: asking for them, and when what they say is applied to the model (store-sync-apply.c).
 *
 * A sync of a mailbox is a SyncRun from the request to EVENT_DONE.  It needs the rows from the
 * disk first (what we know is what we ask with), then runs in the backend.  There are three
 * cases:
 *
 * - changes: applied as they come;
 * - the first listing: applied as it comes, but nobody looks before it is whole;
 * - a listing anew, after UIDVALIDITY changed: gathered aside, and put in place at its end in
 *   one step, so that no moment shows a half-empty mailbox.
 */
#include "store/store-sync-internal.h"
#include "base/deadline.h"
#include "base/error.h"

#include <string.h>

enum { COMPARE_SECONDS = 24 * 3600 };

static void run_sync(SyncRun *run);

static SyncRun *find_run(const Store *store, const Mailbox *mailbox)
{
    return g_hash_table_lookup(store->syncs, GUINT_TO_POINTER(mailbox->number));
}

void store_sync_free(gpointer data)
{
    SyncRun *run = data;

    if (run->fresh)
        g_ptr_array_unref(run->fresh);
    if (run->by_uid)
        g_hash_table_unref(run->by_uid);
    if (run->before)
        g_hash_table_unref(run->before);
    uid_set_free(run->gone);
    uid_set_free(run->flagged);
    g_queue_clear_full(&run->held, (GDestroyNotify)event_free);
    g_free(run);
}

static void note(UidSet **set, guint32 uid)
{
    if (!*set)
        *set = uid_set_new();
    uid_set_add(*set, uid);
}

void store_sync_forget(const Store *store, const Mailbox *mailbox, guint32 uid)
{
    SyncRun *run = find_run(store, mailbox);

    if (run && uid != 0)
        note(&run->gone, uid);
}

void store_sync_flagged(const Store *store, const Mailbox *mailbox, guint32 uid)
{
    SyncRun *run = find_run(store, mailbox);

    if (run)
        note(&run->flagged, uid);
}

SyncRun *store_running_sync(const Store *store, guint *ret_done, guint *ret_total,
                            const Mailbox **ret_mailbox, gint64 *ret_began)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, store->syncs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SyncRun *run = value;

        if (run->n_expected > run->n_done) {
            *ret_done = run->n_done;
            *ret_total = run->n_expected;
            *ret_mailbox = run->mailbox;
            *ret_began = run->began;
            return run;
        }
    }
    return NULL;
}

/* -- Events ------------------------------------------------------------------------------------ */

static void apply(SyncRun *run, Event *event);

/* Nothing is in the way any more: what was held back is applied.  The last one may be DONE, which
 * ends the run. */
static void release(Store *store, guint16 number)
{
    SyncRun *run = g_hash_table_lookup(store->syncs, GUINT_TO_POINTER(number));

    while (run && !run->is_recalling && !g_queue_is_empty(&run->held) &&
           !store_is_changing(store, run->mailbox)) {
        g_autoptr(Event) event = g_queue_pop_head(&run->held);

        run->is_releasing = TRUE;
        apply(run, event);
        run = g_hash_table_lookup(store->syncs, GUINT_TO_POINTER(number));
        if (run)
            run->is_releasing = FALSE;
    }
}

void store_sync_resume(Store *store, Mailbox *mailbox)
{
    release(store, mailbox->number);
}

static void on_recalled(guint16 number, GPtrArray *messages, gboolean is_last,
                        const GError *error, gpointer user)
{
    Store *store = user;
    SyncRun *run = g_hash_table_lookup(store->syncs, GUINT_TO_POINTER(number));

    if (!run || !run->by_uid)
        return; /* the mailbox went meanwhile */
    for (guint i = 0; messages && i < messages->len; i++) {
        Message *message = g_steal_pointer(&g_ptr_array_index(messages, i));

        g_hash_table_insert(run->by_uid, GUINT_TO_POINTER(message->uid), message);
    }
    if (!is_last)
        return;
    run->is_recalling = FALSE;
    release(store, number);
}

/* Rows of a listing that was never whole, and of messages that were moved here before anybody
 * looked. */
static void set_aside(SyncRun *run)
{
    g_autoptr(GPtrArray) rows = mailbox_steal_all(run->mailbox);

    if (run->before)
        g_hash_table_unref(run->before);
    run->before = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
                                        (GDestroyNotify)message_free);
    for (guint i = 0; i < rows->len; i++) {
        Message *row = g_steal_pointer(&g_ptr_array_index(rows, i));

        g_hash_table_insert(run->before, &row->item, row);
    }
}

/* Of messages with this UID and higher ones. */
static void ask_state(SyncRun *run, guint32 first)
{
    g_autoptr(UidSet) uids = uid_set_new();

    uid_set_add_range(uids, first, G_MAXUINT32);
    if (!run->by_uid)
        run->by_uid = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL,
                                            (GDestroyNotify)message_free);
    run->is_recalling = TRUE;
    disk_recall(run->store->disk, run->mailbox->number, run->uidvalidity, uids, on_recalled,
                run->store);
}

static void on_begin(SyncRun *run, const Event *event)
{
    Mailbox *mailbox = run->mailbox;

    /* A first listing whose connection was lost when all of it had been told, and that is told once
     * more, is no other mailbox.  What went in between only the next sync can say. */
    gboolean is_repeated = event->is_reset && mailbox->is_listed &&
                           event->uidvalidity == mailbox->uidvalidity;

    run->uidvalidity = event->uidvalidity;
    run->is_reset = event->is_reset && !is_repeated;
    run->is_behind = run->is_behind || is_repeated;
    run->n_expected = event->n_expected;
    run->n_done = 0;
    run->began = deadline_now();
    g_clear_pointer(&run->fresh, g_ptr_array_unref);
    if (!run->is_reset) {
        /* After a crash the index may be behind: what is new in it may have a name already. */
        if (event->n_expected > 0 && disk_was_unclean(run->store->disk))
            ask_state(run, MAX(mailbox->uidnext, 1));
        return;
    }
    if (mailbox->is_listed && mailbox_n_messages(mailbox) > 0) {
        g_message("%s: %s was made anew on the server (UIDVALIDITY %u, was %u); listing it again",
                  run->store->account->id, mailbox->wire, event->uidvalidity,
                  mailbox->uidvalidity);
        run->fresh = g_ptr_array_new_with_free_func((GDestroyNotify)message_free);
        return;
    }
    /* A first listing, perhaps one that was cut short before, or of a mailbox whose index was
     * lost: state.db knows the items and names it had. */
    set_aside(run);
    if (mailbox->next_item > 1 && event->n_expected > 0)
        ask_state(run, 1);
}

static void apply(SyncRun *run, Event *event)
{
    switch (event->kind) {
    case EVENT_SYNC_BEGIN:
        on_begin(run, event);
        break;
    case EVENT_MESSAGES:
        store_sync_apply_messages(run, event);
        break;
    case EVENT_FLAGS:
        store_sync_apply_flags(run, event);
        break;
    case EVENT_VANISHED:
        store_sync_apply_vanished(run, event->uids);
        break;
    case EVENT_SYNC_STATE:
        store_sync_apply_state(run, event);
        break;
    case EVENT_DONE:
        store_sync_done(run->store, event);
        break;
    default:
        g_assert_not_reached();
    }
}

/* While state.db is asked, or the mailbox is being changed (what a change brings is not to be taken
 * for news), what comes is held back, in order.  TRUE when it was. */
static gboolean hold(SyncRun *run, const Event *event)
{
    Event *copy;

    if (run->is_releasing || (!run->is_recalling && !store_is_changing(run->store, run->mailbox)))
        return FALSE;
    /* The caller frees its event: the contents move to the one that is held. */
    copy = g_memdup2(event, sizeof *event);
    memset((Event *)event, 0, sizeof *event);
    ((Event *)event)->fd = -1;
    g_queue_push_tail(&run->held, copy);
    return TRUE;
}

void store_sync_event(Store *store, Event *event)
{
    SyncRun *run = g_hash_table_lookup(store->syncs, GUINT_TO_POINTER(event->mailbox));

    if (!run || run->job != event->job)
        return; /* of a mailbox that is gone */
    store_wait_moved(store, run->mailbox);
    if (!hold(run, event))
        apply(run, event);
}

void store_sync_done(Store *store, Event *event)
{
    SyncRun *run = g_hash_table_lookup(store->syncs, GUINT_TO_POINTER(event->mailbox));
    Mailbox *mailbox;
    gboolean again;
    JobPriority priority;

    if (!run || run->job != event->job || hold(run, event))
        return;
    mailbox = run->mailbox;
    again = run->again;
    priority = run->priority;
    g_hash_table_remove(store->syncs, GUINT_TO_POINTER(mailbox->number));
    if (event->error)
        g_message("%s: %s could not be brought up to date: %s", store->account->id,
                  mailbox->wire, event->error->message);
    store_end_waits(store, mailbox, event->error, event->job);
    if (again && !event->error)
        store_request_sync(store, mailbox, priority);
    store->params.observer->state_changed(store, store->params.user);
}

/* -- Asking ------------------------------------------------------------------------------------ */

/* The rows are lost: from the server, or the reason why not for those who wait. */
static void relist(Store *store, Mailbox *mailbox)
{
    g_autoptr(GError) error = NULL;

    if (store_takes_jobs(store)) {
        store_request_sync(store, mailbox, JOB_WAITED);
        return;
    }
    store_fail_offline(store, &error);
    store_end_waits(store, mailbox, error, 0);
}

/* What came while its rows were only on the disk may have a name there that another one has (it was
 * moved here, and nobody could see that the name was taken).  Both are shown. */
static void add_loaded(Store *store, DiskBatch *batch, Mailbox *mailbox, Message *message)
{
    gboolean is_known = mailbox_find_uid(mailbox, message->uid) ||
                        mailbox_find_item(mailbox, message->item);

    if (!is_known && mailbox_find_name(mailbox, message->name)) {
        char *name = change_free_name(store, mailbox, message->name);

        g_free(message->name);
        message->name = name;
        disk_batch_put_message(batch, mailbox->number, mailbox->uidvalidity, message);
    }
    mailbox_add(mailbox, message);
}

static void on_loaded(guint16 number, GPtrArray *messages, gboolean is_last, const GError *error,
                      gpointer user)
{
    Store *store = user;
    Mailbox *mailbox = account_find_number(store->account, number);
    SyncRun *run = g_hash_table_lookup(store->syncs, GUINT_TO_POINTER(number));
    DiskBatch *batch;

    if (!mailbox || mailbox->load != MAILBOX_LOADING)
        return;
    batch = disk_batch_new();
    for (guint i = 0; messages && i < messages->len; i++)
        add_loaded(store, batch, mailbox, g_steal_pointer(&g_ptr_array_index(messages, i)));
    disk_submit(store->disk, batch, NULL, NULL);
    if (!is_last)
        return;
    mailbox->load = MAILBOX_LOADED;
    change_restore_parked(store, mailbox);
    store_changes_show(store);
    if (error) {
        g_warning("%s: the cache of %s is damaged (%s); listing it again", store->account->id,
                  mailbox->wire, error->message);
        mailbox->is_listed = FALSE;
        mailbox->uidvalidity = 0;
    }
    if (mailbox->is_listed) {
        mailbox->n_messages = mailbox_n_messages(mailbox);
        mailbox->n_unseen = mailbox_count_unseen(mailbox);
    }
    store_end_waits(store, mailbox, NULL, 0);
    if (run)
        run_sync(run);
    else if (error)
        relist(store, mailbox);
}

/* Of messages that nobody else has any more, what is here is all there is. */
static GArray *cached_items(const Mailbox *mailbox)
{
    GArray *cached = g_array_new(FALSE, FALSE, sizeof(FetchItem));

    for (guint i = 0; i < mailbox_n_given(mailbox); i++) {
        const Message *message = mailbox_nth(mailbox, i);

        if (message->is_cached)
            g_array_append_vals(cached, &(FetchItem){message->item, message->uid}, 1);
    }
    return cached;
}

static void run_sync(SyncRun *run)
{
    Store *store = run->store;
    Mailbox *mailbox = run->mailbox;
    Job *job;

    if (!store_takes_jobs(store)) {
        g_hash_table_remove(store->syncs, GUINT_TO_POINTER(mailbox->number));
        return;
    }
    job = job_new(JOB_SYNC, run->priority);
    job->mailbox = mailbox->number;
    job->wire = g_strdup(mailbox->wire);
    job->known.uids = mailbox_uids(mailbox);
    job->known.n_messages = mailbox_n_given(mailbox);
    if (store->ops->removes_later && store->ops->removes_later(mailbox->wire))
        job->known.cached = cached_items(mailbox);
    job->known.want_names = store->params.config->names == CONFIG_NAMES_FULL;
    job->known.is_asked = store_is_asked(store, mailbox);
    if (mailbox->is_listed) {
        job->known.uidvalidity = mailbox->uidvalidity;
        job->known.uidnext = mailbox->uidnext;
        job->known.highestmodseq = mailbox->highestmodseq;
        job->known.compare_all = store_compare_is_due(mailbox);
        job->known.all_flags = job->known.compare_all;
    }
    run->job = job->id;
    store_submit(store, job);
}

void store_load_mailbox(Store *store, Mailbox *mailbox)
{
    if (mailbox->load != MAILBOX_UNLOADED)
        return;
    mailbox->load = MAILBOX_LOADING;
    disk_load_messages(store->disk, mailbox->number, on_loaded, store);
}

gboolean store_compare_is_due(const Mailbox *mailbox)
{
    return store_now() - mailbox->compared > COMPARE_SECONDS;
}

gboolean store_is_syncing(const Store *store, const Mailbox *mailbox)
{
    return find_run(store, mailbox) != NULL;
}

guint64 store_sync_job(const Store *store, const Mailbox *mailbox)
{
    const SyncRun *run = find_run(store, mailbox);

    return run ? run->job : 0;
}

void store_request_sync(Store *store, Mailbox *mailbox, JobPriority priority)
{
    SyncRun *run = find_run(store, mailbox);

    if (mailbox->is_container || mailbox->is_gone || !store->backend)
        return;
    if (run) {
        /* What is queued or under way was asked for before this: once more, after it. */
        run->again = run->again || run->job != 0;
        run->priority = MIN(run->priority, priority);
    } else if (store_takes_jobs(store)) {
        run = g_new0(SyncRun, 1);
        run->store = store;
        run->mailbox = mailbox;
        run->priority = priority;
        run->began = deadline_now();
        g_hash_table_insert(store->syncs, GUINT_TO_POINTER(mailbox->number), run);
    }
    if (run && run->job == 0 && mailbox->load == MAILBOX_LOADED)
        run_sync(run);
    else
        store_load_mailbox(store, mailbox);
}

void store_drop_sync(Store *store, const Mailbox *mailbox)
{
    g_autoptr(GError) error = NULL;

    mail_fail(&error, MAIL_ERROR_GONE, "the mailbox %s is gone", mailbox->wire);
    store_end_waits(store, mailbox, error, 0);
    g_hash_table_remove(store->syncs, GUINT_TO_POINTER(mailbox->number));
}
