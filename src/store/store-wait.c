/* Those who wait for a mailbox to be listed, or to be brought up to date.
 */
#include "store/store-internal.h"
#include "base/deadline.h"
#include "base/error.h"

struct StoreWait {
    Store *store;
    Mailbox *mailbox;
    StoreFunc func;
    gpointer user;
    gboolean for_sync; /* waits for a sync's end, not only for readiness */
    gboolean is_asked; /* somebody wants to know what the server has now */
    guint64 too_early; /* the job of the sync that had begun before, or 0: it may not have seen
                        * what this is about */
    guint source;
    GError *error;
    gint64 last_progress;
};

gboolean store_is_ready(const Store *store, const Mailbox *mailbox)
{
    if (mailbox == store->account->root)
        return store->account->is_listed;
    return mailbox->is_container || mailbox->is_gone ||
           (mailbox->is_listed && mailbox->load == MAILBOX_LOADED);
}

static gboolean call_wait(gpointer user)
{
    StoreWait *wait = user;
    StoreFunc func = wait->func;
    gpointer data = wait->user;
    g_autoptr(GError) error = g_steal_pointer(&wait->error);

    wait->source = 0;
    store_wait_cancel(wait);
    func(error, data);
    return G_SOURCE_REMOVE;
}

static void end_wait(StoreWait *wait, const GError *error)
{
    if (wait->source)
        return;
    wait->error = error ? g_error_copy(error) : NULL;
    wait->source = g_idle_add_full(G_PRIORITY_DEFAULT, call_wait, wait, NULL);
}

/* Ends the waits for @mailbox: all with @error, or those that have what they want. */
void store_end_waits(Store *store, const Mailbox *mailbox, const GError *error, guint64 synced_by)
{
    for (GList *link = store->waits; link; link = link->next) {
        StoreWait *wait = link->data;

        if (wait->mailbox != mailbox)
            continue;
        if (error || (wait->for_sync ? synced_by && synced_by != wait->too_early
                                     : store_is_ready(store, mailbox)))
            end_wait(wait, error);
    }
}

void store_wait_moved(Store *store, const Mailbox *mailbox)
{
    for (GList *link = store->waits; link; link = link->next) {
        StoreWait *wait = link->data;

        if (wait->mailbox == mailbox)
            wait->last_progress = deadline_now();
    }
}

static StoreWait *new_wait(Store *store, Mailbox *mailbox, StoreFunc func, gpointer user)
{
    StoreWait *wait = g_new0(StoreWait, 1);

    wait->store = store;
    wait->mailbox = mailbox;
    wait->func = func;
    wait->user = user;
    wait->last_progress = deadline_now();
    store->waits = g_list_append(store->waits, wait);
    return wait;
}

StoreWait *store_wait(Store *store, Mailbox *mailbox, StoreFunc func, gpointer user)
{
    StoreWait *wait = new_wait(store, mailbox, func, user);
    g_autoptr(GError) error = NULL;
    gboolean was_used = mailbox->used != 0;

    store_mark_used(store, mailbox);
    if (store_is_ready(store, mailbox)) {
        end_wait(wait, NULL);
        return wait;
    }
    /* What is on the disk needs no connection. */
    if (!store_takes_jobs(store) && store->backend && !mailbox->is_listed) {
        store_fail_offline(store, &error);
        end_wait(wait, error);
        return wait;
    }
    /* A mailbox in use is kept true by events and polls: its rows are enough. */
    if (mailbox == store->account->root)
        store_ask_list(store, JOB_WAITED);
    else if (mailbox->is_listed && was_used)
        store_load_mailbox(store, mailbox);
    else
        store_request_sync(store, mailbox, JOB_WAITED);
    return wait;
}

static void begin_sync(StoreWait *wait)
{
    Store *store = wait->store;
    Mailbox *mailbox = wait->mailbox;
    g_autoptr(GError) error = NULL;

    wait->for_sync = TRUE;
    if (store->link > LINK_ONLINE)
        store_reconnect(store);
    if (store->link > LINK_ONLINE && !store_takes_jobs(store)) {
        store_fail_offline(store, &error);
        end_wait(wait, error);
    } else if (mailbox == store->account->root) {
        store_ask_list(store, JOB_WAITED);
    } else if (mailbox->is_container) {
        end_wait(wait, NULL);
    } else {
        wait->too_early = store_sync_job(store, mailbox);
        store_request_sync(store, mailbox, JOB_WAITED);
    }
}

StoreWait *store_sync(Store *store, Mailbox *mailbox, StoreFunc func, gpointer user)
{
    StoreWait *wait = new_wait(store, mailbox, func, user);

    begin_sync(wait);
    return wait;
}

StoreWait *store_ask(Store *store, Mailbox *mailbox, StoreFunc func, gpointer user)
{
    StoreWait *wait = new_wait(store, mailbox, func, user);

    wait->is_asked = TRUE;
    begin_sync(wait);
    return wait;
}

gboolean store_is_asked(const Store *store, const Mailbox *mailbox)
{
    for (const GList *link = store->waits; link; link = link->next) {
        const StoreWait *wait = link->data;

        if (wait->mailbox == mailbox && wait->is_asked && !wait->source)
            return TRUE;
    }
    return FALSE;
}

void store_wait_cancel(StoreWait *wait)
{
    wait->store->waits = g_list_remove(wait->store->waits, wait);
    if (wait->source)
        g_source_remove(wait->source);
    g_clear_error(&wait->error);
    g_free(wait);
}

gint64 store_wait_progress(const StoreWait *wait)
{
    return wait->last_progress;
}

void store_listed(Store *store, const GError *error)
{
    store_end_waits(store, store->account->root, error, 1); /* LIST has no numbers */
}

void store_fail_waits(Store *store, const GError *error)
{
    for (GList *link = store->waits; link; link = link->next) {
        StoreWait *wait = link->data;

        /* Rows that are being loaded come without a connection. */
        if (wait->for_sync || !(wait->mailbox->is_listed && wait->mailbox->load == MAILBOX_LOADING))
            end_wait(wait, error);
    }
}
