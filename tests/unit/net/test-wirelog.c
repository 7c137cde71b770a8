/* The wire log: what it shows, and what it must never show. */
#include "net/internal.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

static char *directory;

typedef struct {
    NetStream *stream;
    int peer;
    char *path;
} Fixture;

static void setup(Fixture *fixture, gconstpointer data)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    net_wirelog_set_directory(directory);
    fixture->stream = net_stream_new_fd(fds[0], "work#2", NULL);
    fixture->peer = fds[1];
    fixture->path = g_build_filename(directory, "work#2.log", NULL);
}

static void teardown(Fixture *fixture, gconstpointer data)
{
    net_stream_free(fixture->stream);
    (void)close(fixture->peer);
    (void)g_unlink(fixture->path);
    g_free(fixture->path);
}

/* What the file holds: without the first line, times taken off and checked. */
static char *contents(Fixture *fixture)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) file_lines = NULL;
    g_autoptr(GString) joined = g_string_new(NULL);

    g_assert_true(g_file_get_contents(fixture->path, &text, NULL, NULL));
    file_lines = g_strsplit(text, "\n", 0);
    g_assert_nonnull(strstr(file_lines[0], "connection opened"));
    for (guint i = 1; file_lines[i] && *file_lines[i]; i++) {
        g_assert_true(
            g_regex_match_simple("^\\d\\d:\\d\\d:\\d\\d\\.\\d{6} [CS]: ", file_lines[i], 0, 0));
        g_string_append_printf(joined, "%s\n", file_lines[i] + strlen("12:00:00.123456 "));
    }
    return g_string_free(g_steal_pointer(&joined), FALSE);
}

static void write_text(Fixture *fixture, const char *text)
{
    g_assert_true(net_stream_write(fixture->stream, text, strlen(text), deadline_in(5), NULL));
}

static void hear(Fixture *fixture, const char *data, gsize length)
{
    char buffer[1000];

    for (gsize i = 0; i < length; i++) {
        g_assert_true(io_write_all(fixture->peer, data + i, 1, NULL));
        g_assert_cmpint(
            net_stream_read(fixture->stream, buffer, sizeof buffer, deadline_in(5), NULL), ==, 1);
    }
}

static void test_lines(Fixture *fixture, gconstpointer data)
{
    static const char greeting[] = "* OK \xffready\a\r\n";
    g_autofree char *text = NULL;
    struct stat st;

    hear(fixture, greeting, sizeof greeting - 1);
    write_text(fixture, "a1 CAPA");
    write_text(fixture, "BILITY\r\na2 NOOP\r\n");
    text = contents(fixture);
    g_assert_cmpstr(text, ==,
                    "S: * OK \\xffready\\x07\n"
                    "C: a1 CAPABILITY\n"
                    "C: a2 NOOP\n");
    g_assert_cmpint(g_stat(fixture->path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
}

static void test_mask(Fixture *fixture, gconstpointer data)
{
    g_autofree char *text = NULL;

    write_text(fixture, "a1 LOGIN ");
    net_stream_mask(fixture->stream, TRUE);
    write_text(fixture, "tim ");
    write_text(fixture, "s3cret\r\n");
    net_stream_mask(fixture->stream, FALSE);
    write_text(fixture, "a2 AUTHENTICATE PLAIN ");
    net_stream_mask(fixture->stream, TRUE);
    write_text(fixture, "AHRpbQBzM2NyZXQ=");
    net_stream_mask(fixture->stream, FALSE);
    write_text(fixture, "\r\n");
    /* A literal of which only the octets are masked. */
    write_text(fixture, "a3 LOGIN tim {6}\r\n");
    net_stream_mask(fixture->stream, TRUE);
    write_text(fixture, "s3cret");
    net_stream_mask(fixture->stream, FALSE);
    write_text(fixture, "\r\n");
    text = contents(fixture);
    g_assert_cmpstr(text, ==,
                    "C: a1 LOGIN *\n"
                    "C: a2 AUTHENTICATE PLAIN *\n"
                    "C: a3 LOGIN tim {6}\n"
                    "C: *\n");
}

static void test_literals(Fixture *fixture, gconstpointer data)
{
    g_autofree char *body = g_strnfill(100, 'x');
    g_autofree char *shown = g_strnfill(64, 'x');
    g_autofree char *fetch = NULL;
    g_autofree char *expected = NULL;
    g_autofree char *text = NULL;

    memcpy(body + 90, "SECRET", 6);
    fetch = g_strconcat("* 1 FETCH (BODY[] {100}\r\n", body,
                        " UID 7)\r\n* 2 FETCH (BODY[1] {4}\r\na\r\nb)\r\n* OK {0}\r\nend {x}\r\n",
                        NULL);
    hear(fixture, fetch, strlen(fetch));
    write_text(fixture, "a APPEND x {100+}\r\n");
    write_text(fixture, body);
    write_text(fixture, "\r\n");
    text = contents(fixture);
    expected = g_strconcat("S: * 1 FETCH (BODY[] {100}\n"
                           "S: ",
                           shown,
                           "[36 octets not shown] UID 7)\n"
                           "S: * 2 FETCH (BODY[1] {4}\n"
                           "S: a\\r\\nb)\n"
                           "S: * OK {0}\n"
                           "S: end {x}\n"
                           "C: a APPEND x {100+}\n"
                           "C: ",
                           shown, "[36 octets not shown]\n", NULL);
    g_assert_cmpstr(text, ==, expected);
}

/* What the caller says is mail, however it comes. */
static void test_mail(Fixture *fixture, gconstpointer data)
{
    g_autofree char *body = g_strnfill(60, 'x');
    g_autofree char *text = NULL, *expected = NULL;

    net_stream_defer_log(fixture->stream);
    hear(fixture, "+OK\r\n", 5);
    net_stream_log_input(fixture->stream, "+OK {9}\r\n", 9, FALSE);
    net_stream_log_input(fixture->stream, body, 60, TRUE);
    net_stream_log_input(fixture->stream, "A\r\nBSECRET", 10, TRUE);
    net_stream_log_input(fixture->stream, ".\r\n", 3, FALSE);
    net_stream_log_input(fixture->stream, "+OK\r\n", 5, FALSE);
    net_stream_log_input(fixture->stream, "C", 1, TRUE);
    net_stream_log_input(fixture->stream, ".\r\n+OK\r\n", 8, FALSE);
    net_stream_log_input(fixture->stream, body, 60, TRUE);
    net_stream_log_input(fixture->stream, "DEFGH", 5, TRUE);
    net_stream_free(g_steal_pointer(&fixture->stream));
    text = contents(fixture);
    expected = g_strconcat("S: +OK {9}\nS: ", body,
                           "A\\r\\nB[6 octets not shown]\nS: .\nS: +OK\nS: C\nS: .\nS: +OK\n"
                           "S: ",
                           body, "DEFG[1 octets not shown]\n", NULL);
    g_assert_cmpstr(text, ==, expected);
}

/* A line without end is written in pieces, and what has no end yet when the connection goes. */
static void test_unfinished(Fixture *fixture, gconstpointer data)
{
    g_autofree char *endless = g_strnfill(5000, 'y');
    g_autofree char *text = NULL;

    write_text(fixture, endless);
    net_stream_free(g_steal_pointer(&fixture->stream));
    text = contents(fixture);
    g_assert_cmpuint(strlen(text), ==, 5000 + 2 * strlen("C: \n"));
}

static void test_none(Fixture *fixture, gconstpointer data)
{
    int fds[2];
    g_autoptr(NetStream) stream = NULL;

    net_wirelog_set_directory(NULL);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    stream = net_stream_new_fd(fds[0], "none#1", NULL);
    g_assert_true(net_stream_write(stream, "x\r\n", 3, deadline_in(5), NULL));
    {
        g_autofree char *path = g_build_filename(directory, "none#1.log", NULL);

        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    }
    (void)close(fds[1]);
}

/* A name cannot lead out of the directory. */
static void test_name(Fixture *fixture, gconstpointer data)
{
    NetWirelog *log = net_wirelog_open("../x/y");
    g_autofree char *path = g_build_filename(directory, "_._x_y.log", NULL);

    g_assert_nonnull(log);
    net_wirelog_free(log);
    g_assert_cmpint(g_unlink(path), ==, 0);
}

#define ADD(name, function) g_test_add("/wirelog/" name, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    directory = g_dir_make_tmp("mailfs-test-XXXXXX", NULL);
    ADD("lines", test_lines);
    ADD("mask", test_mask);
    ADD("literals", test_literals);
    ADD("mail", test_mail);
    ADD("unfinished", test_unfinished);
    ADD("none", test_none);
    ADD("name", test_name);
    result = g_test_run();
    net_wirelog_set_directory(NULL);
    (void)g_rmdir(directory);
    g_free(directory);
    return result;
}
