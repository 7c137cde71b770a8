/* `mailfs status`: the daemons' status.json, for people or as it is.
 *
 * With -w it goes on: on a terminal the text is drawn over the one before, elsewhere it is
 * printed again when it has changed.
 */
#include "cli/commands.h"
#include "cli/daemon.h"
#include "base/status-text.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static gboolean do_watch, do_json;

static const GOptionEntry entries[] = {
    {"watch", 'w', 0, G_OPTION_ARG_NONE, &do_watch, "Go on until interrupted", NULL},
    {"json", 0, 0, G_OPTION_ARG_NONE, &do_json, "One JSON object a mount, one a line", NULL},
    {NULL},
};

static gboolean append_mount(GString *out, const CliMount *mount, const char *account,
                             GError **error)
{
    g_autoptr(JsonObject) status = cli_daemon_status(mount, error);
    g_autofree char *text = NULL;

    if (!status)
        return FALSE;
    if (do_json) {
        g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);

        json_node_set_object(root, status);
        text = json_to_string(root, FALSE);
        g_string_append_printf(out, "%s\n", text);
        return TRUE;
    }
    text = status_text(status, account);
    if (!text)
        return mail_fail(error, MAIL_ERROR_GONE, "%s has no account '%s'", mount->dir, account);
    g_string_append(out, text);
    return TRUE;
}

/* One mount's trouble must not hide the others: it is a line among theirs, but for JSON. */
static gboolean append_all(GString *out, GPtrArray *mounts, GError **error)
{
    guint n = 0;

    for (guint i = 0; i < mounts->len; i++) {
        const CliMount *mount = g_ptr_array_index(mounts, i);
        g_autoptr(GError) reason = NULL;

        if (!cli_mount_is_mine(mount))
            continue;
        n++;
        if (append_mount(out, mount, NULL, &reason))
            continue;
        if (do_json)
            cli_fail(reason);
        else
            g_string_append_printf(out, "%s\n", reason->message);
    }
    return n > 0 || cli_mounts_fail_none(error);
}

/* A shared mount shows all its accounts, unless the argument leads into one. */
static char *read_status(const char *argument, GError **error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GPtrArray) mounts = cli_mounts_read(error);
    g_autofree char *relative = NULL, *account = NULL;
    const CliMount *mount;
    gboolean ok;

    if (!mounts)
        return NULL;
    if (argument) {
        mount = cli_mounts_find(mounts, argument, &relative, error);
        if (!mount)
            return NULL;
        if (!mount->account && relative[0] != '\0')
            account = g_strndup(relative, strcspn(relative, "/"));
        ok = append_mount(out, mount, account, error);
    } else {
        ok = append_all(out, mounts, error);
    }
    return ok ? g_string_free(g_steal_pointer(&out), FALSE) : NULL;
}

/* Moves back over the @n_lines drawn before and clears them.  A line wider than the terminal
 * wraps and leaves a rest behind, so wrapping is off while we draw. */
static void draw(const char *text, guint *n_lines)
{
    if (*n_lines > 0)
        printf("\033[%uA", *n_lines);
    printf("\r\033[J\033[?7l%s\033[?7h", text);
    *n_lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        (*n_lines)++;
}

int cli_main_status(int argc, char **argv, const CliOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *last = NULL;
    guint n_lines = 0;

    if (!cli_parse(&argc, &argv, entries, 0, 1, &error))
        return cli_usage("status", error);
    while (TRUE) {
        g_autofree char *text = read_status(argc > 1 ? argv[1] : NULL, &error);

        if (!text)
            return cli_fail(error);
        if (do_watch && !do_json && isatty(STDOUT_FILENO))
            draw(text, &n_lines);
        else if (g_strcmp0(text, last) != 0)
            printf("%s", text);
        fflush(stdout);
        if (!do_watch)
            return EX_OK;
        g_free(last);
        last = g_steal_pointer(&text);
        g_usleep(G_USEC_PER_SEC);
    }
}
