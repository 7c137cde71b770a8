/* The events of one body.  See body-event.h. */
#include "store/body-event.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>

static Event *event_about(EventKind kind, const Job *job, const FetchItem *item)
{
    Event *event = event_new(kind, job);

    event->item = item->item;
    return event;
}

Event *body_event_begin(const Job *job, const FetchItem *item, guint64 size, const BodyFile *body,
                        GError **error)
{
    g_autoptr(Event) event = event_about(EVENT_BODY_BEGIN, job, item);

    event->size = size;
    event->fd = fcntl(body_file_fd(body), F_DUPFD_CLOEXEC, 3);
    if (event->fd < 0) {
        mail_fail_errno(error, errno, "no descriptor for a body");
        return NULL;
    }
    return g_steal_pointer(&event);
}

Event *body_event_data(const Job *job, const FetchItem *item, guint64 received)
{
    Event *event = event_about(EVENT_BODY_DATA, job, item);

    event->received = received;
    return event;
}

Event *body_event_whole(const Job *job, const FetchItem *item, BodyFile *body, GError **error)
{
    g_autoptr(Event) event = event_about(EVENT_BODY_WHOLE, job, item);

    event->size = body_file_length(body);
    if (!body_file_commit(body, job->mailbox, item->item, event->sha256, error))
        return NULL;
    return g_steal_pointer(&event);
}

Event *body_event_failed(const Job *job, const FetchItem *item, const GError *error)
{
    Event *event = event_about(EVENT_BODY_FAILED, job, item);

    event->error = g_error_copy(error);
    return event;
}
