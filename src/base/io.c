/* The system calls that the rest of mailfs uses on files, each wrapped once.  See io.h. */
#include "base/io.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void io_close_auto(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        (void)close(*fd);
        errno = saved;
    }
}

int io_open_at(int dir_fd, const char *name, int flags, mode_t mode, GError **error)
{
    int fd;

    do
        fd = openat(dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        mail_fail_errno(error, errno, "cannot open %s", name);
    return fd;
}

/* A directory that we may not read, or of a file system that syncs none, is as durable as it
 * gets. */
static gboolean sync_dir(const char *path, GError **error)
{
    autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) == 0 || errno == EINVAL ||
           mail_fail_errno(error, errno, "cannot make the directory %s durable", path);
}

static gboolean make_dir(const char *path, GError **error)
{
    g_autofree char *above = g_path_get_dirname(path);

    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ||
               mail_fail_errno(error, errno, "cannot create the directory %s", path);
    if (sync_dir(path, error) && sync_dir(above, error))
        return TRUE;
    (void)rmdir(path);
    return FALSE;
}

gboolean io_make_dirs(const char *path, GError **error)
{
    g_autofree char *above = NULL;
    struct stat st;

    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) ||
               mail_fail_errno(error, ENOTDIR, "cannot create the directory %s", path);
    above = g_path_get_dirname(path);
    return (g_str_equal(above, path) || io_make_dirs(above, error)) && make_dir(path, error);
}

int io_open_dir(const char *path, GError **error)
{
    autofd int fd = -1;
    struct stat st;

    if (!io_make_dirs(path, error))
        return -1;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0) {
        mail_fail_errno(error, errno, "cannot open the directory %s", path);
        return -1;
    }
    if (st.st_uid != geteuid()) {
        mail_fail(error, MAIL_ERROR_DENIED,
                  "the directory %s belongs to another user; remove it or choose another place",
                  path);
        return -1;
    }
    if (st.st_mode & 0022) {
        mail_fail(error, MAIL_ERROR_DENIED,
                  "others may write to the directory %s; correct it with: chmod 700 '%s'", path,
                  path);
        return -1;
    }
    return steal_fd(&fd);
}

gboolean io_write_all(int fd, const void *data, gsize length, GError **error)
{
    const char *p = data;

    while (length > 0) {
        ssize_t n = write(fd, p, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mail_fail_errno(error, errno, "write failed");
        p += n;
        length -= (gsize)n;
    }
    return TRUE;
}

gboolean io_pwrite_all(int fd, const void *data, gsize length, goffset offset, GError **error)
{
    const char *p = data;

    while (length > 0) {
        ssize_t n = pwrite(fd, p, length, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mail_fail_errno(error, errno, "write failed");
        p += n;
        offset += n;
        length -= (gsize)n;
    }
    return TRUE;
}

gssize io_pread_all(int fd, void *data, gsize length, goffset offset, GError **error)
{
    char *p = data;
    gsize done = 0;

    while (done < length) {
        ssize_t n = pread(fd, p + done, length - done, offset + (goffset)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            mail_fail_errno(error, errno, "read failed");
            return -1;
        }
        if (n == 0)
            break;
        done += (gsize)n;
    }
    return (gssize)done;
}

GBytes *io_read_file(int dir_fd, const char *name, gsize limit, GError **error)
{
    autofd int fd = io_open_at(dir_fd, name, O_RDONLY, 0, error);
    g_autofree char *data = NULL;
    gssize n;

    if (fd < 0)
        return NULL;
    data = g_malloc(limit + 1);
    n = io_pread_all(fd, data, limit + 1, 0, error);
    if (n < 0)
        return NULL;
    if ((gsize)n > limit) {
        mail_fail(error, MAIL_ERROR_TOOBIG, "%s is larger than %" G_GSIZE_FORMAT " bytes", name,
                  limit);
        return NULL;
    }
    data[n] = '\0';
    data = g_realloc(data, (gsize)n + 1);
    return g_bytes_new_take(g_steal_pointer(&data), (gsize)n);
}

gboolean io_fsync(int fd, GError **error)
{
    if (fsync(fd) < 0)
        return mail_fail_errno(error, errno, "fsync failed");
    return TRUE;
}

gboolean io_rename_at(int dir_fd, const char *from, const char *to, GError **error)
{
    if (renameat(dir_fd, from, dir_fd, to) < 0)
        return mail_fail_errno(error, errno, "cannot rename %s to %s", from, to);
    return TRUE;
}
