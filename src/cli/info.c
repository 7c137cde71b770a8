/* `mailfs info`: what the daemon knows of a message or a mailbox, without fetching it. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "cli/queue.h"
#include "base/json-read.h"
#include "base/format.h"

#include <limits.h>
#include <stdio.h>
#include <sysexits.h>

/* ["\\Seen","\\Flagged"] as "\Seen \Flagged". */
static char *join(JsonObject *info, const char *member)
{
    JsonArray *array = json_read_array(info, member);
    guint n = array ? json_array_get_length(array) : 0;
    g_autoptr(GString) out = g_string_new(NULL);

    for (guint i = 0; i < n; i++) {
        g_autofree char *text = json_read_text_element(array, i);

        g_string_append_printf(out, "%s%s", i ? " " : "", text ? text : "?");
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static void print_text(const char *label, const char *text)
{
    if (text && text[0] != '\0')
        printf("%-12s %s\n", label, text);
}

static void print_mailbox(const char *dir, JsonObject *info)
{
    g_autofree char *mailbox = json_read_text(info, "mailbox");
    g_autofree char *messages = format_count(json_read_number(info, "messages"));
    g_autofree char *unseen = format_count(json_read_number(info, "unseen"));

    print_text("directory", dir);
    print_text("mailbox", mailbox);
    printf("%-12s %" G_GINT64_FORMAT "\n", "uidvalidity",
           json_read_number(info, "uidvalidity"));
    printf("%-12s %s, %s unseen\n", "messages", messages, unseen);
    print_text("listed", json_read_true(info, "listed") ? "yes" : "no");
}

/* What is on its way to the server, or was refused. */
static void print_change(JsonObject *change)
{
    g_autofree char *line = cli_queue_line(change, FALSE, g_get_real_time() / G_USEC_PER_SEC);

    if (change)
        print_text("change", line);
}

static void print_message(const char *file, JsonObject *info)
{
    g_autofree char *mailbox = json_read_text(info, "mailbox");
    g_autofree char *date = json_read_text(info, "date");
    g_autofree char *flags = join(info, "flags");
    g_autofree char *keywords = join(info, "keywords");
    g_autofree char *size = format_count(json_read_number(info, "size"));
    g_autofree char *state = json_read_text(info, "state");

    print_text("file", file);
    print_text("mailbox", mailbox);
    if (json_object_has_member(info, "uid"))
        printf("%-12s %" G_GINT64_FORMAT " (UIDVALIDITY %" G_GINT64_FORMAT ")\n", "uid",
               json_read_number(info, "uid"), json_read_number(info, "uidvalidity"));
    print_text("state", state);
    printf("%-12s %s bytes%s\n", "size", size,
            json_read_true(info, "size_exact") ? "" : " (as the server says)");
    print_text("date", date);
    print_text("flags", flags);
    print_text("keywords", keywords);
    print_text("cached", json_read_true(info, "cached") ? "yes" : "no");
    print_change(json_read_object(info, "change"));
    printf("%-12s %" G_GINT64_FORMAT "\n", "inode", json_read_number(info, "inode"));
}

static gboolean show(const char *file, GError **error)
{
    g_autoptr(GPtrArray) mounts = NULL;
    g_autoptr(JsonObject) info = NULL;
    g_autofree char *relative = NULL;
    const CliMount *mount = cli_find_mount(file, &relative, &mounts, error);

    if (!mount)
        return FALSE;
    info = cli_daemon_ask(mount, "info", relative, 0, error);
    if (!info)
        return FALSE;
    if (json_object_has_member(info, "state"))
        print_message(file, info);
    else
        print_mailbox(file, info);
    return TRUE;
}

int cli_main_info(int argc, char **argv, const CliOptions *options)
{
    g_autoptr(GError) usage = NULL;
    int code = EX_OK;

    if (!cli_parse(&argc, &argv, NULL, 1, INT_MAX, &usage))
        return cli_usage("info", usage);
    for (int i = 1; i < argc; i++) {
        g_autoptr(GError) error = NULL;

        if (i > 1)
            printf("\n");
        if (!show(argv[i], &error)) {
            int this_code = cli_fail(error);

            code = code ? code : this_code;
        }
    }
    return code;
}
