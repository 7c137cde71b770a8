/* Jobs, events, and the queue between the main thread and the connections.  See job.h. */
#include "store/job.h"
#include "base/deadline.h"

#include <unistd.h>

Job *job_new(JobKind kind, JobPriority priority)
{
    static guint64 last_id; /* main thread only */
    Job *job = g_new0(Job, 1);

    job->kind = kind;
    job->priority = priority;
    job->id = ++last_id;
    job->since = deadline_now();
    if (kind >= JOB_APPEND) {
        job->change = g_new0(JobChange, 1);
        job->change->fd = -1;
    }
    return job;
}

static void change_free(JobChange *change)
{
    if (!change)
        return;
    if (change->fd >= 0)
        (void)close(change->fd);
    if (change->messages)
        g_array_unref(change->messages);
    uid_set_free(change->others);
    g_free(change->message_id);
    g_free(change->keywords);
    g_free(change->keywords_removed);
    g_free(change->target);
    g_free(change->special_use);
    g_free(change);
}

void job_free(Job *job)
{
    if (!job)
        return;
    change_free(job->change);
    g_free(job->wire);
    uid_set_free(job->known.uids);
    if (job->known.cached)
        g_array_unref(job->known.cached);
    uid_set_free(job->uids);
    if (job->status_of)
        g_ptr_array_unref(job->status_of);
    if (job->items)
        g_array_unref(job->items);
    g_free(job);
}

void listed_mailbox_clear(ListedMailbox *mailbox)
{
    g_free(mailbox->wire);
    g_strfreev(mailbox->path);
}

Event *event_new(EventKind kind, const Job *job)
{
    Event *event = g_new0(Event, 1);

    event->kind = kind;
    event->fd = -1;
    if (job) {
        event->job = job->id;
        event->mailbox = job->mailbox;
    }
    return event;
}

Event *event_take_messages(const Job *job, GPtrArray **messages)
{
    Event *event;

    if ((*messages)->len == 0)
        return NULL;
    event = event_new(EVENT_MESSAGES, job);
    event->messages = *messages;
    *messages = g_ptr_array_new_with_free_func((GDestroyNotify)message_free);
    return event;
}

Event *event_take_flags(const Job *job, GArray **flags)
{
    Event *event;

    if ((*flags)->len == 0)
        return NULL;
    event = event_new(EVENT_FLAGS, job);
    event->flags = *flags;
    *flags = g_array_new(FALSE, FALSE, sizeof(FlagChange));
    return event;
}

void flag_changes_free(GArray *flags)
{
    for (guint i = 0; i < flags->len; i++) {
        FlagChange *change = &g_array_index(flags, FlagChange, i);

        if (change->keywords)
            g_ref_string_release(change->keywords);
    }
    g_array_unref(flags);
}

void event_free(Event *event)
{
    if (!event)
        return;
    g_free(event->wire);
    job_free(event->done);
    g_clear_error(&event->error);
    g_free(event->server);
    g_free(event->mechanism);
    if (event->mailboxes)
        g_array_unref(event->mailboxes);
    if (event->messages)
        g_ptr_array_unref(event->messages);
    if (event->flags)
        flag_changes_free(event->flags);
    uid_set_free(event->uids);
    if (event->fd >= 0)
        (void)close(event->fd);
    g_free(event);
}

struct JobQueue {
    GMutex lock;
    GQueue jobs[JOB_N_PRIORITIES];
};

JobQueue *job_queue_new(void)
{
    JobQueue *queue = g_new0(JobQueue, 1);

    g_mutex_init(&queue->lock);
    for (guint i = 0; i < JOB_N_PRIORITIES; i++)
        g_queue_init(&queue->jobs[i]);
    return queue;
}

void job_queue_free(JobQueue *queue)
{
    if (!queue)
        return;
    for (guint i = 0; i < JOB_N_PRIORITIES; i++)
        g_queue_clear_full(&queue->jobs[i], (GDestroyNotify)job_free);
    g_mutex_clear(&queue->lock);
    g_free(queue);
}

void job_queue_push(JobQueue *queue, Job *job)
{
    g_mutex_lock(&queue->lock);
    g_queue_push_tail(&queue->jobs[job->priority], job);
    g_mutex_unlock(&queue->lock);
}

void job_queue_push_front(JobQueue *queue, Job *job)
{
    g_mutex_lock(&queue->lock);
    g_queue_push_head(&queue->jobs[job->priority], job);
    g_mutex_unlock(&queue->lock);
}

static gboolean allows(const JobRoles *roles, guint n_roles, const Job *job)
{
    JobRoles needed = JOB_ROLE(job->priority, job->kind);

    for (guint i = 0; i < n_roles; i++)
        if ((roles[i] & needed) == needed)
            return TRUE;
    return FALSE;
}

static gboolean matches(const Job *job, const Job *match)
{
    return !match || (job->kind == match->kind && job->mailbox == match->mailbox &&
                      job->priority == match->priority &&
                      job->uidvalidity == match->uidvalidity);
}

Job *job_queue_take(JobQueue *queue, const JobRoles *roles, guint n_roles, const Job *match)
{
    Job *found = NULL;

    g_mutex_lock(&queue->lock);
    for (guint i = 0; i < JOB_N_PRIORITIES && !found; i++)
        for (GList *link = queue->jobs[i].head; link && !found; link = link->next)
            if (allows(roles, n_roles, link->data) && matches(link->data, match)) {
                found = link->data;
                g_queue_delete_link(&queue->jobs[i], link);
                break;
            }
    g_mutex_unlock(&queue->lock);
    return found;
}

GPtrArray *job_queue_drain(JobQueue *queue)
{
    GPtrArray *all = g_ptr_array_new();

    g_mutex_lock(&queue->lock);
    for (guint i = 0; i < JOB_N_PRIORITIES; i++)
        while (!g_queue_is_empty(&queue->jobs[i]))
            g_ptr_array_add(all, g_queue_pop_head(&queue->jobs[i]));
    g_mutex_unlock(&queue->lock);
    return all;
}

Job *job_queue_remove(JobQueue *queue, guint64 id)
{
    Job *found = NULL;

    g_mutex_lock(&queue->lock);
    for (guint i = 0; i < JOB_N_PRIORITIES && !found; i++)
        for (GList *link = queue->jobs[i].head; link; link = link->next)
            if (((Job *)link->data)->id == id) {
                found = link->data;
                g_queue_delete_link(&queue->jobs[i], link);
                break;
            }
    g_mutex_unlock(&queue->lock);
    return found;
}
