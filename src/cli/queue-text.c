/* Lines of the queue.  See queue.h. */
#include "cli/queue.h"
#include "base/format.h"
#include "base/json-read.h"

static char *count_messages(JsonObject *entry)
{
    gint64 n = json_read_number(entry, "messages");
    g_autofree char *count = format_count(n);

    return g_strdup_printf("%s message%s", count, n == 1 ? "" : "s");
}

/* What the change is, without what becomes of it. */
static char *describe(JsonObject *entry)
{
    g_autofree char *kind = json_read_text(entry, "kind");
    g_autofree char *mailbox = json_read_text(entry, "mailbox");
    g_autofree char *target = json_read_text(entry, "target");
    g_autofree char *name = json_read_text(entry, "name");
    g_autofree char *messages = count_messages(entry);
    g_autofree char *size = format_size(json_read_number(entry, "size"));
    const char *at = mailbox ? mailbox : "?";

    if (g_strcmp0(kind, "create") == 0)
        return g_strdup_printf("create %s/%s (%s)", at, name ? name : "?", size);
    if (g_strcmp0(kind, "copy") == 0 || g_strcmp0(kind, "move") == 0)
        return g_strdup_printf("%s %s of %s to %s%s%s", kind, messages, at,
                               target ? target : "?", name ? "/" : "", name ? name : "");
    if (g_strcmp0(kind, "expunge") == 0)
        return g_strdup_printf("remove %s of %s", messages, at);
    if (g_strcmp0(kind, "flags") == 0)
        return g_strdup_printf("flags of %s of %s", messages, at);
    return g_strdup_printf("%s %s%s%s", kind ? kind : "change", at, target ? " to " : "",
                           target ? target : "");
}

char *cli_queue_line(JsonObject *entry, gboolean with_account, gint64 now)
{
    g_autofree char *account = json_read_text(entry, "account");
    g_autofree char *state = json_read_text(entry, "state");
    g_autofree char *reason = json_read_text(entry, "reason");
    g_autofree char *age = format_time(MAX(now - json_read_number(entry, "made"), 0));
    g_autofree char *what = describe(entry);

    return g_strdup_printf("%" G_GINT64_FORMAT "%s%s  %-7s  %s  %s%s%s",
                           json_read_number(entry, "id"), with_account ? "  " : "",
                           with_account && account ? account : "", state ? state : "?", age,
                           what, reason ? ": " : "", reason ? reason : "");
}
