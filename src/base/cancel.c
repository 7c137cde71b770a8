/* An eventfd with a flag in front of it.  See cancel.h. */
#include "base/cancel.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct Cancel {
    gatomicrefcount refs;
    int fd;
    int raised; /* atomic */
};

Cancel *cancel_new(void)
{
    Cancel *cancel = g_new0(Cancel, 1);

    g_atomic_ref_count_init(&cancel->refs);
    cancel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (cancel->fd < 0)
        g_error("no eventfd: %s", g_strerror(errno)); /* out of descriptors at start: fatal */
    return cancel;
}

Cancel *cancel_ref(Cancel *cancel)
{
    g_atomic_ref_count_inc(&cancel->refs);
    return cancel;
}

void cancel_unref(Cancel *cancel)
{
    if (cancel && g_atomic_ref_count_dec(&cancel->refs)) {
        (void)close(cancel->fd);
        g_free(cancel);
    }
}

void cancel_raise(Cancel *cancel)
{
    guint64 one = 1;

    if (g_atomic_int_compare_and_exchange(&cancel->raised, 0, 1))
        while (write(cancel->fd, &one, sizeof one) < 0 && errno == EINTR)
            ;
}

void cancel_clear(Cancel *cancel)
{
    guint64 count;

    /* The read comes first: a raise between the two leaves the flag up and the descriptor
     * readable, which costs one spurious wake-up; the other order would lose it. */
    while (read(cancel->fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
    g_atomic_int_set(&cancel->raised, 0);
}

gboolean cancel_is_raised(Cancel *cancel)
{
    return cancel && g_atomic_int_get(&cancel->raised);
}

int cancel_fd(Cancel *cancel)
{
    return cancel ? cancel->fd : -1;
}
