/* What /proc tells of the processes behind requests. */
#pragma once

#include <glib.h>

/* The process that thread @tid belongs to; 0 when it cannot be told. */
pid_t process_of(pid_t tid);

/* Has the thread a fatal signal to take, or has it ended?  A fatal signal shows as a pending
 * SIGKILL (measured). */
gboolean process_is_dying(pid_t tid);

/* A number of /proc/PID/status: that of the line which begins with @name and a colon, of the
 * given base.  FALSE when there is none. */
gboolean process_status_number(const char *status, const char *name, guint base,
                               guint64 *ret_number);
