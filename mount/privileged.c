/* See privileged.h.  The descriptor is then handed to fs_mount() as "/dev/fd/N", and as the mount
 * carries the user's id, `fusermount3 -u` of that user may end it.
 */
#include "mount/privileged.h"
#include "mount/harden.h"
#include "mount/mountpoint.h"

#include "base/error.h"
#include "base/io.h"
#include "base/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct passwd *find_user(const char *name, GError **error)
{
    const struct passwd *user;

    if (geteuid() != 0) {
        mail_fail(error, MAIL_ERROR_DENIED, "only root may mount with setuid=");
        return NULL;
    }
    errno = 0;
    user = getpwnam(name);
    if (!user)
        mail_fail(error, MAIL_ERROR_INVALID, "setuid=%s: there is no such user", name);
    return user;
}

/* mount(2) on what @dir_fd is, whatever its path has become. */
static int mount_fuse(int dir_fd, const struct passwd *user, const char *fsname,
                      gboolean allow_other, GError **error)
{
    autofd int fuse = io_open_at(AT_FDCWD, "/dev/fuse", O_RDWR, 0, error);
    g_autofree char *target = g_strdup_printf("/proc/self/fd/%d", dir_fd);
    g_autofree char *options = NULL;

    if (fuse < 0)
        return -1;
    options = g_strdup_printf("fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions%s",
                              fuse, user->pw_uid, user->pw_gid,
                              allow_other ? ",allow_other" : "");
    if (mount(fsname, target, MOUNTINFO_TYPE, MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0) {
        mail_fail_errno(error, errno, "cannot mount");
        return -1;
    }
    return steal_fd(&fuse);
}

/* XDG folders may be given in the environment when they are the user's own; root's are not. */
static void drop_foreign_folders(uid_t user)
{
    static const char *const names[] = {"XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME",
                                        "XDG_DATA_HOME",   "XDG_RUNTIME_DIR"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *folder = g_getenv(names[i]);
        struct stat st;

        if (folder && (stat(folder, &st) < 0 || st.st_uid != user))
            g_unsetenv(names[i]);
    }
}

/* For good: real, effective and saved ids. */
static gboolean become(const struct passwd *user, GError **error)
{
    if (initgroups(user->pw_name, user->pw_gid) < 0 ||
        setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
        return mail_fail_errno(error, errno, "cannot become the user %s", user->pw_name);
    g_setenv("HOME", user->pw_dir, TRUE);
    g_setenv("USER", user->pw_name, TRUE);
    g_setenv("LOGNAME", user->pw_name, TRUE);
    g_setenv("SHELL", user->pw_shell, TRUE);
    drop_foreign_folders(user->pw_uid);
    harden_against_tracing();
    return TRUE;
}

int privileged_mount(const char *dir, const char *name, const char *fsname, gboolean allow_other,
                     GError **error)
{
    const struct passwd *user = find_user(name, error);
    autofd int dir_fd = -1, fuse = -1;

    if (!user)
        return -1;
    dir_fd = mountpoint_open_for(dir, user->pw_uid, user->pw_gid, error);
    if (dir_fd < 0)
        return -1;
    fuse = mount_fuse(dir_fd, user, fsname, allow_other, error);
    if (fuse < 0)
        return -1;
    if (!become(user, error)) {
        (void)umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW);
        return -1;
    }
    return steal_fd(&fuse);
}
