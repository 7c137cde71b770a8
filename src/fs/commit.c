/* When what was written is sent: FLUSH, FSYNC, RELEASE.
 *
 * FLUSH is not the last close.  `echo > f` and `cat a b > f` send an empty one first (the shell's
 * dup), `(cat a; cat b) > f` one with half a message from a child, `exec 5>f` one after each
 * command.  So:
 *
 * - an empty or unchanged file is answered at once;
 * - a FLUSH from the process that opened the file sends it, and what is written afterwards
 *   replaces what was sent;
 * - one from any other process only makes the octets durable; RELEASE sends them.
 *
 * With commit=release every commit waits for RELEASE, and close(2) promises durable octets alone.
 * An editor's scratch is never sent, only made durable: mv removes its source when close(2) has
 * answered.
 */
#include "fs/internal.h"
#include "fs/process.h"

static gboolean wants_commit(const FsHandle *handle)
{
    const LocalFile *local = handle->is_counted ? handle->local : NULL;

    return local && !local->is_gone && !local->is_viewed && local->kind != LOCAL_SCRATCH &&
           local_is_dirty(local);
}

static gboolean wants_scratch(const FsHandle *handle)
{
    const LocalFile *local = handle->is_counted ? handle->local : NULL;

    return local && !local->is_gone && !local->is_viewed && local->kind == LOCAL_SCRATCH &&
           local->revision != local->flushed_revision;
}

/* A process that /proc hides counts as the one that opened the file: better sent early than
 * late. */
static gboolean is_opener(fuse_req_t req, const FsHandle *handle)
{
    pid_t process = process_of(fuse_req_ctx(req)->pid);

    return handle->opener == 0 || process == 0 || process == handle->opener;
}

/* What the server holds may have another size and date than what was written: the kernel hears it
 * before close(2) returns. */
static void on_committed(FsTask *task)
{
    (void)fuse_lowlevel_notify_inval_inode(task->fs->session, task->ino, -1, 0);
    fs_task_ok(task);
}

/* Whoever closed the file has been told; RELEASE need not try again behind his back. */
static void on_refused(FsTask *task, const GError *error)
{
    task->handle->refused = task->revision;
}

static void commit(fuse_req_t req, fuse_ino_t ino, FsHandle *handle)
{
    FsTask *task = fs_task_new(req, on_committed);

    task->ino = ino;
    task->handle = handle;
    task->local = local_ref(handle->local);
    task->failed = on_refused;
    task->revision = handle->local->revision;
    fs_task_change(task, store_commit(handle->store, handle->local, fs_task_done, task));
}

static void make_durable(fuse_req_t req, FsHandle *handle)
{
    FsTask *task = fs_task_new(req, fs_task_ok);

    task->local = local_ref(handle->local);
    fs_task_change(task, local_sync(handle->local, fs_task_done, task));
}

static void commit_or_sync(fuse_req_t req, fuse_ino_t ino, FsHandle *handle)
{
    if (store_config(handle->store)->commit == CONFIG_COMMIT_CLOSE && is_opener(req, handle))
        commit(req, ino, handle);
    else
        make_durable(req, handle);
}

void fs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if (!fs_is_virtual(ino) && wants_commit(fs_handle_of(fi)))
        commit_or_sync(req, ino, fs_handle_of(fi));
    else if (!fs_is_virtual(ino) && wants_scratch(fs_handle_of(fi)))
        make_durable(req, fs_handle_of(fi));
    else
        (void)fuse_reply_err(req, 0);
}

void fs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    FsHandle *handle = fs_is_virtual(ino) ? NULL : fs_handle_of(fi);

    if (handle && wants_commit(handle))
        commit_or_sync(req, ino, handle);
    else if (handle && handle->is_counted && !handle->local->is_gone)
        make_durable(req, handle);
    else
        (void)fuse_reply_err(req, 0);
}

/* Names are durable when the call that made them is answered. */
void fs_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)fuse_reply_err(req, 0);
}

/* Nobody waits for a RELEASE: what it sends goes on by itself, and if it is refused, the queue
 * keeps it with the reason. */
void fs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    FsHandle *handle = fs_is_virtual(ino) ? NULL : fs_handle_of(fi);

    if (handle && wants_commit(handle) && handle->local->revision != handle->refused)
        store_change_forget(store_commit(handle->store, handle->local, NULL, NULL));
    fs_handle_end(fs_of(req), (gpointer)(uintptr_t)fi->fh);
    (void)fuse_reply_err(req, 0);
}
