/* What the POP3 thread does, and when: jobs as they come, and between them what is due.
 *
 *   a session is open          it ends when nobody has wanted anything for a moment
 *   removals are owed          a session, as soon as no more of them follow
 *   the last session failed    another one, later and later
 *   nothing                    a session at each poll, to look
 */
#include "store/pop3-internal.h"
#include "base/error.h"

#include <poll.h>

enum {
    LINGER_MS = 1500,       /* for a reader's next file */
    LONG_LINGER_MS = 15000, /* at most, where the next login has to wait */
    SHORT_LINGER_MS = 250,  /* after a look that found nothing */
    GATHER_MS = 300,        /* more removals that follow right away go together, */
    LONG_GATHER_MS = 5000,  /* for so long at most */
};

/* -- Jobs -------------------------------------------------------------------------------------- */

static gboolean carry_out(Pop3Backend *backend, Job *job, GError **error)
{
    switch (job->kind) {
    case JOB_SYNC:
        return pop3_sync(backend, job, error);
    case JOB_FETCH:
        return pop3_fetch(backend, job, error);
    case JOB_COPY:
        return pop3_copy(backend, job, error);
    default:
        g_assert_not_reached();
    }
}

static void set_running(Pop3Backend *backend, guint64 job)
{
    g_mutex_lock(&backend->lock);
    backend->running = job;
    g_mutex_unlock(&backend->lock);
}

/* Once more on a fresh session, where the one that was open has ended: a server may end it at any
 * time. */
static void serve(Pop3Backend *backend, Job *job)
{
    g_autoptr(GError) error = NULL;
    gboolean had_session = backend->session != NULL, ok;

    set_running(backend, job->id);
    ok = carry_out(backend, job, &error);
    if (!ok && had_session && !backend->session && !backend->failure &&
        mail_error_is_connection(error) && !pop3_is_stopping(backend)) {
        g_clear_error(&error);
        (void)carry_out(backend, job, &error);
    }
    set_running(backend, 0);
    maildir_backend_done(backend->local, job, error);
}

/* How long a session is kept for who comes next.  Who lists a mailbox often reads in it then, and
 * must not be locked out by that listing. */
static gint64 linger_ms(const Pop3Backend *backend, JobKind served)
{
    gint64 ms = served == JOB_SYNC ? SHORT_LINGER_MS : LINGER_MS;

    return MIN(MAX((gint64)backend->login_delay * 500, ms), LONG_LINGER_MS);
}

static void serve_all(Pop3Backend *backend)
{
    static const JobRoles all = G_MAXUINT;
    Job *job;

    while (!pop3_is_stopping(backend) && (job = job_queue_take(backend->queue, &all, 1, NULL))) {
        JobKind kind = job->kind;

        serve(backend, job);
        backend->linger = MAX(backend->linger, deadline_in_ms(linger_ms(backend, kind)));
    }
}

/* -- The thread -------------------------------------------------------------------------------- */

static void load_owed(Pop3Backend *backend)
{
    MaildirWorker *worker = maildir_backend_enter(backend->local);
    g_autoptr(GError) error = NULL;
    const Ledger *ledger =
        maildir_worker_open(worker, &error) ? pop3_inbox(worker, &error) : NULL;

    if (ledger)
        g_atomic_int_set(&backend->n_owed, (int)pop3_inbox_count_owed(ledger));
    else
        g_warning("%s: %s", backend->params.config->id, error->message);
    maildir_backend_leave(backend->local);
    if (g_atomic_int_get(&backend->n_owed) > 0)
        pop3_owe(backend);
}

/* Removals wake the thread: more of one command are waited for, but not for ever. */
static Deadline when_gathered(Pop3Backend *backend)
{
    if (backend->owed_until == 0)
        backend->owed_until = deadline_in_ms(LONG_GATHER_MS);
    return deadline_earlier(deadline_in_ms(GATHER_MS), backend->owed_until);
}

static void give_up_owed(Pop3Backend *backend)
{
    MaildirWorker *worker = maildir_backend_enter(backend->local);
    Ledger *ledger = pop3_inbox(worker, NULL);

    if (ledger)
        pop3_inbox_give_up(backend, ledger);
    maildir_backend_leave(backend->local);
}

/* When there is something to do without a job. */
static Deadline next_due(Pop3Backend *backend)
{
    gboolean is_new = g_atomic_int_get(&backend->owed_is_new) != 0;
    Deadline due;

    if (backend->session)
        return is_new ? when_gathered(backend) : backend->linger;
    if (backend->is_in_use && is_new)
        pop3_retry_soon(backend);
    due = backend->link > LINK_ONLINE ? backend->retry : backend->next_poll;
    if (backend->link <= LINK_ONLINE && pop3_has_owed(backend))
        due = deadline_earlier(due, is_new ? when_gathered(backend) : backend->owed_retry);
    return MAX(due, backend->next_login);
}

/* TRUE when a job came, or the end; FALSE when the time is over. */
static gboolean wait_for_work(Pop3Backend *backend)
{
    struct pollfd fd = {.fd = cancel_fd(backend->wake), .events = POLLIN};

    return poll(&fd, 1, deadline_poll_ms(next_due(backend))) > 0;
}

static void idle(Pop3Backend *backend)
{
    if (backend->session)
        pop3_disconnect(backend);
    else
        (void)pop3_connect(backend, FALSE, NULL); /* for what is owed, or to look */
}

gpointer pop3_thread_main(gpointer user)
{
    Pop3Backend *backend = user;

    backend->slots = g_ptr_array_new_with_free_func(pop3_slot_free);
    backend->by_uid = g_hash_table_new(NULL, NULL);
    backend->link = LINK_CONNECTING;
    load_owed(backend);
    if (!pop3_is_stopping(backend))
        (void)pop3_connect(backend, FALSE, NULL);
    while (!pop3_is_stopping(backend)) {
        cancel_clear(backend->wake);
        if (g_atomic_int_get(&backend->gives_up))
            give_up_owed(backend);
        if (g_atomic_int_get(&backend->retry_now) && !backend->session)
            (void)pop3_connect(backend, FALSE, NULL);
        serve_all(backend);
        if (!pop3_is_stopping(backend) && !wait_for_work(backend))
            idle(backend);
    }
    pop3_disconnect(backend);
    g_ptr_array_unref(backend->slots);
    g_hash_table_unref(backend->by_uid);
    return NULL;
}
