/* Entries of the queue as JSON: for .mailfs/control, for status.json, and for `mailfs queue` where
 * no daemon is. */
#pragma once

#include <json-glib/json-glib.h>

#include "store/change.h"

/* {"account", "id", "kind", "state", "mailbox", "target", "name", "messages", "size", "made",
 * "tries", "reason"}: "state" is "waiting", "sent" (it may have been sent), or "failed"; "mailbox"
 * and "target" are paths as they are shown; what is not known is null. */
JsonObject *queue_json_entry(const Store *store, const JournalEntry *entry);

/* The same of all entries of the account, appended to @array. */
void queue_json_append(const Store *store, JsonArray *array);

/* The entry that is about a message or a local file: the one that failed, else the newest; NULL
 * for none.  Borrowed as those of store_queue(). */
const JournalEntry *queue_find(const Store *store, const Mailbox *mailbox, guint64 item);
