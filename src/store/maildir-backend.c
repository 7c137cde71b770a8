/* The Maildir backend: an account whose mail is in folders of the local disk.
 *
 * One thread takes all jobs, the most urgent first, and gives them to a worker (maildir-worker.h).
 * A local disk gains nothing from several at once, and so all changes are in order by themselves.
 * While a large folder is listed for the first time, who waits for a message is served in between.
 *
 * "Online" means that the tree is there.  A disk that is not mounted is a server that is away.
 */
#include "store/maildir-backend.h"
#include "base/deadline.h"
#include "base/error.h"
#include "store/command-counts.h"
#include "store/event-queue.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum {
    RETRY_SECONDS = 15, /* while the tree is not there */
    /* After the first sign of a change, until it is looked at: who makes a folder makes cur/ and
     * new/ in it first, and who delivers, delivers more. */
    SETTLE_MS = 100,
};

typedef struct {
    /* Set once. */
    BackendParams params;
    EventQueue *events; /* to the main thread */
    JobQueue *queue;
    Cancel *wake; /* a job has come, or the end */
    GThread *thread;
    MaildirBackendParts parts; /* .path NULL: an account of its own */
    char *path;                /* of parts */

    GRecMutex entered;     /* who uses the worker, and the following */
    MaildirWorker *worker;
    GQueue *captured; /* or NULL */
    gboolean is_online, was_told;
    Deadline retry;
    Deadline settled; /* when a change in the folders is looked at */

    /* Under the lock. */
    GMutex lock;
    gboolean is_stopping;
    GHashTable *counts;
    guint64 octets_in;
    guint n_open;

    int retry_now; /* atomic: somebody asked for the tree to be looked for */
} MaildirBackend;

/* -- Events to the main thread ----------------------------------------------------------------- */

static void post(Event *event, gpointer user)
{
    MaildirBackend *backend = user;

    if (event->kind == EVENT_BODY_WHOLE) {
        g_mutex_lock(&backend->lock);
        backend->octets_in += event->size;
        g_mutex_unlock(&backend->lock);
    }
    event_queue_post(backend->events, event);
}

/* What the worker says. */
static void on_worker_event(Event *event, gpointer user)
{
    MaildirBackend *backend = user;

    if (backend->captured)
        g_queue_push_tail(backend->captured, event);
    else
        post(event, backend);
}

static void post_changed(MaildirBackend *backend)
{
    Event *event = event_new(EVENT_CHANGED, NULL);

    event->wire = g_strdup("");
    post(event, backend);
}

static void post_link(MaildirBackend *backend, const GError *error)
{
    MaildirTree *tree = maildir_worker_tree(backend->worker);
    Event *event = event_new(EVENT_LINK, NULL);

    event->link = error ? LINK_OFFLINE : LINK_ONLINE;
    if (error)
        event->error = g_error_copy(error);
    else
        event->server = g_strdup_printf("Maildir%s in %s",
                                        maildir_tree_layout(tree) == MAILDIR_PLUSPLUS ? "++" : "",
                                        maildir_tree_path(tree));
    /* Not before the account is online: that begins without. */
    event->is_whole = backend->is_online && !error && maildir_worker_watch_fd(backend->worker) >= 0;
    post(event, backend);
}

static void set_online(MaildirBackend *backend, const GError *error)
{
    gboolean is_online = error == NULL;

    if (backend->was_told && backend->is_online == is_online)
        return;
    if (backend->parts.path) {
        backend->was_told = TRUE;
        backend->is_online = is_online;
        if (is_online)
            post_changed(backend);
        else
            backend->retry = deadline_in(RETRY_SECONDS);
        return;
    }
    backend->is_online = FALSE;
    post_link(backend, error);
    backend->is_online = is_online;
    backend->was_told = TRUE;
    g_mutex_lock(&backend->lock);
    backend->n_open = is_online;
    g_mutex_unlock(&backend->lock);
    if (is_online)
        post_link(backend, NULL);
    else
        backend->retry = deadline_in(RETRY_SECONDS);
}

/* -- The thread -------------------------------------------------------------------------------- */

static gboolean is_stopping(MaildirBackend *backend)
{
    gboolean stopping;

    g_mutex_lock(&backend->lock);
    stopping = backend->is_stopping;
    g_mutex_unlock(&backend->lock);
    return stopping;
}

static void count(MaildirBackend *backend, JobKind kind)
{
    static const char *const names[] = {
        [JOB_LIST] = "LIST",     [JOB_SYNC] = "SYNC",   [JOB_FETCH] = "FETCH",
        [JOB_APPEND] = "APPEND", [JOB_FIND] = "FIND",   [JOB_COPY] = "COPY",
        [JOB_FLAGS] = "STORE",   [JOB_EXPUNGE] = "EXPUNGE", [JOB_MAILBOX] = "MAILBOX",
    };

    g_mutex_lock(&backend->lock);
    command_counts_add(backend->counts, names[kind], 1);
    g_mutex_unlock(&backend->lock);
}

/* With the worker entered. */
static void serve(MaildirBackend *backend, Job *job)
{
    g_autoptr(GError) error = NULL;
    gboolean is_passed_on = FALSE;

    count(backend, job->kind);
    if (backend->parts.run)
        (void)backend->parts.run(backend->worker, job, &is_passed_on, backend->parts.user, &error);
    else
        (void)maildir_worker_run(backend->worker, job, &error);
    if (!is_passed_on) {
        set_online(backend, mail_error_is(error, MAIL_ERROR_OFFLINE) ? error : NULL);
        maildir_backend_done((Backend *)backend, job, error);
    }
}

/* TRUE when something has changed in the folders, which is looked at when it has settled. */
static gboolean has_changes(MaildirBackend *backend)
{
    struct pollfd fd = {.fd = maildir_worker_watch_fd(backend->worker), .events = POLLIN};

    return maildir_worker_has_news(backend->worker) || (fd.fd >= 0 && poll(&fd, 1, 0) > 0);
}

static void look_for_changes(MaildirBackend *backend)
{
    g_rec_mutex_lock(&backend->entered);
    if (!has_changes(backend)) {
        backend->settled = DEADLINE_NEVER;
    } else if (backend->settled == DEADLINE_NEVER) {
        backend->settled = deadline_in_ms(SETTLE_MS);
    } else if (deadline_passed(backend->settled)) {
        backend->settled = DEADLINE_NEVER;
        maildir_worker_watch_read(backend->worker);
    }
    g_rec_mutex_unlock(&backend->entered);
}

static Job *take_urgent(MaildirBackend *backend)
{
    static const JobRoles reads = JOB_ROLE(JOB_INTERACTIVE, JOB_FETCH);
    static const JobRoles urgent = 1u << JOB_INTERACTIVE | 1u << JOB_WAITED | ~0u << 8;
    const JobRoles *roles = maildir_worker_is_listing(backend->worker) ? &reads : &urgent;

    return job_queue_take(backend->queue, roles, 1, NULL);
}

/* In the midst of something long: for those who wait. */
static gboolean pause_work(gpointer user)
{
    MaildirBackend *backend = user;
    GQueue *captured = g_steal_pointer(&backend->captured);
    Job *job;

    look_for_changes(backend);
    while (!is_stopping(backend) && (job = take_urgent(backend)))
        serve(backend, job);
    backend->captured = captured;
    return !is_stopping(backend);
}

/* The worker first, then the job: as long as another thread has the worker, that one lets in who
 * waits (pause_work()). */
static gboolean serve_next(MaildirBackend *backend)
{
    static const JobRoles all = ~0u;
    Job *job;

    g_rec_mutex_lock(&backend->entered);
    job = is_stopping(backend) ? NULL : job_queue_take(backend->queue, &all, 1, NULL);
    if (job)
        serve(backend, job);
    g_rec_mutex_unlock(&backend->entered);
    return job != NULL;
}

static void serve_all(MaildirBackend *backend)
{
    while (serve_next(backend))
        look_for_changes(backend);
}

static void open_tree(MaildirBackend *backend)
{
    g_autoptr(GError) error = NULL;

    g_rec_mutex_lock(&backend->entered);
    backend->retry = deadline_in(RETRY_SECONDS);
    (void)maildir_worker_open(backend->worker, &error);
    set_online(backend, error);
    g_rec_mutex_unlock(&backend->entered);
}

static void wait_for_work(MaildirBackend *backend)
{
    struct pollfd fds[] = {{.fd = cancel_fd(backend->wake), .events = POLLIN},
                           {.fd = -1, .events = POLLIN}};
    Deadline until;

    g_rec_mutex_lock(&backend->entered);
    until = backend->is_online ? DEADLINE_NEVER : backend->retry;
    if (backend->settled == DEADLINE_NEVER)
        fds[1].fd = maildir_worker_watch_fd(backend->worker);
    until = deadline_earlier(until, backend->settled);
    g_rec_mutex_unlock(&backend->entered);
    (void)poll(fds, G_N_ELEMENTS(fds), deadline_poll_ms(until));
}

static gboolean is_due(MaildirBackend *backend)
{
    gboolean due;

    g_rec_mutex_lock(&backend->entered);
    due = !backend->is_online && deadline_passed(backend->retry);
    g_rec_mutex_unlock(&backend->entered);
    return due;
}

static gpointer run(gpointer user)
{
    MaildirBackend *backend = user;

    open_tree(backend);
    while (!is_stopping(backend)) {
        cancel_clear(backend->wake);
        serve_all(backend);
        if (g_atomic_int_compare_and_exchange(&backend->retry_now, 1, 0) || is_due(backend))
            open_tree(backend);
        look_for_changes(backend);
        if (!is_stopping(backend)) /* the wake-up of that may have been cleared above */
            wait_for_work(backend);
    }
    return NULL;
}

/* -- The main thread's side -------------------------------------------------------------------- */

static Backend *start(const BackendParams *params)
{
    return maildir_backend_start(params, &(MaildirBackendParts){0});
}

Backend *maildir_backend_start(const BackendParams *params, const MaildirBackendParts *parts)
{
    MaildirBackend *backend = g_new0(MaildirBackend, 1);
    g_autofree char *ledgers = g_build_filename(params->state_dir, MAILDIR_LEDGERS, NULL);
    MaildirWorkerParams worker = {
        .account = params->config->id,
        .path = parts->path ? parts->path : params->config->maildir,
        .ledger_dir = ledgers,
        .charset_fallback = params->config->charset_fallback,
        .creates = parts->path != NULL,
        .has_inbox = TRUE,
        .disk = params->disk,
        .event = on_worker_event,
        .pause = pause_work,
        .user = backend,
    };

    backend->params = *params;
    backend->parts = *parts;
    backend->parts.path = backend->path = g_strdup(parts->path);
    g_rec_mutex_init(&backend->entered);
    backend->events = event_queue_new(params->event, params->user);
    backend->queue = job_queue_new();
    backend->wake = cancel_new();
    backend->settled = DEADLINE_NEVER;
    backend->counts = command_counts_new();
    g_mutex_init(&backend->lock);
    backend->worker = maildir_worker_new(&worker);
    backend->thread = g_thread_new("maildir", run, backend);
    return (Backend *)backend;
}

void maildir_backend_end(Backend *opaque)
{
    MaildirBackend *backend = (MaildirBackend *)opaque;

    g_mutex_lock(&backend->lock);
    backend->is_stopping = TRUE;
    g_mutex_unlock(&backend->lock);
    cancel_raise(backend->wake);
}

static void stop(Backend *opaque)
{
    MaildirBackend *backend = (MaildirBackend *)opaque;

    maildir_backend_end(opaque);
    g_thread_join(backend->thread);
    maildir_worker_free(backend->worker);
    event_queue_free(backend->events);
    job_queue_free(backend->queue);
    cancel_unref(backend->wake);
    g_hash_table_unref(backend->counts);
    g_mutex_clear(&backend->lock);
    g_rec_mutex_clear(&backend->entered);
    g_free(backend->path);
    g_free(backend);
}

/* -- As a part of another ---------------------------------------------------------------------- */

MaildirWorker *maildir_backend_enter(Backend *opaque)
{
    MaildirBackend *backend = (MaildirBackend *)opaque;

    g_rec_mutex_lock(&backend->entered);
    return backend->worker;
}

void maildir_backend_leave(Backend *opaque)
{
    g_rec_mutex_unlock(&((MaildirBackend *)opaque)->entered);
}

void maildir_backend_post(Backend *opaque, Event *event)
{
    post(event, opaque);
}

void maildir_backend_done(Backend *opaque, Job *job, const GError *error)
{
    Event *event = event_new(EVENT_DONE, job);

    event->done = job;
    event->error = error ? g_error_copy(error) : NULL;
    post(event, opaque);
}

void maildir_backend_capture(Backend *opaque, GQueue *events)
{
    ((MaildirBackend *)opaque)->captured = events;
}

static void submit(Backend *opaque, Job *job)
{
    MaildirBackend *backend = (MaildirBackend *)opaque;

    job_queue_push(backend->queue, job);
    cancel_raise(backend->wake);
}

static gboolean withdraw(Backend *opaque, guint64 id)
{
    MaildirBackend *backend = (MaildirBackend *)opaque;
    g_autoptr(Job) job = job_queue_remove(backend->queue, id);

    return job != NULL;
}

/* What the disk keeps waiting, nobody can call back. */
static void give_up(Backend *opaque, guint64 id)
{
}

static void reconnect(Backend *opaque)
{
    MaildirBackend *backend = (MaildirBackend *)opaque;

    g_atomic_int_set(&backend->retry_now, 1);
    cancel_raise(backend->wake);
}

/* What is in use is watched, all of it. */
static void watch(Backend *opaque, const char *wire)
{
}

static GHashTable *traffic(Backend *opaque, guint64 *ret_octets_in, guint64 *ret_octets_out,
                           guint *ret_n_connections)
{
    MaildirBackend *backend = (MaildirBackend *)opaque;
    GHashTable *counts;

    g_mutex_lock(&backend->lock);
    counts = command_counts_copy(backend->counts);
    *ret_octets_in = backend->octets_in;
    *ret_octets_out = 0;
    *ret_n_connections = backend->n_open;
    g_mutex_unlock(&backend->lock);
    return counts;
}

char *maildir_backend_encode(const char *component)
{
    return g_strdup(component);
}

char **maildir_backend_path(const char *wire, char delimiter)
{
    return g_strsplit(wire, "/", -1);
}

const BackendOps maildir_backend_ops = {
    .start = start,
    .stop = stop,
    .submit = submit,
    .withdraw = withdraw,
    .give_up = give_up,
    .reconnect = reconnect,
    .watch = watch,
    .encode = maildir_backend_encode,
    .path = maildir_backend_path,
    .traffic = traffic,
    .keeps_octets = TRUE,
};
