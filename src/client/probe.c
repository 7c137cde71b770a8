/* Steps of `mailfs check` that know no protocol.  See probe.h. */
#include "client/probe.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

enum { SECONDS_A_DAY = 24 * 60 * 60, RENEW_DAYS = 14, SHOWN_CAPABILITIES = 8192 /* octets */ };

void probe_say(const Probe *probe, const char *step, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    probe->report(probe->user, step, TRUE, text);
}

gboolean probe_fail(const Probe *probe, const char *step, GError *reason, GError **error)
{
    probe->report(probe->user, step, FALSE, reason->message);
    g_propagate_error(error, reason);
    return FALSE;
}

static void say_tls(const Probe *probe, NetStream *stream)
{
    g_autofree char *version = net_stream_tls_version(stream);
    g_autofree char *pin = net_stream_tls_pin(stream);
    gint64 expiry = net_stream_tls_expiry(stream);
    gint64 days = (expiry - g_get_real_time() / G_USEC_PER_SEC) / SECONDS_A_DAY;
    g_autoptr(GDateTime) end = g_date_time_new_from_unix_utc(expiry);
    g_autofree char *date = end ? g_date_time_format(end, "%Y-%m-%d") : NULL;

    probe_say(probe, "tls", "%s", version ? version : "unknown version");
    probe_say(probe, "certificate", "until %s, %d days%s", date ? date : "?", (int)days,
              days < RENEW_DAYS ? ": it ends soon, the server's owner should renew it" : "");
    probe_say(probe, "key", "%s", pin ? pin : "unknown");
}

/* With TLS from the first byte a connection has two steps; which failed is told by the code: a
 * certificate is DENIED, a broken handshake PROTOCOL. */
gboolean probe_try_way(const Probe *probe, const SessionParams *params, const char *scheme,
                       GError **error)
{
    g_autofree char *server = endpoint_describe(params->endpoint, scheme);
    g_autoptr(NetStream) stream = NULL;
    GError *reason = NULL;

    if (params->endpoint->security == SECURITY_TUNNEL)
        return TRUE;
    stream = net_stream_connect(params->endpoint, params->account, params->cancel,
                                deadline_in(2 * LIMIT_CONNECT_SECONDS), &reason);
    if (!stream && (mail_error_is(reason, MAIL_ERROR_DENIED) ||
                    mail_error_is(reason, MAIL_ERROR_PROTOCOL)))
        return probe_fail(probe, "tls", reason, error);
    if (!stream)
        return probe_fail(probe, "connection", reason, error);
    probe_say(probe, "connection", "%s", server);
    if (net_stream_is_tls(stream))
        say_tls(probe, stream);
    return TRUE;
}

/* A session that failed tells by what it knows, and by its error, how far it came. */
gboolean probe_fail_open(const Probe *probe, const SessionParams *params, const char *mechanism,
                         GError *reason, GError **error)
{
    const char *step = "greeting";

    if (mechanism || mail_error_is(reason, MAIL_ERROR_AUTH) ||
        mail_error_is(reason, MAIL_ERROR_LOCKED) || mail_error_is(reason, MAIL_ERROR_UNSUPPORTED))
        step = "login";
    else if (params->endpoint->security == SECURITY_STARTTLS &&
             mail_error_is(reason, MAIL_ERROR_DENIED))
        step = "tls"; /* a certificate */
    return probe_fail(probe, step, reason, error);
}

void probe_say_open(const Probe *probe, const SessionParams *params, NetStream *stream,
                    const char *mechanism, const char *server, const char *capabilities)
{
    g_autofree char *shown =
        text_printable(capabilities, strlen(capabilities), SHOWN_CAPABILITIES);

    if (params->endpoint->security == SECURITY_STARTTLS)
        say_tls(probe, stream);
    probe_say(probe, "login", "%s as %s", mechanism ? mechanism : "nothing asked",
              params->user ? params->user : "the tunnel's user");
    probe_say(probe, "server", "%s", server ? server : "does not tell its name");
    probe_say(probe, "capabilities", "%s", *shown ? shown : "the server does not tell");
}
