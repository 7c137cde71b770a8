/* Looking at the mount point before and instead of the kernel, whose errors say little.
 *
 * A directory with something in it is refused: what is in it would be hidden, and is most likely
 * there because a program wrote while nothing was mounted.
 */
#include "mount/mountpoint.h"
#include "mount/unmount.h"

#include "base/error.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

char *mountpoint_resolve(const char *dir, GError **error)
{
    g_autofree char *absolute = g_canonicalize_filename(dir, NULL);
    g_autofree char *parent = g_path_get_dirname(absolute);
    g_autofree char *name = g_path_get_basename(absolute);
    char *real = realpath(absolute, NULL);
    char *path;

    if (real) {
        path = g_strdup(real);
        free(real);
        return path;
    }
    /* A dead mount cannot be looked at, and what is missing may be made: both have a parent. */
    real = realpath(parent, NULL);
    if (!real) {
        mail_fail_errno(error, errno, "cannot find the mount point %s", dir);
        return NULL;
    }
    path = g_build_filename(real, name, NULL);
    free(real);
    return path;
}

/* ENOTCONN, or ECONNABORTED after an abort by /sys/fs/fuse: nobody answers behind @dir.
 * statfs(2), for the kernel answers stat(2) from its memory for a while after the death. */
static gboolean is_dead(const char *dir)
{
    struct statfs st;

    return statfs(dir, &st) < 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

static gboolean remove_dead_mounts(const char *dir, GError **error)
{
    enum { MAX_STACKED = 8 };

    for (int i = 0; i < MAX_STACKED && is_dead(dir); i++) {
        g_autoptr(MountinfoEntry) entry = mount_entry_find(dir);

        if (!entry || !mount_entry_is_ours(entry))
            return mail_fail(error, MAIL_ERROR_BUSY,
                             "%s holds a dead mount that is not ours%s%s; unmount it first", dir,
                             entry ? ": " : "", entry ? entry->source : "");
        g_message("removing the dead mount %s from %s", entry->source, dir);
        if (!unmount_lazily(dir, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean check_empty(int dir_fd, const char *dir, GError **error)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    gboolean is_empty = TRUE;

    if (!listing) {
        mail_fail_errno(error, errno, "cannot read the mount point %s", dir);
        if (fd >= 0)
            (void)close(fd);
        return FALSE;
    }
    while (is_empty && (entry = readdir(listing)))
        is_empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    (void)closedir(listing);
    if (!is_empty)
        return mail_fail(error, MAIL_ERROR_NOTEMPTY,
                         "%s is not empty, and the mount would hide what is in it; choose an "
                         "empty directory, or move its content away", dir);
    return TRUE;
}

gboolean mountpoint_create(const char *dir, GError **error)
{
    struct stat st;

    /* Anything but "not there" is for mountpoint_prepare() to judge; a dead mount, too. */
    if (lstat(dir, &st) == 0 || errno != ENOENT || g_mkdir_with_parents(dir, 0700) == 0)
        return TRUE;
    return mail_fail_errno(error, errno, "cannot create the mount point %s", dir);
}

gboolean mountpoint_prepare(const char *dir, GError **error)
{
    g_autoptr(MountinfoEntry) entry = NULL;
    autofd int fd = -1;
    struct stat st;

    if (!remove_dead_mounts(dir, error))
        return FALSE;
    entry = mount_entry_find(dir);
    if (entry && mount_entry_is_ours(entry))
        return mail_fail(error, MAIL_ERROR_EXISTS,
                         "%s is mounted on %s already; to end that: mailfs umount %s",
                         entry->source, dir, dir);
    fd = open(dir, O_PATH | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return mail_fail(error, MAIL_ERROR_GONE,
                         "there is no directory %s; create it with: mkdir -p '%s'", dir, dir);
    if (fd < 0 || fstat(fd, &st) < 0)
        return mail_fail_errno(error, errno, "cannot open the mount point %s", dir);
    if (!S_ISDIR(st.st_mode))
        return mail_fail(error, MAIL_ERROR_INVALID, "the mount point %s is not a directory", dir);
    if (st.st_uid != geteuid() && geteuid() != 0)
        return mail_fail(error, MAIL_ERROR_DENIED,
                         "the mount point %s belongs to another user; choose a directory of your "
                         "own", dir);
    return check_empty(fd, dir, error);
}

/* openat2(2) has no wrapper in the C library. */
static int open_without_links(const char *dir)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_NO_SYMLINKS};

    return (int)syscall(SYS_openat2, AT_FDCWD, dir, &how, sizeof how);
}

static int open_and_check(const char *dir, uid_t user, GError **error)
{
    autofd int fd = -1;
    struct stat st;

    if (!remove_dead_mounts(dir, error))
        return -1;
    fd = open_without_links(dir);
    if (fd < 0 || fstat(fd, &st) < 0) {
        mail_fail_errno(error, errno, "cannot open the mount point %s", dir);
        return -1;
    }
    if (st.st_uid != user && st.st_uid != 0) {
        mail_fail(error, MAIL_ERROR_DENIED,
                  "the mount point %s belongs neither to the user of setuid= nor to root", dir);
        return -1;
    }
    return check_empty(fd, dir, error) ? steal_fd(&fd) : -1;
}

int mountpoint_open_for(const char *dir, uid_t user, gid_t group, GError **error)
{
    int fd;

    if (setegid(group) < 0 || seteuid(user) < 0) {
        mail_fail_errno(error, errno, "cannot look at %s as the user of setuid=", dir);
        return -1;
    }
    fd = open_and_check(dir, user, error);
    if (seteuid(0) < 0 || setegid(0) < 0)
        g_error("cannot become root again: %s", g_strerror(errno)); /* nothing would work now */
    return fd;
}
