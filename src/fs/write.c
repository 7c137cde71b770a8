/* Changing what a file holds, and its attributes.
 *
 * Writing goes to a local file and waits for no disk and no server; when it is sent is commit.c's
 * business.  There is no FALLOCATE: room that is set aside would be octets 0, which no message may
 * hold, and without it glibc and everybody else write as they go.
 */
#include "fs/internal.h"
#include "base/error.h"
#include "fs/errno.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* -- Write ------------------------------------------------------------------------------------- */

static void write_file(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                       const struct fuse_file_info *fi)
{
    g_autoptr(GError) error = NULL;
    FsHandle *handle = fs_handle_of(fi);
    LocalFile *local = fs_handle_edit(fs_of(req), ino, handle, FALSE, &error);

    /* The kernel takes the end of the file from a size that may have been the server's mistake. */
    if (local && (fi->flags & O_APPEND))
        offset = (off_t)local_size(local);
    handle->n_twin = 0;
    if (local && local_write(local, data, size, offset, &error))
        (void)fuse_reply_write(req, size);
    else
        (void)fuse_reply_err(req, fs_errno(error, TRUE));
}

void fs_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
                 struct fuse_file_info *fi)
{
    if (fs_is_virtual(ino))
        virtual_write(req, data, size, fi);
    else
        write_file(req, ino, data, size, off, fi);
}

/* -- Attributes -------------------------------------------------------------------------------- */

/* What utimens() wants the mtime to be; 0 when it is to stay.  An epoch is a second off, for 0 says
 * "not set" wherever it is kept. */
static gint64 wanted_mtime(const struct stat *attr, guint to_set)
{
    if (to_set & FUSE_SET_ATTR_MTIME_NOW)
        return g_get_real_time() / G_USEC_PER_SEC;
    return to_set & FUSE_SET_ATTR_MTIME ? MAX(attr->st_mtime, 1) : 0;
}

/* Before the commit the mtime becomes INTERNALDATE; what the server has keeps its own, and ours is
 * remembered here. */
static void set_kept(const FsNode *node, const struct stat *attr, guint to_set)
{
    guint16 mode = to_set & FUSE_SET_ATTR_MODE ? attr->st_mode & 0777 : 0;
    gint64 mtime = wanted_mtime(attr, to_set);

    if (node->local && mode)
        local_set_mode(node->local, mode);
    if (node->local && mtime)
        local_set_mtime(node->local, mtime);
    if (node->message && (!node->local || !local_is_dirty(node->local)) && (mode || mtime))
        store_set_local(node->store, node->mailbox, node->message, mode, mtime);
}

static void reply_attr(FsTask *task)
{
    const Fs *fs = task->fs;
    fuse_ino_t ino = task->ino;
    fuse_req_t req;
    FsNode node;
    struct stat st;

    if (!fs_node(fs, ino, &node)) {
        fs_task_end(task, ESTALE);
        return;
    }
    if (node.kind == INODE_MESSAGE)
        set_kept(&node, &task->attr, task->flags);
    fs_stat(fs, &node, &st);
    req = fs_task_take(task);
    (void)fuse_reply_attr(req, &st, fs_attr_timeout(&node));
}

/* truncate(2): nobody has the file open, so no close(2) will send it. */
static void send_truncated(FsTask *task, LocalFile *local)
{
    gboolean is_sent_later = local->n_writers > 0 || local->kind == LOCAL_SCRATCH;

    task->run = reply_attr;
    /* As if it had been opened and closed: an edit that leaves nothing ends here. */
    local_add_writer(local);
    local_remove_writer(local);
    if (is_sent_later || !local_is_dirty(local))
        reply_attr(task);
    else
        fs_task_change(task, store_commit(task->local->store, local, fs_task_done, task));
}

static void truncate_local(FsTask *task, guint64 size)
{
    g_autoptr(GError) error = NULL;

    if (!local_truncate(task->local, size, &error))
        fs_task_fail(task, error);
    else if (task->handle)
        reply_attr(task);
    else
        send_truncated(task, task->local);
}

static void run_truncate_path(FsTask *task)
{
    g_autoptr(GError) error = NULL;
    guint64 size = (guint64)task->attr.st_size;
    FsNode node;

    if (!fs_node(task->fs, task->ino, &node)) {
        fs_task_end(task, ESTALE);
        return;
    }
    if (!(node.local && node.local->kind == LOCAL_SCRATCH) &&
        !store_may_change(node.store, node.mailbox, &error)) {
        fs_task_fail(task, error);
        return;
    }
    if (node.local) {
        task->local = local_ref(node.local);
        truncate_local(task, size);
        return;
    }
    if (size > 0 && !task->body)
        task->body = store_open_body(node.store, node.mailbox, node.message, &error);
    if (size > 0 && !task->body) {
        fs_task_fail(task, error);
        return;
    }
    if (size > 0 && fs_task_body(task))
        return;
    if (size > 0 && size == body_size(task->body)) {
        reply_attr(task);
        return;
    }
    task->local = local_edit(node.store, node.mailbox, node.message,
                             size > 0 ? body_fd(task->body) : -1, &error);
    if (task->local)
        truncate_local(task, size);
    else
        fs_task_fail(task, error);
}

static void run_truncate_handle(FsTask *task)
{
    g_autoptr(GError) error = NULL;
    guint64 size = (guint64)task->attr.st_size;
    FsHandle *handle = task->handle;
    LocalFile *local;

    handle->n_twin = 0;
    /* To the size it has: no change, and no new version. */
    if (!handle->local && handle->body && size == body_size(handle->body)) {
        reply_attr(task);
        return;
    }
    local = fs_handle_edit(task->fs, task->ino, handle, size == 0, &error);
    if (!local) {
        fs_task_fail(task, error);
        return;
    }
    task->local = local_ref(local);
    truncate_local(task, size);
}

static gboolean is_other_owner(const Fs *fs, const struct stat *attr, guint to_set)
{
    return ((to_set & FUSE_SET_ATTR_UID) && attr->st_uid != fs->uid) ||
           ((to_set & FUSE_SET_ATTR_GID) && attr->st_gid != fs->gid);
}

void fs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                   struct fuse_file_info *fi)
{
    Fs *fs = fs_of(req);
    gboolean is_size = (to_set & FUSE_SET_ATTR_SIZE) != 0;
    FsTask *task;
    FsNode node;

    if (!fs_node(fs, ino, &node)) {
        (void)fuse_reply_err(req, ESTALE);
        return;
    }
    /* `echo ... > .mailfs/control` may truncate before it writes. */
    if (node.kind == INODE_VIRTUAL && node.item == VIRTUAL_CONTROL &&
        to_set == FUSE_SET_ATTR_SIZE) {
        fs_op_getattr(req, ino, fi);
        return;
    }
    if (node.kind == INODE_VIRTUAL || is_other_owner(fs, attr, (guint)to_set)) {
        (void)fuse_reply_err(req, EPERM);
        return;
    }
    task = fs_task_new(req, reply_attr);
    task->ino = ino;
    task->attr = *attr;
    task->flags = (guint)to_set;
    task->handle = fi ? fs_handle_of(fi) : NULL;
    if (is_size && node.kind == INODE_MESSAGE)
        task->run = task->handle ? run_truncate_handle : run_truncate_path;
    task->run(task);
}

/* -- Copying inside the mount ------------------------------------------------------------------ */

/* A request at most; the caller asks again.  It is a matter of milliseconds. */
enum { COPY_OCTETS = 16 * 1024 * 1024, COPY_BUFFER = 64 * 1024 };

/* How many octets went over; -1 with @error. */
static gssize copy_octets(int fd, LocalFile *to, const FsTask *task, GError **error)
{
    g_autofree char *buffer = g_malloc(COPY_BUFFER);
    gsize done = 0, wanted = MIN(task->size, (size_t)COPY_OCTETS);

    while (done < wanted) {
        ssize_t n = pread(fd, buffer, MIN((gsize)COPY_BUFFER, wanted - done),
                          task->source_offset + (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            mail_fail_errno(error, errno, "cannot read '%s' to copy it", to->name);
            return -1;
        }
        if (n == 0)
            break;
        if (!local_write(to, buffer, (gsize)n, task->offset + (off_t)done, error))
            return -1;
        done += (gsize)n;
    }
    return (gssize)done;
}

/* When all of a message has come from its first octet to its last, the server can make the copy.
 * @n octets were written now, onto @revision of the file. */
static void note_twin(FsTask *task, const FsNode *source, LocalFile *local, gsize n,
                      guint revision)
{
    FsHandle *handle = task->handle;
    gboolean goes_on = task->source_offset == task->offset &&
                       (guint64)task->offset == (task->offset ? handle->n_twin : 0) &&
                       (task->offset == 0 || handle->twin_revision == revision) &&
                       local_size(local) == (guint64)task->offset + n;

    handle->twin_revision = local->revision;
    if (task->offset == 0) {
        handle->twin_mailbox = source->mailbox;
        handle->twin_item = source->message ? source->message->item : 0;
    }
    if (!goes_on || !source->message || handle->twin_mailbox != source->mailbox ||
        handle->twin_item != source->message->item || source->store != local->store) {
        handle->n_twin = 0;
        return;
    }
    handle->n_twin = (guint64)task->offset + n;
    if (handle->n_twin == body_size(task->source->body))
        store_note_twin(local->store, local, source->mailbox, source->message);
}

static void run_copy(FsTask *task)
{
    g_autoptr(GError) error = NULL;
    FsHandle *source = task->source;
    LocalFile *local;
    FsNode node = {0};
    fuse_req_t req;
    guint revision;
    gssize n;
    int fd;

    if (!source->local) {
        if (!task->body)
            task->body = body_ref(source->body);
        if (fs_task_body(task))
            return;
    }
    local = fs_handle_edit(task->fs, task->ino, task->handle, FALSE, &error);
    revision = local ? local->revision : 0;
    fd = source->local ? local_fd(source->local, &error) : body_fd(source->body);
    n = local && fd >= 0 ? copy_octets(fd, local, task, &error) : -1;
    if (n < 0) {
        fs_task_fail(task, error);
        return;
    }
    if (n > 0 && !source->local && fs_node(task->fs, task->new_ino, &node) &&
        !(node.message && node.message->uid == source->uid))
        node.message = NULL;
    if (n > 0 && !source->local)
        note_twin(task, &node, local, (gsize)n, revision);
    req = fs_task_take(task);
    (void)fuse_reply_write(req, (size_t)n);
}

void fs_op_copy_file_range(fuse_req_t req, fuse_ino_t source, off_t source_offset,
                           struct fuse_file_info *source_fi, fuse_ino_t ino, off_t offset,
                           struct fuse_file_info *fi, size_t size, int flags)
{
    Fs *fs = fs_of(req);
    FsTask *task;
    FsNode from, to;

    /* For the others the kernel reads and writes. */
    if (!fs_node(fs, source, &from) || !fs_node(fs, ino, &to) || from.kind != INODE_MESSAGE ||
        to.kind != INODE_MESSAGE) {
        (void)fuse_reply_err(req, EXDEV);
        return;
    }
    task = fs_task_new(req, run_copy);
    task->ino = ino;
    task->new_ino = source;
    task->source = fs_handle_of(source_fi);
    task->source_offset = source_offset;
    task->handle = fs_handle_of(fi);
    task->offset = offset;
    task->size = size;
    run_copy(task);
}
