/* Fault points: which passing ends the process, which call fails, and what the log says.  Built
 * only where they are compiled in. */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"

/* The program begins with MAILFS_FAULT=@this. */
static const char *asked_path;

static void ask(const char *asked)
{
    FILE *file = fopen(asked_path, "w");

    g_assert_nonnull(file);
    fprintf(file, "%s\n", asked);
    g_assert_cmpint(fclose(file), ==, 0);
}

/* Passes "b" and then "a" three times in a child; what it exits with. */
static int pass(const char *asked)
{
    int status = 0;
    pid_t pid;

    ask(asked);
    pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        FAULT("b");
        for (int i = 0; i < 3; i++) {
            if (FAULT_FAILS("a"))
                _exit(10 + i);
            FAULT("a");
        }
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_pass(void)
{
    static const struct {
        const char *asked;
        int code;
    } cases[] = {{"a", 86},  {"a:1", 86},    {"a:3", 86}, {"a:4", 0}, {"b", 86}, {"b:2", 0},
                 {"", 0},    {"ab", 0},      {"c", 0},    {"a=x", 0}, {"a:0", 0},
                 {"a=error", 10}, {"b=error", 0}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].asked);
        g_assert_cmpint(pass(cases[i].asked), ==, cases[i].code);
    }
}

/* What is asked for later is counted from there. */
static void test_change(void)
{
    g_assert_cmpint(pass("list"), ==, 0);
    ask("a:2");
    FAULT("a");
    ask("");
    FAULT("a");
    ask("a:2");
    FAULT("a");
    ask("nothing else");
}

static void test_log(gconstpointer path)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==,
                    "fault: a\nfault: a\nfault: a\nfault: b\nfault: a\n"
                    "pass: b\npass: a\npass: a\npass: a\n");
}

static char *make_file(void)
{
    char *path = NULL;
    int fd = g_file_open_tmp("mailfs-fault-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    return path;
}

int main(int argc, char **argv)
{
    const char *log = getenv("MAILFS_FAULT_LOG"), *asked = getenv("MAILFS_FAULT");
    int result;

    if (!log) { /* both are opened before main() */
        g_autofree char *fresh_log = make_file(), *fresh = make_file();
        g_autofree char *at = g_strconcat("@", fresh, NULL);

        setenv("MAILFS_FAULT_LOG", fresh_log, 1);
        setenv("MAILFS_FAULT", at, 1);
        execv("/proc/self/exe", argv);
        return 1;
    }
    g_assert_nonnull(asked);
    asked_path = asked + 1;
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fault/pass", test_pass);
    g_test_add_func("/fault/change", test_change);
    g_test_add_data_func("/fault/log", log, test_log);
    result = g_test_run();
    unlink(log);
    unlink(asked_path);
    return result;
}
