/* A program that mailfs runs: a password command, a tunnel, fusermount3.
 *
 * Always an argument vector, never a shell; in a process group of its own, so that what it
 * started can be ended with it; with standard error in a pipe, whose lines go to the log and
 * whose last line explains a failure.  Nothing here blocks: the owner polls the descriptors of
 * program_poll() and calls program_handle() after that, until program_has_ended().
 */
#pragma once

#include <glib.h>
#include <poll.h>

#include "base/deadline.h"

/* Standard output of a command; what goes past it ends the program. */
#define PROGRAM_MAX_OUTPUT (64 * 1024)

typedef struct Program Program;

/* Starts @argv with /dev/null as its input and a pipe for its output.  @what names it in
 * messages ("the password command of account work").  At @deadline it is killed. */
Program *program_start(const char *what, const char *const *argv, Deadline deadline,
                       GError **error);

/* Starts @argv with one end of a socket pair as its input and output; *@ret_fd is the other
 * end, the caller's.  Runs until it ends or is freed. */
Program *program_start_tunnel(const char *what, const char *const *argv, int *ret_fd,
                              GError **error);

/* Kills the whole group of a program that still runs, wipes its output, frees.  NULL is fine. */
void program_free(Program *program);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Program, program_free)

/* Appends what is to be polled (struct pollfd) to @fds; program_deadline() bounds the wait. */
void program_poll(const Program *program, GArray *fds);
Deadline program_deadline(const Program *program);

/* Takes what has come, without blocking: output, lines for the log, the end, the deadline. */
void program_handle(Program *program);

gboolean program_has_ended(const Program *program);

/* After the end: TRUE when it exited with 0 in time.  Otherwise a sentence with its exit code
 * and the last line that it wrote to standard error; @code is the caller's to choose. */
gboolean program_succeeded(const Program *program, int code, GError **error);

/* What it wrote to standard output, NUL-terminated; the program's until program_free(). */
const char *program_output(const Program *program, gsize *ret_length);

/* Handles @program until its end.  For callers with nothing else to do. */
void program_wait(Program *program);
