/* Parsing requests.  See control-request.h.
 *
 * Paths are sorted into groups by their directory, for a directory is a mailbox: what is asked of
 * a thousand files then becomes one change, and a few commands to the server.
 */
#include "fs/control-request.h"
#include "base/error.h"
#include "base/text.h"
#include "model/message.h"

#include <json-glib/json-glib.h>
#include <string.h>

/* -- Members ----------------------------------------------------------------------------------- */

static gboolean read_text(JsonObject *object, const char *member, const char *otherwise,
                          char **ret_text, GError **error)
{
    JsonNode *node = json_object_get_member(object, member);

    if (node && (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING))
        return mail_fail(error, MAIL_ERROR_INVALID, "\"%s\" of a request is a text", member);
    *ret_text = g_strdup(node ? json_node_get_string(node) : otherwise);
    return TRUE;
}

static gboolean read_number(JsonNode *node, const char *member, guint64 *ret_number,
                            GError **error)
{
    if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64 ||
        json_node_get_int(node) < 0)
        return mail_fail(error, MAIL_ERROR_INVALID, "\"%s\" of a request holds no number",
                         member);
    *ret_number = (guint64)json_node_get_int(node);
    return TRUE;
}

/* NULL, and no error, where the member is not there. */
static gboolean read_array(JsonObject *object, const char *member, JsonArray **ret_array,
                           GError **error)
{
    JsonNode *node = json_object_get_member(object, member);

    if (node && !JSON_NODE_HOLDS_ARRAY(node))
        return mail_fail(error, MAIL_ERROR_INVALID, "\"%s\" of a request is a list", member);
    *ret_array = node ? json_node_get_array(node) : NULL;
    return TRUE;
}

typedef gboolean (*TakeText)(gpointer target, const char *text, GError **error);

static gboolean read_texts(JsonObject *object, const char *member, TakeText take,
                           gpointer target, GError **error)
{
    JsonArray *array;

    if (!read_array(object, member, &array, error))
        return FALSE;
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);

        if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
            return mail_fail(error, MAIL_ERROR_INVALID, "\"%s\" of a request is a list of texts",
                             member);
        if (!take(target, json_node_get_string(node), error))
            return FALSE;
    }
    return TRUE;
}

/* -- Paths ------------------------------------------------------------------------------------- */

char *control_group_path(const ControlGroup *group, guint i)
{
    const char *name = g_ptr_array_index(group->names, i);

    return *group->directory ? g_strconcat(group->directory, "/", name, NULL) : g_strdup(name);
}

static void group_free(gpointer data)
{
    ControlGroup *group = data;

    g_free(group->directory);
    g_ptr_array_unref(group->names);
    g_free(group);
}

/* No empty component, none that leads elsewhere. */
static gboolean check_path(const char *path, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);

    for (guint i = 0; i == 0 || parts[i]; i++)
        if (!parts[i] || !*parts[i] || g_str_equal(parts[i], ".") || g_str_equal(parts[i], ".."))
            return mail_fail(error, MAIL_ERROR_INVALID, "\"%s\" is no path below a mount point",
                             path);
    return TRUE;
}

typedef struct {
    GPtrArray *groups;
    GHashTable *by_directory; /* borrowed ControlGroup */
    GHashTable *seen;         /* paths */
} Sorter;

static gboolean take_path(gpointer target, const char *path, GError **error)
{
    Sorter *sorter = target;
    const char *slash = strrchr(path, '/');
    g_autofree char *directory = slash ? g_strndup(path, (gsize)(slash - path)) : g_strdup("");
    ControlGroup *group = g_hash_table_lookup(sorter->by_directory, directory);

    if (!check_path(path, error))
        return FALSE;
    if (!g_hash_table_add(sorter->seen, g_strdup(path)))
        return TRUE;
    if (!group) {
        group = g_new0(ControlGroup, 1);
        group->directory = g_steal_pointer(&directory);
        group->names = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(sorter->groups, group);
        g_hash_table_insert(sorter->by_directory, group->directory, group);
    }
    g_ptr_array_add(group->names, g_strdup(slash ? slash + 1 : path));
    return TRUE;
}

static gboolean read_paths(JsonObject *object, ControlRequest *request, GError **error)
{
    g_autoptr(GHashTable) by_directory = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Sorter sorter = {request->groups, by_directory, seen};

    return read_texts(object, "paths", take_path, &sorter, error);
}

/* -- Flags ------------------------------------------------------------------------------------- */

/* Adds @word to flags or keywords: "seen", "\Seen" and "SEEN" are the flag. */
static gboolean take_flag(const char *word, guint16 *flags, char **keywords, GError **error)
{
    guint16 flag = message_flag_of(word);
    char *before = *keywords;

    *flags |= flag;
    if (flag)
        return TRUE;
    if (!text_is_keyword(word))
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "\"%s\" is no flag: they are seen, answered, flagged, deleted and "
                         "draft, or a keyword of ASCII without blanks and without any of "
                         "( ) { %% * \" \\ ]",
                         word);
    *keywords = before ? g_strconcat(before, " ", word, NULL) : g_strdup(word);
    g_free(before);
    return TRUE;
}

static gboolean take_added(gpointer target, const char *word, GError **error)
{
    ControlRequest *request = target;

    return take_flag(word, &request->add, &request->add_keywords, error);
}

static gboolean take_removed(gpointer target, const char *word, GError **error)
{
    ControlRequest *request = target;

    return take_flag(word, &request->remove, &request->remove_keywords, error);
}

gboolean control_request_has_flags(const ControlRequest *request)
{
    return request->add || request->remove || request->add_keywords || request->remove_keywords;
}

/* -- The whole --------------------------------------------------------------------------------- */

static gboolean read_ids(JsonObject *object, ControlRequest *request, GError **error)
{
    JsonNode *job = json_object_get_member(object, "job");
    JsonArray *array;

    if (job && !read_number(job, "job", &request->job, error))
        return FALSE;
    if (!read_array(object, "ids", &array, error))
        return FALSE;
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        guint64 id;

        if (!read_number(json_array_get_element(array, i), "ids", &id, error))
            return FALSE;
        g_array_append_val(request->ids, id);
    }
    return TRUE;
}

static gboolean read_all(JsonObject *object, ControlRequest *request, GError **error)
{
    if (!read_text(object, "command", NULL, &request->command, error) ||
        !read_text(object, "path", "", &request->path, error) ||
        !read_text(object, "to", NULL, &request->to, error) ||
        !read_text(object, "verb", "", &request->verb, error) ||
        !read_paths(object, request, error) || !read_ids(object, request, error) ||
        !read_texts(object, "add", take_added, request, error) ||
        !read_texts(object, "remove", take_removed, request, error))
        return FALSE;
    if (!request->command)
        return mail_fail(error, MAIL_ERROR_INVALID, "a request has a \"command\"");
    return !request->to || !*request->to || check_path(request->to, error);
}

ControlRequest *control_request_parse(const char *text, gsize length, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(ControlRequest) request = g_new0(ControlRequest, 1);
    JsonNode *root;

    request->groups = g_ptr_array_new_with_free_func(group_free);
    request->ids = g_array_new(FALSE, FALSE, sizeof(guint64));
    if (!json_parser_load_from_data(parser, text, (gssize)length, NULL) ||
        !(root = json_parser_get_root(parser)) || !JSON_NODE_HOLDS_OBJECT(root)) {
        mail_fail(error, MAIL_ERROR_INVALID, "a request is a JSON object");
        return NULL;
    }
    return read_all(json_node_get_object(root), request, error) ? g_steal_pointer(&request) : NULL;
}

void control_request_free(ControlRequest *request)
{
    if (!request)
        return;
    g_free(request->command);
    g_free(request->path);
    g_ptr_array_unref(request->groups);
    g_free(request->to);
    g_free(request->add_keywords);
    g_free(request->remove_keywords);
    g_free(request->verb);
    g_array_unref(request->ids);
    g_free(request);
}

guint control_request_n_paths(const ControlRequest *request)
{
    guint n = 0;

    for (guint i = 0; i < request->groups->len; i++)
        n += ((ControlGroup *)g_ptr_array_index(request->groups, i))->names->len;
    return n;
}
