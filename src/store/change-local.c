/* What no server hears of: other names, parked messages, mode and mtime.
 *
 * A name is a promise like any other: whoever renamed a file finds it under its new name after a
 * crash.  So the model has it at once, and it is answered when the disk has it.
 *
 * An editor that keeps a backup renames x.eml to x.eml~ and then writes a new x.eml.  The message
 * is parked meanwhile: it lies under the scratch name, and what is written under the old one takes
 * its place on the server.  If nothing is, it gets its name back at the next start.
 */
#include "store/change-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "mime/message-name.h"

#include <string.h>

enum { MAX_NAME = 255 }; /* NAME_MAX */

/* -- Names and numbers ------------------------------------------------------------------------- */

static gboolean is_taken(const Store *store, const Mailbox *mailbox, const char *name)
{
    return mailbox_find_name(mailbox, name) || local_find_name(store, mailbox, name) ||
           account_find_label(mailbox, name);
}

/* @name without so much of its end that @n octets of suffix fit, cut at a character. */
static char *shorten(const char *name, guint n)
{
    const char *dot = g_str_has_suffix(name, ".eml") ? strrchr(name, '.') : name + strlen(name);
    const char *end = name + MIN((gsize)(dot - name), MAX_NAME - strlen(dot) - n);
    g_autofree char *stem = NULL;

    while (end > name && ((guchar)*end & 0xc0) == 0x80)
        end--;
    stem = g_strndup(name, (gsize)(end - name));
    return g_strconcat(stem, dot, NULL);
}

char *change_free_name(const Store *store, const Mailbox *mailbox, const char *name)
{
    enum { SUFFIX = 16 };
    g_autofree char *base = strlen(name) + SUFFIX > MAX_NAME ? shorten(name, SUFFIX)
                                                             : g_strdup(name);
    char *found = g_strdup(name);

    for (guint n = 1; is_taken(store, mailbox, found); n++) {
        g_free(found);
        found = message_name_with_suffix(base, n);
    }
    return found;
}

guint64 change_new_item(Mailbox *mailbox)
{
    return mailbox->next_item++;
}

/* -- Parked ------------------------------------------------------------------------------------ */

#define ITEM_MASK ((1ULL << 36) - 1)

static gint64 parked_key(guint16 mailbox, guint64 item)
{
    return (gint64)((guint64)mailbox << 36 | item);
}

gboolean change_unpark(Store *store, DiskBatch *batch, const Mailbox *mailbox, guint64 item)
{
    gint64 key = parked_key(mailbox->number, item);

    if (!g_hash_table_remove(store->parked, &key))
        return FALSE;
    disk_batch_remove_parked(batch, mailbox->number, item);
    return TRUE;
}

gboolean change_load_parked(Store *store, GError **error)
{
    g_autoptr(GPtrArray) rows = journal_load_parked(store->disk, error);

    for (guint i = 0; rows && i < rows->len; i++) {
        JournalParked *row = g_ptr_array_index(rows, i);
        gint64 key = parked_key(row->mailbox, row->item);

        g_hash_table_insert(store->parked, g_memdup2(&key, sizeof key), g_strdup(row->name));
    }
    return rows != NULL;
}

void change_restore_parked(Store *store, Mailbox *mailbox)
{
    g_autoptr(GList) keys = g_hash_table_get_keys(store->parked);
    DiskBatch *batch = disk_batch_new();

    for (GList *link = keys; link; link = link->next) {
        guint64 item = *(guint64 *)link->data & ITEM_MASK;
        Message *message = *(gint64 *)link->data == parked_key(mailbox->number, item)
                               ? mailbox_find_item(mailbox, item)
                               : NULL;
        g_autofree char *name = NULL;

        if (!message)
            continue;
        name = change_free_name(store, mailbox, g_hash_table_lookup(store->parked, link->data));
        change_unpark(store, batch, mailbox, item);
        change_rename_message(store, batch, mailbox, message, name);
        FAULT("recover-parked");
    }
    disk_submit(store->disk, batch, NULL, NULL);
}

static void park(Store *store, DiskBatch *batch, const Mailbox *mailbox, const Message *message)
{
    gint64 key = parked_key(mailbox->number, message->item);
    JournalParked row = {mailbox->number, message->item, message->name};

    /* Renamed once more: it is the first name that comes back. */
    if (g_hash_table_contains(store->parked, &key))
        return;
    g_hash_table_insert(store->parked, g_memdup2(&key, sizeof key), g_strdup(message->name));
    disk_batch_put_parked(batch, &row);
}

Message *store_find_parked(const Store *store, const Mailbox *mailbox, const char *name)
{
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, store->parked);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        guint64 item = *(guint64 *)key & ITEM_MASK;

        if (parked_key(mailbox->number, item) == *(gint64 *)key && g_str_equal(value, name))
            return mailbox_find_item(mailbox, item);
    }
    return NULL;
}

/* -- Renaming ---------------------------------------------------------------------------------- */

void change_rename_message(Store *store, DiskBatch *batch, Mailbox *mailbox, Message *message,
                           const char *name)
{
    g_autofree char *before = g_strdup(message->name);
    StoreMoved moved = {mailbox, message->item, before, mailbox, message};

    mailbox_rename(mailbox, message, name);
    message->appeared = store_now();
    change_put_row(batch, mailbox, message);
    mailbox_touch(mailbox, store_now());
    store->params.observer->message_moved(store, &moved, store->params.user);
}

/* Somebody who waits for a name to be durable. */
typedef struct {
    Store *store;
    StoreChange *waiter; /* NULL: forgotten */
} Rename;

static void rename_free(gpointer data)
{
    Rename *rename = data;

    if (rename->waiter)
        change_waiter_free(rename->waiter);
    g_free(rename);
}

static void on_durable(const GError *error, gpointer user)
{
    Rename *rename = user;
    Store *store = rename->store;

    FAULT("rename-durable");
    store->renames = g_list_remove(store->renames, rename);
    if (rename->waiter)
        change_waiter_answer(rename->waiter, error);
    rename_free(rename);
}

static StoreChange *submit_rename(Store *store, DiskBatch *batch, StoreFunc func, gpointer user)
{
    Rename *rename = g_new0(Rename, 1);
    StoreChange *waiter = change_waiter(store, &rename->waiter, func, user);

    rename->store = store;
    store->renames = g_list_prepend(store->renames, rename);
    FAULT("rename-begin");
    disk_submit(store->disk, batch, on_durable, rename);
    return waiter;
}

void change_local_clear(Store *store)
{
    g_list_free_full(store->renames, rename_free);
}

static gboolean may_rename(Store *store, const Mailbox *mailbox, const char *name, GError **error)
{
    if (store->write_failure)
        return mail_fail(error, MAIL_ERROR_READONLY, "%s", store->write_failure);
    if (is_taken(store, mailbox, name))
        return mail_fail(error, MAIL_ERROR_EXISTS, "%s has a file called %s already",
                         mailbox->label, name);
    return TRUE;
}

StoreChange *store_alias(Store *store, Mailbox *mailbox, Message *message, const char *name,
                         StoreFunc func, gpointer user)
{
    g_autoptr(GError) error = NULL;
    DiskBatch *batch;

    if (g_str_equal(message->name, name))
        return change_answer(store, NULL, func, user);
    if (!may_rename(store, mailbox, name, &error))
        return change_answer(store, error, func, user);
    batch = disk_batch_new();
    change_unpark(store, batch, mailbox, message->item);
    change_rename_message(store, batch, mailbox, message, name);
    return submit_rename(store, batch, func, user);
}

StoreChange *store_park(Store *store, Mailbox *mailbox, Message *message, const char *name,
                        StoreFunc func, gpointer user)
{
    g_autoptr(GError) error = NULL;
    DiskBatch *batch;

    if (!may_rename(store, mailbox, name, &error))
        return change_answer(store, error, func, user);
    /* One that is being fetched is here to its last octet, or the caller would not ask. */
    if (!message->is_cached && !store_is_fetching(store, mailbox, message)) {
        mail_fail(&error, MAIL_ERROR_CACHE, "%s is not in the cache; read it first",
                  message->name);
        return change_answer(store, error, func, user);
    }
    batch = disk_batch_new();
    park(store, batch, mailbox, message);
    change_rename_message(store, batch, mailbox, message, name);
    return submit_rename(store, batch, func, user);
}

void store_set_local(Store *store, Mailbox *mailbox, Message *message, guint16 mode, gint64 mtime)
{
    DiskBatch *batch = disk_batch_new();

    if (mode)
        message->mode = mode;
    if (mtime)
        message->mtime = mtime;
    message->appeared = store_now();
    change_put_row(batch, mailbox, message);
    disk_submit(store->disk, batch, NULL, NULL);
    store->params.observer->message_changed(store, mailbox, message, store->params.user);
}
