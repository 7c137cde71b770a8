/* What is mounted where, and ending it.
 *
 * The truth is /proc/self/mountinfo (proc(5)); neither libfuse's word nor a stat(2) is asked,
 * for both hang or lie when the daemon behind a mount has died.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct {
    guint64 id;    /* lasts as long as the mount */
    char *device;  /* "0:52" */
    char *dir;     /* decoded */
    char *type;    /* "fuse.mailfs" */
    char *source;  /* "mailfs#work" */
    gboolean has_user; /* @user was given: a FUSE mount */
    uid_t user;        /* whose daemon serves it */
} MountEntry;

void mount_entry_free(MountEntry *entry); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MountEntry, mount_entry_free)

/* The topmost mount on exactly @dir in the text of a mountinfo file; NULL for none.  Lines that
 * make no sense are passed over. */
MountEntry *mount_entry_parse(const char *mountinfo, const char *dir);

/* The same from /proc/self/mountinfo.  NULL also when that cannot be read. */
MountEntry *mount_entry_find(const char *dir);

/* TRUE for a mount of mailfs whose daemon runs (or ran) as this user. */
gboolean mount_entry_is_ours(const MountEntry *entry);

/* Unmounts @dir: fusermount3 -u, or umount2(2) for root, which follows no symbolic link.
 * BUSY when something still uses it, otherwise DENIED or CACHE.  The signature is CliOptions's. */
gboolean unmount(const char *dir, GError **error);

/* Takes the mount out of the tree at once; what is still open ends when it is closed.  For mounts
 * whose daemon is dead. */
gboolean unmount_lazily(const char *dir, GError **error);
