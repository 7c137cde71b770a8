/* status.json as lines for people. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/* The accounts of @status, or only @account if it is not NULL.  NULL when it is not among them.
 * The caller owns the text. */
char *status_text(JsonObject *status, const char *account);
