/* Between the files of the worker on Maildirs:
 *
 *   maildir-worker.c          its life, what it keeps of each folder, calls from outside
 *   maildir-worker-list.c     LIST and STATUS
 *   maildir-worker-sync.c     SYNC
 *   maildir-worker-fetch.c    FETCH
 *   maildir-worker-change.c   APPEND, COPY, FLAGS, EXPUNGE
 *   maildir-worker-find.c     FIND
 *   maildir-worker-mailbox.c  MAILBOX
 *   maildir-worker-watch.c    inotify
 */
#pragma once

#include "base/deadline.h"
#include "store/maildir-worker.h"

/* What is kept of one folder between jobs. */
typedef struct {
    char *wire;
    Ledger *ledger;
    GHashTable *files; /* base -> MaildirFile, as last seen; NULL: nobody has looked */
    UidSet *untold;    /* whose flags changed in the ledger since the last SYNC said so */
    guint64 told;      /* highestmodseq of that SYNC; 0: none in this run */
    guint64 stood;     /* the folder's stamp when it was last known to be what the ledger says; 0 */
    Deadline look_again; /* ... and until when that is believed */
    guint64 used;      /* the worker's clock */
} MaildirState;

struct MaildirWorker {
    /* Set once. */
    MaildirWorkerParams params;
    char *account, *path, *ledger_dir, *charset_fallback; /* of params */

    MaildirTree *tree; /* NULL: not open */
    gboolean has_failed; /* an fsync of something in the tree, ever: nothing is changed any more */
    int ledger_fd;     /* -1: not yet */
    GHashTable *states; /* wire -> MaildirState */
    GHashTable *uidvalidities; /* wire -> of the ledgers that were opened in this run */
    guint64 clock;
    guint64 serial; /* of SYNCs whose stamp is not to be trusted */

    /* maildir-worker-watch.c */
    int inotify_fd;
    GHashTable *watches; /* wd -> wire name, or "" for the tree's folders */
    GHashTable *watched; /* wire names that are watched */
    GHashTable *own;     /* names that we touched since inotify was read */
    gboolean list_changed; /* read, and not told yet */

    gboolean is_listing;
    guint n_paused; /* calls of params.pause that have not returned */
};

/* The folder's state, with its ledger, as the one that was used last; valid until other states are
 * asked for (at least one other is fine). */
MaildirState *maildir_worker_state(MaildirWorker *worker, const char *wire, GError **error);
/* Forgets it: the folder is gone, or its ledger has another name. */
void maildir_worker_forget(MaildirWorker *worker, const char *wire);
/* Folder and state; the caller frees the folder.  GONE when @uidvalidity (unless 0) is another. */
MaildirFolder *maildir_worker_enter(MaildirWorker *worker, const char *wire, guint32 uidvalidity,
                                    MaildirState **ret_state, GError **error);

/* Where the file of @uid is, as far as is known; looks if nobody has, or with @again.  NULL with
 * GONE.  Borrowed until the next look. */
MaildirFile *maildir_worker_locate(MaildirWorker *worker, MaildirFolder *folder,
                                   MaildirState *state, guint32 uid, gboolean again,
                                   GError **error);
/* maildir_sync(), with what it found kept in @state.  @ret_stamp may be NULL. */
gboolean maildir_worker_refresh(MaildirFolder *folder, MaildirState *state, guint64 *ret_stamp,
                                GError **error);
/* As maildir_worker_refresh(), but not when nobody but us has changed anything since the last time,
 * as far as inotify tells and the stamp shows; then *@ret_stamp is 0. */
gboolean maildir_worker_catch_up(MaildirWorker *worker, MaildirFolder *folder,
                                 MaildirState *state, guint64 *ret_stamp, GError **error);
/* Around changes of ours: what the folder's stamp was and is. */
void maildir_worker_begin_own(const MaildirFolder *folder, MaildirState *state);
void maildir_worker_end_own(const MaildirFolder *folder, MaildirState *state);
/* @file (taken) is in the folder now, as a message of the ledger: its UID, or 0. */
guint32 maildir_worker_arrived(MaildirWorker *worker, MaildirState *state, MaildirFile *file,
                               const LedgerEntry *entry, GError **error);
/* It is not any more. */
void maildir_worker_gone(MaildirWorker *worker, MaildirState *state, guint32 uid);

void maildir_worker_post(MaildirWorker *worker, Event *event);
/* Others are let in.  FALSE with CANCELLED. */
gboolean maildir_worker_pause(MaildirWorker *worker, const Job *job, GError **error);
/* As maildir_worker_watch_read(), but what concerns the list is kept for later. */
void maildir_worker_watch_look(MaildirWorker *worker);
/* We are about to touch, or have touched, this name in a folder: it is no news. */
void maildir_worker_note_own(MaildirWorker *worker, const char *name);
/* The folder is to be watched from now on. */
void maildir_worker_watch(MaildirWorker *worker, const MaildirFolder *folder);
void maildir_worker_unwatch(MaildirWorker *worker, const char *wire);
gboolean maildir_worker_is_watched(const MaildirWorker *worker, const char *wire);

gboolean maildir_worker_list(MaildirWorker *worker, Job *job, GError **error);
gboolean maildir_worker_sync(MaildirWorker *worker, Job *job, GError **error);
gboolean maildir_worker_fetch(MaildirWorker *worker, Job *job, GError **error);
gboolean maildir_worker_append(MaildirWorker *worker, Job *job, GError **error);
gboolean maildir_worker_copy(MaildirWorker *worker, Job *job, GError **error);
gboolean maildir_worker_flags(MaildirWorker *worker, Job *job, GError **error);
gboolean maildir_worker_expunge(MaildirWorker *worker, Job *job, GError **error);
gboolean maildir_worker_find(MaildirWorker *worker, Job *job, GError **error);
gboolean maildir_worker_mailbox(MaildirWorker *worker, Job *job, GError **error);
