/* Which jobs a connection takes, and how it gives them back: put back for another one, or finished.
 *
 * Connection 0 watches: it keeps the account's state and does the listing and syncing, which are
 * what follows from an event.  Connection 1 is interactive: one body at a time, for somebody who
 * waits, and all changes, one after another.  The others are bulk, so that read-ahead never stands
 * before a read.  With fewer connections (by configuration, or because the server refuses more) the
 * roles move together.
 */
#include "store/imap-internal.h"

/* -- Roles ------------------------------------------------------------------------------------- */

#define ALL_PRIORITIES ((1u << JOB_N_PRIORITIES) - 1)
#define KIND(kind) (1u << (8 + (kind)))

static const JobRoles role_watch = ALL_PRIORITIES | KIND(JOB_LIST) | KIND(JOB_SYNC);
static const JobRoles role_interactive = 1u << JOB_INTERACTIVE | KIND(JOB_FETCH);
static const JobRoles role_change = ALL_PRIORITIES | KIND(JOB_APPEND) | KIND(JOB_FIND) |
                                    KIND(JOB_COPY) | KIND(JOB_FLAGS) | KIND(JOB_EXPUNGE) |
                                    KIND(JOB_MAILBOX);
static const JobRoles role_bulk =
    (ALL_PRIORITIES & ~(1u << JOB_INTERACTIVE)) | KIND(JOB_FETCH) | KIND(JOB_SYNC);

guint imap_roles(guint number, guint n_allowed, JobRoles ret_roles[IMAP_MAX_ROLES])
{
    guint n = 0;

    if (number >= n_allowed)
        return 0;
    if (number == 0)
        ret_roles[n++] = role_watch;
    if (number == 1 || n_allowed == 1) {
        ret_roles[n++] = role_interactive;
        ret_roles[n++] = role_change;
    }
    if (number >= 2 || (number == 0 && n_allowed <= 2))
        ret_roles[n++] = role_bulk;
    /* Neither a long body nor an upload must stand before all others: the last connections, when
     * they are idle, read for those who wait as well. */
    if (number >= 3 || (number == 2 && n_allowed == 3))
        ret_roles[n++] = role_interactive;
    return n;
}

/* -- Taking jobs ------------------------------------------------------------------------------- */

void imap_wake_all(ImapBackend *backend)
{
    for (guint i = 0; i < backend->n_connections; i++)
        cancel_raise(backend->connections[i]->wake);
}

/* More connections than the server let us have are tried again after a while.  That is for
 * connection 0 to say: with one connection it has all the roles, and while it runs a change, no
 * other connection may begin to take them. */
static void relearn(ImapConnection *connection)
{
    ImapBackend *backend = connection->backend;
    gboolean is_due;

    if (connection->number != 0)
        return;
    g_mutex_lock(&backend->lock);
    is_due = backend->n_allowed < backend->n_connections && deadline_passed(backend->relearn);
    if (is_due)
        backend->n_allowed = backend->n_connections;
    g_mutex_unlock(&backend->lock);
    if (is_due)
        imap_wake_all(backend);
}

Job *imap_take_job(ImapConnection *connection, const Job *like)
{
    ImapBackend *backend = connection->backend;
    JobRoles roles[IMAP_MAX_ROLES];
    guint n_allowed, n_roles;
    Job *job;

    relearn(connection);
    g_mutex_lock(&backend->lock);
    n_allowed = backend->n_allowed;
    g_mutex_unlock(&backend->lock);
    n_roles = imap_roles(connection->number, n_allowed, roles);
    job = job_queue_take(backend->queue, roles, n_roles, like);
    if (job) {
        g_mutex_lock(&backend->lock);
        g_array_append_val(connection->running, job->id);
        g_mutex_unlock(&backend->lock);
    }
    return job;
}

static void forget_running(ImapConnection *connection, const Job *job)
{
    ImapBackend *backend = connection->backend;

    g_mutex_lock(&backend->lock);
    for (guint i = 0; i < connection->running->len; i++)
        if (g_array_index(connection->running, guint64, i) == job->id) {
            g_array_remove_index_fast(connection->running, i);
            break;
        }
    g_mutex_unlock(&backend->lock);
}

void imap_put_back(ImapConnection *connection, Job *job)
{
    forget_running(connection, job);
    job_queue_push_front(connection->backend->queue, job);
}

void imap_finish(ImapConnection *connection, Job *job, GError *error)
{
    Event *event = event_new(EVENT_DONE, job);

    forget_running(connection, job);
    event->error = error ? g_error_copy(error) : NULL;
    event->done = job;
    imap_post(connection, event);
}
