/* Status for people: three or four lines an account.
 *
 *     work  online · idle · INBOX 50 000, 12 unseen
 *     headers [#########-----]  64%  12 400/s  ETA 2s
 *     upload  [####----------]  31%  2 pending (oldest 14s)  1 failed: quota -> mailfs queue
 *     cache   1.2G/2.0G   quota 81%   connections 3/4   password ok
 */
#include "base/status-text.h"
#include "base/json-read.h"
#include "base/format.h"

static void append_inbox(GString *out, JsonObject *account)
{
    JsonArray *mailboxes = json_read_array(account, "mailboxes");
    guint n = mailboxes ? json_array_get_length(mailboxes) : 0;

    for (guint i = 0; i < n; i++) {
        JsonObject *mailbox = json_read_element(mailboxes, i);
        g_autofree char *name = json_read_text(mailbox, "name");
        g_autofree char *messages = NULL, *unseen = NULL;

        if (g_strcmp0(name, "INBOX") != 0)
            continue;
        messages = format_count(json_read_number(mailbox, "messages"));
        unseen = format_count(json_read_number(mailbox, "unseen"));
        g_string_append_printf(out, " · INBOX %s, %s unseen", messages, unseen);
        return;
    }
}

static void append_state(GString *out, JsonObject *account)
{
    g_autofree char *id = json_read_text(account, "id");
    g_autofree char *state = json_read_text(account, "state");
    g_autofree char *reason = json_read_text(account, "reason");
    gboolean is_idle = g_strcmp0(state, "online") == 0 &&
                       !json_read_object(account, "progress") &&
                       json_read_number(json_read_object(account, "upload"), "pending") == 0;

    g_string_append_printf(out, "%s  %s%s%s%s", id ? id : "?", state ? state : "?",
                           reason ? ": " : "", reason ? reason : "", is_idle ? " · idle" : "");
    append_inbox(out, account);
    g_string_append_c(out, '\n');
}

/* An unknown total has no bar, an unknown rate no ETA. */
static void append_progress(GString *out, JsonObject *progress)
{
    gint64 n = json_read_number(progress, "n"), total = json_read_number(progress, "total");
    g_autofree char *what = json_read_text(progress, "what");
    g_autofree char *mailbox = json_read_text(progress, "mailbox");
    g_autofree char *bar = format_bar(n, total);
    g_autofree char *done = format_count(n);
    g_autofree char *rate = format_count(json_read_number(progress, "rate"));
    g_autofree char *eta = format_time(json_read_number(progress, "eta"));

    if (!progress)
        return;
    g_string_append_printf(out, "%-7s %s", what ? what : "work", total > 0 ? bar : done);
    if (json_read_number(progress, "rate") > 0)
        g_string_append_printf(out, "  %s/s  ETA %s", rate, eta);
    if (mailbox)
        g_string_append_printf(out, "  %s", mailbox);
    g_string_append_c(out, '\n');
}

static void append_upload(GString *out, JsonObject *upload)
{
    gint64 pending = json_read_number(upload, "pending");
    gint64 failed = json_read_number(upload, "failed");
    gint64 total = json_read_number(upload, "total");
    g_autofree char *bar = format_bar(json_read_number(upload, "sent"), total);
    g_autofree char *oldest = format_time(json_read_number(upload, "oldest"));
    g_autofree char *reason = json_read_text(upload, "reason");

    if (!upload)
        return;
    g_string_append(out, "upload ");
    if (total > 0)
        g_string_append_printf(out, " %s ", bar);
    if (pending > 0)
        g_string_append_printf(out, " %" G_GINT64_FORMAT " pending (oldest %s)%s", pending,
                               oldest, failed > 0 ? " " : "");
    if (failed > 0)
        g_string_append_printf(out, " %" G_GINT64_FORMAT " failed%s%s -> mailfs queue", failed,
                               reason ? ": " : "", reason ? reason : "");
    g_string_append_c(out, '\n');
}

static void append_resources(GString *out, JsonObject *account)
{
    JsonObject *cache = json_read_object(account, "cache");
    JsonObject *quota = json_read_object(account, "quota");
    g_autofree char *bytes = format_size(json_read_number(cache, "bytes"));
    g_autofree char *max = format_size(json_read_number(cache, "max"));
    g_autofree char *password = json_read_text(account, "password");
    gint64 limit = json_read_number(quota, "limit");

    g_string_append_printf(out, "cache   %s/%s", bytes, max);
    if (limit > 0)
        g_string_append_printf(out, "   quota %d%%",
                               (int)((double)json_read_number(quota, "used") * 100 /
                                     (double)limit));
    if (!account || !json_object_has_member(account, "password") ||
        !json_object_get_null_member(account, "password"))
        g_string_append_printf(out, "   connections %d/%d   password %s",
                               (int)json_read_number(account, "connections"),
                               (int)json_read_number(account, "connections_max"),
                               password ? password : "unknown");
    g_string_append_c(out, '\n');
}

char *status_text(JsonObject *status, const char *account)
{
    g_autoptr(GString) out = g_string_new(NULL);
    JsonArray *accounts = json_read_array(status, "accounts");
    guint n = accounts ? json_array_get_length(accounts) : 0;

    for (guint i = 0; i < n; i++) {
        JsonObject *one = json_read_element(accounts, i);
        g_autofree char *id = json_read_text(one, "id");

        if (account && g_strcmp0(id, account) != 0)
            continue;
        append_state(out, one);
        append_progress(out, json_read_object(one, "progress"));
        append_upload(out, json_read_object(one, "upload"));
        append_resources(out, one);
    }
    if (account && out->len == 0)
        return NULL;
    return g_string_free(g_steal_pointer(&out), FALSE);
}
