/* Requests that take several steps.
 *
 * A rename may have to send a file first, then remove what has its new name, then ask for a MOVE;
 * between the steps anything may have happened.  So nothing is carried over: after each step the
 * request's run() looks at the model again and decides anew, until it can answer.
 *
 * Whoever gave up (a deadline, a fatal signal) leaves what the journal holds to go on by itself.
 */
#include "fs/internal.h"
#include "base/deadline.h"
#include "base/limits.h"
#include "fs/errno.h"

#include <errno.h>

/* No request needs more; one that does runs in a circle, as when others undo what it does. */
enum { MAX_STEPS = 8 };
/* Threads that are remembered as asked to come again. */
enum { MAX_YIELDED = 1024 };

/* -- Announcements ----------------------------------------------------------------------------- */

/* An announcement that waits in the kernel for a lock of this request would wait for as long as the
 * request does, and nobody would hear of anything meanwhile.  ESTALE makes the kernel let the lock
 * go and ask once more.  A second ESTALE would be the caller's, so a thread's next request is taken
 * as it comes. */
static gboolean must_yield(FsTask *task, gboolean is_announcing)
{
    gpointer thread = GINT_TO_POINTER(fuse_req_ctx(task->req)->pid);

    if (g_hash_table_remove(task->fs->yielded, thread) || !is_announcing)
        return FALSE;
    if (g_hash_table_size(task->fs->yielded) >= MAX_YIELDED)
        g_hash_table_remove_all(task->fs->yielded); /* of threads that never came again */
    g_hash_table_add(task->fs->yielded, thread);
    return TRUE;
}

void fs_task_run_held(FsTask *task)
{
    gboolean is_announcing = notifier_hold(task->fs->notifier, task->ino);

    task->step.is_holding = TRUE;
    if (task->new_ino && notifier_hold(task->fs->notifier, task->new_ino))
        is_announcing = TRUE;
    if (must_yield(task, is_announcing))
        fs_task_end(task, ESTALE);
    else
        task->run(task);
}

/* The kernel learns from the answer what became of the names. */
static void drop_announcements(FsTask *task)
{
    Notifier *notifier = task->fs->notifier;

    notifier_drop_entry(notifier, task->ino, task->name);
    if (task->new_name && task->keeps_number)
        notifier_drop_entry(notifier, task->new_ino, task->new_name);
}

static void task_free(FsTask *task)
{
    if (task->step.is_holding)
        notifier_release(task->fs->notifier, task->ino);
    if (task->step.is_holding && task->new_ino)
        notifier_release(task->fs->notifier, task->new_ino);
    g_free(task->name);
    g_free(task->new_name);
    local_unref(task->local);
    body_unref(task->body);
    g_free(task);
}

static gint64 task_progress(gpointer data)
{
    FsTask *task = data;
    gint64 moved = task->step.began;

    if (task->step.change)
        moved = MAX(moved, store_change_progress(task->step.change));
    if (task->step.listing)
        moved = MAX(moved, store_wait_progress(task->step.listing));
    if (task->step.octets)
        moved = MAX(moved, body_last_progress(task->body));
    return moved;
}

static gint64 task_longest(gpointer data)
{
    FsTask *task = data;

    return task->step.change && store_change_is_upload(task->step.change) ? LIMIT_UPLOAD_SECONDS
                                                                          : 0;
}

static void task_cancel(gpointer data)
{
    FsTask *task = data;

    if (task->step.change)
        store_change_forget(task->step.change);
    if (task->step.listing)
        store_wait_cancel(task->step.listing);
    if (task->step.octets)
        body_wait_cancel(task->step.octets);
    task_free(task);
}

static const FsWaitOps task_ops = {
    .progress = task_progress, .longest = task_longest, .cancel = task_cancel};

FsTask *fs_task_new(fuse_req_t req, void (*run)(FsTask *task))
{
    FsTask *task = g_new0(FsTask, 1);

    task->fs = fs_of(req);
    task->req = req;
    task->run = run;
    return task;
}

/* -- Steps ------------------------------------------------------------------------------------- */

static void begin_step(FsTask *task)
{
    task->step.began = deadline_now();
    task->step.n++;
    if (!task->step.wait)
        task->step.wait = fs_wait_new(task->fs, task->req, &task_ops, 0, task);
}

void fs_task_done(const GError *error, gpointer user)
{
    FsTask *task = user;

    task->step.change = NULL;
    task->step.listing = NULL;
    task->step.octets = NULL;
    if (error) {
        if (task->failed)
            task->failed(task, error);
        fs_task_fail(task, error);
    } else if (task->step.n > MAX_STEPS) {
        fs_task_end(task, EBUSY);
    } else {
        task->run(task);
    }
}

void fs_task_change(FsTask *task, StoreChange *change)
{
    task->step.change = change;
    begin_step(task);
}

void fs_task_listing(FsTask *task, StoreWait *listing)
{
    task->step.listing = listing;
    begin_step(task);
}

static void on_octets(Body *body, gpointer user)
{
    fs_task_done(body_state(body) == BODY_FAILED ? body_error(body) : NULL, user);
}

gboolean fs_task_body(FsTask *task)
{
    if (body_state(task->body) == BODY_WHOLE)
        return FALSE;
    task->step.octets = body_wait(task->body, G_MAXUINT64, on_octets, task);
    begin_step(task);
    return TRUE;
}

/* -- Answers ----------------------------------------------------------------------------------- */

fuse_req_t fs_task_take(FsTask *task)
{
    fuse_req_t req = task->req;

    if (task->step.is_holding && task->is_done)
        drop_announcements(task);
    if (task->step.wait)
        (void)fs_wait_end(task->step.wait);
    task_free(task);
    return req;
}

void fs_task_end(FsTask *task, int errnum)
{
    task->is_done = errnum == 0;
    (void)fuse_reply_err(fs_task_take(task), errnum);
}

void fs_task_fail(FsTask *task, const GError *error)
{
    fs_task_end(task, fs_errno(error, FALSE));
}

void fs_task_ok(FsTask *task)
{
    fs_task_end(task, 0);
}
