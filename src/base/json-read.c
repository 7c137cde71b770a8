/* Members of JSON objects that may be missing or of another type.  See json-read.h. */
#include "base/json-read.h"
#include "base/text.h"

#include <string.h>

enum { TEXT_MAX = 1000 };

static JsonNode *member_of_type(JsonObject *object, const char *member, JsonNodeType type)
{
    JsonNode *node = object ? json_object_get_member(object, member) : NULL;

    return node && JSON_NODE_TYPE(node) == type ? node : NULL;
}

JsonObject *json_read_object(JsonObject *object, const char *member)
{
    JsonNode *node = member_of_type(object, member, JSON_NODE_OBJECT);

    return node ? json_node_get_object(node) : NULL;
}

JsonArray *json_read_array(JsonObject *object, const char *member)
{
    JsonNode *node = member_of_type(object, member, JSON_NODE_ARRAY);

    return node ? json_node_get_array(node) : NULL;
}

static char *text_of(JsonNode *node)
{
    const char *text = node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;

    return text ? text_printable(text, strlen(text), TEXT_MAX) : NULL;
}

char *json_read_text(JsonObject *object, const char *member)
{
    return text_of(member_of_type(object, member, JSON_NODE_VALUE));
}

char *json_read_text_element(JsonArray *array, guint i)
{
    return text_of(json_array_get_element(array, i));
}

gint64 json_read_number(JsonObject *object, const char *member)
{
    JsonNode *node = member_of_type(object, member, JSON_NODE_VALUE);

    return node ? json_node_get_int(node) : 0;
}

gboolean json_read_true(JsonObject *object, const char *member)
{
    JsonNode *node = member_of_type(object, member, JSON_NODE_VALUE);

    return node && json_node_get_boolean(node);
}

JsonObject *json_read_element(JsonArray *array, guint i)
{
    JsonNode *node = json_array_get_element(array, i);

    return JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}
