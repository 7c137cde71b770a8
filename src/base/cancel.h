/* A wake-up that can be polled: one eventfd that any thread may raise.
 *
 * Connection threads poll {socket, wake, cancel} against a deadline; raising the descriptor ends
 * the wait.  The same type serves for "a job has come" (raise, then clear when seen) and for
 * "give up" (raise, never cleared).
 */
#pragma once

#include <glib.h>

typedef struct Cancel Cancel;

Cancel *cancel_new(void);
Cancel *cancel_ref(Cancel *cancel);
void cancel_unref(Cancel *cancel); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Cancel, cancel_unref)

void cancel_raise(Cancel *cancel); /* from any thread; cheap when raised already */
void cancel_clear(Cancel *cancel); /* by the one thread that waits on it */
gboolean cancel_is_raised(Cancel *cancel); /* NULL answers FALSE */
int cancel_fd(Cancel *cancel);             /* readable while raised; -1 for NULL */
