/* Going into the background only when there is something to go for.
 *
 * The command that was called stays in the foreground and waits.  Its child does the work, may
 * write to the terminal and ask there, and lets the parent go with exit code 0 when it is ready;
 * when it ends before that, the parent takes over its exit code.
 */
#pragma once

#include <glib.h>

/* Forks.  In the child: TRUE, and *@ret_report is what detach_finish() wants.  In the parent,
 * when all is over: FALSE and *@ret_exit_code. */
gboolean detach_begin(int *ret_report, int *ret_exit_code);

/* TRUE when the parent has been killed meanwhile, so that nobody waits for the outcome. */
gboolean detach_is_orphaned(int report);

/* Leaves the terminal and the directory, gives up the standard descriptors as detach_streams()
 * does, and lets the parent go.  Takes @report. */
void detach_finish(int report, int log_fd);

/* Makes the standard input and output /dev/null, and standard error @log_fd: what libraries and
 * sanitizers write there.  -1: /dev/null too. */
void detach_streams(int log_fd);
