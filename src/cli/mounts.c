/* Finds a user's mount in the table of mounts.  See mounts.h.
 *
 * Paths are compared as text first, and only then resolved: a mount whose daemon is dead answers
 * no system call, and it is the one that must be found to be unmounted.
 */
#include "cli/mounts.h"
#include "base/error.h"
#include "base/mountinfo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void mount_free(gpointer data)
{
    CliMount *mount = data;

    g_free(mount->dir);
    g_free(mount->account);
    g_free(mount);
}

static CliMount *mount_new(const MountinfoEntry *entry)
{
    CliMount *mount = g_new0(CliMount, 1);

    mount->dir = g_strdup(entry->dir);
    mount->is_mailfs = g_str_equal(entry->type, MOUNTINFO_TYPE);
    mount->uid = entry->user;
    if (mount->is_mailfs && g_str_has_prefix(entry->source, MOUNTINFO_SOURCE_OF))
        mount->account = g_strdup(entry->source + strlen(MOUNTINFO_SOURCE_OF));
    return mount;
}

GPtrArray *cli_mounts_new(const GPtrArray *entries)
{
    GPtrArray *mounts = g_ptr_array_new_with_free_func(mount_free);

    for (guint i = 0; i < entries->len; i++)
        g_ptr_array_add(mounts, mount_new(g_ptr_array_index(entries, i)));
    return mounts;
}

GPtrArray *cli_mounts_read(GError **error)
{
    g_autoptr(GPtrArray) entries = mountinfo_read(error);

    return entries ? cli_mounts_new(entries) : NULL;
}

/* What is left of @path below @dir; NULL when it is not below. */
static const char *below(const char *dir, const char *path)
{
    gsize length = strlen(dir);

    if (g_str_equal(dir, "/"))
        return path + 1;
    if (strncmp(dir, path, length) != 0 || (path[length] != '\0' && path[length] != '/'))
        return NULL;
    return path[length] ? path + length + 1 : path + length;
}

const CliMount *cli_mounts_by_path(GPtrArray *mounts, const char *path, char **ret_relative)
{
    const CliMount *deepest = NULL;

    for (guint i = 0; i < mounts->len; i++) {
        const CliMount *mount = g_ptr_array_index(mounts, i);

        if (below(mount->dir, path) && (!deepest || strlen(mount->dir) >= strlen(deepest->dir)))
            deepest = mount;
    }
    if (!deepest || !deepest->is_mailfs)
        return NULL;
    if (ret_relative)
        *ret_relative = g_strdup(below(deepest->dir, path));
    return deepest;
}

const CliMount *cli_mounts_by_account(GPtrArray *mounts, const char *id)
{
    const CliMount *others = NULL;

    for (guint i = mounts->len; i > 0; i--) {
        const CliMount *mount = g_ptr_array_index(mounts, i - 1);

        if (!mount->is_mailfs || g_strcmp0(mount->account, id) != 0)
            continue;
        if (mount->uid == geteuid())
            return mount;
        if (!others)
            others = mount;
    }
    return others;
}

gboolean cli_mount_is_mine(const CliMount *mount)
{
    return mount->is_mailfs && (mount->uid == geteuid() || geteuid() == 0);
}

gboolean cli_mounts_fail_none(GError **error)
{
    return mail_fail(error, MAIL_ERROR_OFFLINE,
                     "nothing is mounted; mount an account with: mailfs mount ACCOUNT DIR");
}

static const CliMount *only_mount(GPtrArray *mounts, GError **error)
{
    const CliMount *only = NULL;

    for (guint i = 0; i < mounts->len; i++) {
        const CliMount *mount = g_ptr_array_index(mounts, i);

        if (!cli_mount_is_mine(mount))
            continue;
        if (only) {
            mail_fail(error, MAIL_ERROR_INVALID,
                      "several accounts are mounted (on %s and on %s); say which one", only->dir,
                      mount->dir);
            return NULL;
        }
        only = mount;
    }
    if (!only)
        cli_mounts_fail_none(error);
    return only;
}

/* The mount of all accounts that has a directory for the account @id. */
static const CliMount *shared_mount(GPtrArray *mounts, const char *id)
{
    for (guint i = mounts->len; i > 0; i--) {
        const CliMount *mount = g_ptr_array_index(mounts, i - 1);
        g_autofree char *dir = g_build_filename(mount->dir, id, NULL);

        if (mount->is_mailfs && !mount->account && !strchr(id, '/') &&
            g_file_test(dir, G_FILE_TEST_IS_DIR))
            return mount;
    }
    return NULL;
}

const CliMount *cli_mounts_serving(GPtrArray *mounts, const char *id)
{
    const CliMount *alone = cli_mounts_by_account(mounts, id);

    return alone ? alone : shared_mount(mounts, id);
}

const CliMount *cli_mounts_find(GPtrArray *mounts, const char *argument, char **ret_relative,
                                GError **error)
{
    const CliMount *mount = argument ? cli_mounts_by_account(mounts, argument)
                                     : only_mount(mounts, error);
    g_autofree char *path = argument ? g_canonicalize_filename(argument, NULL) : NULL;
    g_autofree char *resolved = NULL;

    if (mount && ret_relative)
        *ret_relative = g_strdup("");
    if (mount || !argument)
        return mount;
    mount = cli_mounts_by_path(mounts, path, ret_relative);
    if (mount)
        return mount;
    resolved = realpath(path, NULL); /* a link on the way */
    if (resolved)
        mount = cli_mounts_by_path(mounts, resolved, ret_relative);
    if (mount)
        return mount;
    mount = shared_mount(mounts, argument);
    if (mount) {
        if (ret_relative)
            *ret_relative = g_strdup(argument);
        return mount;
    }
    if (!resolved && strchr(argument, '/'))
        mail_fail_errno(error, errno, "cannot find %s", argument);
    else
        mail_fail(error, MAIL_ERROR_OFFLINE,
                  "'%s' is neither a mounted account nor a path in one; mount it with: "
                  "mailfs mount ACCOUNT DIR",
                  argument);
    return NULL;
}
