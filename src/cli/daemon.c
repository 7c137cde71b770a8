/* Requests and replies over `.mailfs/control`.  See daemon.h. */
#include "cli/daemon.h"
#include "base/error.h"
#include "base/io.h"
#include "base/json-read.h"
#include "base/limits.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { READ_STEP = 64 * 1024, STATUS_FORMAT = 1 };

/* -- Files ------------------------------------------------------------------------------------- */

static int open_file(const CliMount *mount, const char *name, int flags, GError **error)
{
    g_autofree char *path = g_build_filename(mount->dir, ".mailfs", name, NULL);
    int fd = open(path, flags | O_CLOEXEC);

    if (fd < 0 && errno == ENOTCONN)
        mail_fail(error, MAIL_ERROR_OFFLINE,
                  "the daemon of %s is gone; clear the way with: mailfs umount %s", mount->dir,
                  mount->dir);
    else if (fd < 0)
        mail_fail_errno(error, errno, "cannot speak to the daemon through %s", path);
    return fd;
}

/* Until the end: the size that stat() tells of such a file means nothing. */
static GString *read_to_end(int fd, const CliMount *mount, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    ssize_t n = 1;

    while (n > 0) {
        gsize before = text->len;

        g_string_set_size(text, before + READ_STEP);
        n = read(fd, text->str + before, READ_STEP);
        if (n < 0) {
            mail_fail_errno(error, errno, "the daemon of %s does not answer", mount->dir);
            return NULL;
        }
        g_string_truncate(text, before + (gsize)n);
        if (text->len > LIMIT_CONTROL_REPLY) {
            mail_fail(error, MAIL_ERROR_TOOBIG, "the daemon's answer is larger than %d bytes",
                      LIMIT_CONTROL_REPLY);
            return NULL;
        }
    }
    return g_steal_pointer(&text);
}

static JsonObject *parse_object(const char *text, gsize length, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonNode *root;

    if (!json_parser_load_from_data(parser, text, (gssize)length, NULL) ||
        !(root = json_parser_get_root(parser)) || !JSON_NODE_HOLDS_OBJECT(root)) {
        mail_fail(error, MAIL_ERROR_PROTOCOL,
                  "the daemon's answer cannot be read; is it of another version?");
        return NULL;
    }
    return json_object_ref(json_node_get_object(root));
}

/* See daemon.h.  A parent may have left SIGALRM ignored. */
static void deadline_begin(void)
{
    (void)signal(SIGALRM, SIG_DFL);
    alarm(LIMIT_CONTROL_SECONDS);
}

static void deadline_end(void)
{
    alarm(0);
}

/* -- Requests ---------------------------------------------------------------------------------- */

static MailError code_by_name(const char *name)
{
    for (int code = 0; code < MAIL_ERROR_N_CODES; code++)
        if (g_strcmp0(mail_error_name((MailError)code), name) == 0)
            return (MailError)code;
    return MAIL_ERROR_PROTOCOL;
}

JsonObject *cli_daemon_parse_reply(const char *text, gsize length, GError **error)
{
    g_autoptr(JsonObject) reply = parse_object(text, length, error);
    g_autofree char *code = NULL, *sentence = NULL;

    if (!reply)
        return NULL;
    if (json_read_true(reply, "ok"))
        return g_steal_pointer(&reply);
    code = json_read_text(reply, "code");
    sentence = json_read_text(reply, "error");
    mail_fail(error, code_by_name(code), "%s", sentence ? sentence : "the daemon refused");
    return NULL;
}

static char *make_request(const char *command, const char *path, gint64 job)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "command");
    json_builder_add_string_value(builder, command);
    if (path) {
        json_builder_set_member_name(builder, "path");
        json_builder_add_string_value(builder, path);
    }
    if (job) {
        json_builder_set_member_name(builder, "job");
        json_builder_add_int_value(builder, job);
    }
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

static GString *exchange(const CliMount *mount, const char *request, GError **error)
{
    autofd int fd = open_file(mount, "control", O_RDWR, error);

    if (fd < 0 || !io_write_all(fd, request, strlen(request), error))
        return NULL;
    (void)lseek(fd, 0, SEEK_SET); /* the reply begins at 0; a stream has no position to set */
    return read_to_end(fd, mount, error);
}

JsonObject *cli_daemon_ask(const CliMount *mount, const char *command, const char *path,
                           gint64 job, GError **error)
{
    g_autofree char *request = make_request(command, path, job);
    g_autoptr(GString) text = NULL;

    deadline_begin();
    text = exchange(mount, request, error);
    deadline_end();
    return text ? cli_daemon_parse_reply(text->str, text->len, error) : NULL;
}

JsonObject *cli_daemon_status(const CliMount *mount, GError **error)
{
    autofd int fd = -1;
    g_autoptr(GString) text = NULL;
    g_autoptr(JsonObject) status = NULL;

    deadline_begin();
    fd = open_file(mount, "status.json", O_RDONLY, error);
    text = fd < 0 ? NULL : read_to_end(fd, mount, error);
    deadline_end();
    status = text ? parse_object(text->str, text->len, error) : NULL;
    if (!status)
        return NULL;
    if (json_read_number(status, "format") != STATUS_FORMAT) {
        mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                  "the daemon of %s is of another version; mount again to have the same",
                  mount->dir);
        return NULL;
    }
    return g_steal_pointer(&status);
}
