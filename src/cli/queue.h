/* The queue of changes for people: lines for entries as store/queue-json.h writes them. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/* "12  failed   3m 10s  create INBOX/x.eml (12K): SENTENCE"; with @with_account its id after the
 * number.  @now: Unix time.  The caller owns it. */
char *cli_queue_line(JsonObject *entry, gboolean with_account, gint64 now);
