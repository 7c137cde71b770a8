/* What the probes behind `mailfs check` share: reporting a step, and the way to a server.  See
 * imap-probe.h and pop3-probe.h.
 */
#pragma once

#include <glib.h>

#include "base/cancel.h"
#include "base/endpoint.h"
#include "net/stream.h"

/* @step: "connection", "tls", "login", ...  @text: what was found, fit for a terminal, or with
 * @ok FALSE the reason and its remedy. */
typedef void (*ProbeReport)(gpointer user, const char *step, gboolean ok, const char *text);

typedef struct {
    ProbeReport report;
    gpointer user;
} Probe;

/* Reports a step that went well. */
void probe_say(const Probe *probe, const char *step, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Reports a step that failed for @reason, which it takes and hands out.  Always FALSE. */
gboolean probe_fail(const Probe *probe, const char *step, GError *reason, GError **error);

/* Steps "tls", "certificate" and "key" of a stream with TLS. */
void probe_say_tls(const Probe *probe, NetStream *stream);

/* Step "connection", and those of TLS where it begins with the first octet, on a connection of its
 * own: a session does everything in one go, and a refused login should not hide what TLS had to
 * say.  @protocol is the URL's ("imap"). */
gboolean probe_try_way(const Probe *probe, const Endpoint *endpoint, const char *protocol,
                       const char *name, Cancel *cancel, GError **error);
