/* The table of mounts, and fusermount3 or umount2(2).  See unmount.h.
 *
 * fusermount3 is a setuid program and does its own checks; it is given the absolute path and
 * nothing from the environment matters to it.
 */
#include "mount/unmount.h"
#include "mount/program.h"

#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { UNMOUNT_SECONDS = 30 };

MountinfoEntry *mount_entry_find(const char *dir)
{
    g_autoptr(GPtrArray) entries = mountinfo_read(NULL);

    return entries ? mountinfo_take(entries, dir) : NULL;
}

gboolean mount_entry_is_ours(const MountinfoEntry *entry)
{
    return g_str_has_prefix(entry->type, "fuse") &&
           (strcmp(entry->type, MOUNTINFO_TYPE) == 0 ||
            strcmp(entry->source, MOUNTINFO_SOURCE) == 0 ||
            g_str_has_prefix(entry->source, MOUNTINFO_SOURCE_OF)) &&
           entry->has_user && entry->user == geteuid();
}

/* MNT_FORCE ends the requests, then finds the mount in use by those who wait for them. */
static gboolean abort_as_root(const char *dir, GError **error)
{
    if (umount2(dir, UMOUNT_NOFOLLOW | MNT_FORCE) == 0 || errno == EBUSY)
        return TRUE;
    return mail_fail_errno(error, errno, "cannot end the requests on %s", dir);
}

gboolean mount_abort(const MountinfoEntry *entry, GError **error)
{
    g_autofree char *path =
        g_strdup_printf("/sys/fs/fuse/connections/%u/abort", entry->device);
    autofd int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (entry->device && fd >= 0 && write(fd, "1", 1) == 1)
        return TRUE;
    return abort_as_root(entry->dir, error);
}

static gboolean unmount_as_root(const char *dir, int flags, GError **error)
{
    if (umount2(dir, UMOUNT_NOFOLLOW | flags) == 0)
        return TRUE;
    if (errno == EBUSY)
        return mail_fail(error, MAIL_ERROR_BUSY, "%s is in use; close what is open there and try "
                         "again", dir);
    return mail_fail_errno(error, errno, "cannot unmount %s", dir);
}

static gboolean unmount_as_user(const char *dir, const char *flags, GError **error)
{
    const char *argv[] = {"fusermount3", flags, "--", dir, NULL};
    g_autoptr(GError) reason = NULL;
    g_autoptr(Program) program = program_start("fusermount3", argv, deadline_in(UNMOUNT_SECONDS),
                                               error);

    if (!program)
        return FALSE;
    program_wait(program);
    if (program_succeeded(program, MAIL_ERROR_CACHE, &reason))
        return TRUE;
    /* Its exit code is 1 for everything; only its words tell. */
    if (strstr(reason->message, "busy"))
        return mail_fail(error, MAIL_ERROR_BUSY, "%s is in use; close what is open there and try "
                         "again", dir);
    return mail_fail(error,
                     strstr(reason->message, "ermitted") ? MAIL_ERROR_DENIED : MAIL_ERROR_CACHE,
                     "cannot unmount %s: %s", dir, reason->message);
}

gboolean unmount(const char *dir, GError **error)
{
    return geteuid() == 0 ? unmount_as_root(dir, 0, error) : unmount_as_user(dir, "-u", error);
}

gboolean unmount_lazily(const char *dir, GError **error)
{
    return geteuid() == 0 ? unmount_as_root(dir, MNT_DETACH, error)
                          : unmount_as_user(dir, "-uz", error);
}
