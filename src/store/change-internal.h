/* Between the files that change mailboxes:
 *
 *   change.c           a change's life: the journal, its jobs, its end
 *   change-turn.c      when it has its turn
 *   change-wait.c      who waits for it
 *   change-queue.c     the queue that people see
 *   change-arrive.c    what became of it in the model
 *   change-create.c    CREATE: a file becomes a message, perhaps in the place of another
 *                      (change-create-internal.h)
 *   change-transfer.c  COPY and MOVE (change-transfer-internal.h)
 *   change-match.c     which message is the copy of which
 *   change-carry.c     the rows of what was moved
 *   change-remove.c    what rm does: Trash, EXPUNGE
 *   change-local.c     what no server hears of: aliases, parked messages, mode and mtime
 *   change-flags.c     FLAGS
 *   change-mailbox.c   MAILBOX
 *   change-set.c       what changes of messages have in common
 *   change-show.c      what the model shows of changes that wait
 *   change-recover.c   the start: what journal and staging hold
 *   local.c            local files
 *
 * A change is one JournalEntry and a small state machine of its kind.  The machine is driven by two
 * calls, step() and answered(), and always ends in one of: change_submit() (a job is out),
 * change_save() (the entry is on its way to the disk), change_finish(), change_refuse() or
 * change_postpone().  What it must remember beyond the process is in the entry, and nothing else.
 */
#pragma once

#include "store/change.h"
#include "store/stage.h"
#include "store/store-internal.h"

typedef struct Change Change;

typedef struct {
    /* It is this change's turn: the account is online, nothing earlier is about the same messages,
     * and the entry is durable as it is: PREP (nothing was sent), SENT (find out what became of
     * it, or say it again where that does no harm) or HALF. */
    void (*step)(Change *change);
    /* A job of it came back; @error as in EVENT_DONE.  Not called after the change's end. */
    void (*answered)(Change *change, Job *job, const GError *error);
    /* Nothing was sent and nothing will be: undo what the model shows already.  May be NULL. */
    void (*undo)(Change *change, const GError *error);
} ChangeOps;

typedef enum {
    CHANGE_PREPARING, /* sealing, or its PREP is on its way to the disk */
    CHANGE_WAITING,   /* for its turn */
    CHANGE_AT_WORK,
} ChangePhase;

struct Change {
    Store *store;
    const ChangeOps *ops;
    JournalEntry *entry;
    ChangePhase phase;
    GPtrArray *waiters;  /* of StoreChange, borrowed */
    LocalFile *file;     /* CREATE: or NULL after a restart, when nobody has it open */
    char *scratch_name;  /* CREATE by store_commit_as(): what it is called if it fails */
    guint revision;      /* CREATE: of the file */
    guint64 stale_stage; /* CREATE: see local_forget_promise() */
    guint stage;         /* the machine's own, for this run: which job is out */
    guint64 job;         /* that is out, or 0 */
    gboolean was_queued; /* its waiters were answered by the journal: a failure is kept */
    gboolean is_retried; /* was refused before, and what it was about may have changed since */
    guint64 n_sent;      /* octets of an upload */
    gint64 last_progress; /* a Deadline's clock */
    Deadline retry;      /* not before */
    /* change_save()'s: what its end calls, and the job that goes out then, or NULL. */
    void (*then)(Change *change);
    Job *next_job;
    gboolean is_saving, was_saved;
    StoreWait *ready;     /* for its mailbox's listing, before its turn */
    guint16 twin_mailbox; /* CREATE: a message with the same octets, or 0 */
    guint64 twin_item;
    guint32 twin_uid;
    gboolean made_trash;  /* CREATE: there was none; once is enough */
    gboolean has_lost_race; /* CREATE: REPLACE was refused */
    gboolean is_shown;    /* change_show() */
    gpointer own;         /* the machine's, for this run; freed with the change */
    GDestroyNotify own_free;
};

extern const ChangeOps change_create_ops, change_transfer_ops, change_expunge_ops,
    change_flags_ops, change_mailbox_ops;

/* -- change-wait.c ----------------------------------------------------------------------------- */

void change_answer_all(Change *change, const GError *error);
void change_waiter_free(gpointer waiter);
/* Those who wait for the end of all changes, if this was it. */
void change_answer_drains(Store *store);

/* -- local.c ----------------------------------------------------------------------------------- */

/* With @batch the journal has @revision of the file: what a FLUSH or fsync had promised of it, or
 * of an older one, the row says no more.  A row that says so beside an entry is of a newer
 * revision.  Returns the stage that is needed no more when @batch is durable, or 0. */
guint64 local_forget_promise(LocalFile *file, DiskBatch *batch, guint revision);

/* -- change-queue.c ---------------------------------------------------------------------------- */

/* The @i-th of those that were refused is no more; its row goes with @batch. */
void change_taken_back_free(gpointer data);
void change_forget_failed(Store *store, guint i, DiskBatch *batch);

/* -- change.c ---------------------------------------------------------------------------------- */

/* A new change of the kind, with an entry that has an id, the mailbox (NULL for MAILBOX) and its
 * UIDVALIDITY.  Nothing happens before change_begin(). */
Change *change_new(Store *store, JournalKind kind, Mailbox *mailbox);
/* As after a restart; takes @entry. */
Change *change_from_entry(Store *store, JournalEntry *entry);

/* One more who waits. */
StoreChange *change_add_waiter(Change *change, StoreFunc func, gpointer user);
/* A waiter for something that is over already, or fails at once: called once, later. */
StoreChange *change_answer(Store *store, const GError *error, StoreFunc func, gpointer user);

/* A waiter for what is no change; @place holds it until it is answered or forgotten, then NULL. */
StoreChange *change_waiter(Store *store, StoreChange **place, StoreFunc func, gpointer user);
void change_waiter_answer(StoreChange *waiter, const GError *error);

/* Writes the entry as it is now, with @batch (taken; may be NULL), and calls @then when it is
 * durable.  When the disk fails before anything was sent, the change is undone and refused. */
void change_save(Change *change, DiskBatch *batch, void (*then)(Change *change));

/* J6: @error may be that of a failed fsync; then the account takes no more changes. */
void change_lose_faith(Store *store, const GError *error);
/* Sets the state, saves, then submits @job, all in this order (J3); or, when the entry has that
 * state already, submits at once. */
void change_send(Change *change, JournalState state, Job *job);
/* @job (for the entry's mailbox, with wire and UIDVALIDITY set) goes out now: what only looks. */
void change_submit(Change *change, Job *job);
/* A job of the kind for @wire, with a change; and for the entry's own mailbox. */
Job *change_job(JobKind kind, const char *wire, guint32 uidvalidity);
Job *change_own_job(const Change *change, JobKind kind);
/* The entry's messages (those that are not done) as ChangeMessages of @job. */
void change_fill_messages(const Change *change, Job *job);

/* It has got on: for those who ask how long nothing has. */
void change_progress(Change *change);
/* Out of the list and freed; @error for who still waits, NULL: it is done. */
void change_end(Change *change, const GError *error);

/* Done: the entry's removal joins @batch (taken; may be NULL; the model's changes), who waits is
 * answered, the change freed. */
void change_finish(Change *change, DiskBatch *batch);
/* Refused for good.  Who waits hears of it; if nobody does, the entry stays as FAILED for
 * `mailfs queue`.  @batch as above.  The change is freed. */
void change_refuse(Change *change, DiskBatch *batch, const GError *error);
/* Ends before anything was in the journal: who waits hears @error.  The change is freed. */
void change_abandon(Change *change, const GError *error);
/* The connection was lost, or the server is busy: it has its turn again, later. */
void change_postpone(Change *change, const GError *error);
/* Whether @error is a reason to postpone: the connection, the credentials, BUSY. */
gboolean change_is_temporary(const GError *error);

/* The model's objects of the entry: NULL when gone. */
Mailbox *change_mailbox(const Change *change);
Mailbox *change_target(const Change *change);
Message *change_message(const Change *change, const JournalMessage *message);

/* Appends what is known of @message to the entry's messages. */
void change_add_message(Change *change, const Message *message, guint64 new_item);
/* Somebody writes to its file, or another change is about it: it is not this one's to drop. */
gboolean change_shares_file(const Change *change);

/* Changes, from store.c. */
void store_changes_init(Store *store);
void store_changes_clear(Store *store);
void store_changes_done(Store *store, Event *event);
void store_changes_sent(Store *store, const Event *event);

/* A job that changes @mailbox is out, or will be at once: what a sync says of the mailbox is not
 * to be applied before its answer, or a message that the change brings would be taken for a new
 * one.  When the last one is over, store_sync_resume() is called. */
gboolean store_is_changing(const Store *store, const Mailbox *mailbox);
void store_sync_resume(Store *store, Mailbox *mailbox); /* store-sync.c */
/* The message is no more, by a change of ours: a sync that began before may have seen it. */
void store_sync_forget(const Store *store, const Mailbox *mailbox, guint32 uid);
/* Its flags are new, by a change of ours: a sync that began before may tell of the old ones. */
void store_sync_flagged(const Store *store, const Mailbox *mailbox, guint32 uid);

/* -- change-turn.c ----------------------------------------------------------------------------- */

/* The entry is complete: it is made durable as PREP, then has its turn.  With offline=queue and no
 * connection its waiters are answered when it is durable. */
void change_begin(Change *change);
/* PREP is durable, or the change comes back: it waits. */
void change_wait_for_turn(Change *change);
/* Sees to it that what is due has its turn. */
void change_schedule(Store *store);
void store_changes_link(Store *store); /* the account's link has another state */

/* -- change-commit.c --------------------------------------------------------------------------- */

/* What was refused and has no writer any more: into lost+found, and out of its directory. */
void create_lose(LocalFile *file);
/* A later version was taken: the queue forgets the one that was refused while it was open. */
void create_forget_refusal(LocalFile *file, DiskBatch *batch);

/* -- change-arrive.c --------------------------------------------------------------------------- */

/* Of a message that the server has now: puts it into the model in the place of what is known by
 * its item and of what a sync added under its UID, tells the observer, and the disk by @batch. */
typedef struct {
    guint64 item;
    guint32 uid;
    const char *name;
    guint64 size, fingerprint;
    gint64 date;
    gint64 mtime; /* of the file, where it is not the date; 0: what was known */
    guint16 mode; /* as set; 0: what was known */
    guint16 flags;
    const char *keywords;
} ChangeArrival;
Message *change_arrive(Store *store, DiskBatch *batch, Mailbox *mailbox,
                       const ChangeArrival *arrival);

/* -- change-set.c ------------------------------------------------------------------------------ */

/* change_add_waiter(), then change_begin(), which may end the change at once. */
StoreChange *change_begin_for(Change *change, StoreFunc func, gpointer user);

/* @messages as the entry's, by UID, each with a new item of @target (NULL: with none). */
void change_add_messages(Change *change, const GPtrArray *messages, Mailbox *target);
/* As long as nothing was sent: what the model knows of them now; those that are gone are left
 * out. */
void change_refresh(Change *change);
JournalMessage *change_find_uid(const Change *change, guint32 uid); /* or NULL */
/* A lower bound for the UIDs of what comes into @mailbox from now on; 0: nothing is known. */
guint32 change_first_possible_uid(const Mailbox *mailbox);
/* EXPUNGE of the entry's messages, with what is hidden in their mailbox since it could not be
 * removed before. */
Job *change_expunge_job(const Change *change);
/* The row, unless its message is still to come. */
void change_put_row(DiskBatch *batch, const Mailbox *mailbox, const Message *message);

/* Takes a message that another one replaced out of the model and off the disk, with its body, and
 * tells the observer.  If it was parked, its octets stay as the editor's backup. */
void change_drop_message(Store *store, DiskBatch *batch, Mailbox *mailbox, Message *message);
/* As above, of one that was removed: without a backup. */
void change_remove_row(Store *store, DiskBatch *batch, Mailbox *mailbox, Message *message);
/* It is still on the server, marked \Deleted, but nobody is to see it. */
void change_hide_message(Store *store, DiskBatch *batch, Mailbox *mailbox, Message *message);

/* -- change-show.c ----------------------------------------------------------------------------- */

/* Shows what was queued, as soon as the rows it needs are here; all that is queued. */
void change_show(Change *change);
void store_changes_show(Store *store);
/* Of COPY and MOVE that are done on the server, as long as nobody can say under which UIDs. */
void change_show_done(Change *change);
/* Takes it back; that of one of its messages. */
void change_unshow(Change *change);
void change_unshow_message(Change *change, DiskBatch *batch, const JournalMessage *each);
/* The row that stood for what is here now, or will not come. */
void change_forget_expected(Store *store, Mailbox *mailbox, guint64 item);
/* @mailbox is still to be made: that no LIST has it means nothing. */
gboolean store_is_expected(const Store *store, const Mailbox *mailbox);

/* -- change-transfer.c ------------------------------------------------------------------------- */

/* A move to @trash, or (NULL) to one that is made first. */
StoreChange *change_to_trash(Store *store, Mailbox *mailbox, GPtrArray *messages, Mailbox *trash,
                             StoreFunc func, gpointer user);

/* -- change-carry.c ---------------------------------------------------------------------------- */

/* The server has moved or copied it: so does the model.  FALSE: only a sync of the target can
 * show it. */
gboolean change_carry_over(Change *change, DiskBatch *batch, const JournalMessage *each);
/* It is on neither side.  Perhaps it was moved on from there, but it might as well be lost: it is
 * uploaded from the cache, and the log says so. */
void change_rescue(Change *change, Mailbox *target, const JournalMessage *each);
/* A sync found @message gone.  TRUE: a move may have taken it; its row is to stay until that is
 * known. */
gboolean change_claims(Store *store, const Mailbox *mailbox, const Message *message);

/* -- change-flags.c ---------------------------------------------------------------------------- */

/* @now and @add without @remove: all blank-separated, NULL for none; the answer sorted.  The caller
 * owns it. */
char *change_merge_keywords(const char *now, const char *add, const char *remove);

void change_apply_flags(Change *change, DiskBatch *batch);

/* -- change-mailbox.c -------------------------------------------------------------------------- */

/* The delimiter of what lies on the highest level, or '\0'. */
char change_delimiter(const Store *store);
/* The server made @wire, or has it: it is in the model.  NULL when it cannot be shown. */
Mailbox *change_mailbox_appeared(Store *store, const char *wire, GError **error);
/* @wire below the INBOX, if the account might be one that keeps everything there; else NULL.  The
 * caller owns it. */
char *change_wire_below_inbox(const Store *store, const char *wire);
/* LIST shows these wire names: of renamings whose answer was lost this decides. */
void store_changes_listed(Store *store, GHashTable *wires);

/* -- change-remove.c --------------------------------------------------------------------------- */

/* Where rm in @mailbox puts things: the Trash mailbox; NULL with no error: for good; NULL with
 * GONE: there is no Trash yet, it has to be made. */
Mailbox *change_trash(const Store *store, const Mailbox *mailbox, GError **error);
/* The Trash mailbox, whatever delete= says; NULL with GONE when there is none. */
Mailbox *change_trash_always(const Store *store, GError **error);
/* The wire name under which a Trash is to be made.  The caller owns it. */
char *change_trash_wire(const Store *store);
/* Of an EXPUNGE in the mailbox @wire, which is for good on the server: the wire name of the Trash
 * for what is here alone; NULL where there is no such thing, or delete= does not want it.  The
 * caller owns it. */
char *change_trash_here(const Store *store, const char *wire);

/* -- change-local.c ---------------------------------------------------------------------------- */

/* A name in @mailbox that nothing has: @name, or one with a suffix before ".eml".  The caller owns
 * it. */
char *change_free_name(const Store *store, const Mailbox *mailbox, const char *name);
/* A new item of @mailbox. */
guint64 change_new_item(Mailbox *mailbox);
/* To @name, which must be free. */
void change_rename_message(Store *store, DiskBatch *batch, Mailbox *mailbox, Message *message,
                           const char *name);
/* The row goes with @batch.  FALSE: it was not parked. */
gboolean change_unpark(Store *store, DiskBatch *batch, const Mailbox *mailbox, guint64 item);
/* At the start: what was parked when the last run ended; and, when the rows of @mailbox are here,
 * its messages get their names back. */
gboolean change_load_parked(Store *store, GError **error);
void change_restore_parked(Store *store, Mailbox *mailbox);
void change_local_clear(Store *store);

/* -- change-recover.c -------------------------------------------------------------------------- */

/* After the mailboxes were restored, when the disk's thread may be started. */
gboolean store_changes_load(Store *store, GError **error);
void store_changes_unload(Store *store);
/* Puts a stage into lost+found; it is removed when its octets are there. */
void change_lose_stage(Store *store, guint64 stage, const StageLost *where);

/* The first LIST was answered: every mailbox that there is, is known. */
void store_changes_polled(Store *store);

/* -- local.c ----------------------------------------------------------------------------------- */

void local_init(Store *store);
void local_clear(Store *store);
LocalFile *local_restore(Store *store, const JournalLocal *row, GError **error);
void local_put(const LocalFile *file, DiskBatch *batch); /* its row */
/* The octets of @fd are what it holds. */
gboolean local_fill(LocalFile *file, int fd, GError **error);
/* The server has @revision of it now: it ends, or goes on as an EDIT of what is there. */
void local_committed(LocalFile *file, DiskBatch *batch, guint revision);
/* Its octets are copied from now on, until here again: what is written meanwhile goes elsewhere. */
void local_begin_seal(LocalFile *file);
void local_end_seal(LocalFile *file, guint revision);
/* It is no more, whatever handles say; its row goes with @batch. */
void local_drop(LocalFile *file, DiskBatch *batch);
