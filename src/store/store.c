/* One account's store: opening, the list of mailboxes, the state of the connection, polling.
 *
 * The rule throughout: the model is changed first, then the disk is told by a batch, then the
 * observer.  Nothing waits.
 */
#include "store/store-internal.h"
#include "store/change-internal.h"
#include "base/deadline.h"
#include "base/error.h"
#include "client/imap-session.h"
#include "store/stage.h"

#include <string.h>

enum {
    QUOTA_SECONDS = 3600,
    /* With NOTIFY the server says what changes; a poll, so much rarer, is only a net under it
     * (Dovecot 2.3 may lose track of its own mailboxes after a RENAME). */
    POLL_WITH_PUSH_FACTOR = 5,
    /* Mailboxes opened within this time are kept up to date. */
    USED_SECONDS = 30 * 24 * 3600,
};

/* What DiskMailbox.list_flags holds beside the backend's. */
#define FLAG_CONTAINER (1u << 31)
#define FLAG_READONLY (1u << 30)

gint64 store_now(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

void store_submit(Store *store, Job *job)
{
    if (store->backend)
        store->ops->submit(store->backend, job);
    else
        job_free(job);
}

gboolean store_takes_jobs(const Store *store)
{
    return store->backend && (store->link <= LINK_ONLINE || store->ops->works_offline);
}

static void tell_state(Store *store)
{
    store->params.observer->state_changed(store, store->params.user);
}

/* -- Mailboxes --------------------------------------------------------------------------------- */

DiskMailbox store_disk_mailbox(const Mailbox *mailbox)
{
    return (DiskMailbox){
        .number = mailbox->number,
        .wire = mailbox->wire,
        .path = mailbox->path,
        .delimiter = mailbox->delimiter,
        .list_flags = mailbox->list_flags | (mailbox->is_container ? FLAG_CONTAINER : 0) |
                      (mailbox->is_readonly ? FLAG_READONLY : 0),
        .uidvalidity = mailbox->uidvalidity,
        .uidnext = mailbox->uidnext,
        .highestmodseq = mailbox->highestmodseq,
        .n_messages = mailbox->n_messages,
        .n_unseen = mailbox->n_unseen,
        .is_listed = mailbox->is_listed,
        .used = mailbox->used,
        .compared = mailbox->compared,
        .changed = mailbox->changed,
    };
}

void store_put_mailbox(Store *store, const Mailbox *mailbox)
{
    DiskBatch *batch = disk_batch_new();
    DiskMailbox row = store_disk_mailbox(mailbox);

    disk_batch_put_mailbox(batch, &row);
    disk_submit(store->disk, batch, NULL, NULL);
}

static void restore_mailbox(Store *store, const DiskMailbox *row)
{
    AccountMailboxSpec spec = {row->number, row->wire, row->path, row->delimiter,
                               store->ops->encode};
    Mailbox *mailbox = account_add(store->account, &spec, NULL);

    if (!mailbox)
        return;
    mailbox->list_flags = row->list_flags & ~(FLAG_CONTAINER | FLAG_READONLY);
    mailbox->is_container = (row->list_flags & FLAG_CONTAINER) != 0;
    mailbox->is_readonly = (row->list_flags & FLAG_READONLY) != 0;
    mailbox->uidvalidity = row->uidvalidity;
    mailbox->uidnext = row->uidnext;
    mailbox->highestmodseq = row->highestmodseq;
    mailbox->n_messages = row->n_messages;
    mailbox->n_unseen = row->n_unseen;
    mailbox->is_listed = row->is_listed;
    mailbox->used = row->used;
    mailbox->compared = row->compared;
    mailbox->changed = row->changed;
    mailbox->load = mailbox->is_container ? MAILBOX_LOADED : MAILBOX_UNLOADED;
    mailbox->next_item = disk_next_item(store->disk, row->number);
}

static void reserve_number(guint16 number, const char *wire, gpointer user)
{
    account_reserve(user, number, wire);
}

static gboolean restore(Store *store, GError **error)
{
    g_autoptr(GPtrArray) rows = disk_load_mailboxes(store->disk, error);

    if (!rows)
        return FALSE;
    /* In the order of their numbers: a container was numbered before what lies in it. */
    for (guint i = 0; i < rows->len; i++)
        restore_mailbox(store, g_ptr_array_index(rows, i));
    store->account->is_listed = rows->len > 0;
    return disk_load_numbers(store->disk, reserve_number, store->account, error);
}

/* -- Polling ----------------------------------------------------------------------------------- */

static gboolean is_used(const Mailbox *mailbox, gint64 now)
{
    return !mailbox->is_gone && !mailbox->is_container &&
           (g_str_equal(mailbox->wire, "INBOX") ||
            (mailbox->used && now - mailbox->used < USED_SECONDS));
}

void store_ask_list(Store *store, JobPriority priority)
{
    Job *job;
    gint64 now = store_now();

    if (store->n_frozen > 0) {
        store->list_is_wanted = TRUE;
        return;
    }
    if (store->list_job || !store->backend ||
        (store->link != LINK_ONLINE && !store->ops->works_offline))
        return;
    job = job_new(JOB_LIST, priority);
    job->status_of = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < store->account->all->len; i++) {
        const Mailbox *mailbox = g_ptr_array_index(store->account->all, i);

        if (mailbox->is_listed && is_used(mailbox, now))
            g_ptr_array_add(job->status_of, g_strdup(mailbox->wire));
    }
    if (now - store->quota_asked > QUOTA_SECONDS) {
        job->with_quota = TRUE;
        store->quota_asked = now;
    }
    store->list_job = job->id;
    store_submit(store, job);
}

void store_freeze_list(Store *store)
{
    store->n_frozen++;
    if (store->list_job)
        store->list_is_late = TRUE;
}

void store_thaw_list(Store *store)
{
    g_assert(store->n_frozen > 0);
    if (--store->n_frozen == 0 && store->list_is_wanted) {
        store->list_is_wanted = FALSE;
        store_ask_list(store, JOB_WAITED);
    }
}

static gboolean poll_now(gpointer user)
{
    Store *store = user;

    store->poll_timer = 0;
    store_ask_list(store, JOB_BACKGROUND);
    return G_SOURCE_REMOVE;
}

static void schedule_poll(Store *store)
{
    guint seconds = store->params.config->poll_seconds;
    guint factor = store->has_push ? POLL_WITH_PUSH_FACTOR : 1;

    if (store->poll_timer)
        g_source_remove(store->poll_timer);
    store->poll_timer = g_timeout_add_seconds(seconds * factor, poll_now, store);
}

/* Without CONDSTORE nothing but UNSEEN tells that a flag changed: what is in use is looked at
 * anew at each poll. */
static void sync_what_cannot_tell(Store *store)
{
    gint64 now = store_now();

    for (guint i = 0; i < store->account->all->len; i++) {
        Mailbox *mailbox = g_ptr_array_index(store->account->all, i);

        if (mailbox->load == MAILBOX_LOADED && mailbox->is_listed &&
            mailbox->highestmodseq == 0 && is_used(mailbox, now))
            store_request_sync(store, mailbox, JOB_BACKGROUND);
    }
}

static void on_listed(Store *store, const GError *error, gboolean is_first)
{
    Mailbox *inbox = account_find_wire(store->account, "INBOX");
    gint64 now = store_now();

    store->list_job = 0;
    store->list_is_late = FALSE;
    schedule_poll(store);
    if (error) {
        g_message("%s: the mailboxes could not be listed: %s", store->account->id,
                  error->message);
        store_listed(store, error);
        return;
    }
    read_ahead_resume(store->read_ahead);
    if (!is_first) {
        sync_what_cannot_tell(store);
        return;
    }
    /* Watching selects it, and what SELECT says is compared as a STATUS is. */
    if (inbox)
        store->ops->watch(store->backend, inbox->wire);
    for (guint i = 0; i < store->account->all->len; i++) {
        Mailbox *mailbox = g_ptr_array_index(store->account->all, i);

        /* A listing that was cut short, or never begun, of INBOX and what was opened before; and
         * the comparison of all UIDs, once a day. */
        if (is_used(mailbox, now) && !store_is_syncing(store, mailbox) &&
            (!mailbox->is_listed || store_compare_is_due(mailbox)))
            store_request_sync(store, mailbox, JOB_BACKGROUND);
    }
}

static gboolean differs(const Mailbox *mailbox, const Event *event)
{
    guint items = event->status_items;

    return ((items & IMAP_STATUS_UIDVALIDITY) && event->uidvalidity != mailbox->uidvalidity) ||
           ((items & IMAP_STATUS_UIDNEXT) && event->uidnext != mailbox->uidnext) ||
           ((items & IMAP_STATUS_MESSAGES) && event->n_messages != mailbox->n_messages) ||
           ((items & IMAP_STATUS_UNSEEN) && event->n_unseen != mailbox->n_unseen) ||
           ((items & IMAP_STATUS_HIGHESTMODSEQ) && event->highestmodseq &&
            event->highestmodseq != mailbox->highestmodseq);
}

static void on_status(Store *store, const Event *event)
{
    Mailbox *mailbox = account_find_wire(store->account, event->wire);

    if (!mailbox || mailbox->is_container)
        return;
    if (mailbox->is_listed) {
        if (differs(mailbox, event))
            store_request_sync(store, mailbox, JOB_WAITED);
        return;
    }
    if (event->status_items & IMAP_STATUS_MESSAGES)
        mailbox->n_messages = event->n_messages;
    if (event->status_items & IMAP_STATUS_UNSEEN)
        mailbox->n_unseen = event->n_unseen;
}

static void on_changed(Store *store, const Event *event)
{
    Mailbox *mailbox = *event->wire ? account_find_wire(store->account, event->wire) : NULL;

    if (!*event->wire)
        store_ask_list(store, JOB_WAITED);
    else if (mailbox)
        store_request_sync(store, mailbox, JOB_WAITED);
}

/* -- The connection's state -------------------------------------------------------------------- */

gboolean store_fail_offline(const Store *store, GError **error)
{
    const char *reason = store->reason ? store->reason : "not connected yet";

    switch (store->link) {
    case LINK_REFUSED:
        return mail_fail(error, MAIL_ERROR_AUTH, "%s", reason);
    case LINK_LOCKED:
        return mail_fail(error, MAIL_ERROR_LOCKED, "%s", reason);
    default:
        return mail_fail(error, MAIL_ERROR_OFFLINE, "%s is offline: %s", store->account->id,
                         reason);
    }
}

static void on_link(Store *store, Event *event)
{
    LinkState before = store->link;

    store->link = event->link;
    g_free(store->reason);
    store->reason = event->error ? g_strdup(event->error->message) : NULL;
    if (event->link == LINK_ONLINE) {
        if (event->server) {
            g_free(store->server);
            store->server = g_steal_pointer(&event->server);
        }
        if (event->mechanism) {
            g_free(store->mechanism);
            store->mechanism = g_steal_pointer(&event->mechanism);
        }
        if (store->has_push != event->is_whole) {
            store->has_push = event->is_whole;
            schedule_poll(store);
        }
    }
    if (before != store->link)
        g_message("%s: %s%s%s", store->account->id,
                  ((const char *[]){"connecting", "online", "offline", "locked",
                                    "refused"})[store->link],
                  store->reason ? ": " : "", store->reason ? store->reason : "");
    if (store->ops->works_offline) {
        /* Each job is answered for itself; what is new says EVENT_CHANGED. */
    } else if (store->link == LINK_ONLINE && before != LINK_ONLINE) {
        store->was_polled = FALSE;
        store->has_push = FALSE;
        store_ask_list(store, JOB_WAITED);
    } else if (store->link > LINK_ONLINE) {
        g_autoptr(GError) error = NULL;

        store_fail_offline(store, &error);
        store_fail_waits(store, error);
    }
    store_changes_link(store);
    tell_state(store);
}

static void on_done(Store *store, Event *event)
{
    switch (event->done->kind) {
    case JOB_LIST:
        if (event->done->id == store->list_job && store->list_is_late && !event->error) {
            store->list_job = 0;
            store->list_is_late = FALSE;
            store_ask_list(store, JOB_WAITED);
            break;
        }
        if (event->done->id == store->list_job)
            on_listed(store, event->error, !store->was_polled);
        if (!store->was_polled && !event->error) {
            store->was_polled = TRUE;
            store_changes_polled(store);
        }
        break;
    case JOB_SYNC:
        store_sync_done(store, event);
        break;
    case JOB_FETCH:
        store_body_done(store, event);
        break;
    default:
        store_changes_done(store, event);
        break;
    }
}

static void on_event(Event *event, gpointer user)
{
    g_autoptr(Event) owned = event;
    Store *store = user;

    switch (event->kind) {
    case EVENT_DONE:
        on_done(store, event);
        break;
    case EVENT_LINK:
        on_link(store, event);
        break;
    case EVENT_MAILBOXES:
        store_apply_list(store, event);
        break;
    case EVENT_STATUS:
        on_status(store, event);
        break;
    case EVENT_QUOTA:
        store->quota_used = event->used;
        store->quota_limit = event->limit;
        tell_state(store);
        break;
    case EVENT_CHANGED:
        on_changed(store, event);
        break;
    case EVENT_SYNC_BEGIN:
    case EVENT_MESSAGES:
    case EVENT_FLAGS:
    case EVENT_VANISHED:
    case EVENT_SYNC_STATE:
        store_sync_event(store, event);
        break;
    case EVENT_BODY_BEGIN:
    case EVENT_BODY_DATA:
    case EVENT_BODY_WHOLE:
    case EVENT_BODY_FAILED:
        store_body_event(store, event);
        break;
    case EVENT_SENT:
        store_changes_sent(store, event);
        break;
    case EVENT_OWED:
        store->n_owed = event->n_messages;
        change_answer_drains(store);
        tell_state(store);
        break;
    }
}

/* -- Life -------------------------------------------------------------------------------------- */

static const BackendOps *ops_of(const ConfigAccount *config)
{
    static const BackendOps *const all[] = {[CONFIG_IMAP] = &imap_backend_ops,
                                            [CONFIG_POP3] = &pop3_backend_ops,
                                            [CONFIG_MAILDIR] = &maildir_backend_ops};

    return all[config->protocol];
}

Store *store_open(const StoreParams *params, GError **error)
{
    Store *store = g_new0(Store, 1);

    store->params = *params;
    store->params.state_dir = store->state_dir = g_strdup(params->state_dir);
    store->ops = ops_of(params->config);
    store->link = LINK_CONNECTING;
    store->account = account_new(params->config->id, params->number, params->show);
    store->syncs = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, store_sync_free);
    store->bodies = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    store->fetching = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                            (GDestroyNotify)g_ptr_array_unref);
    store->read_ahead = read_ahead_new(store);
    store_changes_init(store);
    local_init(store);
    store->disk = disk_open(params->cache_dir, params->state_dir, error);
    if (!store->disk || !restore(store, error)) {
        store_close(store);
        return NULL;
    }
    if (store->ops->keeps_octets)
        stage_keep_octets(store->disk);
    return store;
}

void store_start(Store *store)
{
    BackendParams params = {
        .config = store->params.config,
        .broker = store->params.broker,
        .disk = store->disk,
        .state_dir = store->params.state_dir,
        .wirelog_dir = store->params.wirelog_dir,
        .event = on_event,
        .user = store,
    };

    g_autoptr(GError) error = NULL;

    /* The journal that was checked at store_open() is read only now: what follows from it begins
     * at once, on the disk's thread. */
    if (!store_changes_load(store, &error))
        store->write_failure = g_strdup_printf("%s takes no changes: %s", store->account->id,
                                               error->message);
    if (store->changes)
        g_message("%s: %u changes of the run before go on", store->account->id,
                  g_list_length(store->changes));
    store_changes_show(store);
    store->backend = store->ops->start(&params);
}

void store_close(Store *store)
{
    if (!store)
        return;
    if (store->poll_timer)
        g_source_remove(store->poll_timer);
    if (store->backend)
        store->ops->stop(g_steal_pointer(&store->backend));
    while (store->waits)
        store_wait_cancel(store->waits->data);
    if (store->used_timer)
        g_source_remove(store->used_timer);
    if (store->used)
        disk_submit(store->disk, g_steal_pointer(&store->used), NULL, NULL);
    store_changes_unload(store);
    store_changes_clear(store);
    local_clear(store);
    disk_close(store->disk);
    read_ahead_free(store->read_ahead);
    g_hash_table_unref(store->syncs);
    g_hash_table_unref(store->bodies);
    g_hash_table_unref(store->fetching);
    account_free(store->account);
    g_free(store->state_dir);
    g_free(store->reason);
    g_free(store->server);
    g_free(store->mechanism);
    g_free(store);
}

Account *store_account(const Store *store)
{
    return store->account;
}

const ConfigAccount *store_config(const Store *store)
{
    return store->params.config;
}

void store_mark_used(Store *store, Mailbox *mailbox)
{
    enum { WORTH_WRITING = 3600 };
    gint64 now = store_now();

    if (mailbox->is_container || now - mailbox->used < WORTH_WRITING)
        return;
    mailbox->used = now;
    store_put_mailbox(store, mailbox);
}

void store_reconnect(Store *store)
{
    if (store->backend)
        store->ops->reconnect(store->backend);
}

const char *store_lost_dir(const Store *store)
{
    return stage_lost_dir(store->disk);
}

GHashTable *store_commands(const Store *store)
{
    guint64 in, out;
    guint n;

    if (!store->backend)
        return g_hash_table_new(g_str_hash, g_str_equal);
    return store->ops->traffic(store->backend, &in, &out, &n);
}

void store_facts(const Store *store, StoreFacts *ret_facts)
{
    *ret_facts = (StoreFacts){
        .link = store->link,
        .reason = store->reason,
        .server = store->server,
        .mechanism = store->mechanism,
        .has_push = store->has_push,
        .cache_bytes = disk_body_bytes(store->disk),
        .quota_used = store->quota_used,
        .quota_limit = store->quota_limit,
        .max_connections = store->ops->max_connections ? store->ops->max_connections
                                                       : store->params.config->connections,
        .n_jobs = g_hash_table_size(store->syncs) + g_hash_table_size(store->fetching),
        .disk_warning = disk_warning(store->disk),
        .disk_failure = disk_failure(store->disk),
        .n_to_fetch = read_ahead_n_wanted(store->read_ahead),
    };
    if (store->backend)
        g_hash_table_unref(store->ops->traffic(store->backend, &ret_facts->octets_in,
                                               &ret_facts->octets_out,
                                               &ret_facts->n_connections));
    store_running_sync(store, &ret_facts->n_synced, &ret_facts->n_to_sync, &ret_facts->syncing,
                       &ret_facts->sync_began);
}
