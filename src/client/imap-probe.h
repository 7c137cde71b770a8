/* A look at an account step by step, for `mailfs check`: connection, TLS, greeting, login,
 * capabilities, mailboxes, quota.
 *
 * It stops at the first step that fails, for the later ones stand on it.  It changes nothing on
 * the server.
 */
#pragma once

#include <glib.h>

#include "client/imap-session.h"
#include "client/probe.h"

/* Blocks; every step has its deadline.  FALSE when a step failed: the report has said which and
 * why, and @error has the same (its code is for the exit code). */
gboolean imap_probe_run(const SessionParams *params, ProbeReport report, gpointer user,
                        GError **error);
