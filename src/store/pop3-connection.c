/* Sessions with a POP3 server, one short one after another: how each begins and ends.
 *
 * A session locks the maildrop, so it ends soon after the last job; what it lists is a snapshot, so
 * a poll is a session of its own.  Before QUIT go the removals that are owed.  When the
 * server lets nobody in for a while (LOGIN-DELAY), a session that is open stays a little longer.
 *
 * Straight-line blocking code; every wait is against a deadline and can be cut by the session's
 * Cancel.
 */
#include "store/pop3-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/limits.h"
#include "store/command-counts.h"

#include <string.h>

enum {
    SHORT_LINGER_MS = 250,     /* after a look that found nothing */
    FIRST_RETRY_MS = 2000,
    LOGIN_PATIENCE_MS = 15000, /* a login that may be so soon is waited for */
    MAX_RETRY_SHIFT = 10,
    IN_USE_RETRY_MS = 15000, /* at most: sessions are short */
    SOON_MS = 1500,          /* between two tries when somebody waits, */
    PATIENCE_MS = LIMIT_REQUEST_SECONDS * 1000 - 1000, /* for so long: the reason is told */
    REFUSED_RETRY_MS = 60000, /* of a password that has worked before, */
    MAX_REFUSALS = 4,         /* so often: more of them lock people out */
};

gboolean pop3_is_stopping(Pop3Backend *backend)
{
    gboolean stopping;

    g_mutex_lock(&backend->lock);
    stopping = backend->is_stopping;
    g_mutex_unlock(&backend->lock);
    return stopping;
}

void pop3_count(Pop3Backend *backend, const char *command, guint n)
{
    g_mutex_lock(&backend->lock);
    command_counts_add(backend->counts, command, n);
    g_mutex_unlock(&backend->lock);
}

/* -- What the server sends --------------------------------------------------------------------- */

static void on_begin(gpointer user, guint32 number)
{
    Pop3Backend *backend = user;

    if (backend->sink && backend->sink->begin)
        backend->sink->begin(backend->sink, number);
}

static void on_data(gpointer user, const void *data, gsize length)
{
    Pop3Backend *backend = user;

    if (backend->sink && backend->sink->data)
        backend->sink->data(backend->sink, data, length);
}

static void on_end(gpointer user, guint32 number, const GError *error)
{
    Pop3Backend *backend = user;

    if (backend->sink && backend->sink->end)
        backend->sink->end(backend->sink, number, error);
}

static const Pop3Handler handler = {on_begin, on_data, on_end};

/* What RETR gives is believed when its end is proved by what the server alone knows. */
static gboolean send_task(Pop3Backend *backend, Pop3Task task, guint32 number, GError **error)
{
    const Pop3Slot *slot = pop3_slot(backend, number);
    gboolean has_uid = slot && slot->key && g_str_has_prefix(slot->key, POP3_HERE);
    Pop3Message message = {.number = number, .size = slot ? slot->size : 0};

    if (task != POP3_RETR)
        return pop3_session_send(backend->session, task, number, 0, error);
    message.uid = has_uid ? slot->key + strlen(POP3_HERE) : NULL;
    return pop3_session_retrieve(backend->session, &message, error);
}

gboolean pop3_transfer(Pop3Backend *backend, Pop3Task task, const GArray *numbers, Pop3Sink *sink,
                       GError **error)
{
    static const char *const names[] = {
        [POP3_RETR] = "RETR", [POP3_TOP] = "TOP", [POP3_DELE] = "DELE"};
    g_autoptr(GError) failure = NULL;
    gboolean ok = TRUE;

    backend->sink = sink;
    pop3_count(backend, names[task], numbers->len);
    for (guint i = 0; ok && i < numbers->len; i++)
        ok = send_task(backend, task, g_array_index(numbers, guint32, i), &failure);
    ok = ok && pop3_session_finish(backend->session, &failure);
    backend->sink = NULL;
    if (ok)
        return TRUE;
    pop3_note_damaged(backend, pop3_session_unproved(backend->session), failure);
    pop3_drop_session(backend, failure);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* -- The state that people see ----------------------------------------------------------------- */

static void post_link(Pop3Backend *backend)
{
    Event *event = event_new(EVENT_LINK, NULL);

    event->link = backend->link;
    event->error = backend->failure ? g_error_copy(backend->failure) : NULL;
    if (backend->session) {
        event->server = g_strdup(pop3_session_implementation(backend->session));
        event->mechanism = g_strdup(pop3_session_mechanism(backend->session));
    }
    maildir_backend_post(backend->local, event);
}

static LinkState link_of(const GError *error)
{
    if (mail_error_is(error, MAIL_ERROR_AUTH))
        return LINK_REFUSED;
    return mail_error_is(error, MAIL_ERROR_LOCKED) ? LINK_LOCKED : LINK_OFFLINE;
}

/* The back-off after so many tries, not all at the same time. */
static Deadline back_off(gint64 first_ms, guint n, gint64 longest_ms)
{
    gint64 ms = MIN(first_ms << MIN(n, MAX_RETRY_SHIFT), longest_ms);

    return deadline_in_ms(ms * g_random_int_range(80, 121) / 100);
}

/* Servers whose maildrop is locked, or whose user database is away, have many words for it. */
static gboolean may_be_mistaken(Pop3Backend *backend, const GError *error)
{
    return mail_error_is(error, MAIL_ERROR_AUTH) && backend->has_logged_in &&
           backend->n_refusals < MAX_REFUSALS;
}

/* What reads say while there is no connection: a maildrop that is in use is away, too. */
static void set_failure(Pop3Backend *backend, const GError *error)
{
    gboolean is_doubted = may_be_mistaken(backend, error);
    LinkState link = is_doubted ? LINK_OFFLINE : link_of(error);

    (void)maildir_backend_enter(backend->local);
    uid_set_clear(backend->fresh); /* what waits for long is looked at again */
    maildir_backend_leave(backend->local);
    g_clear_error(&backend->failure);
    if (link == LINK_OFFLINE)
        mail_fail(&backend->failure, MAIL_ERROR_OFFLINE, "%s%s", error->message,
                  is_doubted ? "; it worked before, and is tried again" : "");
    else
        backend->failure = g_error_copy(error);
    if (link == LINK_REFUSED)
        backend->retry = DEADLINE_NEVER; /* a wrong password that is tried again locks people out */
    else if (is_doubted)
        backend->retry = back_off(REFUSED_RETRY_MS, backend->n_refusals++,
                                  LIMIT_BACKOFF_SECONDS * 1000);
    else
        backend->retry = back_off(FIRST_RETRY_MS, backend->n_failures,
                                  backend->is_in_use ? IN_USE_RETRY_MS
                                                     : LIMIT_BACKOFF_SECONDS * 1000);
    g_atomic_int_set(&backend->owed_is_new, 0); /* it has been tried for them */
    backend->n_failures++;
    backend->link = link;
    post_link(backend);
}

static void set_online(Pop3Backend *backend)
{
    gboolean is_news = backend->link != LINK_ONLINE;

    g_clear_error(&backend->failure);
    backend->n_failures = backend->n_refusals = 0;
    backend->has_logged_in = TRUE;
    backend->retry = 0;
    backend->link = LINK_ONLINE;
    if (is_news)
        post_link(backend);
}

static void count_traffic(Pop3Backend *backend)
{
    guint64 in, out;

    pop3_session_octets(backend->session, &in, &out);
    g_mutex_lock(&backend->lock);
    backend->octets_in += in - backend->counted_in;
    backend->octets_out += out - backend->counted_out;
    g_mutex_unlock(&backend->lock);
    backend->counted_in = in;
    backend->counted_out = out;
}

/* -- The end of a session ---------------------------------------------------------------------- */

static void close_session(Pop3Backend *backend)
{
    if (!backend->session)
        return;
    count_traffic(backend);
    g_clear_pointer(&backend->session, pop3_session_free);
    g_ptr_array_set_size(backend->slots, 0);
    g_hash_table_remove_all(backend->by_uid);
    backend->counted_in = backend->counted_out = 0;
    g_atomic_int_set(&backend->is_open, 0);
}

void pop3_drop_session(Pop3Backend *backend, const GError *error)
{
    g_debug("%s: the session broke: %s", backend->params.config->id, error->message);
    close_session(backend);
}

/* What is owed, and in the maildrop; the numbers for DELE in @numbers. */
static UidSet *owed_here(Pop3Backend *backend, GArray *numbers)
{
    MaildirWorker *worker = maildir_backend_enter(backend->local);
    Ledger *ledger = pop3_inbox(worker, NULL);
    UidSet *uids = uid_set_new();
    const LedgerEntry *entry;

    if (ledger)
        pop3_inbox_give_up(backend, ledger);
    entry = ledger ? ledger_next(ledger, 1) : NULL;
    g_atomic_int_set(&backend->owed_is_new, 0);
    uid_set_clear(backend->fresh);
    for (; entry; entry = ledger_next(ledger, entry->uid + 1)) {
        const Pop3Slot *slot =
            g_hash_table_lookup(backend->by_uid, GUINT_TO_POINTER(entry->uid));

        if (!slot || !ledger_key(ledger, entry->uid, POP3_OWED))
            continue;
        uid_set_add(uids, entry->uid);
        g_array_append_val(numbers, slot->number);
    }
    maildir_backend_leave(backend->local);
    return uids;
}

typedef struct {
    Pop3Sink base;
    Pop3Backend *backend;
    UidSet *uids; /* what is owed, without those that were refused */
} Removal;

static void on_removed(Pop3Sink *sink, guint32 number, const GError *error)
{
    Removal *removal = (Removal *)sink;
    const Pop3Slot *slot = error ? pop3_slot(removal->backend, number) : NULL;

    if (!slot)
        return;
    uid_set_remove(removal->uids, slot->uid);
    pop3_note(removal->backend, POP3_NOT_REMOVED, error);
}

/* +OK to QUIT: they are gone. */
static void believe(Pop3Backend *backend, const UidSet *uids)
{
    MaildirWorker *worker = maildir_backend_enter(backend->local);
    Ledger *ledger = pop3_inbox(worker, NULL);
    g_autoptr(GError) error = NULL;

    FAULT("pop3-removed");
    if (ledger) {
        pop3_inbox_settle(backend, ledger, uids);
        if (!ledger_flush(ledger, &error))
            g_warning("%s: %s", backend->params.config->id, error->message);
    }
    maildir_backend_leave(backend->local);
}

gboolean pop3_has_owed(Pop3Backend *backend)
{
    return g_atomic_int_get(&backend->n_owed) > 0;
}

/* What was not carried out, or nobody knows, is looked at soon, and then less and less often. */
static void plan_owed(Pop3Backend *backend)
{
    backend->owed_until = 0;
    if (!pop3_has_owed(backend)) {
        backend->owed_retry = 0;
        backend->n_owed_tries = 0;
        return;
    }
    backend->owed_retry =
        back_off(FIRST_RETRY_MS, backend->n_owed_tries++, LIMIT_BACKOFF_SECONDS * 1000);
}

/* DELE of @numbers; those that are refused leave @uids.  FALSE: the session broke. */
static gboolean mark(Pop3Backend *backend, const GArray *numbers, UidSet *uids)
{
    Removal removal = {{.end = on_removed}, backend, uids};

    if (numbers->len == 0)
        return TRUE;
    if (!pop3_transfer(backend, POP3_DELE, numbers, &removal.base, NULL))
        return FALSE;
    pop3_say(backend, POP3_NOT_REMOVED);
    return TRUE;
}

static void carry_out_owed(Pop3Backend *backend)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autoptr(UidSet) uids = owed_here(backend, numbers);
    g_autoptr(GError) error = NULL;

    if (!mark(backend, numbers, uids))
        return;
    FAULT("pop3-marked");
    pop3_count(backend, "QUIT", 1);
    if (!pop3_session_quit(backend->session, &error) && numbers->len > 0)
        g_message("%s: whether messages were removed will be seen: %s",
                  backend->params.config->id, error->message);
    else if (!error && !uid_set_is_empty(uids))
        believe(backend, uids);
    close_session(backend);
}

void pop3_disconnect(Pop3Backend *backend)
{
    if (!backend->session)
        return;
    carry_out_owed(backend);
    plan_owed(backend);
}

/* -- The beginning of a session ---------------------------------------------------------------- */

static Cancel *fresh_cancel(Pop3Backend *backend)
{
    g_mutex_lock(&backend->lock);
    cancel_unref(backend->cancel);
    backend->cancel = cancel_new();
    if (backend->is_stopping)
        cancel_raise(backend->cancel);
    g_mutex_unlock(&backend->lock);
    return backend->cancel;
}

static gboolean open_session(Pop3Backend *backend, GError **error)
{
    const ConfigAccount *config = backend->params.config;
    SessionParams params = {
        .account = config->id,
        .number = 1,
        .endpoint = config->endpoint,
        .user = config->user,
        .auth = config->auth,
        .is_token = config_uses_token(config),
        .n_refused = &backend->n_refused,
        .broker = backend->params.broker,
        .cancel = fresh_cancel(backend),
    };

    backend->session = pop3_session_new(&params, &handler, backend);
    pop3_count(backend, "CONNECT", 1);
    backend->tried = deadline_now();
    backend->is_in_use = FALSE;
    if (!pop3_session_open(backend->session, error)) {
        backend->is_in_use = pop3_session_is_in_use(backend->session);
        close_session(backend);
        return FALSE;
    }
    /* It counts from the +OK of the login (RFC 2449, 6.5), which was a moment ago. */
    backend->login_delay = pop3_session_login_delay(backend->session);
    backend->next_login = deadline_in(backend->login_delay);
    return TRUE;
}

static void post_inbox_changed(Pop3Backend *backend)
{
    Event *event = event_new(EVENT_CHANGED, NULL);

    event->wire = g_strdup(POP3_INBOX);
    maildir_backend_post(backend->local, event);
}

/* TRUE when a session may be tried now; LOGIN-DELAY is waited for if it is short. */
static gboolean may_connect(Pop3Backend *backend, GError **error)
{
    int left = deadline_poll_ms(backend->next_login);

    if (g_atomic_int_compare_and_exchange(&backend->retry_now, 1, 0))
        backend->retry = 0;
    if (backend->failure && !deadline_passed(backend->retry)) {
        if (error)
            *error = g_error_copy(backend->failure);
        return FALSE;
    }
    if (backend->next_login && left > LOGIN_PATIENCE_MS)
        return mail_fail(error, MAIL_ERROR_BUSY,
                         "the server lets nobody log in again for %d seconds (LOGIN-DELAY)",
                         left / 1000 + 1);
    while (backend->next_login && !deadline_passed(backend->next_login) &&
           !pop3_is_stopping(backend))
        g_usleep(20000);
    return TRUE;
}

static void set_away(Pop3Backend *backend, const GError *failure)
{
    g_mutex_lock(&backend->lock);
    g_clear_error(&backend->away);
    backend->away = failure ? g_error_copy(failure) : NULL;
    g_mutex_unlock(&backend->lock);
}

/* Who comes meanwhile is told what is known of the server; a maildrop that is in use is waited
 * for. */
static gboolean try_session(Pop3Backend *backend, gboolean *ret_has_news, GError **error)
{
    gboolean ok;

    set_away(backend, backend->is_in_use ? NULL : backend->failure);
    ok = open_session(backend, error) && pop3_list(backend, ret_has_news, error);
    set_away(backend, NULL);
    if (ok)
        g_atomic_int_set(&backend->is_open, 1);
    else
        close_session(backend);
    return ok;
}

gboolean pop3_connect(Pop3Backend *backend, gboolean for_sync, GError **error)
{
    g_autoptr(GError) failure = NULL;
    gboolean has_news = FALSE;

    if (backend->session)
        return TRUE;
    if (!may_connect(backend, error))
        return FALSE;
    if (!try_session(backend, &has_news, &failure)) {
        if (!pop3_is_stopping(backend))
            set_failure(backend, failure);
        g_propagate_error(error, g_error_copy(backend->failure ? backend->failure : failure));
        return FALSE;
    }
    backend->was_synced = FALSE;
    backend->opened = deadline_now();
    backend->next_poll = deadline_in(backend->params.config->poll_seconds);
    backend->linger = deadline_in_ms(SHORT_LINGER_MS);
    set_online(backend);
    /* What pop3-keep= has to take is found by a SYNC, too. */
    if (!for_sync && (has_news || backend->params.config->pop3_keep != CONFIG_POP3_KEEP_FOREVER))
        post_inbox_changed(backend);
    return TRUE;
}

/* -- A maildrop that is in use ----------------------------------------------------------------- */

void pop3_retry_soon(Pop3Backend *backend)
{
    backend->retry = deadline_earlier(backend->retry, backend->tried + SOON_MS * 1000LL);
}

/* When the next session may be tried; never, where that is nothing to wait for. */
static Deadline next_try(Pop3Backend *backend)
{
    if (!backend->is_in_use || pop3_is_stopping(backend))
        return DEADLINE_NEVER;
    pop3_retry_soon(backend);
    return MAX(backend->retry, backend->next_login);
}

gboolean pop3_connect_for(Pop3Backend *backend, const Job *job, gboolean fresh, GError **error)
{
    Deadline end = job->since + PATIENCE_MS * 1000LL;
    g_autoptr(GError) failure = NULL;

    while (!pop3_connect(backend, fresh, &failure)) {
        Deadline next = next_try(backend);

        if (job->priority > JOB_WAITED || next > end) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
        g_clear_error(&failure);
        do
            g_usleep(20000);
        while (!deadline_passed(next) && !g_atomic_int_get(&backend->retry_now) &&
               !pop3_is_stopping(backend));
    }
    return TRUE;
}
