/* Messages as files: opening is a fetch, reading follows the octets as they come.
 *
 * OPEN is answered when the body's size is known, so that fstat after open is exact even where
 * RFC822.SIZE lied: if it did, the kernel's attributes are invalidated before the answer goes
 * out (that order matters, and it is the one announcement that the main thread sends itself).
 * READ is answered when the octets are there.
 */
#include "fs/internal.h"
#include "base/deadline.h"
#include "base/error.h"
#include "fs/errno.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* From here on a descriptor is handed to libfuse instead of a copy of the octets. */
enum { FD_REPLY_OCTETS = 128 * 1024 };

typedef struct {
    Body *body;
    Store *store;
    gint64 gave_up; /* when a request on it ended with ETIMEDOUT; a Deadline's clock */
} Handle;

/* A request that waits for octets. */
typedef struct {
    FsWait *wait;
    BodyWait *body_wait;
    Handle *handle; /* of a READ: borrowed; of an OPEN: ours until it is answered */
    gboolean is_open;
    fuse_ino_t ino;
    struct fuse_file_info fi;
    guint64 size_before; /* what the kernel believes */
    size_t size;
    off_t offset;
} Pending;

static void handle_free(gpointer data)
{
    Handle *handle = data;

    body_unref(handle->body);
    g_free(handle);
}

static gint64 pending_progress(gpointer data)
{
    return body_last_progress(((Pending *)data)->handle->body);
}

static void pending_give_up(gpointer data)
{
    Handle *handle = ((Pending *)data)->handle;

    handle->gave_up = deadline_now();
    store_give_up_body(handle->store, handle->body);
}

static void pending_cancel(gpointer data)
{
    Pending *pending = data;

    body_wait_cancel(pending->body_wait);
    if (pending->is_open)
        handle_free(pending->handle);
    g_free(pending);
}

static const FsWaitOps pending_ops = {pending_progress, pending_give_up, pending_cancel};

/* -- Open -------------------------------------------------------------------------------------- */

static void reply_open(fuse_req_t req, fuse_ino_t ino, Handle *handle,
                       struct fuse_file_info *fi, guint64 size_before)
{
    Fs *fs = fs_of(req);

    if (body_state(handle->body) == BODY_FAILED) {
        (void)fuse_reply_err(req, fs_errno(body_error(handle->body), FALSE));
        handle_free(handle);
        return;
    }
    if (body_size(handle->body) != size_before)
        (void)fuse_lowlevel_notify_inval_inode(fs->session, ino, -1, 0);
    fi->fh = (uint64_t)(uintptr_t)handle;
    fi->keep_cache = 1; /* bodies never change */
    fi->noflush = 1;
    fs_handle_add(fs, handle, handle_free);
    if (fuse_reply_open(req, fi) != 0)
        fs_handle_free(fs, handle); /* interrupted: no RELEASE will come */
}

static void on_opened(Body *body, gpointer user)
{
    Pending *pending = user;
    fuse_req_t req = fs_wait_end(pending->wait);

    reply_open(req, pending->ino, pending->handle, &pending->fi, pending->size_before);
    g_free(pending);
}

/* no-fetch-for: thumbnailers and indexers must not download a mailbox.  Names are compared as
 * the kernel keeps them, by 15 octets. */
static gboolean may_fetch(const Store *store, fuse_req_t req)
{
    enum { COMM = 15 };
    char **names = store_config(store)->no_fetch_for;
    g_autofree char *path = NULL;
    g_autofree char *comm = NULL;

    if (!names || !names[0])
        return TRUE;
    path = g_strdup_printf("/proc/%d/comm", fuse_req_ctx(req)->pid);
    if (!g_file_get_contents(path, &comm, NULL, NULL))
        return TRUE;
    g_strchomp(comm);
    for (guint i = 0; names[i]; i++)
        if (strncmp(comm, names[i], COMM) == 0 && strlen(comm) == MIN(strlen(names[i]), COMM))
            return FALSE;
    return TRUE;
}

static void open_message(fuse_req_t req, fuse_ino_t ino, const FsNode *node,
                         struct fuse_file_info *fi)
{
    g_autoptr(GError) error = NULL;
    /* What the kernel believes; 0 if a read-ahead corrected it and the announcement may still be
     * on its way. */
    guint64 size_before = node->message->is_size_news ? 0 : node->message->size;
    Handle *handle;
    Pending *pending;
    Body *body;

    if (!node->message->is_cached && !may_fetch(node->store, req)) {
        (void)fuse_reply_err(req, EACCES);
        return;
    }
    body = store_open_body(node->store, node->mailbox, node->message, &error);
    if (!body) {
        (void)fuse_reply_err(req, fs_errno(error, FALSE));
        return;
    }
    node->message->is_size_news = FALSE;
    handle = g_new0(Handle, 1);
    handle->body = body;
    handle->store = node->store;
    if (body_state(body) != BODY_ASKED) {
        reply_open(req, ino, handle, fi, size_before);
        return;
    }
    pending = g_new0(Pending, 1);
    pending->handle = handle;
    pending->is_open = TRUE;
    pending->ino = ino;
    pending->fi = *fi;
    pending->size_before = size_before;
    pending->body_wait = body_wait(body, 0, on_opened, pending);
    pending->wait = fs_wait_new(fs_of(req), req, &pending_ops, 0, pending);
}

void fs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    FsNode node;

    if (!fs_node(fs_of(req), ino, &node))
        (void)fuse_reply_err(req, ENOENT);
    else if (node.kind == INODE_VIRTUAL)
        virtual_open(req, node.item, fi);
    else if (node.kind != INODE_MESSAGE)
        (void)fuse_reply_err(req, EISDIR);
    else if ((fi->flags & O_ACCMODE) != O_RDONLY)
        (void)fuse_reply_err(req, EROFS);
    else
        open_message(req, ino, &node, fi);
}

void fs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    fs_handle_free(fs_of(req), (gpointer)(uintptr_t)fi->fh);
    (void)fuse_reply_err(req, 0);
}

/* -- Read -------------------------------------------------------------------------------------- */

static void reply_octets(fuse_req_t req, const Body *body, size_t size, off_t offset)
{
    guint64 have = MIN(body_received(body), body_size(body));
    size_t n = (guint64)offset < have ? (size_t)MIN(size, have - (guint64)offset) : 0;

    if (n >= FD_REPLY_OCTETS) {
        struct fuse_bufvec vector = FUSE_BUFVEC_INIT(n);

        vector.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK | FUSE_BUF_FD_RETRY;
        vector.buf[0].fd = body_fd(body);
        vector.buf[0].pos = offset;
        (void)fuse_reply_data(req, &vector, 0);
    } else {
        char buffer[FD_REPLY_OCTETS];
        ssize_t got = n ? pread(body_fd(body), buffer, n, offset) : 0;

        if (got < 0)
            (void)fuse_reply_err(req, errno == EINTR ? EIO : errno);
        else
            (void)fuse_reply_buf(req, buffer, (size_t)got);
    }
}

/* TRUE when the request could be answered. */
static gboolean answer_read(fuse_req_t req, const Body *body, size_t size, off_t offset)
{
    gboolean is_there = body_state(body) == BODY_WHOLE ||
                        (body_state(body) == BODY_COMING &&
                         body_received(body) >= MIN((guint64)offset + size, body_size(body)));

    if (is_there)
        reply_octets(req, body, size, offset);
    else if (body_state(body) == BODY_FAILED)
        (void)fuse_reply_err(req, fs_errno(body_error(body), TRUE));
    else
        return FALSE;
    return TRUE;
}

static void read_message(fuse_req_t req, Handle *handle, size_t size, off_t offset);

static void on_octets(Body *body, gpointer user)
{
    Pending *pending = user;
    fuse_req_t req = fs_wait_end(pending->wait);

    /* If the body began anew on another connection just now, the wait goes on. */
    read_message(req, pending->handle, pending->size, pending->offset);
    g_free(pending);
}

static void read_message(fuse_req_t req, Handle *handle, size_t size, off_t offset)
{
    Pending *pending;

    if (answer_read(req, handle->body, size, offset))
        return;
    /* The kernel asks again at once for a page that it could not read ahead: nobody should wait
     * twice as long for that. */
    if (body_last_progress(handle->body) < handle->gave_up) {
        (void)fuse_reply_err(req, ETIMEDOUT);
        return;
    }
    pending = g_new0(Pending, 1);
    pending->handle = handle;
    pending->size = size;
    pending->offset = offset;
    pending->body_wait =
        body_wait(handle->body, (guint64)offset + size, on_octets, pending);
    pending->wait = fs_wait_new(fs_of(req), req, &pending_ops, 0, pending);
}

void fs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                struct fuse_file_info *fi)
{
    Inode inode;

    if (inode_unpack(ino, &inode) && inode.kind == INODE_VIRTUAL)
        virtual_read(req, size, off, fi);
    else
        read_message(req, (Handle *)(uintptr_t)fi->fh, size, off);
}

void fs_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
                 struct fuse_file_info *fi)
{
    Inode inode;

    if (inode_unpack(ino, &inode) && inode.kind == INODE_VIRTUAL)
        virtual_write(req, data, size, fi);
    else
        (void)fuse_reply_err(req, EROFS);
}
