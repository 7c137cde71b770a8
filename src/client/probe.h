/* What the probes behind `mailfs check` share: reporting a step, and the way to a server.  See
 * imap-probe.h and pop3-probe.h.
 */
#pragma once

#include <glib.h>

#include "client/session.h"
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

/* Step "connection", and "tls", "certificate" and "key" where TLS begins with the first octet, on a
 * connection of its own: a session does everything in one go, and a refused login should not hide
 * what TLS had to say.  A tunnel has none of these.  @scheme is the URL's ("imap"). */
gboolean probe_try_way(const Probe *probe, const SessionParams *params, const char *scheme,
                       GError **error);

/* Reports that a session could not be opened for @reason, which it takes and hands out.
 * @mechanism: what it had begun to log in with, or NULL.  Always FALSE. */
gboolean probe_fail_open(const Probe *probe, const SessionParams *params, const char *mechanism,
                         GError *reason, GError **error);

/* Reports a session that is open: the steps of TLS where it began in the middle, "login", "server"
 * (its name, or NULL) and "capabilities" (as the server wrote them). */
void probe_say_open(const Probe *probe, const SessionParams *params, NetStream *stream,
                    const char *mechanism, const char *server, const char *capabilities);
