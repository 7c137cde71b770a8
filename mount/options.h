/* The -o options of a mount: a few of ours, and the many that mount(8), fstab and autofs put
 * there for themselves.
 */
#pragma once

#include <glib.h>

typedef struct {
    char *setuid;         /* user to mount for, root only; or NULL */
    char *config_path;    /* config=FILE; or NULL */
    char *log_path;       /* log=FILE; or NULL */
    gboolean allow_other;
    gboolean debug_fuse;
} MountOptions;

/* Adds the comma-separated @text to @options, which is zeroed at first.  INVALID for an option
 * that is neither ours nor known to be for others. */
gboolean mount_options_parse(const char *text, MountOptions *options, GError **error);
void mount_options_clear(MountOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MountOptions, mount_options_clear)
