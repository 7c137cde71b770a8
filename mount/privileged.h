/* Mounting as root for somebody else: `-o setuid=USER`, for fstab and autofs.
 *
 * Root does nothing but open /dev/fuse and call mount(2); then the process is that user's in
 * everything and for good, before it reads a configuration or a password.
 */
#pragma once

#include <glib.h>

/* Mounts on @dir (resolved) for the user @name with the source @fsname, and becomes @name: ids,
 * groups, HOME; XDG folders of the environment stay only where they are that user's own.  The
 * descriptor of /dev/fuse, -1 on failure.  DENIED unless root. */
int privileged_mount(const char *dir, const char *name, const char *fsname, gboolean allow_other,
                     GError **error);
