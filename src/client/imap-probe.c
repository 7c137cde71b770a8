/* The steps of `mailfs check`.  See imap-probe.h.
 *
 * The way to the server is tried with a connection of its own first: a session does everything
 * in one go, and a refused login should not hide what TLS had to say.
 */
#include "client/imap-probe.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/text.h"
#include "net/stream.h"

#include <string.h>

enum { SECONDS_A_DAY = 24 * 60 * 60, RENEW_DAYS = 14 };

typedef struct {
    ImapProbeReport report;
    gpointer user;
    /* from the server */
    guint n_mailboxes, n_selectable;
    guint64 quota_used_kib, quota_limit_kib;
} Probe;

static void say(Probe *probe, const char *step, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void say(Probe *probe, const char *step, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    probe->report(probe->user, step, TRUE, text);
}

static gboolean fail(Probe *probe, const char *step, GError *reason, GError **error)
{
    probe->report(probe->user, step, FALSE, reason->message);
    g_propagate_error(error, reason);
    return FALSE;
}

/* -- The way ----------------------------------------------------------------------------------- */

static void say_tls(Probe *probe, NetStream *stream)
{
    g_autofree char *version = net_stream_tls_version(stream);
    g_autofree char *pin = net_stream_tls_pin(stream);
    gint64 expiry = net_stream_tls_expiry(stream);
    gint64 days = (expiry - g_get_real_time() / G_USEC_PER_SEC) / SECONDS_A_DAY;
    g_autoptr(GDateTime) end = g_date_time_new_from_unix_utc(expiry);
    g_autofree char *date = end ? g_date_time_format(end, "%Y-%m-%d") : NULL;

    say(probe, "tls", "%s", version ? version : "unknown version");
    say(probe, "certificate", "until %s, %d days%s", date ? date : "?", (int)days,
        days < RENEW_DAYS ? ": it ends soon, the server's owner should renew it" : "");
    say(probe, "key", "%s", pin ? pin : "unknown");
}

/* With TLS from the first byte a connection has two steps; which failed is told by the code: a
 * certificate is DENIED, a broken handshake PROTOCOL. */
static gboolean try_way(Probe *probe, const ImapSessionParams *params, GError **error)
{
    const Endpoint *endpoint = params->endpoint;
    g_autofree char *server = endpoint_describe(endpoint, "imap");
    g_autoptr(NetStream) stream = NULL;
    GError *reason = NULL;

    stream = net_stream_connect(endpoint, params->account, params->cancel,
                                deadline_in(2 * LIMIT_CONNECT_SECONDS), &reason);
    if (!stream && (mail_error_is(reason, MAIL_ERROR_DENIED) ||
                    mail_error_is(reason, MAIL_ERROR_PROTOCOL)))
        return fail(probe, "tls", reason, error);
    if (!stream)
        return fail(probe, "connection", reason, error);
    say(probe, "connection", "%s", server);
    if (net_stream_is_tls(stream))
        say_tls(probe, stream);
    return TRUE;
}

/* -- The session ------------------------------------------------------------------------------- */

/* A session that failed tells by what it knows, and by its error, how far it came. */
static const char *failed_step(const ImapSession *session, const Endpoint *endpoint,
                               const GError *reason)
{
    if (mail_error_is(reason, MAIL_ERROR_AUTH) || mail_error_is(reason, MAIL_ERROR_LOCKED) ||
        mail_error_is(reason, MAIL_ERROR_UNSUPPORTED) || imap_session_mechanism(session))
        return "login";
    if (endpoint->security == SECURITY_STARTTLS && mail_error_is(reason, MAIL_ERROR_DENIED))
        return "tls"; /* a certificate */
    return "greeting";
}

static gboolean open_session(Probe *probe, ImapSession *session,
                             const ImapSessionParams *params, GError **error)
{
    const char *id, *capabilities;
    g_autofree char *shown = NULL;
    GError *reason = NULL;

    if (!imap_session_open(session, &reason))
        return fail(probe, failed_step(session, params->endpoint, reason), reason, error);
    if (params->endpoint->security == SECURITY_STARTTLS)
        say_tls(probe, imap_session_stream(session));
    say(probe, "login", "%s as %s",
        imap_session_mechanism(session) ? imap_session_mechanism(session) : "nothing asked",
        params->user ? params->user : "the tunnel's user");
    id = imap_session_server_id(session);
    say(probe, "server", "%s", id ? id : "does not tell its name");
    capabilities = imap_session_capabilities(session);
    shown = text_printable(capabilities, strlen(capabilities), LIMIT_IMAP_COMMAND);
    say(probe, "capabilities", "%s", shown);
    return TRUE;
}

static void on_list(gpointer user, const ImapListItem *item)
{
    Probe *probe = user;

    if (!item)
        return; /* a line without sense: nothing to count */
    probe->n_mailboxes++;
    if (!(item->flags & (IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT)))
        probe->n_selectable++;
}

/* Of several roots the fullest counts. */
static void on_quota(gpointer user, const char *root, guint64 used_kib, guint64 limit_kib)
{
    Probe *probe = user;

    if (limit_kib == 0)
        return;
    if (probe->quota_limit_kib == 0 || (double)used_kib / (double)limit_kib >
                                           (double)probe->quota_used_kib /
                                               (double)probe->quota_limit_kib) {
        probe->quota_used_kib = used_kib;
        probe->quota_limit_kib = limit_kib;
    }
}

static gboolean try_mailboxes(Probe *probe, ImapSession *session, GError **error)
{
    g_autoptr(ImapCommand) command = imap_command_new("LIST");
    GError *reason = NULL;

    imap_command_string(command, "", 0);
    imap_command_string(command, "*", 1);
    if (!imap_session_run(session, g_steal_pointer(&command), NULL, &reason))
        return fail(probe, "mailboxes", reason, error);
    say(probe, "mailboxes", "%u, of which %u hold messages", probe->n_mailboxes,
        probe->n_selectable);
    return TRUE;
}

static gboolean try_quota(Probe *probe, ImapSession *session, GError **error)
{
    g_autoptr(ImapCommand) command = imap_command_new("GETQUOTAROOT");
    GError *reason = NULL;

    if (!imap_session_has(session, IMAP_CAP_QUOTA)) {
        say(probe, "quota", "the server does not tell");
        return TRUE;
    }
    imap_command_mailbox(command, "INBOX");
    if (!imap_session_run(session, g_steal_pointer(&command), NULL, &reason))
        return fail(probe, "quota", reason, error);
    if (probe->quota_limit_kib == 0)
        say(probe, "quota", "none");
    else
        say(probe, "quota", "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " MiB",
            probe->quota_used_kib / 1024, probe->quota_limit_kib / 1024);
    return TRUE;
}

gboolean imap_probe_run(const ImapSessionParams *params, ImapProbeReport report, gpointer user,
                        GError **error)
{
    static const ImapHandler handler = {.list = on_list, .quota = on_quota};
    Probe probe = {.report = report, .user = user};
    g_autoptr(ImapSession) session = NULL;
    gboolean ok;

    if (params->endpoint->security != SECURITY_TUNNEL && !try_way(&probe, params, error))
        return FALSE;
    session = imap_session_new(params, &handler, &probe);
    ok = open_session(&probe, session, params, error) &&
         try_mailboxes(&probe, session, error) && try_quota(&probe, session, error);
    if (ok)
        imap_session_logout(session);
    return ok;
}
