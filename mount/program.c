/* Running programs without a shell and without blocking.
 *
 * The end of a program is seen through a pidfd, not SIGCHLD: each owner polls what is its own,
 * and no handler has to know whose child a process id is.  A program has ended when its process
 * has, not at the end of its output: a helper that leaves a daemon behind (gpg-agent) would keep
 * the pipe open for ever.
 */
#include "mount/program.h"
#include "base/error.h"
#include "base/io.h"
#include "base/secret.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MAX_ERROR_LINE = 500,
    MAX_ERROR_READS = 64, /* of 1 KiB, before others have their turn */
};

struct Program {
    char *what;
    pid_t pid; /* its own process group; 0 once it was waited for */
    int pidfd;
    int out_fd, err_fd; /* -1: closed, or a tunnel's */
    Deadline deadline;

    char *output; /* PROGRAM_MAX_OUTPUT + 1 bytes; NULL for a tunnel */
    gsize length;
    GString *line;      /* of standard error, not yet ended */
    char *last_line;    /* printable; or NULL */

    gboolean has_ended;
    int status;         /* of waitpid() */
    const char *killed; /* why we ended it; or NULL */
};

/* In the child: nothing but async-signal-safe calls, then exec. */
static G_GNUC_NORETURN void become(const char *const *argv, int in_fd, int out_fd, int err_fd)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    if (dup2(in_fd, STDIN_FILENO) >= 0 && dup2(out_fd, STDOUT_FILENO) >= 0 &&
        dup2(err_fd, STDERR_FILENO) >= 0) {
        /* All of ours are close-on-exec; this is for those that a library forgot. */
        (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
        execvp(argv[0], (char *const *)argv);
    }
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Forks; @in_fd and @out_fd stay the caller's. */
static Program *start(const char *what, const char *const *argv, int in_fd, int out_fd,
                      GError **error)
{
    g_autoptr(Program) program = g_new0(Program, 1);
    autofd int err_write = -1;
    int err_pipe[2];

    program->what = g_strdup(what);
    program->pidfd = program->out_fd = program->err_fd = -1;
    program->deadline = DEADLINE_NEVER;
    program->line = g_string_new(NULL);
    if (pipe2(err_pipe, O_CLOEXEC) < 0) {
        mail_fail_errno(error, errno, "cannot make a pipe");
        return NULL;
    }
    program->err_fd = err_pipe[0];
    err_write = err_pipe[1];
    (void)fcntl(program->err_fd, F_SETFL, O_NONBLOCK);
    program->pid = fork();
    if (program->pid == 0)
        become(argv, in_fd, out_fd, err_write);
    if (program->pid < 0) {
        program->pid = 0;
        mail_fail_errno(error, errno, "cannot start %s", what);
        return NULL;
    }
    /* Also here, for a kill of the group may come before the child's own setpgid(). */
    (void)setpgid(program->pid, program->pid);
    program->pidfd = pidfd_open(program->pid, 0);
    if (program->pidfd < 0) {
        mail_fail_errno(error, errno, "cannot watch %s", what);
        return NULL;
    }
    (void)fcntl(program->pidfd, F_SETFD, FD_CLOEXEC);
    return g_steal_pointer(&program);
}

Program *program_start(const char *what, const char *const *argv, Deadline deadline,
                       GError **error)
{
    autofd int null = io_open_at(AT_FDCWD, "/dev/null", O_RDONLY, 0, error);
    autofd int out_read = -1, out_write = -1;
    int out_pipe[2];
    Program *program;

    if (null < 0)
        return NULL;
    if (pipe2(out_pipe, O_CLOEXEC) < 0) {
        mail_fail_errno(error, errno, "cannot make a pipe");
        return NULL;
    }
    out_read = out_pipe[0];
    out_write = out_pipe[1];
    program = start(what, argv, null, out_write, error);
    if (!program)
        return NULL;
    program->out_fd = steal_fd(&out_read);
    (void)fcntl(program->out_fd, F_SETFL, O_NONBLOCK);
    program->output = g_malloc0(PROGRAM_MAX_OUTPUT + 1);
    program->deadline = deadline;
    return program;
}

Program *program_start_tunnel(const char *what, const char *const *argv, int *ret_fd,
                              GError **error)
{
    autofd int ours = -1, theirs = -1;
    int pair[2];
    Program *program;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        mail_fail_errno(error, errno, "cannot make a socket pair");
        return NULL;
    }
    ours = pair[0];
    theirs = pair[1];
    program = start(what, argv, theirs, theirs, error);
    if (program)
        *ret_fd = steal_fd(&ours);
    return program;
}

void program_free(Program *program)
{
    if (!program)
        return;
    if (program->pid > 0) {
        (void)kill(-program->pid, SIGKILL);
        while (waitpid(program->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    io_close_auto(&program->pidfd);
    io_close_auto(&program->out_fd);
    io_close_auto(&program->err_fd);
    if (program->output)
        secret_wipe(program->output, program->length);
    g_free(program->output);
    g_string_free(program->line, TRUE);
    g_free(program->last_line);
    g_free(program->what);
    g_free(program);
}

static void add_poll(GArray *fds, int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};

    if (fd >= 0)
        g_array_append_val(fds, entry);
}

void program_poll(const Program *program, GArray *fds)
{
    if (program->has_ended)
        return;
    add_poll(fds, program->pidfd);
    add_poll(fds, program->out_fd);
    add_poll(fds, program->err_fd);
}

Deadline program_deadline(const Program *program)
{
    return program->has_ended ? DEADLINE_NEVER : program->deadline;
}

static void end_by_force(Program *program, const char *why)
{
    if (!program->killed) {
        program->killed = why;
        (void)kill(-program->pid, SIGKILL);
    }
    program->deadline = DEADLINE_NEVER;
}

static void close_fd(int *fd)
{
    (void)close(steal_fd(fd));
}

static void take_output(Program *program)
{
    while (program->out_fd >= 0) {
        gsize room = PROGRAM_MAX_OUTPUT - program->length;
        char beyond;
        ssize_t n = room > 0 ? read(program->out_fd, program->output + program->length, room)
                             : read(program->out_fd, &beyond, 1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close_fd(&program->out_fd);
        } else if (room == 0) {
            end_by_force(program, "wrote more than 64 KiB");
            close_fd(&program->out_fd);
        } else {
            program->length += (gsize)n;
        }
    }
}

static void end_line(Program *program)
{
    if (program->line->len > 0) {
        g_free(program->last_line);
        program->last_line =
            text_printable(program->line->str, program->line->len, MAX_ERROR_LINE);
        /* A command's last line is told with its failure; a tunnel has no other voice. */
        g_log(G_LOG_DOMAIN, program->output ? G_LOG_LEVEL_INFO : G_LOG_LEVEL_MESSAGE, "%s: %s",
              program->what, program->last_line);
    }
    g_string_truncate(program->line, 0);
}

static void take_errors(Program *program)
{
    for (int turn = 0; program->err_fd >= 0 && turn < MAX_ERROR_READS; turn++) {
        char bytes[1024];
        ssize_t n = read(program->err_fd, bytes, sizeof bytes);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            end_line(program);
            close_fd(&program->err_fd);
            return;
        }
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i] == '\n' || program->line->len >= MAX_ERROR_LINE)
                end_line(program);
            if (bytes[i] != '\n' && bytes[i] != '\r')
                g_string_append_c(program->line, bytes[i]);
        }
    }
}

void program_handle(Program *program)
{
    pid_t pid;

    if (program->has_ended)
        return;
    /* The end first, then the pipes: all that it wrote is in them by now. */
    pid = waitpid(program->pid, &program->status, WNOHANG);
    take_output(program);
    take_errors(program);
    if (pid == program->pid) {
        end_line(program);
        program->pid = 0;
        program->has_ended = TRUE;
    } else if (deadline_passed(program->deadline)) {
        end_by_force(program, "did not end in time");
    }
}

gboolean program_has_ended(const Program *program)
{
    return program->has_ended;
}

gboolean program_succeeded(const Program *program, int code, GError **error)
{
    g_autofree char *how = NULL;

    if (program->killed)
        how = g_strdup(program->killed);
    else if (WIFSIGNALED(program->status))
        how = g_strdup_printf("was ended by signal %d", WTERMSIG(program->status));
    else if (WEXITSTATUS(program->status) != 0)
        how = g_strdup_printf("failed with exit code %d", WEXITSTATUS(program->status));
    else
        return TRUE;
    return mail_fail(error, code, "%s %s%s%s", program->what, how, program->last_line ? ": " : "",
                     program->last_line ? program->last_line : "");
}

const char *program_output(const Program *program, gsize *ret_length)
{
    *ret_length = program->length;
    return program->output;
}

void program_wait(Program *program)
{
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(struct pollfd));

    while (!program->has_ended) {
        g_array_set_size(fds, 0);
        program_poll(program, fds);
        (void)poll((struct pollfd *)(void *)fds->data, fds->len,
                   deadline_poll_ms(program->deadline));
        program_handle(program);
    }
}
