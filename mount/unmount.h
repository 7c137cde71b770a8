/* What is mounted on a directory, and ending it. */
#pragma once

#include <glib.h>

#include "base/mountinfo.h"

/* The topmost mount on exactly @dir; NULL for none, and when the table of mounts cannot be read.
 * The caller owns it. */
MountinfoEntry *mount_entry_find(const char *dir);

/* TRUE for a mount of mailfs whose daemon runs (or ran) as this user. */
gboolean mount_entry_is_ours(const MountinfoEntry *entry);

/* Ends the requests of a mount that nobody will answer any more; it stays, and answers ENOTCONN.
 * By /sys/fs/fuse/connections, which belongs to whoever mounted; without it only root can. */
gboolean mount_abort(const MountinfoEntry *entry, GError **error);

/* Unmounts @dir: fusermount3 -u, or umount2(2) for root, which follows no symbolic link.
 * BUSY when something still uses it, otherwise DENIED or CACHE.  The signature is CliOptions's. */
gboolean unmount(const char *dir, GError **error);

/* Takes the mount out of the tree at once; what is still open ends when it is closed.  For mounts
 * whose daemon is dead. */
gboolean unmount_lazily(const char *dir, GError **error);
