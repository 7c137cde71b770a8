/* Programs: output, failures in words, limits, deadlines, tunnels. */
#include "mount/program.h"
#include "base/error.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static Program *run(const char *script, Deadline deadline)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    Program *program = program_start("the test program", argv, deadline, NULL);

    g_assert_nonnull(program);
    program_wait(program);
    return program;
}

static void test_results(void)
{
    static const struct {
        const char *script, *output, *message; /* message NULL: success */
    } cases[] = {
        {"echo one; echo two", "one\ntwo\n", NULL},
        {"printf secret; echo warning >&2", "secret", NULL},
        {"cat; echo rest", "rest\n", NULL}, /* its input is empty */
        {"echo first >&2; echo 'last line' >&2; exit 3", "",
         "the test program failed with exit code 3: last line"},
        {"printf 'no end' >&2; exit 1", "", "the test program failed with exit code 1: no end"},
        {"printf 'a\\033[2Jb\\n' >&2; exit 1", "",
         "the test program failed with exit code 1: a\\x1b[2Jb"},
        {"exit 1", "", "the test program failed with exit code 1"},
        {"kill -TERM $$", "", "the test program was ended by signal 15"},
        /* what it leaves behind holds the pipe open, and nobody waits for that */
        {"sleep 60 & echo done", "done\n", NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Program) program = run(cases[i].script, deadline_in(20));
        g_autoptr(GError) error = NULL;
        gsize length;

        g_assert_cmpstr(program_output(program, &length), ==, cases[i].output);
        g_assert_cmpuint(length, ==, strlen(cases[i].output));
        g_assert_cmpint(program_succeeded(program, MAIL_ERROR_LOCKED, &error), ==,
                        cases[i].message == NULL);
        if (cases[i].message) {
            g_assert_error(error, MAIL_ERROR, MAIL_ERROR_LOCKED);
            g_assert_cmpstr(error->message, ==, cases[i].message);
        }
    }
}

static void test_not_found(void)
{
    const char *argv[] = {"/no/such/program", NULL};
    g_autoptr(Program) program = program_start("it", argv, deadline_in(20), NULL);
    g_autoptr(GError) error = NULL;

    program_wait(program);
    g_assert_false(program_succeeded(program, MAIL_ERROR_LOCKED, &error));
    g_assert_nonnull(strstr(error->message, "cannot run /no/such/program: No such file"));
}

static void test_deadline(void)
{
    g_autoptr(Program) program = run("sleep 60; echo never", deadline_in_ms(100));
    g_autoptr(GError) error = NULL;

    g_assert_false(program_succeeded(program, MAIL_ERROR_LOCKED, &error));
    g_assert_cmpstr(error->message, ==, "the test program did not end in time");
}

static void test_too_much(void)
{
    g_autoptr(Program) program = run("while :; do echo 0123456789abcdef; done", deadline_in(60));
    g_autoptr(GError) error = NULL;
    gsize length;

    (void)program_output(program, &length);
    g_assert_cmpuint(length, ==, PROGRAM_MAX_OUTPUT);
    g_assert_false(program_succeeded(program, MAIL_ERROR_LOCKED, &error));
    g_assert_nonnull(strstr(error->message, "more than 64 KiB"));
}

static void test_environment(void)
{
    sigset_t term, old;
    g_autoptr(Program) program = NULL;
    gsize length;

    /* The supervisor blocks signals; its programs must not. */
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &old);
    program = run("grep SigBlk /proc/self/status; ls /proc/self/fd | wc -l", deadline_in(20));
    sigprocmask(SIG_SETMASK, &old, NULL);
    g_assert_nonnull(strstr(program_output(program, &length), "SigBlk:\t0000000000000000"));
    /* 0, 1, 2 and the directory that ls reads */
    g_assert_true(g_str_has_suffix(program_output(program, &length), "\n4\n"));
}

static void test_tunnel(void)
{
    const char *argv[] = {"/bin/cat", NULL};
    char bytes[8] = "";
    Program *program;
    int fd = -1;

    program = program_start_tunnel("the tunnel", argv, &fd, NULL);
    g_assert_nonnull(program);
    g_assert_cmpint(write(fd, "ping", 4), ==, 4);
    g_assert_cmpint(recv(fd, bytes, 4, MSG_WAITALL), ==, 4);
    g_assert_cmpstr(bytes, ==, "ping");
    program_handle(program);
    g_assert_false(program_has_ended(program));
    program_free(program); /* kills it */
    g_assert_cmpint(read(fd, bytes, 1), ==, 0);
    (void)close(fd);

    program = program_start_tunnel("the tunnel", argv, &fd, NULL);
    (void)close(fd);
    program_wait(program); /* cat ends with its input */
    g_assert_true(program_succeeded(program, MAIL_ERROR_OFFLINE, NULL));
    program_free(program);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mount/program/results", test_results);
    g_test_add_func("/mount/program/not-found", test_not_found);
    g_test_add_func("/mount/program/deadline", test_deadline);
    g_test_add_func("/mount/program/too-much", test_too_much);
    g_test_add_func("/mount/program/environment", test_environment);
    g_test_add_func("/mount/program/tunnel", test_tunnel);
    return g_test_run();
}
