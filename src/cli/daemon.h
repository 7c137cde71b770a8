/* Speaking to the daemon of a mount through the files of its `.mailfs` directory.
 *
 * `control` takes one JSON request and gives one JSON reply on the same handle; `status.json` is
 * read.  The daemon answers both from memory, so LIMIT_CONTROL_SECONDS without an answer mean
 * that its main loop hangs: TIMEOUT.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

#include "cli/mounts.h"

/* Sends {"command":@command}, with "path" unless it is NULL and "job" unless it is 0.  Returns
 * the reply, which says "ok":true; the caller owns the reference.  A reply that says false
 * becomes an error of its "code" and "error". */
JsonObject *cli_daemon_ask(const CliMount *mount, const char *command, const char *path,
                           gint64 job, GError **error);

/* The same with a request of more members.  TOOBIG beyond LIMIT_CONTROL_REQUEST. */
JsonObject *cli_daemon_send(const CliMount *mount, JsonObject *request, GError **error);

/* Follows the job that @reply gave a number of, until it is done; its last state, which the caller
 * owns.  @progress (may be NULL) is called with each state before and may end the waiting by
 * FALSE: then the last state says that it is not done. */
typedef gboolean (*CliProgress)(JsonObject *state, gpointer user);
JsonObject *cli_daemon_follow(const CliMount *mount, JsonObject *reply, CliProgress progress,
                              gpointer user, GError **error);

/* On a terminal, one line about a job's state that is drawn over; @state NULL clears it. */
void cli_draw_progress(const char *what, JsonObject *state);

/* status.json.  The caller owns the reference. */
JsonObject *cli_daemon_status(const CliMount *mount, GError **error);

/* Opens the file @name of `.mailfs` below the mount point @dir; -1 on failure, with the remedy
 * where the daemon is dead.  It may wait as long as the daemon does. */
int cli_daemon_open(const char *dir, const char *name, int flags, GError **error);

/* What "code" and "error" of @object say, as an error. */
GError *cli_daemon_error(JsonObject *object);

/* The reply in @text, as described above; for cli_daemon_ask() and its tests. */
JsonObject *cli_daemon_parse_reply(const char *text, gsize length, GError **error);
