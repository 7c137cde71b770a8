/* The table of mounts, /proc/self/mountinfo (proc(5)).
 *
 * It is asked what is mounted where, and not libfuse or stat(2): both hang or lie when the daemon
 * behind a mount has died, and those mounts are the ones that must be found.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* How our own mounts are written in it. */
#define MOUNTINFO_TYPE "fuse.mailfs"
#define MOUNTINFO_SOURCE "mailfs"        /* of all accounts */
#define MOUNTINFO_SOURCE_OF "mailfs#"    /* of one: its id follows */

typedef struct {
    guint64 id;        /* lasts as long as the mount */
    guint32 device;    /* minor number; with major 0 the name of a FUSE connection.  0: another */
    char *dir;         /* the mount point; this and the next two are decoded */
    char *type;        /* MOUNTINFO_TYPE */
    char *source;      /* MOUNTINFO_SOURCE_OF "work" */
    gboolean has_user; /* @user was given: a FUSE mount */
    uid_t user;        /* whose daemon serves it; 0 without @has_user */
} MountinfoEntry;

void mountinfo_entry_free(MountinfoEntry *entry); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MountinfoEntry, mountinfo_entry_free)

/* Every mount in @text, of whatever type, in its order: a later one may hide an earlier one.
 * Lines that make no sense are left out.  The caller owns the array, which frees its entries. */
GPtrArray *mountinfo_parse(const char *text);

/* The same for the mounts as they are now.  NULL with CACHE when the file cannot be read. */
GPtrArray *mountinfo_read(GError **error);

/* Takes the topmost mount on exactly @dir out of @entries; NULL for none.  The caller owns it. */
MountinfoEntry *mountinfo_take(GPtrArray *entries, const char *dir);
