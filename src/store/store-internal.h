/* Between the files of the store:
 *
 *   store.c             life, events, mailboxes, polling
 *   store-list.c        applying what LIST says to the model
 *   store-sync.c        syncs: asking for them, and when what they say is applied
 *   store-sync-apply.c  applying it to the model
 *   store-wait.c        waiting for it
 *   store-body.c        bodies: cache, fetching, eviction
 *   read-ahead.c        which messages to fetch before they are asked for
 */
#pragma once

#include "store/backend.h"
#include "store/disk.h"
#include "store/store.h"

typedef struct SyncRun SyncRun;
typedef struct ReadAhead ReadAhead;

struct Store {
    /* Set once. */
    StoreParams params;
    char *state_dir; /* of params */
    Account *account;
    Disk *disk;
    const BackendOps *ops;
    Backend *backend; /* NULL until started and after the end */

    /* What is known of the connection. */
    LinkState link;
    char *reason, *server, *mechanism;
    gboolean has_push;
    gboolean was_polled; /* LIST was answered since the account came online */
    gint64 quota_asked;
    guint64 quota_used, quota_limit;
    guint64 list_job; /* id of the LIST under way, or 0 */
    guint n_frozen;   /* store_freeze_list() */
    gboolean list_is_late, list_is_wanted;
    guint poll_timer;

    GHashTable *syncs; /* mailbox number -> SyncRun */
    GList *waits;      /* of StoreWait */

    GHashTable *bodies;   /* key -> Body under way (borrowed: removed at its end) */
    GHashTable *fetching; /* job id -> GPtrArray of Body, references */
    gboolean is_evicting;
    DiskBatch *used; /* which bodies were read, to be written soon */
    guint used_timer;
    ReadAhead *read_ahead;

    /* Changing: change-internal.h. */
    GList *changes;       /* of Change, in the order they were asked for */
    GPtrArray *failed;    /* of JournalEntry */
    GPtrArray *homeless;  /* of JournalLocal, of mailboxes that are not known yet */
    GHashTable *locals;   /* mailbox number -> GPtrArray of LocalFile, by item */
    GHashTable *parked;   /* inode-like key (mailbox << 36 | item) -> name it had */
    char *write_failure;  /* J6: why the account takes no changes; or NULL */
    GList *taken_back;    /* change-queue.c: stages that go when the disk has noted it */
    GList *local_syncs;   /* local.c: of files being made durable */
    GList *renames;       /* change-local.c: on their way to the disk */
    GList *losing;        /* change-recover.c: on their way to lost+found */
    guint change_timer;
    gint64 change_progress; /* when any of them last moved, a Deadline's clock */
    GList *drains;          /* of StoreChange: who waits for the end of all */
    guint n_owed;           /* removals that the backend has noted, and not carried out */
};

gint64 store_now(void); /* Unix time */
void store_submit(Store *store, Job *job);

/* Jobs may be submitted: there is a connection, or one is being made, or the backend does
 * without. */
gboolean store_takes_jobs(const Store *store);

/* -- store.c ----------------------------------------------------------------------------------- */
DiskMailbox store_disk_mailbox(const Mailbox *mailbox); /* borrows its strings */
void store_ask_list(Store *store, JobPriority priority);
void store_put_mailbox(Store *store, const Mailbox *mailbox);
/* While a mailbox is being made, removed or renamed: no LIST is asked for, and one that was asked
 * before is not applied, but asked for anew. */
void store_freeze_list(Store *store);
void store_thaw_list(Store *store);

/* -- store-list.c ------------------------------------------------------------------------------ */
void store_apply_list(Store *store, Event *event);
/* NULL when it cannot be shown. */
Mailbox *store_add_mailbox(Store *store, const ListedMailbox *listed);
void store_remove_mailbox(Store *store, Mailbox *mailbox); /* with all below it */

/* -- store-sync.c ------------------------------------------------------------------------------ */
void store_request_sync(Store *store, Mailbox *mailbox, JobPriority priority);
gboolean store_compare_is_due(const Mailbox *mailbox);
gboolean store_is_syncing(const Store *store, const Mailbox *mailbox);
void store_sync_event(Store *store, Event *event);
void store_sync_done(Store *store, Event *event);
/* Its rows from the disk, unless they are here. */
void store_load_mailbox(Store *store, Mailbox *mailbox);
void store_drop_sync(Store *store, const Mailbox *mailbox); /* the mailbox is gone */
void store_sync_free(gpointer run);
/* The job of the mailbox's sync that is queued or under way, or 0. */
guint64 store_sync_job(const Store *store, const Mailbox *mailbox);
SyncRun *store_running_sync(const Store *store, guint *ret_done, guint *ret_total,
                            const Mailbox **ret_mailbox, gint64 *ret_began);

/* -- store-wait.c ------------------------------------------------------------------------------ */
/* Ends the waits for @mailbox: all with @error, or those that have what they want.  @synced_by: the
 * job of a sync that has ended, or 0. */
void store_end_waits(Store *store, const Mailbox *mailbox, const GError *error, guint64 synced_by);
void store_wait_moved(Store *store, const Mailbox *mailbox); /* something came for it */
gboolean store_is_asked(const Store *store, const Mailbox *mailbox); /* by store_ask() */
/* LIST was answered (or, with @error, not): for those who wait for it. */
void store_listed(Store *store, const GError *error);
void store_fail_waits(Store *store, const GError *error); /* the account went offline */

/* -- store-body.c ------------------------------------------------------------------------------ */
void store_body_event(Store *store, Event *event);
void store_body_done(Store *store, Event *event);
gboolean store_is_fetching(const Store *store, const Mailbox *mailbox, const Message *message);
/* Asks for the bodies of @messages, ascending neighbours in the table; @uids as in Job. */
guint64 store_fetch_bodies(Store *store, Mailbox *mailbox, GPtrArray *messages, UidSet *uids,
                           JobPriority priority); /* the job's id */
/* Takes a fetch back that no connection has begun, unless somebody waits for one of its bodies. */
void store_withdraw_fetch(Store *store, guint64 job);
void store_drop_body(Store *store, DiskBatch *batch, Mailbox *mailbox, Message *message);

/* -- read-ahead.c ------------------------------------------------------------------------------ */
ReadAhead *read_ahead_new(Store *store);
void read_ahead_free(ReadAhead *read_ahead);
/* Somebody opened @message, whose body is not here.  TRUE when it is part of a stream that is
 * read ahead now, so that it needs no fetch of its own. */
gboolean read_ahead_opened(ReadAhead *read_ahead, Mailbox *mailbox, Message *message);
/* ... or opened one that is here, or already on its way: the stream moves on. */
void read_ahead_passed(ReadAhead *read_ahead, Mailbox *mailbox, Message *message);
void read_ahead_job_done(ReadAhead *read_ahead, guint64 job);
/* The policy (prefetch=) and `mailfs fetch`. */
guint read_ahead_want(ReadAhead *read_ahead, Mailbox *mailbox, Message *message);
void read_ahead_policy(ReadAhead *read_ahead, Mailbox *mailbox);
guint read_ahead_n_wanted(const ReadAhead *read_ahead);
void read_ahead_resume(ReadAhead *read_ahead); /* the account is online */
