/* The IMAP backend as the main thread knows it: jobs in, events out, start and stop.
 *
 * What happens in between is imap-connection.c's, a thread a connection.
 */
#include "store/imap-internal.h"
#include "base/limits.h"
#include "client/imap-name.h"
#include "store/command-counts.h"

enum {
    POLITE_MS = 700, /* for LOGOUT at the end */
};

const ConfigAccount *imap_config(const ImapConnection *connection)
{
    return connection->backend->params.config;
}

Disk *imap_disk(const ImapConnection *connection)
{
    return connection->backend->params.disk;
}

/* -- Events to the main thread ----------------------------------------------------------------- */

void imap_post(ImapConnection *connection, Event *event)
{
    event_queue_post(connection->backend->events, event);
}

void imap_count(ImapConnection *connection, const char *name)
{
    ImapBackend *backend = connection->backend;

    g_mutex_lock(&backend->lock);
    command_counts_add(backend->counts, name, 1);
    g_mutex_unlock(&backend->lock);
}

/* -- The backend, on the main thread ----------------------------------------------------------- */

static ImapConnection *connection_new(ImapBackend *backend, guint number)
{
    ImapConnection *connection = g_new0(ImapConnection, 1);

    connection->backend = backend;
    connection->number = number;
    connection->wake = cancel_new();
    connection->running = g_array_new(FALSE, FALSE, sizeof(guint64));
    connection->fetches = g_ptr_array_new();
    backend->connections[number] = connection;
    return connection;
}

static Backend *start(const BackendParams *params)
{
    ImapBackend *backend = g_new0(ImapBackend, 1);

    if (params->wirelog_dir)
        session_set_wirelog(params->wirelog_dir);
    backend->params = *params;
    backend->events = event_queue_new(params->event, params->user);
    backend->queue = job_queue_new();
    g_mutex_init(&backend->lock);
    backend->counts = command_counts_new();
    backend->n_connections = CLAMP(params->config->connections, 1, IMAP_MAX_CONNECTIONS);
    backend->n_allowed = backend->n_connections;
    for (guint i = 0; i < backend->n_connections; i++)
        connection_new(backend, i);
    for (guint i = 0; i < backend->n_connections; i++) {
        g_autofree char *name = g_strdup_printf("imap#%u", i + 1);

        backend->connections[i]->thread =
            g_thread_new(name, imap_connection_main, backend->connections[i]);
    }
    return (Backend *)backend;
}

static void connection_free(ImapConnection *connection)
{
    cancel_unref(connection->wake);
    cancel_unref(connection->cancel);
    g_array_unref(connection->running);
    g_ptr_array_unref(connection->fetches);
    g_free(connection);
}

static void cut_all(ImapBackend *backend)
{
    g_mutex_lock(&backend->lock);
    for (guint i = 0; i < backend->n_connections; i++)
        if (backend->connections[i]->cancel)
            cancel_raise(backend->connections[i]->cancel);
    g_mutex_unlock(&backend->lock);
}

static void stop(Backend *opaque)
{
    ImapBackend *backend = (ImapBackend *)opaque;
    Deadline politeness = deadline_in_ms(POLITE_MS);

    g_mutex_lock(&backend->lock);
    backend->is_stopping = TRUE;
    for (guint i = 0; i < backend->n_connections; i++)
        cancel_raise(backend->connections[i]->wake);
    g_mutex_unlock(&backend->lock);
    /* Idle sessions say LOGOUT; what is still at work, or talks to a dead network, is cut. */
    while (g_atomic_int_get(&backend->n_ended) < (int)backend->n_connections &&
           !deadline_passed(politeness))
        g_usleep(5000);
    cut_all(backend);
    /* All of them first: they wake each other. */
    for (guint i = 0; i < backend->n_connections; i++)
        g_thread_join(backend->connections[i]->thread);
    for (guint i = 0; i < backend->n_connections; i++)
        connection_free(backend->connections[i]);
    event_queue_free(backend->events);
    job_queue_free(backend->queue);
    g_hash_table_unref(backend->counts);
    g_free(backend->watched);
    g_mutex_clear(&backend->lock);
    g_free(backend);
}

static void submit(Backend *opaque, Job *job)
{
    ImapBackend *backend = (ImapBackend *)opaque;
    JobRoles needed = JOB_ROLE(job->priority, job->kind), roles[IMAP_MAX_ROLES];
    gboolean first_only = job->kind == JOB_LIST;
    guint n_allowed;

    g_mutex_lock(&backend->lock);
    n_allowed = backend->n_allowed;
    /* The watcher has the watched mailbox selected: it spares the others a SELECT. */
    if (job->kind == JOB_SYNC && g_strcmp0(backend->watched, job->wire) == 0)
        first_only = TRUE;
    g_mutex_unlock(&backend->lock);
    job_queue_push(backend->queue, job);
    for (guint i = 0; i < (first_only ? 1 : backend->n_connections); i++) {
        guint n = imap_roles(i, n_allowed, roles);

        for (guint r = 0; r < n; r++)
            if ((roles[r] & needed) == needed)
                cancel_raise(backend->connections[i]->wake);
    }
}

static gboolean withdraw(Backend *opaque, guint64 id)
{
    ImapBackend *backend = (ImapBackend *)opaque;
    g_autoptr(Job) job = job_queue_remove(backend->queue, id);

    return job != NULL;
}

static void give_up(Backend *opaque, guint64 id)
{
    ImapBackend *backend = (ImapBackend *)opaque;
    gboolean was_running = FALSE;

    g_mutex_lock(&backend->lock);
    for (guint i = 0; i < backend->n_connections; i++) {
        ImapConnection *connection = backend->connections[i];

        for (guint k = 0; k < connection->running->len; k++)
            if (g_array_index(connection->running, guint64, k) == id && connection->cancel) {
                cancel_raise(connection->cancel);
                was_running = TRUE;
            }
    }
    /* One connection that says nothing for so long is likely all of them: the watching one tries
     * anew as well, and so finds out whether the account is offline.  A job that was only queued
     * says nothing about the network. */
    if (was_running && backend->connections[0]->cancel)
        cancel_raise(backend->connections[0]->cancel);
    g_mutex_unlock(&backend->lock);
}

static void reconnect(Backend *opaque)
{
    ImapBackend *backend = (ImapBackend *)opaque;

    g_atomic_int_set(&backend->retry_now, 1);
    cancel_raise(backend->connections[0]->wake);
}

static void watch_mailbox(Backend *opaque, const char *wire)
{
    ImapBackend *backend = (ImapBackend *)opaque;

    g_mutex_lock(&backend->lock);
    g_free(backend->watched);
    backend->watched = g_strdup(wire);
    g_mutex_unlock(&backend->lock);
    cancel_raise(backend->connections[0]->wake);
}

static GHashTable *traffic(Backend *opaque, guint64 *ret_octets_in, guint64 *ret_octets_out,
                           guint *ret_n_connections)
{
    ImapBackend *backend = (ImapBackend *)opaque;
    GHashTable *counts;

    g_mutex_lock(&backend->lock);
    counts = command_counts_copy(backend->counts);
    *ret_octets_in = backend->octets_in;
    *ret_octets_out = backend->octets_out;
    *ret_n_connections = backend->n_open;
    g_mutex_unlock(&backend->lock);
    return counts;
}

static char **path_of(const char *wire, char delimiter)
{
    return imap_name_path(wire, delimiter, FALSE);
}

const BackendOps imap_backend_ops = {
    .start = start,
    .stop = stop,
    .submit = submit,
    .withdraw = withdraw,
    .give_up = give_up,
    .reconnect = reconnect,
    .watch = watch_mailbox,
    .encode = imap_name_encode,
    .path = path_of,
    .traffic = traffic,
};
