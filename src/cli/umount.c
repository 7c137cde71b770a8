/* `mailfs umount`: unmounts and answers when the mount is really gone, so that what follows in a
 * script may rely on it. */
#include "base/deadline.h"
#include "base/error.h"
#include "base/json-read.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "config/value.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>

enum { DEFAULT_FLUSH_SECONDS = 30, LOOK_AGAIN_MS = 50 };

static guint flush_seconds = DEFAULT_FLUSH_SECONDS;

static gboolean parse_flush(const char *option, const char *value, gpointer data, GError **error)
{
    return !value || config_value_duration(value, &flush_seconds, error);
}

static const GOptionEntry entries[] = {
    {"flush", 0, G_OPTION_FLAG_OPTIONAL_ARG, G_OPTION_ARG_CALLBACK, (gpointer)parse_flush,
     "How long to wait for the end (default: 30s)", "TIME"},
    {NULL},
};

/* One mount fewer on @dir than before: another may lie under it. */
static guint count_mounts(GPtrArray *mounts, const char *dir)
{
    guint n = 0;

    for (guint i = 0; i < mounts->len; i++) {
        const CliMount *mount = g_ptr_array_index(mounts, i);

        n += mount->is_mailfs && g_str_equal(mount->dir, dir);
    }
    return n;
}

/* The process that ends last, or 0 when there is none that answers. */
static pid_t daemon_pid(const CliMount *mount)
{
    g_autoptr(JsonObject) status = cli_daemon_status(mount, NULL);

    return (pid_t)json_read_number(status, "pid");
}

/* The daemon still writes what it knows when the mount is gone already; who mounts again, or
 * copies the cache, must not find it at that. */
static gboolean wait_ended(pid_t pid, GError **error)
{
    Deadline deadline = deadline_in(flush_seconds);

    while (pid > 0 && (kill(pid, 0) == 0 || errno == EPERM)) {
        if (deadline_passed(deadline))
            return mail_fail(error, MAIL_ERROR_TIMEOUT,
                             "it is unmounted, but its daemon (process %d) still has work after "
                             "%u seconds; wait longer with --flush=TIME",
                             pid, flush_seconds);
        g_usleep(LOOK_AGAIN_MS * 1000);
    }
    return TRUE;
}

static gboolean wait_gone(const char *dir, guint n_before, GError **error)
{
    Deadline deadline = deadline_in(flush_seconds);

    while (TRUE) {
        g_autoptr(GPtrArray) mounts = cli_mounts_read(error);

        if (!mounts)
            return FALSE;
        if (count_mounts(mounts, dir) < n_before)
            return TRUE;
        if (deadline_passed(deadline))
            return mail_fail(error, MAIL_ERROR_TIMEOUT,
                             "%s is still mounted after %u seconds; wait longer with "
                             "--flush=TIME, or see what it does with: mailfs status",
                             dir, flush_seconds);
        g_usleep(LOOK_AGAIN_MS * 1000);
    }
}

static gboolean unmount(const CliMount *mount, GPtrArray *mounts, const CliOptions *options,
                        GError **error)
{
    g_autoptr(GError) reason = NULL;
    pid_t pid = daemon_pid(mount);

    if (options->unmount(mount->dir, &reason))
        return wait_gone(mount->dir, count_mounts(mounts, mount->dir), error) &&
               wait_ended(pid, error);
    if (mail_error_is(reason, MAIL_ERROR_BUSY))
        return mail_fail(error, MAIL_ERROR_BUSY,
                         "%s is busy: a program has a file of it open or works in one of its "
                         "directories; find it with: fuser -vm '%s' (or lsof '%s'), end it and "
                         "try again",
                         mount->dir, mount->dir, mount->dir);
    g_propagate_error(error, g_steal_pointer(&reason));
    return FALSE;
}

int cli_main_umount(int argc, char **argv, const CliOptions *options)
{
    g_autoptr(GPtrArray) mounts = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *relative = NULL;
    const CliMount *mount;

    if (!cli_parse(&argc, &argv, entries, 1, 1, &error))
        return cli_usage("umount", error);
    mount = cli_find_mount(argv[1], &relative, &mounts, &error);
    if (!mount)
        return cli_fail(error);
    if (relative[0] != '\0') {
        mail_fail(&error, MAIL_ERROR_INVALID,
                  "%s is a part of the mount on %s; unmount all of it with: mailfs umount %s",
                  argv[1], mount->dir, mount->dir);
        return cli_fail(error);
    }
    return unmount(mount, mounts, options, &error) ? EX_OK : cli_fail(error);
}
