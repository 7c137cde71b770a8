/* `mailfs umount`: waits for what is on its way to the server, unmounts, and answers when the mount
 * is really gone, so that what follows in a script may rely on it.
 *
 * What does not go out in time is unmounted all the same: the journal keeps it, and the next mount
 * sends it.  But it is said, and the exit code is that of "try again later". */
#include "base/deadline.h"
#include "base/error.h"
#include "base/json-read.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "cli/queue.h"
#include "config/value.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { DEFAULT_FLUSH_SECONDS = 30, LOOK_AGAIN_MS = 50, MAX_TOLD = 10 };

static guint flush_seconds = DEFAULT_FLUSH_SECONDS;

static gboolean parse_flush(const char *option, const char *value, gpointer data, GError **error)
{
    return !value || config_value_duration(value, &flush_seconds, error);
}

static const GOptionEntry entries[] = {
    {"flush", 0, G_OPTION_FLAG_OPTIONAL_ARG, G_OPTION_ARG_CALLBACK, (gpointer)parse_flush,
     "How long to wait for what is pending, and then for the end (default: 30s)", "TIME"},
    {NULL},
};

/* -- What is pending --------------------------------------------------------------------------- */

static gboolean wait_on(JsonObject *state, gpointer user)
{
    const Deadline *deadline = user;

    if (json_read_number(state, "n") < json_read_number(state, "total"))
        cli_draw_progress("waiting for changes", state);
    return !deadline_passed(*deadline);
}

/* Waits until the server has taken everything.  A daemon that does not answer has nothing that
 * could be waited for: unmounting is what is left to do. */
static void flush(const CliMount *mount)
{
    Deadline deadline = deadline_in(flush_seconds);
    g_autoptr(JsonObject) reply = cli_daemon_ask(mount, "drain", NULL, 0, NULL);
    g_autoptr(JsonObject) state = NULL;

    if (!reply)
        return;
    state = cli_daemon_follow(mount, reply, wait_on, &deadline, NULL);
    cli_draw_progress(NULL, NULL);
}

static JsonArray *read_queue(const CliMount *mount)
{
    g_autoptr(JsonObject) request = json_object_new();
    g_autoptr(JsonObject) reply = NULL;
    JsonArray *queue;

    json_object_set_string_member(request, "command", "queue");
    json_object_set_string_member(request, "verb", "list");
    reply = cli_daemon_send(mount, request, NULL);
    queue = json_read_array(reply, "entries");
    return queue ? json_array_ref(queue) : json_array_new();
}

/* The changes that still wait, of which the first ones are told.  Those that were refused for good
 * wait for a person and not for the network.  Answers how many there are. */
static guint tell_pending(const CliMount *mount)
{
    g_autoptr(JsonArray) queue = read_queue(mount);
    g_autoptr(GString) lines = g_string_new(NULL);
    guint n = 0;

    for (guint i = 0; i < json_array_get_length(queue); i++) {
        JsonObject *entry = json_read_element(queue, i);
        g_autofree char *state = json_read_text(entry, "state");
        g_autofree char *line = NULL;

        if (!entry || g_strcmp0(state, "failed") == 0 || ++n > MAX_TOLD)
            continue;
        line = cli_queue_line(entry, !mount->account, g_get_real_time() / G_USEC_PER_SEC);
        g_string_append_printf(lines, "  %s\n", line);
    }
    if (n > 0)
        fprintf(stderr,
                "mailfs: %u change%s still pending, kept, and sent when %s is mounted again:\n%s%s",
                n, n == 1 ? " is" : "s are", mount->dir, lines->str,
                n > MAX_TOLD ? "  ...\n" : "");
    return n;
}

/* -- The mount --------------------------------------------------------------------------------- */

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

/* The end itself takes no network, but a slow disk perhaps. */
static guint end_seconds(void)
{
    return MAX(flush_seconds, DEFAULT_FLUSH_SECONDS);
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
    Deadline deadline = deadline_in(end_seconds());

    while (pid > 0 && (kill(pid, 0) == 0 || errno == EPERM)) {
        if (deadline_passed(deadline))
            return mail_fail(error, MAIL_ERROR_TIMEOUT,
                             "it is unmounted, but its daemon (process %d) still has work after "
                             "%u seconds; wait longer with --flush=TIME",
                             pid, end_seconds());
        g_usleep(LOOK_AGAIN_MS * 1000);
    }
    return TRUE;
}

static gboolean wait_gone(const char *dir, guint n_before, GError **error)
{
    Deadline deadline = deadline_in(end_seconds());

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
                             dir, end_seconds());
        g_usleep(LOOK_AGAIN_MS * 1000);
    }
}

static gboolean unmount(const CliMount *mount, GPtrArray *mounts, const CliOptions *options,
                        guint *ret_n_pending, GError **error)
{
    g_autoptr(GError) reason = NULL;
    pid_t pid = daemon_pid(mount);

    if (pid > 0)
        flush(mount);
    *ret_n_pending = pid > 0 ? tell_pending(mount) : 0;
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
    guint n_pending;

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
    if (!unmount(mount, mounts, options, &n_pending, &error))
        return cli_fail(error);
    return n_pending == 0 ? EX_OK : EX_TEMPFAIL;
}
