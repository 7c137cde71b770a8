/* A pipe tells the parent: one byte is success; its end without a byte is the child's end, whose
 * exit code waitpid(2) has.  See detach.h.
 */
#include "mount/detach.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* The parent's wait. */
static int exit_code_of(pid_t child, int pipe_fd)
{
    int status;
    char byte;
    ssize_t n;

    do
        n = read(pipe_fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        return EX_OK;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return EX_OSERR;
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        return WEXITSTATUS(status);
    if (WIFEXITED(status))
        return EX_OK; /* ended on request before it was ready, and cleaned up */
    fprintf(stderr, "mailfs: the background process was ended by signal %d\n", WTERMSIG(status));
    return EX_SOFTWARE;
}

gboolean detach_begin(int *ret_report, int *ret_exit_code)
{
    autofd int read_end = -1;
    int fds[2];
    pid_t child;

    *ret_exit_code = EX_OSERR;
    if (pipe2(fds, O_CLOEXEC) < 0) {
        perror("mailfs: pipe");
        return FALSE;
    }
    read_end = fds[0];
    child = fork();
    if (child == 0) {
        *ret_report = fds[1];
        return TRUE;
    }
    (void)close(fds[1]);
    if (child < 0)
        perror("mailfs: fork");
    else
        *ret_exit_code = exit_code_of(child, read_end);
    return FALSE;
}

gboolean detach_is_orphaned(int report)
{
    struct pollfd entry = {.fd = report};

    return poll(&entry, 1, 0) == 1 && (entry.revents & POLLERR);
}

void detach_streams(int log_fd)
{
    autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return;
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(null, STDOUT_FILENO);
    (void)dup2(log_fd >= 0 ? log_fd : null, STDERR_FILENO);
}

void detach_finish(int report, int log_fd)
{
    (void)setsid();
    if (chdir("/") < 0)
        g_debug("cannot leave the working directory");
    detach_streams(log_fd);
    (void)io_write_all(report, "", 1, NULL);
    (void)close(report);
}
