/* The steps of `mailfs check`.  See imap-probe.h. */
#include "client/imap-probe.h"

typedef struct {
    Probe base;
    /* from the server */
    guint n_mailboxes, n_selectable;
    guint64 quota_used_kib, quota_limit_kib;
} ImapProbe;

static void on_list(gpointer user, const ImapListItem *item)
{
    ImapProbe *probe = user;

    if (!item)
        return; /* a line without sense: nothing to count */
    probe->n_mailboxes++;
    if (!(item->flags & (IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT)))
        probe->n_selectable++;
}

/* Of several roots the fullest counts. */
static void on_quota(gpointer user, const char *root, guint64 used_kib, guint64 limit_kib)
{
    ImapProbe *probe = user;

    if (limit_kib == 0)
        return;
    if (probe->quota_limit_kib == 0 || (double)used_kib / (double)limit_kib >
                                           (double)probe->quota_used_kib /
                                               (double)probe->quota_limit_kib) {
        probe->quota_used_kib = used_kib;
        probe->quota_limit_kib = limit_kib;
    }
}

static gboolean try_mailboxes(ImapProbe *probe, ImapSession *session, GError **error)
{
    g_autoptr(ImapCommand) command = imap_command_new("LIST");
    GError *reason = NULL;

    imap_command_string(command, "", 0);
    imap_command_string(command, "*", 1);
    if (!imap_session_run(session, g_steal_pointer(&command), NULL, &reason))
        return probe_fail(&probe->base, "mailboxes", reason, error);
    probe_say(&probe->base, "mailboxes", "%u, of which %u hold messages", probe->n_mailboxes,
              probe->n_selectable);
    return TRUE;
}

static gboolean try_quota(ImapProbe *probe, ImapSession *session, GError **error)
{
    g_autoptr(ImapCommand) command = imap_command_new("GETQUOTAROOT");
    GError *reason = NULL;

    if (!imap_session_has(session, IMAP_CAP_QUOTA)) {
        probe_say(&probe->base, "quota", "the server does not tell");
        return TRUE;
    }
    imap_command_mailbox(command, "INBOX");
    if (!imap_session_run(session, g_steal_pointer(&command), NULL, &reason))
        return probe_fail(&probe->base, "quota", reason, error);
    if (probe->quota_limit_kib == 0)
        probe_say(&probe->base, "quota", "none");
    else
        probe_say(&probe->base, "quota", "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " MiB",
                  probe->quota_used_kib / 1024, probe->quota_limit_kib / 1024);
    return TRUE;
}

static gboolean open_session(ImapProbe *probe, ImapSession *session, const SessionParams *params,
                             GError **error)
{
    GError *reason = NULL;

    if (!imap_session_open(session, &reason))
        return probe_fail_open(&probe->base, params, imap_session_mechanism(session), reason,
                               error);
    probe_say_open(&probe->base, params, imap_session_stream(session),
                   imap_session_mechanism(session), imap_session_server_id(session),
                   imap_session_capabilities(session));
    return TRUE;
}

gboolean imap_probe_run(const SessionParams *params, ProbeReport report, gpointer user,
                        GError **error)
{
    static const ImapHandler handler = {.list = on_list, .quota = on_quota};
    ImapProbe probe = {.base = {report, user}};
    g_autoptr(ImapSession) session = NULL;
    gboolean ok;

    if (!probe_try_way(&probe.base, params, "imap", error))
        return FALSE;
    session = imap_session_new(params, &handler, &probe);
    ok = open_session(&probe, session, params, error) &&
         try_mailboxes(&probe, session, error) && try_quota(&probe, session, error);
    if (ok)
        imap_session_logout(session);
    return ok;
}
