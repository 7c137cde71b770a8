/* Bodies: from the cache, or fetched; and out of the cache again when it is full.
 *
 * A body under way is in store->bodies, so that a second reader, or the read-ahead that comes
 * upon it, shares it.  A body that is whole leaves the table; its file is in the cache then and
 * who has it open keeps its descriptor.
 */
#include "store/store-internal.h"
#include "base/error.h"
#include "base/limits.h"

#include <sys/stat.h>
#include <unistd.h>

static gint64 body_key(guint16 mailbox, guint64 item)
{
    return (gint64)((guint64)mailbox << 36 | item);
}

static Body *find_body(const Store *store, guint16 mailbox, guint64 item)
{
    gint64 key = body_key(mailbox, item);

    return g_hash_table_lookup(store->bodies, &key);
}

static void forget_body(Store *store, const Body *body)
{
    gint64 key = body_key(body_mailbox(body), body_item(body));

    if (g_hash_table_lookup(store->bodies, &key) == body)
        g_hash_table_remove(store->bodies, &key);
}

gboolean store_is_fetching(const Store *store, const Mailbox *mailbox, const Message *message)
{
    return find_body(store, mailbox->number, message->item) != NULL;
}

static Message *message_of(const Store *store, guint16 number, guint64 item,
                           Mailbox **ret_mailbox)
{
    *ret_mailbox = account_find_number(store->account, number);
    return *ret_mailbox ? mailbox_find_item(*ret_mailbox, item) : NULL;
}

/* -- Fetching ---------------------------------------------------------------------------------- */

guint64 store_fetch_bodies(Store *store, Mailbox *mailbox, GPtrArray *messages, UidSet *uids,
                           JobPriority priority)
{
    guint64 id;
    Job *job = job_new(JOB_FETCH, priority);
    GPtrArray *bodies = g_ptr_array_new_with_free_func((GDestroyNotify)body_unref);

    job->mailbox = mailbox->number;
    job->wire = g_strdup(mailbox->wire);
    job->uidvalidity = mailbox->uidvalidity;
    job->items = g_array_new(FALSE, FALSE, sizeof(FetchItem));
    job->uids = uid_set_copy(uids);
    for (guint i = 0; i < messages->len; i++) {
        const Message *message = g_ptr_array_index(messages, i);
        FetchItem item = {message->item, message->uid};
        Body *body = find_body(store, mailbox->number, message->item);
        gint64 key = body_key(mailbox->number, message->item);

        body = body ? body_ref(body) : body_new(mailbox->number, message->item);
        g_array_append_val(job->items, item);
        g_ptr_array_add(bodies, body);
        g_hash_table_replace(store->bodies, g_memdup2(&key, sizeof key), body);
    }
    id = job->id;
    g_hash_table_insert(store->fetching, g_memdup2(&id, sizeof id), bodies);
    store_submit(store, job);
    return id;
}

static void fetch_one(Store *store, Mailbox *mailbox, Message *message)
{
    g_autoptr(GPtrArray) messages = g_ptr_array_new();
    g_autoptr(UidSet) uids = uid_set_new();

    g_ptr_array_add(messages, message);
    uid_set_add(uids, message->uid);
    store_fetch_bodies(store, mailbox, messages, uids, JOB_INTERACTIVE);
}

/* What the body's first line of sight corrects: RFC822.SIZE is a claim. */
static void learn_size(Store *store, guint16 number, guint64 item, guint64 size)
{
    Mailbox *mailbox;
    Message *message = message_of(store, number, item, &mailbox);

    if (!message || message->size == size)
        return;
    message->size = size;
    message->is_size_news = TRUE;
    message->appeared = store_now();
    store->params.observer->message_changed(store, mailbox, message, store->params.user);
}

static void evict(Store *store);

static void on_evicted(const GError *error, gpointer user)
{
    Store *store = user;

    store->is_evicting = FALSE;
    if (!error)
        evict(store); /* for what came meanwhile */
}

static void on_victims(GArray *victims, gpointer user)
{
    Store *store = user;
    DiskBatch *batch;

    if (victims->len == 0) {
        store->is_evicting = FALSE;
        return;
    }
    batch = disk_batch_new();
    for (guint i = 0; i < victims->len; i++) {
        const DiskVictim *victim = &g_array_index(victims, DiskVictim, i);
        Mailbox *mailbox;
        Message *message = message_of(store, victim->mailbox, victim->item, &mailbox);

        if (message)
            message->is_cached = FALSE;
        disk_remove_body(store->disk, victim->mailbox, victim->item);
        disk_batch_body_dropped(batch, victim->mailbox, victim->item);
    }
    disk_submit(store->disk, batch, on_evicted, store);
}

/* Down to 90 %, so that not every further body evicts one. */
static void evict(Store *store)
{
    guint64 have = disk_body_bytes(store->disk), max = store->params.config->cache_max;

    if (store->is_evicting || have <= max)
        return;
    store->is_evicting = TRUE;
    disk_choose_victims(store->disk, have - max / 10 * 9, on_victims, store);
}

/* A body counts from the time that its row is written. */
static void on_kept(const GError *error, gpointer user)
{
    if (!error)
        evict(user);
}

static void on_whole(Store *store, const Event *event)
{
    Mailbox *mailbox;
    Message *message = message_of(store, event->mailbox, event->item, &mailbox);
    DiskBatch *batch;

    if (!message) {
        /* It was removed while it came. */
        disk_remove_body(store->disk, event->mailbox, event->item);
        return;
    }
    batch = disk_batch_new();
    message->is_cached = TRUE;
    message->is_exact = TRUE;
    message->is_suspect = FALSE;
    disk_batch_body_cached(batch, event->mailbox, event->item, event->size, event->sha256);
    disk_submit(store->disk, batch, on_kept, store);
}

/* A message that is listed but not given must not be asked for in a circle: failure, sync,
 * prefetch, failure. */
static void withhold(Store *store, const Event *event)
{
    Mailbox *mailbox;
    Message *message = message_of(store, event->mailbox, event->item, &mailbox);

    if (message && (mail_error_is(event->error, MAIL_ERROR_GONE) ||
                    mail_error_is(event->error, MAIL_ERROR_DAMAGED)))
        message->is_withheld = TRUE;
}

void store_body_event(Store *store, Event *event)
{
    g_autoptr(Body) body = find_body(store, event->mailbox, event->item);

    if (body)
        body_ref(body);
    switch (event->kind) {
    case EVENT_BODY_BEGIN:
        learn_size(store, event->mailbox, event->item, event->size);
        if (body)
            body_begin(body, event->fd, event->size);
        if (body)
            event->fd = -1;
        break;
    case EVENT_BODY_DATA:
        if (body)
            body_progress(body, event->received);
        break;
    case EVENT_BODY_WHOLE:
        on_whole(store, event);
        if (body) {
            body_progress(body, event->size);
            forget_body(store, body);
        }
        break;
    case EVENT_BODY_FAILED:
        withhold(store, event);
        g_message("%s: %s", store->account->id, event->error->message);
        if (body) {
            body_fail(body, event->error);
            forget_body(store, body);
        }
        break;
    default:
        g_assert_not_reached();
    }
}

void store_body_done(Store *store, Event *event)
{
    gint64 key = (gint64)event->job;
    GPtrArray *bodies = g_hash_table_lookup(store->fetching, &key);
    g_autoptr(GError) error = NULL;

    if (!bodies)
        return;
    if (event->error)
        error = g_error_copy(event->error);
    else
        mail_fail(&error, MAIL_ERROR_GONE, "the message is no longer on the server");
    for (guint i = 0; i < bodies->len; i++) {
        Body *body = g_ptr_array_index(bodies, i);

        body_fail(body, error); /* of no effect on those that are whole */
        forget_body(store, body);
    }
    g_hash_table_remove(store->fetching, &key);
    read_ahead_job_done(store->read_ahead, event->job);
}

void store_withdraw_fetch(Store *store, guint64 id)
{
    gint64 key = (gint64)id;
    GPtrArray *bodies = g_hash_table_lookup(store->fetching, &key);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; bodies && i < bodies->len; i++)
        if (body_is_awaited(g_ptr_array_index(bodies, i)))
            return;
    if (!bodies || !store->backend || !store->ops->withdraw(store->backend, id))
        return;
    mail_fail(&error, MAIL_ERROR_CANCELLED, "nobody reads on here any more");
    for (guint i = 0; i < bodies->len; i++) {
        body_fail(g_ptr_array_index(bodies, i), error);
        forget_body(store, g_ptr_array_index(bodies, i));
    }
    g_hash_table_remove(store->fetching, &key);
}

/* -- Opening ----------------------------------------------------------------------------------- */

void store_drop_body(Store *store, DiskBatch *batch, Mailbox *mailbox, Message *message)
{
    message->is_cached = FALSE;
    message->is_suspect = FALSE;
    disk_remove_body(store->disk, mailbox->number, message->item);
    disk_batch_body_dropped(batch, mailbox->number, message->item);
}

static void on_verified(guint16 number, guint64 item, gboolean is_good, gpointer user)
{
    Store *store = user;
    Mailbox *mailbox;
    Message *message = message_of(store, number, item, &mailbox);
    Body *body = find_body(store, number, item);
    g_autoptr(GError) error = NULL;
    int fd;

    if (!body)
        return;
    if (!message) {
        mail_fail(&error, MAIL_ERROR_GONE, "the message is no longer on the server");
        body_fail(body, error);
        forget_body(store, body);
        body_unref(body);
        return;
    }
    if (is_good)
        message->is_suspect = FALSE;
    fd = is_good ? disk_open_body(store->disk, number, item, &error) : -1;
    if (fd >= 0) {
        body_begin(body, fd, message->size);
        body_progress(body, message->size);
        forget_body(store, body);
    } else {
        DiskBatch *batch = disk_batch_new();

        g_message("%s: a cached message was damaged; fetching it again", store->account->id);
        store_drop_body(store, batch, mailbox, message);
        disk_submit(store->disk, batch, NULL, NULL);
        g_clear_error(&error);
        if (!store_takes_jobs(store)) {
            store_fail_offline(store, &error);
            body_fail(body, error);
            forget_body(store, body);
        } else {
            fetch_one(store, mailbox, message); /* into the same Body */
        }
    }
    body_unref(body);
}

/* After an unclean end: the bytes are read and compared with their hash before they are shown. */
static Body *open_suspect(Store *store, Mailbox *mailbox, Message *message)
{
    Body *body = body_new(mailbox->number, message->item);
    gint64 key = body_key(mailbox->number, message->item);

    g_hash_table_replace(store->bodies, g_memdup2(&key, sizeof key), body_ref(body));
    disk_verify_body(store->disk, mailbox->number, message->item, on_verified, store);
    return body;
}

static gboolean write_used(gpointer user)
{
    Store *store = user;

    store->used_timer = 0;
    disk_submit(store->disk, g_steal_pointer(&store->used), NULL, NULL);
    return G_SOURCE_REMOVE;
}

/* For eviction, least recently used first.  Gathered, for a reader of cached mail must not pay
 * for a database. */
static void note_used(Store *store, const Mailbox *mailbox, const Message *message)
{
    enum { GATHER_SECONDS = 5 };

    if (!store->used) {
        store->used = disk_batch_new();
        store->used_timer = g_timeout_add_seconds(GATHER_SECONDS, write_used, store);
    }
    disk_batch_body_used(store->used, mailbox->number, message->item, store_now());
}

static Body *open_cached(Store *store, Mailbox *mailbox, Message *message)
{
    g_autoptr(GError) error = NULL;
    int fd = disk_open_body(store->disk, mailbox->number, message->item, &error);
    DiskBatch *batch;
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && (guint64)st.st_size == message->size) {
        note_used(store, mailbox, message);
        return body_new_whole(mailbox->number, message->item, fd, message->size);
    }
    if (fd >= 0)
        (void)close(fd);
    batch = disk_batch_new();
    /* The file went, or is not what the index says: it is only a cache. */
    store_drop_body(store, batch, mailbox, message);
    disk_submit(store->disk, batch, NULL, NULL);
    return NULL;
}

Body *store_open_body(Store *store, Mailbox *mailbox, Message *message, GError **error)
{
    Body *body = find_body(store, mailbox->number, message->item);

    if (body) {
        read_ahead_passed(store->read_ahead, mailbox, message);
        return body_ref(body);
    }
    if (message->is_cached && message->is_suspect)
        return open_suspect(store, mailbox, message);
    if (message->is_cached) {
        body = open_cached(store, mailbox, message);
        if (body) {
            read_ahead_passed(store->read_ahead, mailbox, message);
            return body;
        }
    }
    if (message->size > LIMIT_MESSAGE) {
        mail_fail(error, MAIL_ERROR_TOOBIG,
                  "%s has %" G_GUINT64_FORMAT " bytes; mailfs reads messages of up to %llu",
                  message->name, message->size, LIMIT_MESSAGE);
        return NULL;
    }
    if (message->uid >= MESSAGE_UID_PENDING) {
        mail_fail(error, MAIL_ERROR_BUSY, "%s is still to be moved here on the server, and was "
                  "not in the cache", message->name);
        return NULL;
    }
    if (!store_takes_jobs(store)) {
        store_fail_offline(store, error);
        return NULL;
    }
    if (!read_ahead_opened(store->read_ahead, mailbox, message))
        fetch_one(store, mailbox, message);
    return body_ref(find_body(store, mailbox->number, message->item));
}

void store_give_up_body(Store *store, Body *body)
{
    GHashTableIter iter;
    gpointer id, bodies;

    if (!store->backend)
        return;
    g_hash_table_iter_init(&iter, store->fetching);
    while (g_hash_table_iter_next(&iter, &id, &bodies))
        if (g_ptr_array_find(bodies, body, NULL))
            store->ops->give_up(store->backend, *(guint64 *)id);
}

guint store_evict(Store *store, Mailbox *mailbox, Message *message)
{
    DiskBatch *batch = disk_batch_new();
    guint n = 0;

    for (guint i = 0; i < mailbox_n_messages(mailbox); i++) {
        Message *each = mailbox_nth(mailbox, i);

        if (each->is_cached && (!message || each == message)) {
            store_drop_body(store, batch, mailbox, each);
            n++;
        }
    }
    disk_submit(store->disk, batch, NULL, NULL);
    return n;
}

guint store_fetch(Store *store, Mailbox *mailbox, Message *message)
{
    return read_ahead_want(store->read_ahead, mailbox, message);
}
