/* A look at a POP3 account step by step, for `mailfs check`: connection, TLS, greeting, login,
 * capabilities, messages, and what mailfs can make of the server.
 *
 * It stops at the first step that fails, for the later ones stand on it.  It changes nothing on
 * the server.
 */
#pragma once

#include <glib.h>

#include "client/pop3-session.h"
#include "client/probe.h"

/* Blocks; every step has its deadline.  FALSE when a step failed: the report has said which and
 * why, and @error has the same (its code is for the exit code). */
gboolean pop3_probe_run(const SessionParams *params, ProbeReport report, gpointer user,
                        GError **error);
