/* The POP3 backend as the main thread knows it: two threads behind one table.
 *
 * Every job goes to the Maildir backend first, whose thread asks pop3_local_run(): what can be done
 * without the server is done there, in the order in which it was asked for, whether there is a
 * connection or not.  The rest is passed on to the thread that has one.
 */
#include "store/pop3-internal.h"
#include "base/io.h"
#include "store/command-counts.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    POLITE_MS = 3000, /* for DELE and QUIT at the end */
};

static Backend *start(const BackendParams *params)
{
    Pop3Backend *backend = g_new0(Pop3Backend, 1);
    g_autofree char *data = config_data_dir();
    g_autofree char *path = g_build_filename(data, params->config->id, NULL);
    MaildirBackendParts parts = {path, pop3_local_run, backend};

    session_set_wirelog(params->wirelog_dir);
    backend->params = *params;
    backend->queue = job_queue_new();
    backend->wake = cancel_new();
    backend->counts = command_counts_new();
    backend->missing = uid_set_new();
    backend->fresh = uid_set_new();
    backend->doomed = uid_set_new();
    backend->damaged = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                             (GDestroyNotify)g_error_free);
    pop3_troubles_init(backend);
    g_mutex_init(&backend->lock);
    backend->local = maildir_backend_start(params, &parts);
    backend->thread = g_thread_new("pop3", pop3_thread_main, backend);
    return (Backend *)backend;
}

static void cut(Pop3Backend *backend)
{
    g_mutex_lock(&backend->lock);
    if (backend->cancel)
        cancel_raise(backend->cancel);
    g_mutex_unlock(&backend->lock);
}

static void stop(Backend *opaque)
{
    Pop3Backend *backend = (Pop3Backend *)opaque;
    Deadline politeness = deadline_in_ms(POLITE_MS);

    maildir_backend_end(backend->local);
    g_mutex_lock(&backend->lock);
    backend->is_stopping = TRUE;
    /* What is under way is of use to nobody any more, nor is a session that only begins. */
    if (backend->cancel && (backend->running || !g_atomic_int_get(&backend->is_open)))
        cancel_raise(backend->cancel);
    g_mutex_unlock(&backend->lock);
    cancel_raise(backend->wake);
    while (g_atomic_int_get(&backend->is_open) && !deadline_passed(politeness))
        g_usleep(5000);
    cut(backend);
    g_thread_join(backend->thread);
    maildir_backend_ops.stop(backend->local);
    job_queue_free(backend->queue);
    cancel_unref(backend->wake);
    cancel_unref(backend->cancel);
    g_hash_table_unref(backend->counts);
    uid_set_free(backend->missing);
    uid_set_free(backend->fresh);
    uid_set_free(backend->doomed);
    g_clear_pointer(&backend->vague, g_ptr_array_unref);
    g_hash_table_unref(backend->damaged);
    g_clear_error(&backend->failure);
    g_clear_error(&backend->away);
    pop3_troubles_clear(backend);
    g_mutex_clear(&backend->lock);
    g_free(backend);
}

static void submit(Backend *opaque, Job *job)
{
    maildir_backend_ops.submit(((Pop3Backend *)opaque)->local, job);
}

GError *pop3_away(Pop3Backend *backend)
{
    GError *away;

    g_mutex_lock(&backend->lock);
    away = backend->away ? g_error_copy(backend->away) : NULL;
    g_mutex_unlock(&backend->lock);
    return away;
}

void pop3_pass_on(Pop3Backend *backend, Job *job)
{
    g_autoptr(GError) away = job->kind == JOB_SYNC ? NULL : pop3_away(backend);

    if (away) {
        maildir_backend_done(backend->local, job, away);
        return;
    }
    job_queue_push(backend->queue, job);
    cancel_raise(backend->wake);
}

static gboolean withdraw(Backend *opaque, guint64 id)
{
    Pop3Backend *backend = (Pop3Backend *)opaque;
    g_autoptr(Job) job = job_queue_remove(backend->queue, id);

    return job || maildir_backend_ops.withdraw(backend->local, id);
}

static void give_up(Backend *opaque, guint64 id)
{
    Pop3Backend *backend = (Pop3Backend *)opaque;

    g_mutex_lock(&backend->lock);
    if (backend->running == id && backend->cancel)
        cancel_raise(backend->cancel);
    g_mutex_unlock(&backend->lock);
}

static void reconnect(Backend *opaque)
{
    Pop3Backend *backend = (Pop3Backend *)opaque;

    g_atomic_int_set(&backend->retry_now, 1);
    cancel_raise(backend->wake);
    maildir_backend_ops.reconnect(backend->local);
}

/* The first session says by itself what is new. */
static void watch(Backend *opaque, const char *wire)
{
}

static GHashTable *traffic(Backend *opaque, guint64 *ret_octets_in, guint64 *ret_octets_out,
                           guint *ret_n_connections)
{
    Pop3Backend *backend = (Pop3Backend *)opaque;
    GHashTable *counts;

    g_mutex_lock(&backend->lock);
    counts = command_counts_copy(backend->counts);
    *ret_octets_in = backend->octets_in;
    *ret_octets_out = backend->octets_out;
    g_mutex_unlock(&backend->lock);
    *ret_n_connections = (guint)g_atomic_int_get(&backend->is_open);
    return counts;
}

static gboolean removes_later(const char *wire)
{
    return g_str_equal(wire, POP3_INBOX);
}

/* Of an account that was not started; *ret_ledger NULL: there is none. */
static gboolean open_inbox(const char *state_dir, Ledger **ret_ledger, GError **error)
{
    g_autofree char *dir = g_build_filename(state_dir, MAILDIR_LEDGERS, NULL);
    g_autofree char *name = ledger_name(POP3_INBOX);
    autofd int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    *ret_ledger = NULL;
    /* To open one that is not there would make it. */
    if (dir_fd < 0 || faccessat(dir_fd, name, R_OK, 0) < 0)
        return TRUE;
    *ret_ledger = ledger_open(dir_fd, name, error);
    return *ret_ledger != NULL;
}

static guint owed(const char *state_dir)
{
    g_autoptr(Ledger) ledger = NULL;

    return open_inbox(state_dir, &ledger, NULL) && ledger ? pop3_inbox_count_owed(ledger) : 0;
}

static gboolean give_up_owed(Backend *opaque, const char *state_dir, GError **error)
{
    Pop3Backend *backend = (Pop3Backend *)opaque;
    g_autoptr(Ledger) ledger = NULL;

    if (backend) {
        g_atomic_int_set(&backend->gives_up, 1);
        cancel_raise(backend->wake);
        return TRUE;
    }
    if (!open_inbox(state_dir, &ledger, error))
        return FALSE;
    if (ledger)
        pop3_inbox_spare_all(ledger);
    return !ledger || ledger_flush(ledger, error);
}

const BackendOps pop3_backend_ops = {
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
    .works_offline = TRUE,
    .max_connections = 1,
    .removes_later = removes_later,
    .owed = owed,
    .give_up_owed = give_up_owed,
};
