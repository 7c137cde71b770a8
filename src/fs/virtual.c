/* .mailfs: reachable by name at the root, never listed there.
 *
 *   status, status.json   the state of everything, made at each open
 *   events                one line a change; reading waits for the next one, by design
 *   control               one JSON request written, one answer read, on the same handle
 *   pending, lost+found   directories: virtual-dir.c
 *
 * All files are opened with direct_io, so their size plays no part.
 */
#include "fs/internal.h"
#include "base/error.h"
#include "base/limits.h"
#include "fs/errno.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { KEPT_EVENTS = 10000 }; /* for a reader that is slow; it is told when it missed some */

static const char *const names[VIRTUAL_END] = {
    [VIRTUAL_DIRECTORY] = VIRTUAL_NAME,
    [VIRTUAL_STATUS] = "status",
    [VIRTUAL_STATUS_JSON] = "status.json",
    [VIRTUAL_EVENTS] = "events",
    [VIRTUAL_CONTROL] = "control",
    [VIRTUAL_PENDING] = "pending",
    [VIRTUAL_LOST] = "lost+found",
};

/* One open file. */
typedef struct {
    guint item;
    char *text; /* status: made at open; control: the answer */
    gsize length;
    GString *request; /* control */
    gsize cursor;     /* control: how much of the answer was read */
    guint64 next;     /* events: number of the next line */
    int fd;           /* in pending and lost+found; else -1 */
} Handle;

typedef struct {
    FsWait *wait;
    Fs *fs;
    Handle *handle;
    size_t size;
} Reader;

struct FsEvents {
    GQueue lines; /* of char *, the last KEPT_EVENTS */
    guint64 first; /* number of the first of them */
    GList *readers; /* of Reader */
};

const char *virtual_name(const Fs *fs, guint item)
{
    return item < VIRTUAL_END ? names[item] : virtual_dir_name(fs, item);
}

guint virtual_find(const Fs *fs, guint directory, const char *name)
{
    if (directory != VIRTUAL_DIRECTORY)
        return virtual_dir_find(fs, directory, name);
    for (guint item = VIRTUAL_DIRECTORY + 1; item < VIRTUAL_END; item++)
        if (g_str_equal(names[item], name))
            return item;
    return 0;
}

GArray *virtual_list(const Fs *fs, guint directory)
{
    GArray *items;

    if (directory != VIRTUAL_DIRECTORY)
        return virtual_dir_list(fs, directory);
    items = g_array_new(FALSE, FALSE, sizeof(guint));
    for (guint item = VIRTUAL_DIRECTORY + 1; item < VIRTUAL_END; item++)
        g_array_append_val(items, item);
    return items;
}

gboolean virtual_stat(const Fs *fs, guint item, struct stat *ret_stat)
{
    memset(ret_stat, 0, sizeof *ret_stat);
    ret_stat->st_nlink = 1;
    ret_stat->st_mtime = ret_stat->st_ctime = ret_stat->st_atime = fs->started;
    if (item >= VIRTUAL_PENDING)
        return virtual_dir_stat(fs, item, ret_stat);
    if (item == VIRTUAL_DIRECTORY)
        ret_stat->st_mode = S_IFDIR | 0500;
    else if (item == VIRTUAL_CONTROL)
        ret_stat->st_mode = S_IFREG | 0600;
    else
        ret_stat->st_mode = S_IFREG | 0400;
    return item > 0;
}

gboolean virtual_is_directory(const Fs *fs, guint item)
{
    struct stat st;

    return virtual_stat(fs, item, &st) && S_ISDIR(st.st_mode);
}

/* -- Open, release ----------------------------------------------------------------------------- */

static void handle_free(gpointer data)
{
    Handle *handle = data;

    g_free(handle->text);
    if (handle->request)
        g_string_free(handle->request, TRUE);
    if (handle->fd >= 0)
        (void)close(handle->fd);
    g_free(handle);
}

/* What reading it needs. */
static gboolean handle_fill(const Fs *fs, Handle *handle, GError **error)
{
    switch (handle->item) {
    case VIRTUAL_STATUS:
        handle->text = fs_status_text(fs);
        break;
    case VIRTUAL_STATUS_JSON:
        handle->text = fs_status_json(fs);
        break;
    case VIRTUAL_EVENTS:
        handle->next = fs->events->first + fs->events->lines.length;
        break;
    case VIRTUAL_CONTROL:
        handle->request = g_string_new(NULL);
        break;
    default:
        handle->fd = virtual_dir_open(fs, handle->item, error);
        return handle->fd >= 0;
    }
    handle->length = handle->text ? strlen(handle->text) : 0;
    return TRUE;
}

void virtual_open(fuse_req_t req, guint item, struct fuse_file_info *fi)
{
    Fs *fs = fs_of(req);
    g_autoptr(GError) error = NULL;
    Handle *handle;

    if (virtual_is_directory(fs, item)) {
        (void)fuse_reply_err(req, EISDIR);
        return;
    }
    if ((fi->flags & O_ACCMODE) != O_RDONLY && item != VIRTUAL_CONTROL) {
        (void)fuse_reply_err(req, item < VIRTUAL_END ? EROFS : EPERM);
        return;
    }
    handle = g_new0(Handle, 1);
    handle->item = item;
    handle->fd = -1;
    if (!handle_fill(fs, handle, &error)) {
        (void)fuse_reply_err(req, fs_errno(error, FALSE));
        handle_free(handle);
        return;
    }
    fi->fh = (uint64_t)(uintptr_t)handle;
    fi->direct_io = 1;
    fi->nonseekable = item == VIRTUAL_EVENTS;
    fs_handle_add(fs, handle, handle_free);
    if (fuse_reply_open(req, fi) != 0)
        fs_handle_end(fs, handle);
}

/* -- Events ------------------------------------------------------------------------------------ */

FsEvents *fs_events_new(void)
{
    FsEvents *events = g_new0(FsEvents, 1);

    g_queue_init(&events->lines);
    return events;
}

void fs_events_free(FsEvents *events)
{
    if (!events)
        return;
    g_queue_clear_full(&events->lines, g_free);
    g_list_free(events->readers);
    g_free(events);
}

/* The lines from handle->next on, as many whole ones as fit into @size; NULL when there are
 * none. */
static GString *take_lines(FsEvents *events, Handle *handle, size_t size)
{
    GString *text = g_string_new(NULL);

    if (handle->next < events->first) {
        g_string_append_printf(text, "-\tmissed\t%" G_GUINT64_FORMAT "\n",
                               events->first - handle->next);
        handle->next = events->first;
    }
    for (GList *link = g_queue_peek_nth_link(&events->lines,
                                             (guint)(handle->next - events->first));
         link; link = link->next) {
        const char *line = link->data;

        if (text->len > 0 && text->len + strlen(line) > size)
            break;
        g_string_append(text, line);
        handle->next++;
    }
    if (text->len > 0)
        return text;
    g_string_free(text, TRUE);
    return NULL;
}

static void reader_cancel(gpointer data)
{
    Reader *reader = data;

    reader->fs->events->readers = g_list_remove(reader->fs->events->readers, reader);
    g_free(reader);
}

/* No deadline: who reads this file wants to wait. */
static const FsWaitOps reader_ops = {.cancel = reader_cancel};

static void reply_lines(fuse_req_t req, GString *text, size_t size)
{
    (void)fuse_reply_buf(req, text->str, MIN(text->len, size));
    g_string_free(text, TRUE);
}

static void read_events(fuse_req_t req, Handle *handle, size_t size)
{
    Fs *fs = fs_of(req);
    GString *text = take_lines(fs->events, handle, size);
    Reader *reader;

    if (text) {
        reply_lines(req, text, size);
        return;
    }
    reader = g_new0(Reader, 1);
    reader->fs = fs;
    reader->handle = handle;
    reader->size = size;
    fs->events->readers = g_list_prepend(fs->events->readers, reader);
    reader->wait = fs_wait_new(fs, req, &reader_ops, 0, reader);
}

static void wake_readers(FsEvents *events)
{
    while (events->readers) {
        Reader *reader = events->readers->data;
        fuse_req_t req = fs_wait_end(reader->wait);

        reply_lines(req, take_lines(events, reader->handle, reader->size), reader->size);
        reader_cancel(reader);
    }
}

static void push_line(Fs *fs, const char *what, const char *paths)
{
    FsEvents *events = fs->events;
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");

    g_queue_push_tail(&events->lines, g_strdup_printf("%s\t%s\t%s\n", time, what, paths));
    while (events->lines.length > KEPT_EVENTS) {
        g_free(g_queue_pop_head(&events->lines));
        events->first++;
    }
    wake_readers(events);
}

/* As below the mount point.  @name may be NULL.  The caller owns it. */
static char *event_path(const Fs *fs, const Store *store, const Mailbox *mailbox, const char *name)
{
    g_autofree char *path = mailbox_shown_path(mailbox);
    const char *account = fs->params.is_all ? store_account(store)->id : "";

    return g_strdup_printf("%s%s%s%s%s", account, *account ? "/" : "", path, name ? "/" : "",
                           name ? name : "");
}

void fs_event(Fs *fs, const char *what, const Store *store, const Mailbox *mailbox,
              const char *name)
{
    g_autofree char *path = event_path(fs, store, mailbox, name);

    push_line(fs, what, path);
}

void fs_event_moved(Fs *fs, const Store *store, const StoreMoved *moved)
{
    g_autofree char *from = event_path(fs, store, moved->from, moved->name);
    g_autofree char *to = event_path(fs, store, moved->to, moved->message->name);
    g_autofree char *paths = g_strdup_printf("%s\t%s", from, to);

    push_line(fs, "moved", paths);
}

/* -- Read, write ------------------------------------------------------------------------------- */

static void read_file(fuse_req_t req, const Handle *handle, size_t size, off_t off)
{
    g_autofree char *buffer = g_malloc(size);
    ssize_t n = pread(handle->fd, buffer, size, off);

    if (n < 0)
        (void)fuse_reply_err(req, errno);
    else
        (void)fuse_reply_buf(req, buffer, (size_t)n);
}

static void answer_request(Fs *fs, Handle *handle)
{
    if (handle->text)
        return;
    handle->text = fs_control(fs, handle->request->str, handle->request->len);
    handle->length = strlen(handle->text);
}

void virtual_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi)
{
    Handle *handle = (Handle *)(uintptr_t)fi->fh;

    if (handle->item == VIRTUAL_EVENTS) {
        read_events(req, handle, size);
        return;
    }
    if (handle->fd >= 0) {
        read_file(req, handle, size, off);
        return;
    }
    if (handle->item == VIRTUAL_CONTROL) {
        /* A stream, whatever the offset: some seek back after writing, some do not. */
        answer_request(fs_of(req), handle);
        off = (off_t)handle->cursor;
    }
    size = (guint64)off < handle->length ? MIN(size, handle->length - (gsize)off) : 0;
    handle->cursor = (gsize)off + size;
    (void)fuse_reply_buf(req, size ? handle->text + off : NULL, size);
}

void virtual_write(fuse_req_t req, const char *data, size_t size, struct fuse_file_info *fi)
{
    Handle *handle = (Handle *)(uintptr_t)fi->fh;

    if (handle->item != VIRTUAL_CONTROL) {
        (void)fuse_reply_err(req, EROFS);
    } else if (handle->text) {
        (void)fuse_reply_err(req, EINVAL); /* one request a handle */
    } else if (handle->request->len + size > LIMIT_CONTROL_REQUEST) {
        (void)fuse_reply_err(req, EFBIG);
    } else {
        g_string_append_len(handle->request, data, (gssize)size);
        (void)fuse_reply_write(req, size);
    }
}
