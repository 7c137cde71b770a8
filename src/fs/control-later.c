/* Requests about what was never listed: right after a mount, LIST may not have been answered yet,
 * or a mailbox has not been looked at.
 *
 * A LOOKUP of such a name waits for the listing, and so does a request: it becomes a job, and is
 * carried out when somebody asks after that job and the listing is there.  So a command that was
 * interrupted meanwhile changes nothing later on, when nobody expects it any more.
 */
#include "fs/control.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/limits.h"

typedef struct {
    ControlJob base;
    ControlRequest *request;
    Store *store;
    char *path;      /* of the mailbox that is listed; "" for the list of mailboxes */
    StoreWait *wait; /* NULL: it has ended */
    gint64 began;    /* a Deadline's clock */
} LaterJob;

static void clear_later(ControlJob *base)
{
    LaterJob *job = (LaterJob *)base;

    if (job->wait)
        store_wait_cancel(job->wait);
    control_request_free(job->request);
    g_free(job->path);
}

/* What is missing, for the sentence that says why it cannot be had.  The caller owns it. */
static char *describe(const LaterJob *job)
{
    const char *account = store_account(job->store)->id;

    return *job->path
               ? g_strdup_printf("%s of %s was never listed", job->path, account)
               : g_strdup_printf("the mailboxes of %s were never listed", account);
}

static void on_listed(const GError *error, gpointer user)
{
    LaterJob *job = user;
    g_autofree char *what = error ? describe(job) : NULL;

    job->wait = NULL;
    job->base.is_done = TRUE;
    if (error)
        mail_fail(&job->base.error, (MailError)error->code, "%s, and cannot be now: %s", what,
                  error->message);
}

/* As for a LOOKUP: so long without any progress. */
static void look_at_deadline(ControlJob *base)
{
    LaterJob *job = (LaterJob *)base;
    g_autofree char *what = NULL;

    if (deadline_now() - MAX(store_wait_progress(job->wait), job->began) <=
        LIMIT_REQUEST_SECONDS * (gint64)G_USEC_PER_SEC)
        return;
    what = describe(job);
    mail_fail(&base->error, MAIL_ERROR_TIMEOUT,
              "%s, and the server has not answered for %d seconds; see: mailfs status", what,
              LIMIT_REQUEST_SECONDS);
    store_wait_cancel(job->wait);
    job->wait = NULL;
    base->is_done = TRUE;
}

static char *carry_out(ControlJob *base)
{
    LaterJob *job = (LaterJob *)base;

    return base->error ? control_refuse(base->error)
                       : control_carry_out(base->fs, g_steal_pointer(&job->request));
}

char *control_later(Fs *fs, ControlRequest *request, const FsNode *unlisted)
{
    LaterJob *job = g_new0(LaterJob, 1);

    job->base = (ControlJob){
        .look = look_at_deadline, .carry_out = carry_out, .clear = clear_later};
    job->request = request;
    job->store = unlisted->store;
    job->path = mailbox_shown_path(unlisted->mailbox);
    job->began = deadline_now();
    job->wait = store_wait(unlisted->store, unlisted->mailbox, on_listed, job);
    return control_answer_job(fs, &job->base);
}
