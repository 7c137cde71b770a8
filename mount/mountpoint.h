/* The directory to mount on: may it be used, and is something on it already? */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* The absolute path of @dir with symbolic links resolved; also where a dead mount is on it.  The
 * caller owns it. */
char *mountpoint_resolve(const char *dir, GError **error);

/* Makes @dir and its parents, 0700, where they are missing: for the mount point that the
 * configuration names. */
gboolean mountpoint_create(const char *dir, GError **error);

/* Makes @dir (resolved) fit to be mounted on, or says why it is not: it must be an empty
 * directory of this user.  What a daemon of ours that has died left mounted there is unmounted
 * first; EXISTS when a living one is there, NOTEMPTY, DENIED, GONE, BUSY. */
gboolean mountpoint_prepare(const char *dir, GError **error);

/* For root, who mounts for @user: opens @dir with @user's eyes and without following any
 * symbolic link, so that no path of theirs leads root elsewhere, and asks that it is empty and
 * theirs or root's.  An O_PATH descriptor, -1 on failure. */
int mountpoint_open_for(const char *dir, uid_t user, gid_t group, GError **error);
