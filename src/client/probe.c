/* Steps of `mailfs check` that know no protocol.  See probe.h. */
#include "client/probe.h"
#include "base/error.h"
#include "base/limits.h"

enum { SECONDS_A_DAY = 24 * 60 * 60, RENEW_DAYS = 14 };

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

void probe_say_tls(const Probe *probe, NetStream *stream)
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
gboolean probe_try_way(const Probe *probe, const Endpoint *endpoint, const char *protocol,
                       const char *name, Cancel *cancel, GError **error)
{
    g_autofree char *server = endpoint_describe(endpoint, protocol);
    g_autoptr(NetStream) stream = NULL;
    GError *reason = NULL;

    stream = net_stream_connect(endpoint, name, cancel, deadline_in(2 * LIMIT_CONNECT_SECONDS),
                                &reason);
    if (!stream && (mail_error_is(reason, MAIL_ERROR_DENIED) ||
                    mail_error_is(reason, MAIL_ERROR_PROTOCOL)))
        return probe_fail(probe, "tls", reason, error);
    if (!stream)
        return probe_fail(probe, "connection", reason, error);
    probe_say(probe, "connection", "%s", server);
    if (net_stream_is_tls(stream))
        probe_say_tls(probe, stream);
    return TRUE;
}
