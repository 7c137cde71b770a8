/* Requests and replies over `.mailfs/control`.  See daemon.h. */
#include "cli/daemon.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/format.h"
#include "base/io.h"
#include "base/json-read.h"
#include "base/limits.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READ_STEP = 64 * 1024, STATUS_FORMAT = 1, FIRST_POLL_MS = 10, POLL_MS = 200 };

/* -- Files ------------------------------------------------------------------------------------- */

int cli_daemon_open(const char *dir, const char *name, int flags, GError **error)
{
    g_autofree char *path = g_build_filename(dir, ".mailfs", name, NULL);
    int fd = open(path, flags | O_CLOEXEC);

    if (fd < 0 && errno == ENOTCONN)
        mail_fail(error, MAIL_ERROR_OFFLINE,
                  "the daemon of %s is gone; clear the way with: mailfs umount %s", dir, dir);
    else if (fd < 0)
        mail_fail_errno(error, errno, "cannot speak to the daemon through %s", path);
    return fd;
}

/* Until the end: the size that stat() tells of such a file means nothing. */
static GString *read_to_end(int fd, const char *dir, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    ssize_t n = 1;

    while (n > 0) {
        gsize before = text->len;

        g_string_set_size(text, before + READ_STEP);
        n = read(fd, text->str + before, READ_STEP);
        if (n < 0) {
            mail_fail_errno(error, errno, "the daemon of %s does not answer", dir);
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

/* -- Questions --------------------------------------------------------------------------------- */

/* What a question goes to: with a request to .mailfs/control, without one status.json is read. */
static GString *exchange(const char *dir, const char *request, GError **error)
{
    autofd int fd = cli_daemon_open(dir, request ? "control" : "status.json",
                                    request ? O_RDWR : O_RDONLY, error);

    if (fd < 0 || (request && !io_write_all(fd, request, strlen(request), error)))
        return NULL;
    (void)lseek(fd, 0, SEEK_SET); /* the reply begins at 0; a stream has no position to set */
    return read_to_end(fd, dir, error);
}

/* The child's part: the answer behind a "+", or "-CODE SENTENCE". */
static void exchange_and_exit(int out, const char *dir, const char *request)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = exchange(dir, request, &error);

    if (text) {
        g_string_prepend_c(text, '+');
    } else {
        text = g_string_new(NULL);
        g_string_printf(text, "-%d %s", error->code, error->message);
    }
    (void)io_write_all(out, text->str, text->len, NULL);
    _exit(EXIT_SUCCESS);
}

/* What the child says until it ends, or NULL when it takes too long. */
static GString *collect(int fd)
{
    Deadline deadline = deadline_in(LIMIT_CONTROL_SECONDS);
    g_autoptr(GString) text = g_string_new(NULL);
    struct pollfd poll_fd = {fd, POLLIN, 0};

    while (poll(&poll_fd, 1, deadline_poll_ms(deadline)) > 0) {
        gsize before = text->len;
        ssize_t n;

        g_string_set_size(text, before + READ_STEP);
        n = read(fd, text->str + before, READ_STEP);
        g_string_truncate(text, before + (gsize)MAX(n, 0));
        if (n <= 0)
            return g_steal_pointer(&text);
    }
    return NULL;
}

static GString *unwrap(GString *text, const char *dir, GError **error)
{
    char *sentence;
    gint64 code;

    if (text && text->str[0] == '+')
        return g_string_erase(text, 0, 1);
    if (text && text->str[0] == '-') {
        code = g_ascii_strtoll(text->str + 1, &sentence, 10);
        mail_fail(error, (MailError)code, "%s", g_strchug(sentence));
    } else {
        mail_fail(error, MAIL_ERROR_TIMEOUT,
                  "the daemon of %s has not answered for %d seconds; if that lasts, end it and "
                  "clear the way with: mailfs umount %s",
                  dir, LIMIT_CONTROL_SECONDS, dir);
    }
    if (text)
        g_string_free(text, TRUE);
    return NULL;
}

/* The daemon's answer to @request, NULL for status.json.  A process of its own asks: nothing but
 * SIGKILL ends a read(2) that the daemon does not answer. */
static GString *ask(const char *dir, const char *request, GError **error)
{
    autofd int in = -1, out = -1;
    int fds[2];
    GString *text;
    pid_t pid;

    fflush(NULL);
    if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
        mail_fail_errno(error, errno, "cannot ask the daemon of %s", dir);
        return NULL;
    }
    in = fds[0];
    out = fds[1];
    if (pid == 0)
        exchange_and_exit(out, dir, request);
    (void)close(steal_fd(&out));
    text = collect(in);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, text ? 0 : WNOHANG);
    return unwrap(text, dir, error);
}

/* -- Requests ---------------------------------------------------------------------------------- */

static MailError code_by_name(const char *name)
{
    for (int code = 0; code < MAIL_ERROR_N_CODES; code++)
        if (g_strcmp0(mail_error_name((MailError)code), name) == 0)
            return (MailError)code;
    return MAIL_ERROR_PROTOCOL;
}

GError *cli_daemon_error(JsonObject *object)
{
    g_autofree char *code = json_read_text(object, "code");
    g_autofree char *sentence = json_read_text(object, "error");

    return g_error_new_literal(MAIL_ERROR, code_by_name(code),
                               sentence ? sentence : "the daemon refused");
}

JsonObject *cli_daemon_parse_reply(const char *text, gsize length, GError **error)
{
    g_autoptr(JsonObject) reply = parse_object(text, length, error);

    if (!reply)
        return NULL;
    if (json_read_true(reply, "ok"))
        return g_steal_pointer(&reply);
    g_propagate_error(error, cli_daemon_error(reply));
    return NULL;
}

static JsonObject *send_line(const CliMount *mount, const char *line, GError **error)
{
    g_autoptr(GString) text = ask(mount->dir, line, error);

    return text ? cli_daemon_parse_reply(text->str, text->len, error) : NULL;
}

/* The answer of a request that waits for listings, of which there may be one after another; the
 * daemon has the deadline.  Takes @reply. */
static JsonObject *await(const CliMount *mount, JsonObject *reply, GError **error)
{
    gulong pause_ms = FIRST_POLL_MS;

    while (reply && json_read_true(reply, "waits")) {
        g_autofree char *line =
            g_strdup_printf("{\"command\":\"job\",\"job\":%" G_GINT64_FORMAT "}",
                            json_read_number(reply, "job"));

        json_object_unref(reply);
        g_usleep(pause_ms * 1000);
        pause_ms = MIN(pause_ms * 2, POLL_MS);
        reply = send_line(mount, line, error);
    }
    return reply;
}

JsonObject *cli_daemon_send(const CliMount *mount, JsonObject *request, GError **error)
{
    g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), request);
    g_autofree char *line = json_to_string(root, FALSE);

    if (strlen(line) > LIMIT_CONTROL_REQUEST) {
        mail_fail(error, MAIL_ERROR_TOOBIG,
                  "these are too many files for one request; take fewer at a time");
        return NULL;
    }
    return await(mount, send_line(mount, line, error), error);
}

JsonObject *cli_daemon_ask(const CliMount *mount, const char *command, const char *path,
                           gint64 job, GError **error)
{
    g_autoptr(JsonObject) request = json_object_new();

    json_object_set_string_member(request, "command", command);
    if (path)
        json_object_set_string_member(request, "path", path);
    if (job)
        json_object_set_int_member(request, "job", job);
    return cli_daemon_send(mount, request, error);
}

JsonObject *cli_daemon_follow(const CliMount *mount, JsonObject *reply, CliProgress progress,
                              gpointer user, GError **error)
{
    gint64 job = json_read_number(reply, "job");
    gulong pause_ms = FIRST_POLL_MS;

    if (job <= 0) {
        mail_fail(error, MAIL_ERROR_PROTOCOL, "the daemon gave no job number");
        return NULL;
    }
    while (TRUE) {
        g_autoptr(JsonObject) state = cli_daemon_ask(mount, "job", NULL, job, error);

        if (!state || json_read_true(state, "done") || (progress && !progress(state, user)))
            return g_steal_pointer(&state);
        g_usleep(pause_ms * 1000);
        pause_ms = MIN(pause_ms * 2, POLL_MS);
    }
}

void cli_draw_progress(const char *what, JsonObject *state)
{
    gint64 n = json_read_number(state, "n"), total = json_read_number(state, "total");
    g_autofree char *bar = format_bar(n, total);
    g_autofree char *done = format_count(n);
    g_autofree char *all = format_count(total);

    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K");
    if (state && total > 0)
        fprintf(stderr, "%s  %s  %s of %s", what, bar, done, all);
}

JsonObject *cli_daemon_status(const CliMount *mount, GError **error)
{
    g_autoptr(GString) text = ask(mount->dir, NULL, error);
    g_autoptr(JsonObject) status = text ? parse_object(text->str, text->len, error) : NULL;

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
