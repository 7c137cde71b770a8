/* Jobs (store/job.h) carried out on a tree of Maildirs, for whichever thread owns the worker.
 *
 * The Maildir backend has one on its thread; the POP3 backend has one for its local folders.  The
 * worker has no thread, no queue and no timer of its own: a call of maildir_worker_run() does the
 * whole job, blocking, and what is learned on the way goes out through the callback.  It may be
 * made on one thread and then be used on another, but never by two at once.
 *
 * It keeps the ledgers of the folders (store/ledger.h) and remembers where files are; both are
 * brought up to date by each SYNC, and whenever a file is not where it was.
 */
#pragma once

#include "store/job.h"
#include "store/maildir.h"

typedef struct MaildirWorker MaildirWorker;

/* Takes the event. */
typedef void (*MaildirWorkerEventFunc)(Event *event, gpointer user);
/* In the midst of a long listing, when FETCH jobs, and no others, may be run by
 * maildir_worker_run(); and of a long FETCH, when all may (maildir_worker_is_listing() tells).
 * FALSE gives up what is going on (CANCELLED). */
typedef gboolean (*MaildirWorkerPauseFunc)(gpointer user);

typedef struct {
    const char *account;          /* for log lines; all strings are copied */
    const char *path;             /* the tree's */
    const char *ledger_dir;       /* where ledgers are; made if need be */
    const char *charset_fallback; /* for names, or NULL */
    gboolean creates;             /* makes @path */
    gboolean has_inbox;           /* there is to be an INBOX: it is made in a tree that is empty */
    Disk *disk;                   /* for body files */
    MaildirWorkerEventFunc event;
    MaildirWorkerPauseFunc pause; /* or NULL */
    gpointer user;
} MaildirWorkerParams;

/* Touches no file yet. */
MaildirWorker *maildir_worker_new(const MaildirWorkerParams *params);
void maildir_worker_free(MaildirWorker *worker); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MaildirWorker, maildir_worker_free)

/* Opens the tree, unless it is open; jobs do so by themselves.  OFFLINE when it is not there (a
 * disk that is not mounted), and also when there is no Maildir in it although there were ledgers:
 * that is how the folder looks that a disk is mounted on.  Opened anew each time it was found
 * gone. */
gboolean maildir_worker_open(MaildirWorker *worker, GError **error);
/* NULL until it is open; borrowed until the next call. */
MaildirTree *maildir_worker_tree(MaildirWorker *worker);

/* Carries @job out, which stays the caller's: no EVENT_DONE is posted.  Posted are
 *
 *   LIST     EVENT_MAILBOXES (delimiter '/'), EVENT_STATUS of job->status_of
 *   SYNC     EVENT_SYNC_BEGIN, _MESSAGES, _FLAGS, _VANISHED, _SYNC_STATE; highestmodseq is the
 *            folder's stamp
 *   FETCH    EVENT_BODY_*: each item is whole or failed when it returns
 *
 * and job->change is answered for those that change.  Errors as for any backend: OFFLINE, GONE,
 * EXISTS, NOTEMPTY, DENIED, READONLY, NOSPACE, INVALID; CACHE when a flush failed, and READONLY
 * from then on (maildir_worker_may_change()). */
gboolean maildir_worker_run(MaildirWorker *worker, Job *job, GError **error);

/* FALSE with READONLY after an fsync(2) of a file or folder failed, until the worker's end: the
 * kernel may have dropped what it could not write, and another fsync would say that all is well. */
gboolean maildir_worker_may_change(const MaildirWorker *worker, GError **error);

/* A SYNC is going on. */
gboolean maildir_worker_is_listing(const MaildirWorker *worker);

/* A message into the folder @wire, as JOB_APPEND does it: durable, with its UID.  For mail that
 * comes from elsewhere. */
gboolean maildir_worker_deliver(MaildirWorker *worker, const char *wire,
                                const MaildirDelivery *delivery, guint32 *ret_uid,
                                guint32 *ret_uidvalidity, GError **error);

/* The same of each of @deliveries (of MaildirDelivery, whose uid is the answer), with one sync of
 * the folder for all.  FALSE: from the first that could not be delivered on, none was. */
gboolean maildir_worker_deliver_all(MaildirWorker *worker, const char *wire, GArray *deliveries,
                                    guint32 *ret_uidvalidity, GError **error);

/* As maildir_worker_deliver(), of a message that the ledger has already, without a file: it gets
 * one.  GONE for an unknown UID; one whose file is there is fine.  BUSY while nobody can say. */
gboolean maildir_worker_keep(MaildirWorker *worker, const char *wire, guint32 uid, int fd,
                             guint64 size, GError **error);

/* Opens the message @uid of the folder @wire for reading; -1: GONE. */
int maildir_worker_open_message(MaildirWorker *worker, const char *wire, guint32 uid,
                                guint64 *ret_size, GError **error);
/* Removes it; one that is gone is fine.  Durable when it returns. */
gboolean maildir_worker_remove(MaildirWorker *worker, const char *wire, guint32 uid,
                               GError **error);

/* The ledger of @wire (which need be no folder of the tree), opened if need be; borrowed until the
 * next call of the worker, and to be flushed before it. */
Ledger *maildir_worker_ledger(MaildirWorker *worker, const char *wire, GError **error);

/* -- Watching ---------------------------------------------------------------------------------- */

/* An inotify descriptor to be polled for reading, or -1 where there is none.  Folders that were
 * synced are watched, and so is the tree. */
int maildir_worker_watch_fd(MaildirWorker *worker);
/* The worker itself has read that the list of folders changed, and not told it yet: to be treated
 * as if the descriptor were readable. */
gboolean maildir_worker_has_news(const MaildirWorker *worker);
/* Reads what it has: EVENT_CHANGED for each folder (and "" for the list) that others changed; the
 * worker's own changes are left out.  Who makes a folder makes cur/ and new/ in it a moment later,
 * so this is better called a moment after the descriptor became readable. */
void maildir_worker_watch_read(MaildirWorker *worker);
