/* One account as the file system uses it: the model, kept true by a backend and a disk.
 *
 * Everything here is the main thread's and returns at once.  What must be waited for is said
 * with a StoreWait or a Body; the caller brings its own deadline and may cancel.
 */
#pragma once

#include <glib.h>

#include "base/broker.h"
#include "config/config.h"
#include "model/account.h"
#include "store/body.h"
#include "store/job.h"

typedef struct Store Store;

/* Where a message was, and which it is now. */
typedef struct {
    Mailbox *from;
    guint64 item;
    const char *name;
    Mailbox *to;
    Message *message;
} StoreMoved;

/* Told after each change of the model.  A removed mailbox or message is still readable during
 * the call. */
typedef struct {
    void (*mailbox_added)(Store *store, Mailbox *mailbox, gpointer user);
    void (*mailbox_removed)(Store *store, Mailbox *mailbox, gpointer user);
    void (*message_added)(Store *store, Mailbox *mailbox, Message *message, gpointer user);
    void (*message_removed)(Store *store, Mailbox *mailbox, Message *message, gpointer user);
    /* Flags, size or date: the attributes, not the octets. */
    void (*message_changed)(Store *store, Mailbox *mailbox, Message *message, gpointer user);
    /* A message got another name, another item or another mailbox: it is in its new place. */
    void (*message_moved)(Store *store, const StoreMoved *moved, gpointer user);
    /* A local file (store/local.h) appeared, went, or is another's content now. */
    void (*local_changed)(Store *store, Mailbox *mailbox, guint64 item, const char *name,
                          gpointer user);
    /* After a row of changes: the directory's mtime moved. */
    void (*mailbox_changed)(Store *store, Mailbox *mailbox, gpointer user);
    void (*state_changed)(Store *store, gpointer user);
} StoreObserver;

typedef struct {
    const ConfigAccount *config; /* borrowed for the store's life, as the others */
    guint8 number;
    Broker *broker;
    AccountShowFunc show;
    const char *cache_dir, *state_dir; /* of this account */
    const char *wirelog_dir;           /* or NULL */
    const StoreObserver *observer;
    gpointer user;
} StoreParams;

/* Opens the disk and fills the model from it; no thread, no network yet.  BUSY when another
 * daemon has it. */
Store *store_open(const StoreParams *params, GError **error);
void store_start(Store *store);
/* Ends connections and threads, makes everything durable.  NULL is fine. */
void store_close(Store *store);

Account *store_account(const Store *store);
const ConfigAccount *store_config(const Store *store);

/* -- Waiting for a listing --------------------------------------------------------------------- */

typedef struct StoreWait StoreWait;
typedef void (*StoreFunc)(const GError *error, gpointer user);

/* TRUE when the mailbox's messages (the account's mailboxes, for its root) can be listed from
 * memory. */
gboolean store_is_ready(const Store *store, const Mailbox *mailbox);

/* Calls @func once, later, when it is so, or why not.  Marks the mailbox as used. */
StoreWait *store_wait(Store *store, Mailbox *mailbox, StoreFunc func, gpointer user);
void store_wait_cancel(StoreWait *wait);
gint64 store_wait_progress(const StoreWait *wait); /* a Deadline's clock */

/* A mailbox is looked at: remembered, so that it is kept up to date from the start next time. */
void store_mark_used(Store *store, Mailbox *mailbox);

/* -- Bodies ------------------------------------------------------------------------------------ */

/* The body of a message, from the cache or fetched now; a reader that goes on to the messages
 * that follow is noticed, and they are read ahead.  The caller owns the reference.  NULL at once
 * when it cannot be had: OFFLINE, AUTH, LOCKED by the account's state, TOOBIG. */
Body *store_open_body(Store *store, Mailbox *mailbox, Message *message, GError **error);

/* A body that does not come: gives its connection up. */
void store_give_up_body(Store *store, Body *body);

/* -- What people ask for ----------------------------------------------------------------------- */

/* A sync of the mailbox (the list of mailboxes, for the root) now; @func as above. */
StoreWait *store_sync(Store *store, Mailbox *mailbox, StoreFunc func, gpointer user);
/* The same for somebody who wants to know what the server has now: a list that was made before
 * is not enough, and it fails where the server cannot be asked, although what is known is told. */
StoreWait *store_ask(Store *store, Mailbox *mailbox, StoreFunc func, gpointer user);
/* Puts uncached messages of the mailbox (@message NULL: all of them) into the queue of the
 * prefetch policy.  Returns how many. */
guint store_fetch(Store *store, Mailbox *mailbox, Message *message);
/* Drops cached bodies.  Returns how many. */
guint store_evict(Store *store, Mailbox *mailbox, Message *message);
void store_reconnect(Store *store);

/* -- Facts for status -------------------------------------------------------------------------- */

typedef struct {
    LinkState link;
    const char *reason; /* of the link's state, or NULL */
    const char *server; /* by ID, or NULL */
    const char *mechanism;
    gboolean has_push; /* NOTIFY */
    guint64 cache_bytes;
    guint64 quota_used, quota_limit; /* limit 0: none known */
    guint64 octets_in, octets_out;
    guint n_connections, max_connections, n_jobs;
    const char *disk_warning, *disk_failure; /* or NULL */
    /* A listing at work. */
    const Mailbox *syncing; /* or NULL */
    guint n_synced, n_to_sync;
    gint64 sync_began; /* a Deadline's clock */
    guint n_to_fetch;  /* bodies queued by prefetch or `fetch` */
} StoreFacts;

void store_facts(const Store *store, StoreFacts *ret_facts);
/* The folder for octets that no server took (store/stage.h); it may not be there yet. */
const char *store_lost_dir(const Store *store);
GHashTable *store_commands(const Store *store); /* name -> count; the caller owns it */

/* "offline: REASON" as an error with the right code for who asked for what is not here. */
gboolean store_fail_offline(const Store *store, GError **error);
