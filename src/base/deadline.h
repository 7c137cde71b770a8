/* Points in time after which a wait is over.
 *
 * On CLOCK_BOOTTIME, so that a suspended laptop does not wake up with an hour of waits still
 * ahead, and a clock set by hand moves nothing.
 */
#pragma once

#include <glib.h>

typedef gint64 Deadline; /* microseconds of CLOCK_BOOTTIME */

#define DEADLINE_NEVER G_MAXINT64

gint64 deadline_now(void);
Deadline deadline_in(guint seconds);
Deadline deadline_in_ms(gint64 milliseconds);
Deadline deadline_earlier(Deadline a, Deadline b);
gboolean deadline_passed(Deadline deadline);

/* For poll(2): milliseconds left, rounded up; 0 when it has passed; -1 for DEADLINE_NEVER. */
int deadline_poll_ms(Deadline deadline);
