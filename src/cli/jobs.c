/* `mailfs sync`, `fetch` and `evict`: work that the daemon does and that takes its time.
 *
 * The daemon answers with a job's number at once, and is then asked how far it has come.  An
 * interrupt ends the asking, not the work.
 */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "base/json-read.h"
#include "base/format.h"

#include <limits.h>
#include <stdio.h>
#include <sysexits.h>

static gboolean draw(JsonObject *state, gpointer what)
{
    cli_draw_progress(what, state);
    return TRUE;
}

static gboolean report(const char *command, const char *argument, JsonObject *result,
                       GError **error)
{
    g_autofree char *n = format_count(json_read_number(result, "n"));
    g_autofree char *reason = json_read_text(result, "error");
    gint64 failed = json_read_number(result, "failed");

    if (reason)
        return mail_fail(error, MAIL_ERROR_BUSY, "%s %s: %s", command, argument, reason);
    if (failed > 0)
        return mail_fail(error, MAIL_ERROR_BUSY,
                         "%s %s: %" G_GINT64_FORMAT " failed, %s done; try again, or see the "
                         "log of the daemon",
                         command, argument, failed, n);
    printf("%s %s: %s done\n", command, argument, n);
    return TRUE;
}

static gboolean run_one(const char *command, const char *argument, GError **error)
{
    g_autoptr(GPtrArray) mounts = NULL;
    g_autoptr(JsonObject) reply = NULL, state = NULL;
    g_autofree char *relative = NULL, *what = NULL;
    const CliMount *mount = cli_find_mount(argument, &relative, &mounts, error);

    if (!mount)
        return FALSE;
    argument = argument ? argument : mount->dir;
    what = g_strdup_printf("%s %s", command, argument);
    reply = cli_daemon_ask(mount, command, relative, 0, error);
    if (reply)
        state = cli_daemon_follow(mount, reply, draw, what, error);
    cli_draw_progress(what, NULL);
    if (!state) {
        g_prefix_error(error, "%s: ", what);
        return FALSE;
    }
    return report(command, argument, state, error);
}

/* All are tried; the first failure gives the exit code. */
static int run_all(int argc, char **argv, int min)
{
    const char *command = argv[0];
    g_autoptr(GError) usage = NULL;
    int code = EX_OK;

    if (!cli_parse(&argc, &argv, NULL, min, INT_MAX, &usage))
        return cli_usage(command, usage);
    for (int i = 1; i < MAX(argc, 2); i++) {
        g_autoptr(GError) error = NULL;

        if (!run_one(command, i < argc ? argv[i] : NULL, &error)) {
            int this_code = cli_fail(error);

            code = code ? code : this_code;
        }
    }
    return code;
}

int cli_main_sync(int argc, char **argv, const CliOptions *options)
{
    return run_all(argc, argv, 0);
}

int cli_main_fetch(int argc, char **argv, const CliOptions *options)
{
    return run_all(argc, argv, 1);
}

int cli_main_evict(int argc, char **argv, const CliOptions *options)
{
    return run_all(argc, argv, 1);
}
