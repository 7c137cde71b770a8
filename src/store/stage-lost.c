/* lost+found/: what no server took and nobody is waiting for any more, each file with its reason.
 *
 * Names come from people and servers.  Every level is one component, made harmless and opened
 * below the one before it with O_NOFOLLOW, so that nothing leads out.  A file appears under its
 * name when it is whole and on the disk, after its reason: both are written aside in staging/
 * first, where two fixed names suffice, for one thread does all of it.
 */
#include "store/disk-internal.h"

#include "base/error.h"
#include "base/io.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TRIES 10000 /* numbers behind a name */
#define ASIDE "lost.new"
#define ASIDE_REASON "reason.new"

/* -- Names ------------------------------------------------------------------------------------- */

/* @text as one component that stays where it is put; @fallback for what is none.  Short enough for
 * a number and ".reason" behind it.  The caller owns it. */
static char *make_component(const char *text, const char *fallback)
{
    gsize length = text ? strlen(text) : 0;
    char *component;

    if (length == 0 || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return g_strdup(fallback);
    if (length > LIMIT_NAME)
        for (length = LIMIT_NAME; length > 1 && ((guchar)text[length] & 0xc0) == 0x80;)
            length--; /* not within a character */
    component = g_strndup(text, length);
    return g_strdelimit(component, "/", '_');
}

/* "a.eml", "a.2.eml", "a.3.eml".  The caller owns it. */
static char *number_name(const char *name, guint n)
{
    const char *dot = strrchr(name, '.');

    if (n == 1)
        return g_strdup(name);
    if (!dot || dot == name)
        return g_strdup_printf("%s.%u", name, n);
    return g_strdup_printf("%.*s.%u%s", (int)(dot - name), name, n, dot);
}

/* -- Folders ----------------------------------------------------------------------------------- */

/* Makes the folder @name, durably, unless it is there, and opens it. */
static int open_level(int parent, const char *name, GError **error)
{
    if (mkdirat(parent, name, 0700) == 0) {
        if (!stage_fsync(parent, error))
            return -1;
    } else if (errno != EEXIST) {
        mail_fail_errno(error, errno, "cannot create a folder in lost+found");
        return -1;
    }
    return io_open_at(parent, name, O_RDONLY | O_DIRECTORY, 0, error);
}

static gboolean is_folder_or_free(int parent, const char *name)
{
    struct stat st;

    return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode);
}

/* As open_level(); where a file has the name, beside it. */
static int open_level_beside(int parent, const char *name, GError **error)
{
    for (guint n = 1; n <= MAX_TRIES; n++) {
        g_autofree char *candidate = number_name(name, n);

        if (is_folder_or_free(parent, candidate))
            return open_level(parent, candidate, error);
    }
    mail_fail(error, MAIL_ERROR_EXISTS, "lost+found is full of files called %s", name);
    return -1;
}

static int open_folder(Disk *disk, const char *folder, GError **error)
{
    g_auto(GStrv) levels = g_strsplit(folder ? folder : "", "/", 0);
    autofd int fd = open_level(disk->state_fd, "lost+found", error);

    for (guint i = 0, depth = 0; fd >= 0 && levels[i] && depth < LIMIT_MAILBOX_DEPTH; i++) {
        g_autofree char *component = make_component(levels[i], "_");
        autofd int parent = -1;

        if (!*levels[i]) /* "/a", "a//b" */
            continue;
        depth++;
        parent = steal_fd(&fd);
        fd = open_level_beside(parent, component, error);
    }
    return steal_fd(&fd);
}

/* -- Files ------------------------------------------------------------------------------------- */

/* A name that neither a file nor a reason has.  The caller owns it. */
static char *find_free_name(int folder, const char *name, GError **error)
{
    for (guint n = 1; n <= MAX_TRIES; n++) {
        g_autofree char *candidate = number_name(name, n);
        g_autofree char *reason = g_strconcat(candidate, ".reason", NULL);

        if (!disk_has_file(folder, candidate) && !disk_has_file(folder, reason))
            return g_steal_pointer(&candidate);
    }
    mail_fail(error, MAIL_ERROR_EXISTS, "lost+found is full of files called %s", name);
    return NULL;
}

static gboolean write_aside(Disk *disk, const char *aside, int from, const char *text,
                            GError **error)
{
    autofd int fd = io_open_at(disk->staging_fd, aside, O_WRONLY | O_CREAT | O_TRUNC, 0600, error);

    return fd >= 0 &&
           (text ? io_write_all(fd, text, strlen(text), error) : stage_copy(from, fd, error)) &&
           stage_fsync(fd, error);
}

static gboolean move_aside(Disk *disk, const char *aside, int folder, const char *name,
                           GError **error)
{
    return renameat(disk->staging_fd, aside, folder, name) == 0 ||
           mail_fail_errno(error, errno, "cannot put %s into lost+found", name);
}

static gboolean put_into(Disk *disk, int fd, int folder, const StageLost *lost, GError **error)
{
    g_autofree char *wanted = make_component(lost->name, "message");
    g_autofree char *name = find_free_name(folder, wanted, error);
    g_autofree char *reason_name = g_strconcat(name ? name : "", ".reason", NULL);
    g_autofree char *reason = g_strconcat(lost->reason ? lost->reason : "", "\n", NULL);

    return name && write_aside(disk, ASIDE, fd, NULL, error) &&
           write_aside(disk, ASIDE_REASON, -1, reason, error) &&
           move_aside(disk, ASIDE_REASON, folder, reason_name, error) &&
           move_aside(disk, ASIDE, folder, name, error) && stage_fsync(folder, error);
}

gboolean stage_put_lost(Disk *disk, int fd, const StageLost *lost, GError **error)
{
    autofd int folder = open_folder(disk, lost->folder, error);

    if (folder >= 0 && put_into(disk, fd, folder, lost, error))
        return TRUE;
    disk_remove_file(disk->staging_fd, ASIDE, "");
    disk_remove_file(disk->staging_fd, ASIDE_REASON, "");
    g_prefix_error(error, "in %s: ", disk->lost_dir);
    return FALSE;
}
