/* Asking for a password with termios(3): the line discipline collects the line, so one read(2)
 * has it.  See terminal.h.
 */
#include "mount/terminal.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { MAX_ANSWER = 4096 }; /* the line discipline's own limit */

struct Terminal {
    int fd;
    struct termios before;
};

Terminal *terminal_ask(const char *question)
{
    g_autoptr(Terminal) terminal = NULL;
    autofd int fd = -1;
    struct termios before, quiet;

    if (!isatty(STDIN_FILENO))
        return NULL;
    fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || tcgetpgrp(fd) != getpgrp() || tcgetattr(fd, &before) < 0)
        return NULL;
    quiet = before;
    quiet.c_lflag = (quiet.c_lflag & ~(tcflag_t)ECHO) | ICANON | ISIG | ECHONL;
    if (tcsetattr(fd, TCSAFLUSH, &quiet) < 0)
        return NULL;
    terminal = g_new(Terminal, 1);
    terminal->fd = steal_fd(&fd);
    terminal->before = before;
    if (!io_write_all(terminal->fd, question, strlen(question), NULL))
        return NULL;
    return g_steal_pointer(&terminal);
}

void terminal_free(Terminal *terminal)
{
    if (!terminal)
        return;
    (void)tcsetattr(terminal->fd, TCSAFLUSH, &terminal->before);
    (void)close(terminal->fd);
    g_free(terminal);
}

int terminal_fd(const Terminal *terminal)
{
    return terminal->fd;
}

gboolean terminal_answer(Terminal *terminal, Secret **ret_secret)
{
    char answer[MAX_ANSWER];
    ssize_t n = read(terminal->fd, answer, sizeof answer);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return FALSE;
    if (n > 0 && answer[n - 1] == '\n')
        n--;
    *ret_secret = n > 0 ? secret_new(answer, (gsize)n) : NULL;
    secret_wipe(answer, sizeof answer);
    return TRUE;
}
