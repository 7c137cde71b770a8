/* Reading JSON that another process wrote: nothing in it is taken for granted. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/* Members of @object, which may be NULL; what is missing or of another type is NULL.  Texts are
 * made fit for a terminal; the caller owns them. */
JsonObject *json_read_object(JsonObject *object, const char *member);
JsonArray *json_read_array(JsonObject *object, const char *member);
char *json_read_text(JsonObject *object, const char *member);
gint64 json_read_number(JsonObject *object, const char *member); /* 0 if missing */
gboolean json_read_true(JsonObject *object, const char *member);
/* Element @i of @array if it is a text, as json_read_text(). */
char *json_read_text_element(JsonArray *array, guint i);
/* Element @i of @array if it is an object. */
JsonObject *json_read_element(JsonArray *array, guint i);
