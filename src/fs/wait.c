/* Requests that cannot be answered yet.
 *
 * Each has a deadline that moves with progress, and can be interrupted: a fatal signal ends it
 * with EINTR, any other goes unheeded (Go programs get SIGURG all the time, and EINTR breaks
 * git).  Which it is, /proc tells.
 */
#include "fs/internal.h"
#include "base/deadline.h"
#include "base/limits.h"
#include "fs/process.h"

#include <errno.h>

enum { CHECK_MS = 500 };

struct FsWait {
    Fs *fs;
    fuse_req_t req;
    pid_t pid;
    const FsWaitOps *ops;
    fuse_ino_t hold;
    gpointer data;
    gint64 since; /* the deadline is this request's: what it waits for may be older */
    gboolean is_interrupted;
};

static void finish(FsWait *wait, int errnum)
{
    const FsWaitOps *ops = wait->ops;
    gpointer data = wait->data;
    fuse_req_t req = fs_wait_end(wait);

    ops->cancel(data);
    (void)fuse_reply_err(req, errnum);
}

static gboolean is_overdue(const FsWait *wait)
{
    const FsWaitOps *ops = wait->ops;
    gint64 now = deadline_now();
    gint64 longest = ops->longest ? ops->longest(wait->data) : 0;

    if (!ops->progress)
        return FALSE;
    if (longest > 0 && now - wait->since > longest * G_USEC_PER_SEC)
        return TRUE;
    return now - MAX(ops->progress(wait->data), wait->since) >
           LIMIT_REQUEST_SECONDS * (gint64)G_USEC_PER_SEC;
}

static void look(Fs *fs)
{
    GList *link = fs->waits.head;

    while (link) {
        FsWait *wait = link->data;

        link = link->next;
        if (wait->is_interrupted && process_is_dying(wait->pid)) {
            finish(wait, EINTR);
        } else if (is_overdue(wait)) {
            if (wait->ops->give_up)
                wait->ops->give_up(wait->data);
            finish(wait, ETIMEDOUT);
        }
    }
}

static gboolean on_timer(gpointer user)
{
    Fs *fs = user;

    look(fs);
    if (fs->waits.length > 0)
        return G_SOURCE_CONTINUE;
    fs->wait_timer = 0;
    return G_SOURCE_REMOVE;
}

static gboolean look_once(gpointer user)
{
    Fs *fs = user;

    fs->wait_look = 0;
    look(fs);
    return G_SOURCE_REMOVE;
}

/* libfuse holds the request's lock around this call, so it is answered later.  The kernel tells of
 * an interrupt once: what comes as harmless is looked at again, for a fatal signal may follow. */
static void on_interrupt(fuse_req_t req, void *data)
{
    FsWait *wait = data;

    wait->is_interrupted = TRUE;
    if (wait->fs->wait_look == 0)
        wait->fs->wait_look = g_idle_add_full(G_PRIORITY_DEFAULT, look_once, wait->fs, NULL);
}

FsWait *fs_wait_new(Fs *fs, fuse_req_t req, const FsWaitOps *ops, fuse_ino_t hold,
                    gpointer data)
{
    FsWait *wait = g_new0(FsWait, 1);

    wait->fs = fs;
    wait->req = req;
    wait->pid = fuse_req_ctx(req)->pid;
    wait->ops = ops;
    wait->hold = hold;
    wait->data = data;
    wait->since = deadline_now();
    g_queue_push_tail(&fs->waits, wait);
    if (hold)
        notifier_hold(fs->notifier, hold);
    if (fs->wait_timer == 0)
        fs->wait_timer = g_timeout_add(CHECK_MS, on_timer, fs);
    fuse_req_interrupt_func(req, on_interrupt, wait); /* calls it if the interrupt came first */
    return wait;
}

fuse_req_t fs_wait_end(FsWait *wait)
{
    fuse_req_t req = wait->req;

    fuse_req_interrupt_func(req, NULL, NULL);
    if (wait->hold)
        notifier_release(wait->fs->notifier, wait->hold);
    g_queue_remove(&wait->fs->waits, wait);
    g_free(wait);
    return req;
}

void fs_wait_fail_all(Fs *fs, int errnum)
{
    while (!g_queue_is_empty(&fs->waits))
        finish(g_queue_peek_head(&fs->waits), errnum);
    if (fs->wait_timer)
        g_source_remove(fs->wait_timer);
    if (fs->wait_look)
        g_source_remove(fs->wait_look);
    fs->wait_timer = fs->wait_look = 0;
}
