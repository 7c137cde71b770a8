/* The sandbox, probed from inside: a child locks itself in and tries what it should not. */
#include "mount/sandbox.h"
#include "mount/harden.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *folder; /* with cache/ (writable), home/ (not), home/secret */

/* What a probe answers: 0 for success or the errno. */
static int result(long value)
{
    return value < 0 ? errno : 0;
}

static int open_at(const char *name, int flags)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd < 0)
        return errno;
    (void)close(fd);
    return 0;
}

static int rename_at(const char *from, const char *to)
{
    g_autofree char *old = g_build_filename(folder, from, NULL);
    g_autofree char *new = g_build_filename(folder, to, NULL);

    return result(rename(old, new));
}

static int to_port(int family, guint16 port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), code;

    if (fd < 0)
        return errno;
    code = result(connect(fd, (struct sockaddr *)&address, sizeof address));
    (void)close(fd);
    return code;
}

static int probe_read_own(void)
{
    return open_at("cache/old", O_RDONLY);
}

static int probe_write_own(void)
{
    return open_at("cache/new", O_WRONLY | O_CREAT | O_TRUNC);
}

static int probe_rename_own(void)
{
    g_autofree char *sub = g_build_filename(folder, "cache/sub", NULL);

    return mkdir(sub, 0700) < 0 ? errno : rename_at("cache/old", "cache/sub/old");
}

static int probe_read_home(void)
{
    return open_at("home/secret", O_RDONLY);
}

static int probe_write_home(void)
{
    return open_at("home/new", O_WRONLY | O_CREAT);
}

static int probe_rename_out(void)
{
    return rename_at("cache/sub/old", "home/old");
}

static int probe_read_system(void)
{
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

    if (fd >= 0)
        (void)close(fd);
    return result(fd);
}

static int probe_port_allowed(void)
{
    return to_port(AF_INET, 9); /* nothing listens on "discard" */
}

static int probe_port_denied(void)
{
    return to_port(AF_INET, 11);
}

static int probe_family(void)
{
    return to_port(AF_VSOCK, 1);
}

static int probe_exec(void)
{
    return result(execl("/bin/true", "true", NULL));
}

static int probe_mount(void)
{
    return result(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int probe_unmount(void)
{
    return result(umount2("/proc", MNT_DETACH));
}

static int probe_unshare(void)
{
    return result(unshare(CLONE_NEWUSER));
}

static int probe_clone(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

    if (pid == 0)
        _exit(0);
    return result(pid);
}

static int probe_fork(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return result(waitpid(pid, NULL, 0));
}

static gpointer do_nothing(gpointer data)
{
    return data;
}

static int probe_thread(void)
{
    GThread *thread = g_thread_try_new("probe", do_nothing, NULL, NULL);

    if (!thread)
        return EAGAIN;
    (void)g_thread_join(thread);
    return 0;
}

static int probe_ptrace(void)
{
    return HARDEN_HAS_SANITIZER ? EPERM : result(ptrace(PTRACE_TRACEME, 0, 0, 0));
}

static int probe_io_uring(void)
{
    return result(syscall(SYS_io_uring_setup, 1, NULL));
}

static const struct {
    const char *name;
    int (*probe)(void);
    int expected; /* errno */
    int landlock; /* the version that it needs; 0: seccomp alone */
} probes[] = {
    {"read own", probe_read_own, 0, 0},
    {"write own", probe_write_own, 0, 0},
    {"rename own", probe_rename_own, 0, 2},
    {"read system", probe_read_system, 0, 0},
    {"fork", probe_fork, 0, 0},
    {"thread", probe_thread, 0, 0},
    {"port allowed", probe_port_allowed, ECONNREFUSED, 0},
    {"read home", probe_read_home, EACCES, 1},
    {"write home", probe_write_home, EACCES, 1},
    {"rename out", probe_rename_out, EACCES, 1},
    {"port denied", probe_port_denied, EACCES, 4},
    {"socket family", probe_family, EAFNOSUPPORT, 0},
    {"exec", probe_exec, EPERM, 0},
    {"mount", probe_mount, EPERM, 0},
    {"unmount", probe_unmount, EPERM, 0},
    {"unshare", probe_unshare, EPERM, 0},
    {"clone", probe_clone, EPERM, 0},
    {"ptrace", probe_ptrace, EPERM, 0},
    {"io_uring", probe_io_uring, EPERM, 0},
};

typedef struct {
    char status[200];
    int results[G_N_ELEMENTS(probes)];
} Report;

static void make(const char *name, gboolean is_file)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    if (is_file)
        g_assert_true(g_file_set_contents(path, "x", 1, NULL));
    else
        g_assert_cmpint(mkdir(path, 0700), ==, 0);
}

static void probe_all(int fd)
{
    g_autoptr(SandboxRules) rules = sandbox_rules_new();
    g_autofree char *cache = g_build_filename(folder, "cache", NULL);
    g_autofree char *status = NULL;
    Report report = {.status = ""};

    sandbox_allow_system(rules);
    sandbox_allow_write(rules, cache);
    sandbox_allow_write(rules, "/no/such/folder");
    sandbox_allow_port(rules, 9);
    status = sandbox_apply(rules);
    g_strlcpy(report.status, status, sizeof report.status);
    for (gsize i = 0; i < G_N_ELEMENTS(probes); i++)
        report.results[i] = probes[i].probe();
    _exit(write(fd, &report, sizeof report) == sizeof report ? 0 : 1);
}

static void test_probes(void)
{
    Report report;
    int fds[2], landlock = 0;
    pid_t child;

    g_assert_cmpint(pipe(fds), ==, 0);
    child = fork();
    if (child == 0)
        probe_all(fds[1]);
    (void)close(fds[1]);
    g_assert_cmpint(read(fds[0], &report, sizeof report), ==, sizeof report);
    (void)close(fds[0]);
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);

    g_test_message("sandbox: %s", report.status);
    (void)sscanf(report.status, "landlock %d", &landlock);
    g_assert_true(g_str_has_suffix(report.status, ", no_new_privs"));
    g_assert_null(strstr(report.status, "outside"));
    if (!strstr(report.status, ", seccomp,")) {
        g_test_skip("no seccomp here");
        return;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(probes); i++) {
        if (landlock < probes[i].landlock)
            continue;
        if (report.results[i] != probes[i].expected)
            g_test_message("%s: %s", probes[i].name, g_strerror(report.results[i]));
        g_assert_cmpint(report.results[i], ==, probes[i].expected);
    }
}

static void remove_all(void)
{
    static const char *const names[] = {"cache/sub/old", "cache/sub",   "cache/old", "cache/new",
                                        "cache",         "home/secret", "home/new",  "home/old",
                                        "home"};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(folder, names[i], NULL);

        (void)remove(path);
    }
    (void)rmdir(folder);
}

int main(int argc, char **argv)
{
    int code;

    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("mailfs-sandbox-XXXXXX", NULL);
    make("cache", FALSE);
    make("cache/old", TRUE);
    make("home", FALSE);
    make("home/secret", TRUE);
    g_test_add_func("/mount/sandbox/probes", test_probes);
    code = g_test_run();
    remove_all();
    g_free(folder);
    return code;
}
