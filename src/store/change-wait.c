/* Who waits for a change, or for the end of all of them.
 *
 * A waiter is answered once, from the main loop and never from within the call that made it.  It
 * may be forgotten at any time before; the change does not care.
 */
#include "store/change-internal.h"
#include "base/deadline.h"

struct StoreChange {
    Store *store;
    Change *change; /* NULL once it is over */
    StoreFunc func;
    gpointer user;
    guint source;
    GError *error;
    gint64 last_progress;
    StoreChange **place; /* whoever else knows of it; or NULL */
};

static StoreChange *waiter_new(Store *store, Change *change, StoreFunc func, gpointer user)
{
    StoreChange *waiter = g_new0(StoreChange, 1);

    waiter->store = store;
    waiter->change = change;
    waiter->func = func;
    waiter->user = user;
    waiter->last_progress = deadline_now();
    return waiter;
}

void change_waiter_free(gpointer data)
{
    StoreChange *waiter = data;

    if (waiter->place)
        *waiter->place = NULL;
    g_clear_error(&waiter->error);
    g_free(waiter);
}

static gboolean call_waiter(gpointer user)
{
    StoreChange *waiter = user;
    StoreFunc func = waiter->func;
    gpointer data = waiter->user;
    g_autoptr(GError) error = g_steal_pointer(&waiter->error);

    change_waiter_free(waiter);
    func(error, data);
    return G_SOURCE_REMOVE;
}

static void answer(StoreChange *waiter, const GError *error)
{
    waiter->change = NULL;
    waiter->error = error ? g_error_copy(error) : NULL;
    waiter->last_progress = deadline_now();
    waiter->source = g_idle_add_full(G_PRIORITY_DEFAULT, call_waiter, waiter, NULL);
}

void change_answer_all(Change *change, const GError *error)
{
    for (guint i = 0; i < change->waiters->len; i++)
        answer(g_ptr_array_index(change->waiters, i), error);
    g_ptr_array_set_size(change->waiters, 0);
}

StoreChange *change_add_waiter(Change *change, StoreFunc func, gpointer user)
{
    StoreChange *waiter = waiter_new(change->store, change, func, user);

    g_ptr_array_add(change->waiters, waiter);
    return waiter;
}

StoreChange *change_waiter(Store *store, StoreChange **place, StoreFunc func, gpointer user)
{
    StoreChange *waiter = waiter_new(store, NULL, func, user);

    waiter->place = place;
    *place = waiter;
    return waiter;
}

void change_waiter_answer(StoreChange *waiter, const GError *error)
{
    if (waiter->place)
        *g_steal_pointer(&waiter->place) = NULL;
    answer(waiter, error);
}

StoreChange *change_answer(Store *store, const GError *error, StoreFunc func, gpointer user)
{
    StoreChange *waiter = waiter_new(store, NULL, func, user);

    answer(waiter, error);
    return waiter;
}

void store_change_forget(StoreChange *waiter)
{
    if (waiter->change)
        g_ptr_array_remove(waiter->change->waiters, waiter);
    if (waiter->source)
        g_source_remove(waiter->source);
    waiter->store->drains = g_list_remove(waiter->store->drains, waiter);
    change_waiter_free(waiter);
}

/* One that waits for its turn is patient as long as those before it get on. */
gint64 store_change_progress(const StoreChange *waiter)
{
    const Change *change = waiter->change;

    if (!change)
        return waiter->last_progress;
    return change->phase == CHANGE_AT_WORK
               ? change->last_progress
               : MAX(change->last_progress, waiter->store->change_progress);
}

gboolean store_change_is_upload(const StoreChange *waiter)
{
    return waiter->change && waiter->change->entry->kind == JOURNAL_CREATE &&
           waiter->change->n_sent > 0;
}

StoreChange *store_drain(Store *store, StoreFunc func, gpointer user)
{
    StoreChange *waiter = waiter_new(store, NULL, func, user);

    if (store->changes || store->n_owed > 0)
        store->drains = g_list_append(store->drains, waiter);
    else
        answer(waiter, NULL);
    if (store->n_owed > 0 && store->link != LINK_REFUSED)
        store_reconnect(store); /* not when it is due, which may be in minutes */
    return waiter;
}

void change_answer_drains(Store *store)
{
    g_autoptr(GList) drains = NULL;

    if (store->changes || store->n_owed > 0)
        return;
    drains = g_steal_pointer(&store->drains);
    for (GList *link = drains; link; link = link->next)
        answer(link->data, NULL);
}

