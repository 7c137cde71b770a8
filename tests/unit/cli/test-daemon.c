/* What a daemon's replies mean, and reading its status from a directory that looks like a
 * mount. */
#include "cli/daemon.h"
#include "base/json-read.h"
#include "base/error.h"

#include <glib/gstdio.h>
#include <string.h>

static JsonObject *parse(const char *text, GError **error)
{
    return cli_daemon_parse_reply(text, strlen(text), error);
}

static void test_replies(void)
{
    static const struct {
        const char *text;
        int code;
        const char *sentence;
    } bad[] = {
        {"{\"ok\":false,\"code\":\"offline\",\"error\":\"no\\nroute\"}", MAIL_ERROR_OFFLINE,
         "no\\x0aroute"},
        {"{\"ok\":false,\"code\":\"read-only\",\"error\":\"no\"}", MAIL_ERROR_READONLY, "no"},
        {"{\"ok\":false,\"code\":\"from-mars\"}", MAIL_ERROR_PROTOCOL, "the daemon refused"},
        {"{}", MAIL_ERROR_PROTOCOL, "the daemon refused"},
        {"{\"ok\":\"yes\"}", MAIL_ERROR_PROTOCOL, "the daemon refused"},
        {"", MAIL_ERROR_PROTOCOL, NULL},
        {"[]", MAIL_ERROR_PROTOCOL, NULL},
        {"{\"ok\":true", MAIL_ERROR_PROTOCOL, NULL},
    };
    g_autoptr(JsonObject) good = parse("{\"ok\":true,\"job\":7,\"done\":false}", NULL);

    g_assert_cmpint(json_read_number(good, "job"), ==, 7);
    g_assert_false(json_read_true(good, "done"));
    g_assert_null(json_read_text(good, "error"));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(parse(bad[i].text, &error));
        g_assert_error(error, MAIL_ERROR, bad[i].code);
        if (bad[i].sentence)
            g_assert_cmpstr(error->message, ==, bad[i].sentence);
    }
}

static void test_status(void)
{
    g_autofree char *dir = g_dir_make_tmp("mailfs-daemon-XXXXXX", NULL);
    g_autofree char *inside = g_build_filename(dir, ".mailfs", NULL);
    g_autofree char *file = g_build_filename(inside, "status.json", NULL);
    CliMount mount = {.dir = dir, .is_mailfs = TRUE};
    g_autoptr(JsonObject) status = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_null(cli_daemon_status(&mount, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_GONE);
    g_clear_error(&error);

    g_assert_cmpint(g_mkdir(inside, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, "{\"format\":2}", -1, NULL));
    g_assert_null(cli_daemon_status(&mount, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_UNSUPPORTED);
    g_clear_error(&error);

    g_assert_true(g_file_set_contents(file, "{\"format\":1,\"sandbox\":\"x\"}", -1, NULL));
    status = cli_daemon_status(&mount, &error);
    g_assert_no_error(error);
    g_assert_true(json_object_has_member(status, "sandbox"));

    g_unlink(file);
    g_rmdir(inside);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/daemon/replies", test_replies);
    g_test_add_func("/daemon/status", test_status);
    return g_test_run();
}
