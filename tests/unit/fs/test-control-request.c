/* Requests of the command line: what they hold, and what is refused. */
#include "fs/control-request.h"
#include "base/error.h"
#include "model/message.h"

#include <string.h>

static ControlRequest *parse(const char *text, GError **error)
{
    return control_request_parse(text, strlen(text), error);
}

/* "INBOX: a b; : c", the groups in their order. */
static char *show_groups(const ControlRequest *request)
{
    GString *out = g_string_new(NULL);

    for (guint i = 0; i < request->groups->len; i++) {
        const ControlGroup *group = g_ptr_array_index(request->groups, i);

        g_string_append_printf(out, "%s%s:", i ? "; " : "", group->directory);
        for (guint j = 0; j < group->names->len; j++)
            g_string_append_printf(out, " %s", (char *)g_ptr_array_index(group->names, j));
    }
    return g_string_free(out, FALSE);
}

static void test_groups(void)
{
    static const struct {
        const char *paths, *groups;
        guint n;
    } cases[] = {
        {"[]", "", 0},
        {"[\"x\"]", ": x", 1},
        {"[\"A/x\",\"A/y\"]", "A: x y", 2},
        {"[\"A/x\",\"B/x\",\"A/y\",\"A/B/x\",\"B/y\"]", "A: x y; B: x y; A/B: x", 5},
        {"[\"A/x\",\"A/x\",\"A/x\"]", "A: x", 1},
        {"[\"A/\\u06a9\\u0627\\u0631\"]", "A: کار", 1},
        {"[\"A/.x\",\"A/..x\",\"A/...\"]", "A: .x ..x ...", 3},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text =
            g_strdup_printf("{\"command\":\"rm\",\"paths\":%s}", cases[i].paths);
        g_autoptr(GError) error = NULL;
        g_autoptr(ControlRequest) request = parse(text, &error);
        g_autofree char *groups = NULL;

        g_assert_no_error(error);
        groups = show_groups(request);
        g_assert_cmpstr(groups, ==, cases[i].groups);
        g_assert_cmpuint(control_request_n_paths(request), ==, cases[i].n);
    }
}

static void test_group_path(void)
{
    g_autoptr(ControlRequest) request =
        parse("{\"command\":\"rm\",\"paths\":[\"A/B/x\",\"y\"]}", NULL);
    g_autofree char *deep = control_group_path(g_ptr_array_index(request->groups, 0), 0);
    g_autofree char *top = control_group_path(g_ptr_array_index(request->groups, 1), 0);

    g_assert_cmpstr(deep, ==, "A/B/x");
    g_assert_cmpstr(top, ==, "y");
}

static void test_flags(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ControlRequest) request = parse(
        "{\"command\":\"flag\",\"paths\":[\"A/x\"],"
        "\"add\":[\"seen\",\"\\\\Flagged\",\"$Work\",\"Later\"],\"remove\":[\"DRAFT\",\"x\"]}",
        &error);

    g_assert_no_error(error);
    g_assert_cmpuint(request->add, ==, MESSAGE_SEEN | MESSAGE_FLAGGED);
    g_assert_cmpstr(request->add_keywords, ==, "$Work Later");
    g_assert_cmpuint(request->remove, ==, MESSAGE_DRAFT);
    g_assert_cmpstr(request->remove_keywords, ==, "x");
    g_assert_true(control_request_has_flags(request));
    control_request_free(g_steal_pointer(&request));

    request = parse("{\"command\":\"flag\",\"add\":[]}", &error);
    g_assert_no_error(error);
    g_assert_false(control_request_has_flags(request));
}

static void test_others(void)
{
    g_autoptr(ControlRequest) request =
        parse("{\"command\":\"queue\",\"verb\":\"drop\",\"ids\":[3,18],\"path\":\"work\","
              "\"job\":7,\"to\":\"A/B\"}",
              NULL);

    g_assert_cmpstr(request->command, ==, "queue");
    g_assert_cmpstr(request->verb, ==, "drop");
    g_assert_cmpstr(request->path, ==, "work");
    g_assert_cmpstr(request->to, ==, "A/B");
    g_assert_cmpuint(request->ids->len, ==, 2);
    g_assert_cmpuint(g_array_index(request->ids, guint64, 1), ==, 18);
    g_assert_cmpuint(request->job, ==, 7);
}

static void test_refused(void)
{
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"", "JSON object"},
        {"[]", "JSON object"},
        {"{\"command\":\"rm\"", "JSON object"},
        {"{}", "command"},
        {"{\"command\":7}", "command"},
        {"{\"command\":\"rm\",\"path\":[]}", "path"},
        {"{\"command\":\"rm\",\"paths\":\"A/x\"}", "paths"},
        {"{\"command\":\"rm\",\"paths\":[7]}", "paths"},
        {"{\"command\":\"rm\",\"paths\":[\"\"]}", "no path"},
        {"{\"command\":\"rm\",\"paths\":[\"/etc/passwd\"]}", "no path"},
        {"{\"command\":\"rm\",\"paths\":[\"A/../x\"]}", "no path"},
        {"{\"command\":\"rm\",\"paths\":[\"A/.\"]}", "no path"},
        {"{\"command\":\"rm\",\"paths\":[\"A//x\"]}", "no path"},
        {"{\"command\":\"rm\",\"paths\":[\"A/\"]}", "no path"},
        {"{\"command\":\"mv\",\"to\":\"../x\"}", "no path"},
        {"{\"command\":\"flag\",\"add\":[\"\"]}", "no flag"},
        {"{\"command\":\"flag\",\"add\":[\"a b\"]}", "no flag"},
        {"{\"command\":\"flag\",\"add\":[\"\\\\Recent\"]}", "no flag"},
        {"{\"command\":\"flag\",\"add\":[\"x]\"]}", "no flag"},
        {"{\"command\":\"flag\",\"add\":[\"\\u06a9\"]}", "no flag"},
        {"{\"command\":\"flag\",\"remove\":[\"a\\r\\nb\"]}", "no flag"},
        {"{\"command\":\"queue\",\"ids\":[\"3\"]}", "ids"},
        {"{\"command\":\"queue\",\"ids\":[-3]}", "ids"},
        {"{\"command\":\"job\",\"job\":\"1\"}", "job"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(parse(cases[i].text, &error));
        g_assert_error(error, MAIL_ERROR, MAIL_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, cases[i].sentence));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/control-request/groups", test_groups);
    g_test_add_func("/control-request/group-path", test_group_path);
    g_test_add_func("/control-request/flags", test_flags);
    g_test_add_func("/control-request/others", test_others);
    g_test_add_func("/control-request/refused", test_refused);
    return g_test_run();
}
