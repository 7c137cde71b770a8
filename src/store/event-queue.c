/* A queue under a lock, and a source of the main context for as long as there is something in it.
 *
 * One event a dispatch: each is at most EVENT_MAX_MESSAGES of work, and requests go between.
 */
#include "store/event-queue.h"

struct EventQueue {
    GMainContext *context;
    BackendEventFunc func;
    gpointer user;

    /* Under the lock. */
    GMutex lock;
    GQueue events; /* of Event */
    guint source;  /* id of the dispatch that is due, or 0 */
};

EventQueue *event_queue_new(BackendEventFunc func, gpointer user)
{
    EventQueue *queue = g_new0(EventQueue, 1);

    queue->context = g_main_context_ref_thread_default();
    queue->func = func;
    queue->user = user;
    g_mutex_init(&queue->lock);
    g_queue_init(&queue->events);
    return queue;
}

void event_queue_free(EventQueue *queue)
{
    Event *event;

    if (queue->source)
        g_source_destroy(g_main_context_find_source_by_id(queue->context, queue->source));
    while ((event = g_queue_pop_head(&queue->events)))
        if (event->kind == EVENT_BODY_WHOLE)
            queue->func(event, queue->user);
        else
            event_free(event);
    g_main_context_unref(queue->context);
    g_mutex_clear(&queue->lock);
    g_free(queue);
}

static gboolean deliver(gpointer user)
{
    EventQueue *queue = user;
    Event *event;
    gboolean more;

    g_mutex_lock(&queue->lock);
    event = g_queue_pop_head(&queue->events);
    more = !g_queue_is_empty(&queue->events);
    if (!more)
        queue->source = 0;
    g_mutex_unlock(&queue->lock);
    if (event)
        queue->func(event, queue->user); /* which may free the queue */
    return more ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

void event_queue_post(EventQueue *queue, Event *event)
{
    g_mutex_lock(&queue->lock);
    g_queue_push_tail(&queue->events, event);
    if (queue->source == 0) {
        GSource *source = g_idle_source_new();

        g_source_set_priority(source, G_PRIORITY_DEFAULT);
        g_source_set_callback(source, deliver, queue, NULL);
        queue->source = g_source_attach(source, queue->context);
        g_source_unref(source);
    }
    g_mutex_unlock(&queue->lock);
}
