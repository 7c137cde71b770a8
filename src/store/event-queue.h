/* Events on their way from a backend's threads to the main thread, in the order in which they were
 * posted.
 */
#pragma once

#include "store/backend.h"

typedef struct EventQueue EventQueue;

/* @func gets each event, on the calling thread's default main context. */
EventQueue *event_queue_new(BackendEventFunc func, gpointer user);
/* When nobody posts any more.  Of what is left, bodies that came whole are handed over, for
 * somebody just read them; the rest will be asked again.  May be called from within @func. */
void event_queue_free(EventQueue *queue);

/* Any thread; takes @event. */
void event_queue_post(EventQueue *queue, Event *event);
