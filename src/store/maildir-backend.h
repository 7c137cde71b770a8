/* The Maildir backend as a part of another one: POP3's local folders.
 *
 * It is a whole backend with its own thread, which takes jobs by maildir_backend_ops; its events
 * go where @params says, but it says nothing of a link.  When its tree is there, it posts
 * EVENT_CHANGED of the list of mailboxes.
 */
#pragma once

#include "store/backend.h"
#include "store/maildir-worker.h"

#define MAILDIR_LEDGERS "ledgers" /* the folder in the account's state_dir */

/* In the place of maildir_worker_run(), on the Maildir thread and with the worker entered.
 * *ret_is_passed_on TRUE: somebody else has taken @job, and answers it. */
typedef gboolean (*MaildirBackendRunFunc)(MaildirWorker *worker, Job *job,
                                          gboolean *ret_is_passed_on, gpointer user,
                                          GError **error);

typedef struct {
    const char *path; /* of the tree, which is made if it is not there; copied */
    MaildirBackendRunFunc run;
    gpointer user;
} MaildirBackendParts;

/* To be ended by maildir_backend_ops.stop(). */
Backend *maildir_backend_start(const BackendParams *params, const MaildirBackendParts *parts);

/* What the worker is at is given up, and no more jobs are taken; who has entered may go on.  To be
 * followed by stop(). */
void maildir_backend_end(Backend *backend);

/* Any thread: the worker, for this thread alone until it leaves; for moments, never for as long as
 * a network takes. */
MaildirWorker *maildir_backend_enter(Backend *backend);
void maildir_backend_leave(Backend *backend);

/* Any thread: an event (taken) on its way to the main thread, in order with the Maildir thread's
 * own. */
void maildir_backend_post(Backend *backend, Event *event);
/* EVENT_DONE of a job (taken); @error is copied. */
void maildir_backend_done(Backend *backend, Job *job, const GError *error);
/* While it is not NULL, what the worker posts goes there (of Event, in order) and not to the main
 * thread.  With the worker entered. */
void maildir_backend_capture(Backend *backend, GQueue *events);

/* Wire names of mailboxes, as BackendOps has them: paths from the tree's top. */
char *maildir_backend_encode(const char *component);
char **maildir_backend_path(const char *wire, char delimiter);
