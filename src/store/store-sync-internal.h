/* Between the files of a sync:
 *
 *   store-sync.c        a sync's life: asked for, run, held back, over
 *   store-sync-apply.c  what it says of messages, in the model
 */
#pragma once

#include "store/change-internal.h"

/* A sync of one mailbox, from the request to EVENT_DONE. */
struct SyncRun {
    Store *store;
    Mailbox *mailbox;
    guint64 job; /* 0 while the rows are being loaded */
    JobPriority priority;
    gboolean again; /* asked for while it ran */
    gboolean is_reset;
    guint32 uidvalidity;
    GPtrArray *fresh;    /* of Message: the new table while it is gathered aside, or NULL */
    GHashTable *by_uid;  /* recalled from state.db: UID -> Message, see disk_recall() */
    GHashTable *before;  /* item -> Message: rows of a listing that was never whole */
    UidSet *gone;        /* removed by us since it began, of which it may still tell; or NULL */
    UidSet *flagged;     /* whose flags we changed since; or NULL */
    gboolean is_behind;  /* it told of other flags for one of these, which may be older; or it
                          * cannot tell of all that went: the next one asks from the same point */
    gboolean is_recalling, is_releasing;
    GQueue held;         /* of Event, while recalling, or while the mailbox is being changed */
    guint n_done, n_expected;
    gint64 began;
};

/* -- store-sync-apply.c ------------------------------------------------------------------------ */

/* An event of each kind; of MESSAGES those that are kept are taken out. */
void store_sync_apply_messages(SyncRun *run, Event *event);
void store_sync_apply_flags(SyncRun *run, const Event *event);
void store_sync_apply_vanished(SyncRun *run, const UidSet *uids);
/* The last one: all is in its place then, and who waits for the mailbox hears of it. */
void store_sync_apply_state(SyncRun *run, const Event *event);
