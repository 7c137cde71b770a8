/* Folders of a Maildir tree: made, removed, renamed.
 *
 * A folder is one when it has cur/ and new/, so these are made last and removed first.  Nothing is
 * removed but by rmdir(2) and unlink(2) of known names: what somebody delivers meanwhile makes the
 * rmdir(2) of new/ fail, and the folder stays.
 */
#include "store/maildir-internal.h"
#include "base/error.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Splits "A/B/c" into "A/B" (or ".") and "c". */
static char *split_place(const char *place, const char **ret_name)
{
    const char *last = strrchr(place, '/');

    *ret_name = last ? last + 1 : place;
    return last ? g_strndup(place, (gsize)(last - place)) : g_strdup(".");
}

/* The directory @place below the tree, with all that is missing made. */
static int make_place(MaildirTree *tree, const char *place, GError **error)
{
    g_auto(GStrv) levels = g_strsplit(place, "/", -1);
    autofd int fd = maildir_open_place(tree->fd, ".", error);

    for (char **level = levels; *level && fd >= 0; level++) {
        int next = -1;

        if (mkdirat(fd, *level, 0700) == 0) {
            if (maildir_fsync(fd, tree->has_failed, error))
                next = maildir_open_place(fd, *level, error);
        } else if (errno == EEXIST) {
            next = maildir_open_place(fd, *level, error);
        } else {
            mail_fail_errno(error, errno, "cannot create the folder %s in %s", place, tree->path);
        }
        io_close_auto(&fd);
        fd = next;
    }
    return steal_fd(&fd);
}

static gboolean make_parts(const MaildirTree *tree, int fd, GError **error)
{
    static const char *const parts[] = {"tmp", "new", "cur"};

    for (guint i = 0; i < G_N_ELEMENTS(parts); i++)
        if (mkdirat(fd, parts[i], 0700) < 0 && errno != EEXIST)
            return mail_fail_errno(error, errno, "cannot create %s/", parts[i]);
    return maildir_fsync(fd, tree->has_failed, error);
}

/* By this file the programs of Courier know a folder from a whole Maildir. */
static gboolean mark_folder(int fd, GError **error)
{
    autofd int mark = io_open_at(fd, "maildirfolder", O_WRONLY | O_CREAT, 0600, error);

    return mark >= 0;
}

gboolean maildir_tree_create(MaildirTree *tree, const char *wire, GError **error)
{
    g_autofree char *place = maildir_tree_place(tree, wire, error);
    autofd int fd = place ? make_place(tree, place, error) : -1;

    if (fd < 0)
        return FALSE;
    if (maildir_is_maildir(fd))
        return mail_fail(error, MAIL_ERROR_EXISTS, "the folder %s is there already", wire);
    if (tree->layout == MAILDIR_PLUSPLUS && !g_str_equal(place, ".") && !mark_folder(fd, error))
        return FALSE;
    if (!make_parts(tree, fd, error))
        return FALSE;
    g_hash_table_insert(tree->places, g_strdup(wire), g_strdup(place));
    return TRUE;
}

/* -- Removing ---------------------------------------------------------------------------------- */

/* Files in which servers and synchronisers keep what they know of a folder: nothing without it. */
static gboolean is_bookkeeping(const char *name)
{
    static const char *const prefixes[] = {"dovecot-",       "dovecot.",     "courierimap",
                                           "maildirfolder",  "maildirsize",  ".mbsyncstate",
                                           ".isyncuidmap",   ".uidvalidity", "cyrus."};

    for (guint i = 0; i < G_N_ELEMENTS(prefixes); i++)
        if (g_str_has_prefix(name, prefixes[i]))
            return TRUE;
    return FALSE;
}

static gboolean fail_not_empty(const char *wire, GError **error)
{
    return mail_fail(error, MAIL_ERROR_NOTEMPTY, "the folder %s is not empty", wire);
}

static gboolean has_only_own(int fd, const char *wire, GError **error)
{
    g_autoptr(GPtrArray) names = maildir_read_names(fd, 0, error);

    if (!names)
        return FALSE;
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (!g_str_equal(name, "cur") && !g_str_equal(name, "new") && !g_str_equal(name, "tmp") &&
            !is_bookkeeping(name))
            return fail_not_empty(wire, error);
    }
    return TRUE;
}

static gboolean has_folders_below(MaildirTree *tree, const char *wire, GError **error)
{
    g_autofree char *prefix = g_strconcat(wire, "/", NULL);
    g_autoptr(GPtrArray) wires = maildir_tree_list(tree, NULL, error);

    if (!wires)
        return TRUE;
    for (guint i = 0; i < wires->len; i++)
        if (g_str_has_prefix(g_ptr_array_index(wires, i), prefix)) {
            mail_fail(error, MAIL_ERROR_NOTEMPTY, "%s has folders below it", wire);
            return TRUE;
        }
    return FALSE;
}

/* What cannot go brings back what went. */
static gboolean remove_parts(const MaildirTree *tree, int fd, const char *wire, GError **error)
{
    static const char *const parts[] = {"tmp", "new", "cur"};

    maildir_tidy(fd);
    for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
        int failure = unlinkat(fd, parts[i], AT_REMOVEDIR) == 0 ? 0 : errno;

        if (failure == 0 || failure == ENOENT)
            continue;
        (void)make_parts(tree, fd, NULL);
        if (failure == ENOTEMPTY || failure == EEXIST)
            return fail_not_empty(wire, error);
        return mail_fail_errno(error, failure, "cannot remove the folder %s", wire);
    }
    return TRUE;
}

static void remove_bookkeeping(int fd)
{
    g_autoptr(GPtrArray) names = maildir_read_names(fd, 0, NULL);

    for (guint i = 0; names && i < names->len; i++)
        if (is_bookkeeping(g_ptr_array_index(names, i)))
            (void)unlinkat(fd, g_ptr_array_index(names, i), 0);
}

/* An INBOX that is PATH itself is no folder to be removed. */
static gboolean check_removable(const char *place, const char *wire, GError **error)
{
    return !g_str_equal(place, ".") ||
           mail_fail(error, MAIL_ERROR_DENIED, "%s is the Maildir itself; it can be neither "
                     "renamed nor deleted", wire);
}

gboolean maildir_tree_delete(MaildirTree *tree, const char *wire, GError **error)
{
    g_autofree char *place = NULL, *above = NULL;
    const char *name;
    autofd int parent = -1, fd = -1;

    if (has_folders_below(tree, wire, error))
        return FALSE;
    place = maildir_tree_place(tree, wire, error);
    if (!place || !check_removable(place, wire, error))
        return FALSE;
    above = split_place(place, &name);
    parent = maildir_open_place(tree->fd, above, error);
    fd = parent < 0 ? -1 : maildir_open_place(parent, name, error);
    if (fd < 0 || !has_only_own(fd, wire, error) || !remove_parts(tree, fd, wire, error))
        return FALSE;
    remove_bookkeeping(fd);
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0) {
        int failure = errno;

        (void)make_parts(tree, fd, NULL);
        return mail_fail_errno(error, failure, "cannot remove the folder %s", wire);
    }
    g_hash_table_remove(tree->places, wire);
    return maildir_fsync(parent, tree->has_failed, error);
}

/* -- Renaming ---------------------------------------------------------------------------------- */

static gboolean rename_place(MaildirTree *tree, const char *from, const char *to, GError **error)
{
    const char *old, *new;
    g_autofree char *old_above = split_place(from, &old), *new_above = split_place(to, &new);
    autofd int old_fd = maildir_open_place(tree->fd, old_above, error);
    autofd int new_fd = old_fd < 0 ? -1 : make_place(tree, new_above, error);

    if (new_fd < 0)
        return FALSE;
    if (!maildir_rename(old_fd, old, new_fd, new))
        return mail_fail_errno(error, errno, "cannot rename the folder %s to %s", from, to);
    return maildir_fsync(new_fd, tree->has_failed, error) &&
           maildir_fsync(old_fd, tree->has_failed, error);
}

/* In Maildir++ what lies below stands beside.  The folder itself goes last: who is interrupted, and
 * asked again, finds it and goes on. */
static gboolean rename_beside(MaildirTree *tree, const char *from, const char *to, GError **error)
{
    g_autofree char *prefix = g_strconcat(from, ".", NULL);
    g_autoptr(GPtrArray) names = maildir_read_names(tree->fd, DT_DIR, error);
    gboolean has_any = FALSE;
    struct stat st;

    for (guint i = 0; names && i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *target = NULL;

        if (!g_str_has_prefix(name, prefix))
            continue;
        target = g_strconcat(to, ".", name + strlen(prefix), NULL);
        has_any = TRUE;
        if (!rename_place(tree, name, target, error))
            return FALSE;
    }
    if (!names || (has_any && fstatat(tree->fd, from, &st, AT_SYMLINK_NOFOLLOW) < 0))
        return names != NULL; /* it was only a level of names */
    return rename_place(tree, from, to, error);
}

gboolean maildir_tree_rename(MaildirTree *tree, const char *wire, const char *target,
                             GError **error)
{
    g_autofree char *from = maildir_tree_place(tree, wire, error);
    g_autofree char *to = from ? maildir_tree_place(tree, target, error) : NULL;
    g_autoptr(GPtrArray) wires = NULL;
    gboolean ok;

    if (!to || !check_removable(from, wire, error) || !check_removable(to, target, error))
        return FALSE;
    if (tree->layout == MAILDIR_PLUSPLUS) {
        struct stat st;

        if (fstatat(tree->fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
            return mail_fail(error, MAIL_ERROR_EXISTS, "the folder %s is there already", target);
        ok = rename_beside(tree, from, to, error);
    } else {
        ok = rename_place(tree, from, to, error);
    }
    wires = maildir_tree_list(tree, NULL, NULL); /* for the places */
    return ok;
}
