/* One connection of the IMAP backend: its thread, from connecting to the next job.
 *
 * Straight-line blocking code.  What it does besides waiting for jobs depends on its number (see
 * imap-jobs.c): connection 0 watches, in IDLE or NOTIFY, and the others rest.
 *
 * Only connection 0 decides whether the account is online.  While it cannot connect, queued jobs
 * fail at once: offline is a state with an answer, not a wait.
 */
#include "store/imap-internal.h"
#include "base/error.h"
#include "base/limits.h"

#include <string.h>

enum {
    REST_SECONDS = 300,        /* an unused connection is closed after this */
    STABLE_SECONDS = 60,       /* a session that lived so long is no failure to connect */
    RELEARN_SECONDS = 600,     /* when "too many connections" is tried again */
    LOCKED_RETRY_SECONDS = 60, /* a keyring is unlocked by a person */
};

/* -- Events to the main thread --------------------------------------------------------------- */

static void post_link(ImapConnection *connection, LinkState state, const GError *error)
{
    Event *event = event_new(EVENT_LINK, NULL);

    event->link = state;
    if (error)
        event->error = g_error_copy(error);
    if (connection->session) {
        event->server = g_strdup(imap_session_server_id(connection->session));
        event->mechanism = g_strdup(imap_session_mechanism(connection->session));
    }
    event->is_whole = connection->is_notified;
    imap_post(connection, event);
}

static void post_changed(ImapConnection *connection, const char *wire)
{
    Event *event = event_new(EVENT_CHANGED, NULL);

    event->wire = g_strdup(wire);
    imap_post(connection, event);
}

/* -- Commands ---------------------------------------------------------------------------------- */

guint imap_send(ImapConnection *connection, ImapCommand *command, const char *name,
                GError **error)
{
    imap_count(connection, name);
    return imap_session_send(connection->session, command, error);
}

gboolean imap_run(ImapConnection *connection, ImapCommand *command, const char *name,
                  GError **error)
{
    imap_count(connection, name);
    return imap_session_run(connection->session, command, NULL, error);
}

static gboolean select_once(ImapConnection *connection, const char *wire, gboolean examine,
                            const ImapKnown *known, GError **error)
{
    imap_count(connection, examine ? "EXAMINE" : "SELECT");
    connection->has_changed = FALSE;
    return imap_session_select(connection->session, wire, examine, known, &connection->selected,
                               error);
}

/* Dovecot 2.3 has said of a mailbox that was there that it does not exist, right after another
 * session had worked in it.  LIST makes a server look again; who still says so is believed. */
static gboolean select_as(ImapConnection *connection, const char *wire, gboolean examine,
                          const ImapKnown *known, GError **error)
{
    g_autoptr(GError) refused = NULL;
    ImapCommand *list;

    if (select_once(connection, wire, examine, known, &refused))
        return TRUE;
    if (!mail_error_is(refused, MAIL_ERROR_GONE)) {
        g_propagate_error(error, g_steal_pointer(&refused));
        return FALSE;
    }
    list = imap_command_mailbox(imap_command_new("LIST \"\""), wire);
    return imap_run(connection, list, "LIST", error) &&
           select_once(connection, wire, examine, known, error);
}

gboolean imap_select_again(ImapConnection *connection, const char *wire, const ImapKnown *known,
                           GError **error)
{
    return select_as(connection, wire, TRUE, known, error);
}

gboolean imap_select_to_write(ImapConnection *connection, const char *wire, GError **error)
{
    return select_as(connection, wire, FALSE, NULL, error);
}

gboolean imap_select(ImapConnection *connection, const char *wire, GError **error)
{
    const char *selected = imap_session_selected(connection->session);

    return (selected && g_str_equal(selected, wire)) ||
           imap_select_again(connection, wire, NULL, error);
}

gboolean imap_is_fatal(const GError *error)
{
    return mail_error_is_connection(error) || mail_error_is(error, MAIL_ERROR_CANCELLED);
}

static gboolean is_stopping(ImapBackend *backend)
{
    gboolean stopping;

    g_mutex_lock(&backend->lock);
    stopping = backend->is_stopping;
    g_mutex_unlock(&backend->lock);
    return stopping;
}

/* -- Connecting -------------------------------------------------------------------------------- */

static void count_traffic(ImapConnection *connection)
{
    ImapBackend *backend = connection->backend;
    guint64 in, out;

    if (!connection->session)
        return;
    imap_session_octets(connection->session, &in, &out);
    g_mutex_lock(&backend->lock);
    backend->octets_in += in - connection->counted_in;
    backend->octets_out += out - connection->counted_out;
    g_mutex_unlock(&backend->lock);
    connection->counted_in = in;
    connection->counted_out = out;
}

static void close_session(ImapConnection *connection, gboolean politely)
{
    ImapBackend *backend = connection->backend;

    if (!connection->session)
        return;
    if (politely)
        imap_session_logout(connection->session);
    count_traffic(connection);
    g_clear_pointer(&connection->session, imap_session_free);
    g_clear_pointer(&connection->namespaces, g_ptr_array_unref);
    connection->is_notified = FALSE;
    connection->has_changed = FALSE;
    connection->counted_in = connection->counted_out = 0;
    memset(&connection->selected, 0, sizeof connection->selected);
    g_mutex_lock(&backend->lock);
    backend->n_open--;
    g_mutex_unlock(&backend->lock);
}

static void set_online(ImapConnection *connection, LinkState state, const GError *error)
{
    ImapBackend *backend = connection->backend;

    g_mutex_lock(&backend->lock);
    backend->is_online = state == LINK_ONLINE;
    g_mutex_unlock(&backend->lock);
    post_link(connection, state, error);
}

/* A connection beyond the first was refused: do with fewer for a while. */
static void learn_limit(ImapConnection *connection, const GError *error)
{
    ImapBackend *backend = connection->backend;

    if (connection->number == 0 || !mail_error_is(error, MAIL_ERROR_BUSY))
        return;
    g_mutex_lock(&backend->lock);
    backend->n_allowed = MIN(backend->n_allowed, connection->number);
    backend->relearn = deadline_in(RELEARN_SECONDS);
    g_mutex_unlock(&backend->lock);
    g_message("%s: the server allows %u connections (%s)", imap_config(connection)->id,
              connection->number, error->message);
}

static Cancel *fresh_cancel(ImapConnection *connection)
{
    ImapBackend *backend = connection->backend;
    Cancel *cancel;

    g_mutex_lock(&backend->lock);
    cancel_unref(connection->cancel);
    connection->cancel = cancel_new();
    if (backend->is_stopping)
        cancel_raise(connection->cancel);
    cancel = connection->cancel;
    g_mutex_unlock(&backend->lock);
    return cancel;
}

static gboolean open_new_session(ImapConnection *connection, GError **error)
{
    ImapBackend *backend = connection->backend;
    const ConfigAccount *config = imap_config(connection);
    g_autoptr(ImapSession) session = NULL;
    g_autoptr(GError) failure = NULL;
    SessionParams params = {
        .account = config->id,
        .number = connection->number + 1,
        .endpoint = config->endpoint,
        .user = config->user,
        .auth = config->auth,
        .is_token = config_uses_token(config),
        .compress = config->compress,
        .n_refused = &backend->n_refused,
        .broker = backend->params.broker,
        .cancel = fresh_cancel(connection),
    };

    session = imap_session_new(&params, &imap_handler, connection);
    imap_count(connection, "LOGIN");
    if (!imap_session_open(session, &failure)) {
        learn_limit(connection, failure);
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    connection->session = g_steal_pointer(&session);
    connection->retry = 0;
    connection->opened = deadline_now();
    g_mutex_lock(&backend->lock);
    backend->n_open++;
    g_mutex_unlock(&backend->lock);
    if (connection->number == 0)
        set_online(connection, LINK_ONLINE, NULL);
    return TRUE;
}

static gboolean open_session(ImapConnection *connection, GError **error)
{
    return connection->session || open_new_session(connection, error);
}

static LinkState state_of(const GError *error)
{
    /* A bad certificate is no refusal: it may be a captive portal's, and gone in a minute. */
    if (mail_error_is(error, MAIL_ERROR_AUTH))
        return LINK_REFUSED;
    if (mail_error_is(error, MAIL_ERROR_LOCKED))
        return LINK_LOCKED;
    return LINK_OFFLINE;
}

/* 1 s, doubled up to 5 minutes, +-20 % so that a thousand clients do not come back at once.
 * Refused credentials wait for a person. */
static Deadline next_retry(ImapConnection *connection, LinkState state)
{
    gint64 ms = 1000LL << MIN(connection->n_failures, 9);

    connection->n_failures++;
    if (state == LINK_REFUSED)
        return DEADLINE_NEVER;
    if (state == LINK_LOCKED)
        return deadline_in(LOCKED_RETRY_SECONDS);
    ms = MIN(ms, LIMIT_BACKOFF_SECONDS * 1000LL);
    return deadline_in_ms(ms * g_random_int_range(80, 121) / 100);
}

/* The session of connection 0 ended by itself.  The first try after one that did its work comes at
 * once; a server that lets us in and then hangs up each time is treated as one that is away. */
static void lost(ImapConnection *connection, const GError *error)
{
    LinkState state = state_of(error);
    gboolean is_first;

    if (deadline_now() - connection->opened > STABLE_SECONDS * (gint64)G_USEC_PER_SEC)
        connection->n_failures = 0;
    is_first = connection->n_failures == 0 && state == LINK_OFFLINE;
    close_session(connection, FALSE);
    if (is_stopping(connection->backend))
        return;
    connection->retry = next_retry(connection, state);
    if (is_first)
        connection->retry = deadline_in_ms(200);
    set_online(connection, is_first ? LINK_CONNECTING : state, error);
}

static void fail_queued(ImapConnection *connection, GError *error)
{
    g_autoptr(GPtrArray) jobs = job_queue_drain(connection->backend->queue);

    for (guint i = 0; i < jobs->len; i++)
        imap_finish(connection, g_ptr_array_index(jobs, i), error);
}

/* -- Running jobs ------------------------------------------------------------------------------ */

static void retry_or_finish(ImapConnection *connection, Job *job, GError *error)
{
    gboolean again = imap_is_fatal(error) && job->n_tries == 0 && !job->change &&
                     !is_stopping(connection->backend);

    if (!again) {
        imap_finish(connection, job, error);
        return;
    }
    job->n_tries++;
    imap_put_back(connection, job);
}

static gboolean run_job(ImapConnection *connection, Job *job, GPtrArray *unfinished,
                        GError **error)
{
    switch (job->kind) {
    case JOB_LIST:
        return imap_list_run(connection, job, error);
    case JOB_SYNC:
        return imap_sync_run(connection, job, error);
    case JOB_FETCH:
        return imap_fetch_run(connection, job, unfinished, error);
    case JOB_APPEND:
    case JOB_FIND:
    case JOB_COPY:
    case JOB_FLAGS:
    case JOB_EXPUNGE:
    case JOB_MAILBOX:
        return imap_change_run(connection, job, error);
    }
    g_assert_not_reached();
}

static void serve(ImapConnection *connection, Job *job)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) unfinished = g_ptr_array_new();
    gboolean is_fetch = job->kind == JOB_FETCH;

    if (!open_session(connection, &error)) {
        if (connection->number == 0) {
            LinkState state = state_of(error);

            connection->retry = next_retry(connection, state);
            set_online(connection, state, error);
            imap_finish(connection, job, error);
            fail_queued(connection, error);
        } else if (mail_error_is(error, MAIL_ERROR_BUSY) ||
                   (job->n_tries == 0 && (mail_error_is_connection(error) ||
                                          mail_error_is(error, MAIL_ERROR_AUTH)))) {
            /* Fewer connections than we hoped for (and fewer each time, so this ends), or bad
             * luck: another one takes it.  Whether the credentials are good is for connection 0
             * to find out. */
            job->n_tries += !mail_error_is(error, MAIL_ERROR_BUSY);
            imap_put_back(connection, job);
            imap_wake_all(connection->backend);
        } else {
            g_message("%s: connection %u: %s", imap_config(connection)->id,
                      connection->number + 1, error->message);
            imap_finish(connection, job, error);
        }
        return;
    }
    if (run_job(connection, job, unfinished, &error)) {
        if (!is_fetch)
            imap_finish(connection, job, NULL);
        return;
    }
    if (!is_fetch)
        g_ptr_array_add(unfinished, job);
    g_debug("%s#%u: %s", imap_config(connection)->id, connection->number + 1, error->message);
    if (imap_is_fatal(error)) {
        if (connection->number == 0)
            lost(connection, error);
        else
            close_session(connection, FALSE);
    }
    for (guint i = 0; i < unfinished->len; i++)
        retry_or_finish(connection, g_ptr_array_index(unfinished, i), error);
}

/* -- Watching ---------------------------------------------------------------------------------- */

static char *watched(ImapBackend *backend)
{
    char *wire;

    g_mutex_lock(&backend->lock);
    wire = g_strdup(backend->watched);
    g_mutex_unlock(&backend->lock);
    return wire;
}

/* What SELECT says is a STATUS: the main thread compares it with what it knows. */
static void post_selected(ImapConnection *connection, const char *wire)
{
    ImapStatus status = {
        .mailbox = wire,
        .items = IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDVALIDITY,
        .messages = connection->selected.exists,
        .uidvalidity = connection->selected.uidvalidity,
        .uidnext = connection->selected.uidnext,
        .highestmodseq = connection->selected.highestmodseq,
    };

    if (status.uidnext)
        status.items |= IMAP_STATUS_UIDNEXT;
    if (status.highestmodseq)
        status.items |= IMAP_STATUS_HIGHESTMODSEQ;
    imap_post_status(connection, &status);
}

static gboolean prepare_watch(ImapConnection *connection, GError **error)
{
    g_autofree char *wire = watched(connection->backend);
    const char *selected = imap_session_selected(connection->session);

    if (wire && g_strcmp0(selected, wire) != 0) {
        if (!imap_select(connection, wire, error))
            return FALSE;
        post_selected(connection, wire);
    }
    if (!connection->is_notified && imap_session_has(connection->session, IMAP_CAP_NOTIFY)) {
        g_autoptr(GError) refused = NULL;

        imap_count(connection, "NOTIFY");
        if (imap_session_notify(connection->session, &refused)) {
            connection->is_notified = TRUE;
            post_link(connection, LINK_ONLINE, NULL);
        } else if (mail_error_is_connection(refused)) {
            g_propagate_error(error, g_steal_pointer(&refused));
            return FALSE;
        }
    }
    return TRUE;
}

/* Says what unasked data came; the main thread answers with a sync. */
static void report_changes(ImapConnection *connection)
{
    const char *selected =
        connection->session ? imap_session_selected(connection->session) : NULL;

    if (connection->has_changed && selected)
        post_changed(connection, selected);
    if (connection->list_changed)
        post_changed(connection, "");
    connection->has_changed = FALSE;
    connection->list_changed = FALSE;
}

static void connect_or_wait(ImapConnection *connection)
{
    g_autoptr(GError) error = NULL;
    LinkState state;

    if (g_atomic_int_compare_and_exchange(&connection->backend->retry_now, 1, 0))
        connection->retry = 0;
    if (connection->retry && !deadline_passed(connection->retry)) {
        GPollFD poll = {cancel_fd(connection->wake), G_IO_IN, 0};
        int ms = deadline_poll_ms(connection->retry);

        (void)g_poll(&poll, 1, ms);
        return;
    }
    if (open_session(connection, &error))
        return;
    if (is_stopping(connection->backend))
        return;
    state = state_of(error);
    connection->retry = next_retry(connection, state);
    set_online(connection, state, error);
    fail_queued(connection, error);
}

static void watch(ImapConnection *connection)
{
    g_autoptr(GError) error = NULL;
    ImapWatch outcome;

    if (!connection->session) {
        connect_or_wait(connection);
        return;
    }
    if (!prepare_watch(connection, &error)) {
        if (imap_is_fatal(error)) {
            lost(connection, error);
            return;
        }
        /* The watched mailbox is gone, or may not be read: watch without one. */
        g_message("%s: %s", imap_config(connection)->id, error->message);
        g_mutex_lock(&connection->backend->lock);
        g_clear_pointer(&connection->backend->watched, g_free);
        g_mutex_unlock(&connection->backend->lock);
        g_clear_error(&error);
    }
    report_changes(connection);
    if (imap_session_has(connection->session, IMAP_CAP_IDLE) && !connection->is_notified)
        imap_count(connection, "IDLE");
    outcome = imap_session_watch(connection->session, connection->wake,
                                 deadline_in(LIMIT_IDLE_SECONDS), &error);
    if (outcome == IMAP_WATCH_FAILED) {
        lost(connection, error);
        return;
    }
    if (outcome != IMAP_WATCH_WOKEN)
        connection->n_failures = 0;
    report_changes(connection);
}

/* An interactive or bulk connection with nothing to do: a while later it is closed. */
static void rest(ImapConnection *connection)
{
    GPollFD poll = {cancel_fd(connection->wake), G_IO_IN, 0};
    int n = g_poll(&poll, 1, connection->session ? REST_SECONDS * 1000 : -1);

    if (n == 0)
        close_session(connection, TRUE);
}

gpointer imap_connection_main(gpointer data)
{
    ImapConnection *connection = data;
    ImapBackend *backend = connection->backend;

    while (!is_stopping(backend)) {
        Job *job;

        cancel_clear(connection->wake);
        job = imap_take_job(connection, NULL);
        if (job) {
            serve(connection, job);
            report_changes(connection);
            count_traffic(connection);
        } else if (is_stopping(backend)) {
            break;
        } else if (connection->number == 0) {
            watch(connection);
        } else {
            rest(connection);
        }
    }
    close_session(connection, TRUE);
    g_atomic_int_inc(&backend->n_ended);
    return NULL;
}

