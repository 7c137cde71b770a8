/* Deadlines on CLOCK_BOOTTIME.  See deadline.h. */
#include "base/deadline.h"

#include <time.h>

gint64 deadline_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (gint64)ts.tv_sec * G_USEC_PER_SEC + ts.tv_nsec / 1000;
}

Deadline deadline_in(guint seconds)
{
    return deadline_now() + (gint64)seconds * G_USEC_PER_SEC;
}

Deadline deadline_in_ms(gint64 milliseconds)
{
    return deadline_now() + milliseconds * 1000;
}

Deadline deadline_earlier(Deadline a, Deadline b)
{
    return MIN(a, b);
}

gboolean deadline_passed(Deadline deadline)
{
    return deadline != DEADLINE_NEVER && deadline_now() >= deadline;
}

int deadline_poll_ms(Deadline deadline)
{
    gint64 left;

    if (deadline == DEADLINE_NEVER)
        return -1;
    left = deadline - deadline_now();
    if (left <= 0)
        return 0;
    left = (left + 999) / 1000;
    return left > G_MAXINT ? G_MAXINT : (int)left;
}
