/* Everything that changes a mailbox: write-through, and through the journal.
 *
 * A change is asked for on the main thread and answered once, later, when the server has said OK
 * (or, with offline=queue, when the journal has it).  Whoever asked may stop waiting; the change
 * goes on.  What was promised in the journal is carried out, whatever happens to the process, the
 * connection or the one who asked.
 *
 *   J1 the octets are durable before PREP is      J5 the old copy goes only after the new one is
 *   J2 PREP is durable before anything is sent       proved
 *   J3 SENT is durable before what cannot be      J6 a failed fsync makes the account read-only
 *      taken back is sent                         J7 absence is not deletion
 *   J4 done means a tagged OK, or proof           J8 recovery may itself be killed
 *
 * Errors are those of the server (QUOTA, TOOBIG, DENIED, READONLY, GONE), OFFLINE and its kin,
 * INVALID for what is no message (its octets are in lost+found then), NOSPACE and CACHE of the
 * disk.  After a refusal for good of a file that exists nowhere else, its octets are in lost+found.
 */
#pragma once

#include "store/journal.h"
#include "store/local.h"
#include "store/store.h"

typedef struct StoreChange StoreChange; /* somebody who waits for a change */

/* Nobody waits any more; the change goes on.  @func is not called. */
void store_change_forget(StoreChange *change);
/* When an octet last moved, a Deadline's clock; and whether octets are moving at all (an upload,
 * to which more patience applies). */
gint64 store_change_progress(const StoreChange *change);
gboolean store_change_is_upload(const StoreChange *change);

/* May anything be changed in @mailbox now?  READONLY (the mailbox, or J6), DENIED (rights), OFFLINE
 * and its kin when the account does not queue.  For answers that come before any work. */
gboolean store_may_change(const Store *store, const Mailbox *mailbox, GError **error);

/* -- Files ------------------------------------------------------------------------------------- */

/* Sends what @file holds now, unless the server has it: APPEND, in the place of the message that
 * it is a version of (EDIT) or replaces.  One that is under way for an older revision is waited
 * for first.  When it is answered without error the message is in the model with the file's item
 * and name. */
StoreChange *store_commit(Store *store, LocalFile *file, StoreFunc func, gpointer user);

/* A scratch file takes the name of a message and is committed: as @name in its own mailbox, in the
 * place of @replaced (NULL: nothing had the name).  On an error it is the scratch file again. */
StoreChange *store_commit_as(Store *store, LocalFile *file, const char *name, Message *replaced,
                             StoreFunc func, gpointer user);

/* The file is in the queue: it was promised (offline=queue), and nothing of it has been sent. */
gboolean store_is_queued(const Store *store, const LocalFile *file);
/* Takes it out of the queue, for something else is to become of it: it is a file that was written
 * and never sent.  What must outlive a crash is made durable before, by local_sync().  FALSE: it
 * is not queued, and nothing was done. */
gboolean store_take_back(Store *store, LocalFile *file);
/* A queued file that another one takes the place of: out of the queue and of its directory.  Its
 * octets, which no server has, go to lost+found with @reason (NULL: nowhere). */
void store_give_up(Store *store, LocalFile *file, const char *reason);

/* The file is known to hold the same octets as @message of the account (copy_file_range): its
 * commit will be a COPY.  Forgotten with the next write. */
void store_note_twin(Store *store, LocalFile *file, Mailbox *mailbox, Message *message);

/* -- Messages ---------------------------------------------------------------------------------- */

typedef struct {
    Mailbox *from;
    GPtrArray *messages; /* of Message, borrowed */
    Mailbox *to;         /* of the same account, another one */
    const char *name;    /* of a single one over there; NULL: its own (with a suffix if taken) */
    Message *replaced;   /* in @to: goes as by store_remove() once the other is there; or NULL */
} StoreTransfer;

/* UID MOVE, or COPY, proof, and removal.  Bodies go along in the cache. */
StoreChange *store_move(Store *store, const StoreTransfer *transfer, StoreFunc func,
                        gpointer user);
/* UID COPY. */
StoreChange *store_copy(Store *store, const StoreTransfer *transfer, StoreFunc func,
                        gpointer user);

/* As delete= says: a move to the Trash mailbox (made if there is none), or for good: always within
 * Trash. */
StoreChange *store_remove(Store *store, Mailbox *mailbox, GPtrArray *messages, StoreFunc func,
                          gpointer user);

typedef struct {
    guint16 add, remove;      /* MessageFlags */
    const char *add_keywords; /* blank-separated, or NULL */
    const char *remove_keywords;
} StoreFlags;

StoreChange *store_flag(Store *store, Mailbox *mailbox, GPtrArray *messages,
                        const StoreFlags *flags, StoreFunc func, gpointer user);

/* Another name in the same mailbox: an alias, which no server hears of.  EXISTS if it is taken. */
StoreChange *store_alias(Store *store, Mailbox *mailbox, Message *message, const char *name,
                         StoreFunc func, gpointer user);
/* To a scratch name, as an editor makes its backup: the message is parked.  Its body must be in
 * the cache.  A file that is created under the old name replaces the message; then what was
 * parked is a scratch file.  Otherwise it comes back at the next start. */
StoreChange *store_park(Store *store, Mailbox *mailbox, Message *message, const char *name,
                        StoreFunc func, gpointer user);
/* The message that was called @name before it was parked, or NULL. */
Message *store_find_parked(const Store *store, const Mailbox *mailbox, const char *name);

/* chmod and utimens of a message: kept here.  0 leaves either as it is. */
void store_set_local(Store *store, Mailbox *mailbox, Message *message, guint16 mode, gint64 mtime);

/* -- Mailboxes --------------------------------------------------------------------------------- */

/* @name is one component, decoded (tree/mailbox-name.h).  When it is answered without error, the
 * mailbox is in the model. */
StoreChange *store_create_mailbox(Store *store, Mailbox *parent, const char *name, StoreFunc func,
                                  gpointer user);
/* NOTEMPTY unless it has neither messages nor children, BUSY for INBOX. */
StoreChange *store_delete_mailbox(Store *store, Mailbox *mailbox, StoreFunc func, gpointer user);
/* With all that lies below: one RENAME.  Numbers, items, names and bodies stay. */
StoreChange *store_rename_mailbox(Store *store, Mailbox *mailbox, Mailbox *parent,
                                  const char *name, StoreFunc func, gpointer user);

/* -- The queue --------------------------------------------------------------------------------- */

/* In the place of store_start(): reads the journal and speaks to no server.  For those who look at
 * the queue where no daemon is. */
gboolean store_queue_load(Store *store, GError **error);

/* All entries that are not done, by id: waiting, under way, failed.  Borrowed until the main loop
 * goes on; the caller frees the array alone. */
GPtrArray *store_queue(const Store *store); /* of const JournalEntry */
guint store_queue_pending(const Store *store, gint64 *ret_oldest); /* without the failed */
guint store_queue_failed(const Store *store);
/* Removals that the backend has noted and is still to carry out; among the pending ones. */
guint store_queue_owed(const Store *store);
/* Octets of uploads under way that have gone out, and their sum. */
void store_queue_traffic(const Store *store, guint64 *ret_sent, guint64 *ret_total);
/* A failed one is tried again, one that waits at once.  @id 0: all. */
gboolean store_queue_retry(Store *store, guint64 id, GError **error);
/* Given up; a file's octets go to lost+found.  BUSY for one that may have been sent.  @id 0: what
 * the backend has noted, whose messages are shown again. */
gboolean store_queue_drop(Store *store, guint64 id, GError **error);
/* @func when nothing is pending any more (with an error: what is left, as a sentence). */
StoreChange *store_drain(Store *store, StoreFunc func, gpointer user);
/* The octets of an entry that creates, for .mailfs/pending: a new descriptor, or -1. */
int store_queue_open(const Store *store, guint64 id, GError **error);
