/* Messages and local files: opening is a fetch, reading follows the octets as they come.
 *
 * OPEN is answered when the body's size is known, so that fstat after open is exact even where
 * RFC822.SIZE lied: if it did, the kernel's attributes are invalidated before the answer goes
 * out (that order matters, and it is an announcement that the main thread sends itself).
 * READ is answered when the octets are there.
 *
 * Opening for writing changes nothing yet.  The message's octets are made whole first; the local
 * file begins with the first write, or at once with O_TRUNC.  Once there is one, it is what every
 * handle of the message reads, however it was opened.
 */
#include "fs/internal.h"
#include "base/deadline.h"
#include "base/error.h"
#include "fs/errno.h"
#include "fs/process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* From here on a descriptor is handed to libfuse instead of a copy of the octets. */
enum { FD_REPLY_OCTETS = 128 * 1024 };

/* A request that waits for octets. */
typedef struct {
    FsWait *wait;
    BodyWait *body_wait;
    FsHandle *handle; /* of a READ: borrowed; of an OPEN: ours until it is answered */
    gboolean is_open;
    fuse_ino_t ino;
    struct fuse_file_info fi;
    guint64 size_before; /* what the kernel believes */
    size_t size;
    off_t offset;
} Pending;

/* -- Handles ----------------------------------------------------------------------------------- */

FsHandle *fs_handle_new(fuse_req_t req, Store *store, const struct fuse_file_info *fi)
{
    FsHandle *handle = g_new0(FsHandle, 1);

    handle->store = store;
    handle->is_writer = (fi->flags & O_ACCMODE) != O_RDONLY;
    if (handle->is_writer)
        handle->opener = process_of(fuse_req_ctx(req)->pid);
    return handle;
}

void fs_handle_free(gpointer data)
{
    FsHandle *handle = data;

    if (handle->is_counted)
        local_remove_writer(handle->local);
    local_unref(handle->local);
    body_unref(handle->body);
    g_free(handle->name);
    g_free(handle);
}

gboolean fs_handle_reply(fuse_req_t req, FsHandle *handle, struct fuse_file_info *fi,
                         const struct fuse_entry_param *entry)
{
    Fs *fs = fs_of(req);
    int failure;

    fi->fh = (uint64_t)(uintptr_t)handle;
    fi->noflush = !handle->is_writer;
    fs_handle_add(fs, handle, fs_handle_free);
    failure = entry ? fuse_reply_create(req, entry, fi) : fuse_reply_open(req, fi);
    if (failure)
        fs_handle_end(fs, handle); /* interrupted: no RELEASE will come */
    return failure == 0;
}

void fs_handle_removed(const Fs *fs, fuse_ino_t ino)
{
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, fs->handles);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        FsHandle *handle = key;

        if (value == (gpointer)fs_handle_free && handle->ino == ino)
            g_clear_pointer(&handle->name, g_free);
    }
}

gboolean fs_handle_stat(const Fs *fs, fuse_ino_t ino, struct stat *ret_stat)
{
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, fs->handles);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const FsHandle *handle = key;

        if (value != (gpointer)fs_handle_free || handle->ino != ino)
            continue;
        *ret_stat = (struct stat){
            .st_ino = ino,
            .st_mode = S_IFREG | 0600,
            .st_size = (off_t)(handle->local ? local_size(handle->local)
                                             : body_size(handle->body)),
            .st_blksize = 4096,
            .st_uid = fs->uid,
            .st_gid = fs->gid,
            .st_mtime = handle->local ? handle->local->written : fs->started,
        };
        ret_stat->st_blocks = (ret_stat->st_size + 511) / 512;
        ret_stat->st_atime = ret_stat->st_ctime = ret_stat->st_mtime;
        return TRUE;
    }
    return FALSE;
}

void fs_handle_set_local(FsHandle *handle, LocalFile *local)
{
    if (!handle->local)
        handle->local = local_ref(local);
    if (!handle->is_writer || handle->is_counted)
        return;
    local_add_writer(handle->local);
    handle->is_counted = TRUE;
}

/* The octets that a new version of the message begins with: those that were opened, unless it has
 * another version by now. */
static Body *current_body(const FsHandle *handle, const FsNode *node, GError **error)
{
    g_autoptr(Body) body = NULL;

    if (handle->body && handle->uid == node->message->uid)
        return body_ref(handle->body);
    body = store_open_body(node->store, node->mailbox, node->message, error);
    if (!body || body_state(body) == BODY_WHOLE)
        return g_steal_pointer(&body);
    mail_fail(error, MAIL_ERROR_GONE,
              "'%s' became another message while it was open; open it again",
              node->message->name);
    return NULL;
}

static gboolean copy_body(const Body *body, LocalFile *local, GError **error)
{
    enum { CHUNK = 64 * 1024 };
    g_autofree char *buffer = g_malloc(CHUNK);
    off_t offset = 0;
    ssize_t n;

    while ((n = pread(body_fd(body), buffer, CHUNK, offset)) > 0) {
        if (!local_write(local, buffer, (gsize)n, offset, error))
            return FALSE;
        offset += n;
    }
    return n == 0 || mail_fail_errno(error, errno, "cannot read '%s'", local->name);
}

/* Another client removed the message while it was open for writing here: what is written is a new
 * message, and neither is lost. */
static LocalFile *begin_anew(Fs *fs, fuse_ino_t ino, const FsHandle *handle, gboolean is_empty,
                             GError **error)
{
    FsNode directory = fs_node_mailbox(handle->store, handle->mailbox), other;
    g_autoptr(LocalFile) local = NULL;

    if (!handle->name || handle->mailbox->is_gone ||
        fs_find(fs, &directory, handle->name, &other)) {
        mail_fail(error, MAIL_ERROR_GONE, "the message is gone");
        return NULL;
    }
    local = local_create(handle->store, handle->mailbox, handle->name, LOCAL_NEW, error);
    if (!local)
        return NULL;
    if (!is_empty && !copy_body(handle->body, local, error)) {
        local_remove(local);
        return NULL;
    }
    fs_forward(fs, ino, fs_ino_item(handle->store, handle->mailbox, local->item));
    return g_steal_pointer(&local);
}

static LocalFile *begin_edit(const FsHandle *handle, const FsNode *node, gboolean is_empty,
                             GError **error)
{
    g_autoptr(Body) body = is_empty ? NULL : current_body(handle, node, error);

    if (!body && !is_empty)
        return NULL;
    return local_edit(node->store, node->mailbox, node->message, body ? body_fd(body) : -1, error);
}

LocalFile *fs_handle_edit(Fs *fs, fuse_ino_t ino, FsHandle *handle, gboolean is_empty,
                          GError **error)
{
    g_autoptr(LocalFile) local = NULL;
    FsNode node;

    if (handle->is_counted)
        return handle->local;
    if (!fs_node(fs, ino, &node))
        local = begin_anew(fs, ino, handle, is_empty, error);
    else if (node.local)
        local = local_ref(node.local);
    else
        local = begin_edit(handle, &node, is_empty, error);
    if (!local)
        return NULL;
    fs_handle_set_local(handle, local);
    return handle->local;
}

/* -- Waiting for octets ------------------------------------------------------------------------ */

static gint64 pending_progress(gpointer data)
{
    return body_last_progress(((Pending *)data)->handle->body);
}

static void pending_give_up(gpointer data)
{
    FsHandle *handle = ((Pending *)data)->handle;

    handle->gave_up = deadline_now();
    store_give_up_body(handle->store, handle->body);
}

static void pending_cancel(gpointer data)
{
    Pending *pending = data;

    body_wait_cancel(pending->body_wait);
    if (pending->is_open)
        fs_handle_free(pending->handle);
    g_free(pending);
}

static const FsWaitOps pending_ops = {
    .progress = pending_progress, .give_up = pending_give_up, .cancel = pending_cancel};

/* -- Open -------------------------------------------------------------------------------------- */

/* Octets that the kernel may have are dropped when they are not what the file holds, or when each
 * read(2) is wanted here. */
static gboolean may_keep(Fs *fs, fuse_ino_t ino, const FsHandle *handle)
{
    gint64 key = (gint64)ino;
    gboolean is_news = g_hash_table_remove(fs->news, &key);
    FsNode node;

    if (is_news)
        return FALSE;
    return store_config(handle->store)->mark_seen != CONFIG_MARK_SEEN_ON_READ ||
           !fs_node(fs, ino, &node) || !node.message ||
           (node.message->flags & MESSAGE_SEEN) != 0;
}

static void reply_open(fuse_req_t req, fuse_ino_t ino, FsHandle *handle,
                       struct fuse_file_info *fi, guint64 size_before)
{
    Fs *fs = fs_of(req);
    guint64 size;

    if (!handle->local && body_state(handle->body) == BODY_FAILED) {
        (void)fuse_reply_err(req, fs_errno(body_error(handle->body), FALSE));
        fs_handle_free(handle);
        return;
    }
    size = handle->local ? local_size(handle->local) : body_size(handle->body);
    fi->keep_cache = may_keep(fs, ino, handle) ? 1 : 0;
    if (size != size_before || !fi->keep_cache)
        (void)fuse_lowlevel_notify_inval_inode(fs->session, ino, -1, 0);
    handle->ino = ino;
    (void)fs_handle_reply(req, handle, fi, NULL);
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
    FsHandle *handle;
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
    handle = fs_handle_new(req, node->store, fi);
    handle->body = body;
    handle->uid = node->message->uid;
    if (handle->is_writer) {
        handle->mailbox = node->mailbox;
        handle->name = g_strdup(node->message->name);
    }
    if (body_state(body) == BODY_WHOLE ||
        (body_state(body) != BODY_ASKED && !handle->is_writer)) {
        reply_open(req, ino, handle, fi, size_before);
        return;
    }
    pending = g_new0(Pending, 1);
    pending->handle = handle;
    pending->is_open = TRUE;
    pending->ino = ino;
    pending->fi = *fi;
    pending->size_before = size_before;
    pending->body_wait =
        body_wait(body, handle->is_writer ? G_MAXUINT64 : 0, on_opened, pending);
    pending->wait = fs_wait_new(fs_of(req), req, &pending_ops, 0, pending);
}

static void open_local(fuse_req_t req, fuse_ino_t ino, LocalFile *local,
                       struct fuse_file_info *fi)
{
    g_autoptr(GError) error = NULL;
    FsHandle *handle;

    if ((fi->flags & O_TRUNC) && !local_truncate(local, 0, &error)) {
        (void)fuse_reply_err(req, fs_errno(error, FALSE));
        return;
    }
    handle = fs_handle_new(req, local->store, fi);
    fs_handle_set_local(handle, local);
    reply_open(req, ino, handle, fi, G_MAXUINT64);
}

/* O_TRUNC: nothing of the message is needed. */
static void open_empty(fuse_req_t req, fuse_ino_t ino, const FsNode *node,
                       struct fuse_file_info *fi)
{
    g_autoptr(GError) error = NULL;
    LocalFile *local = local_edit(node->store, node->mailbox, node->message, -1, &error);

    if (local)
        open_local(req, ino, local, fi);
    else
        (void)fuse_reply_err(req, fs_errno(error, FALSE));
    local_unref(local);
}

static void open_file(fuse_req_t req, fuse_ino_t ino, const FsNode *node,
                      struct fuse_file_info *fi)
{
    g_autoptr(GError) error = NULL;
    gboolean is_writer = (fi->flags & O_ACCMODE) != O_RDONLY;
    gboolean is_scratch = node->local && node->local->kind == LOCAL_SCRATCH;

    if (is_writer && !is_scratch && !store_may_change(node->store, node->mailbox, &error))
        (void)fuse_reply_err(req, fs_errno(error, FALSE));
    else if (node->local)
        open_local(req, ino, node->local, fi);
    else if (is_writer && (fi->flags & O_TRUNC))
        open_empty(req, ino, node, fi);
    else
        open_message(req, ino, node, fi);
}

void fs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    FsNode node;

    if (!fs_node(fs_of(req), ino, &node))
        (void)fuse_reply_err(req, ESTALE);
    else if (node.kind == INODE_VIRTUAL)
        virtual_open(req, node.item, fi);
    else if (node.kind != INODE_MESSAGE)
        (void)fuse_reply_err(req, EISDIR);
    else
        open_file(req, ino, &node, fi);
}

/* -- Read -------------------------------------------------------------------------------------- */

/* @have: octets of @fd that can be read. */
static void reply_octets(fuse_req_t req, int fd, guint64 have, size_t size, off_t offset)
{
    size_t n = (guint64)offset < have ? (size_t)MIN(size, have - (guint64)offset) : 0;

    if (n >= FD_REPLY_OCTETS) {
        struct fuse_bufvec vector = FUSE_BUFVEC_INIT(n);

        vector.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK | FUSE_BUF_FD_RETRY;
        vector.buf[0].fd = fd;
        vector.buf[0].pos = offset;
        (void)fuse_reply_data(req, &vector, 0);
    } else {
        char buffer[FD_REPLY_OCTETS];
        ssize_t got = n ? pread(fd, buffer, n, offset) : 0;

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
        reply_octets(req, body_fd(body), MIN(body_received(body), body_size(body)), size, offset);
    else if (body_state(body) == BODY_FAILED)
        (void)fuse_reply_err(req, fs_errno(body_error(body), TRUE));
    else
        return FALSE;
    return TRUE;
}

static void read_message(fuse_req_t req, FsHandle *handle, size_t size, off_t offset);

static void on_octets(Body *body, gpointer user)
{
    Pending *pending = user;
    fuse_req_t req = fs_wait_end(pending->wait);

    /* If the body began anew on another connection just now, the wait goes on. */
    read_message(req, pending->handle, pending->size, pending->offset);
    g_free(pending);
}

static void read_message(fuse_req_t req, FsHandle *handle, size_t size, off_t offset)
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

/* mark-seen=on-read: whoever takes octets has read the message. */
static void mark_seen(FsHandle *handle, const FsNode *node)
{
    StoreFlags flags = {.add = MESSAGE_SEEN};
    g_autoptr(GPtrArray) messages = NULL;

    if (handle->is_seen || !node->message ||
        store_config(handle->store)->mark_seen != CONFIG_MARK_SEEN_ON_READ)
        return;
    handle->is_seen = TRUE;
    if (node->message->flags & MESSAGE_SEEN)
        return;
    messages = g_ptr_array_new();
    g_ptr_array_add(messages, node->message);
    store_change_forget(store_flag(node->store, node->mailbox, messages, &flags, NULL, NULL));
}

/* What is read here stays in the kernel for all who open the file; if it is no longer what the
 * file holds, the next one must not see it. */
static void note_version(Fs *fs, fuse_ino_t ino, const FsHandle *handle, const FsNode *node)
{
    gboolean is_current = handle->local ? node->local == handle->local
                                        : node->message && node->message->uid == handle->uid;
    gint64 key = (gint64)ino;

    if (!is_current)
        g_hash_table_add(fs->news, g_memdup2(&key, sizeof key));
}

static void read_file(fuse_req_t req, fuse_ino_t ino, FsHandle *handle, size_t size, off_t offset)
{
    g_autoptr(GError) error = NULL;
    Fs *fs = fs_of(req);
    FsNode node = {0};

    if (fs_node(fs, ino, &node)) {
        if (node.local && !handle->local)
            fs_handle_set_local(handle, node.local);
        note_version(fs, ino, handle, &node);
        mark_seen(handle, &node);
    }
    if (!handle->local)
        read_message(req, handle, size, offset);
    else if (local_fd(handle->local, &error) >= 0)
        reply_octets(req, handle->local->fd, local_size(handle->local), size, offset);
    else
        (void)fuse_reply_err(req, fs_errno(error, TRUE));
}

void fs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                struct fuse_file_info *fi)
{
    if (fs_is_virtual(ino))
        virtual_read(req, size, off, fi);
    else
        read_file(req, ino, fs_handle_of(fi), size, off);
}
