/* Where messages go: GLib's structured log, written by us.
 *
 * Warnings and g_message() are always shown, states (g_info) with -v, the protocol (g_debug)
 * with -vv or for the folders named in G_MESSAGES_DEBUG.
 */
#pragma once

#include <glib.h>

/* Writes to standard error from now on; once, before any message. */
void log_init(int verbosity);

/* More -v. */
void log_set_verbosity(int verbosity);

/* Writes to the system's log from now on (syslog(3): journald or a syslog daemon). */
void log_to_syslog(void);

/* Appends to @path from now on, which is made with 0600. */
gboolean log_to_file(const char *path, GError **error);

/* The descriptor of that file; -1 when messages go elsewhere. */
int log_fd(void);
