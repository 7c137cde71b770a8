/* RETR: messages streamed into files.
 *
 * For readers, into the cache, as from any server; but POP3 does not say how long a message is
 * before its end (LIST's number is a claim, and often wrong by a little), so who opens one waits
 * for the whole.  With pop3-keep=fetched what was read is taken off the server then.
 */
#include "store/pop3-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/limits.h"
#include "store/body-event.h"
#include "store/change-internal.h"

#include <sys/stat.h>

enum { PROGRESS_OCTETS = 256 * 1024 }; /* how often a waiting reader is told */

/* -- Into files -------------------------------------------------------------------------------- */

typedef struct {
    Pop3Sink base;
    Pop3Backend *backend;
    BodyFile *file; /* of the message that is coming, or NULL */
    GError *error;  /* local: the disk is full; or it is too large */
    Pop3WholeFunc func;
    void (*progress)(guint32 number, guint64 received, gpointer user); /* or NULL */
    guint32 number;
    guint64 told;
    gpointer user;
} Retrieval;

static void whole_begin(Pop3Sink *sink, guint32 number)
{
    Retrieval *retrieval = (Retrieval *)sink;

    g_clear_error(&retrieval->error);
    body_file_free(retrieval->file);
    retrieval->file = body_file_new(retrieval->backend->params.disk, &retrieval->error);
    retrieval->number = number;
    retrieval->told = 0;
}

static void whole_data(Pop3Sink *sink, const void *data, gsize length)
{
    Retrieval *retrieval = (Retrieval *)sink;
    guint64 received;

    if (retrieval->error)
        return; /* the rest is let go */
    received = body_file_length(retrieval->file) + length;
    if (received > LIMIT_MESSAGE)
        mail_fail(&retrieval->error, MAIL_ERROR_TOOBIG,
                  "the message has more than %llu bytes, which is what mailfs reads",
                  LIMIT_MESSAGE);
    else
        (void)body_file_append(retrieval->file, data, length, &retrieval->error);
    if (retrieval->progress && received - retrieval->told >= PROGRESS_OCTETS) {
        retrieval->told = received;
        retrieval->progress(retrieval->number, received, retrieval->user);
    }
}

static void whole_end(Pop3Sink *sink, guint32 number, const GError *error)
{
    Retrieval *retrieval = (Retrieval *)sink;

    if (!error)
        error = retrieval->error;
    retrieval->func(number, error ? NULL : retrieval->file, error, retrieval->user);
    g_clear_pointer(&retrieval->file, body_file_free);
    g_clear_error(&retrieval->error);
}

static gboolean run(Retrieval *retrieval, const GArray *numbers, GError **error)
{
    gboolean ok;

    retrieval->base = (Pop3Sink){whole_begin, whole_data, whole_end};
    ok = pop3_transfer(retrieval->backend, POP3_RETR, numbers, &retrieval->base, error);
    body_file_free(retrieval->file);
    g_clear_error(&retrieval->error);
    return ok;
}

gboolean pop3_retrieve(Pop3Backend *backend, const GArray *numbers, Pop3WholeFunc func,
                       gpointer user, GError **error)
{
    Retrieval retrieval = {.backend = backend, .func = func, .user = user};

    return run(&retrieval, numbers, error);
}

/* -- Taken off the server ---------------------------------------------------------------------- */

gboolean pop3_take(Pop3Backend *backend, MaildirWorker *worker, guint32 uid, int fd, guint64 size,
                   GError **error)
{
    Ledger *ledger = pop3_inbox(worker, error);
    const LedgerEntry *entry = ledger ? ledger_find_uid(ledger, uid) : NULL;

    if (!ledger)
        return FALSE;
    if (!entry || (!ledger_key(ledger, uid, POP3_HERE) && !ledger_key(ledger, uid, POP3_VAGUE)))
        return mail_fail(error, MAIL_ERROR_GONE, "the message was removed meanwhile");
    if (!pop3_is_whole(fd, size, entry->size, error))
        return FALSE;
    if (!maildir_worker_keep(worker, POP3_INBOX, uid, fd, size, error))
        return FALSE;
    FAULT("pop3-kept");
    ledger = pop3_inbox(worker, error);
    return ledger && pop3_inbox_doom(backend, ledger, uid, error) &&
           pop3_inbox_promise(backend, ledger, error);
}

/* -- FETCH ------------------------------------------------------------------------------------- */

typedef struct {
    Pop3Backend *backend;
    Job *job;
    GHashTable *by_number; /* number -> FetchItem of the job, of what is not answered yet */
    GArray *whole;         /* of FetchItem, that are in the cache now */
    gboolean is_last_copy; /* after QUIT; so says the server */
} Fetch;

static void post(const Fetch *fetch, Event *event)
{
    maildir_backend_post(fetch->backend->local, event);
}

static void on_progress(guint32 number, guint64 received, gpointer user)
{
    const Fetch *fetch = user;
    const FetchItem *item = g_hash_table_lookup(fetch->by_number, GUINT_TO_POINTER(number));

    if (item)
        post(fetch, body_event_data(fetch->job, item, received));
}

/* Its size is known now: who waits may read. */
static gboolean hand_out(const Fetch *fetch, const FetchItem *item, BodyFile *file, GError **error)
{
    g_autoptr(Event) begin =
        body_event_begin(fetch->job, item, body_file_length(file), file, error);
    Event *whole = begin ? body_event_whole(fetch->job, item, file, error) : NULL;

    if (!whole)
        return FALSE;
    post(fetch, g_steal_pointer(&begin));
    post(fetch, whole);
    return TRUE;
}

/* What the server lists and does not give is as a file that cannot be read. */
static void tell_failed(const Fetch *fetch, const FetchItem *item, const GError *error)
{
    g_autoptr(GError) unreadable = NULL;

    if (mail_error_is(error, MAIL_ERROR_DENIED) || mail_error_is(error, MAIL_ERROR_UNSUPPORTED)) {
        mail_fail(&unreadable, MAIL_ERROR_DAMAGED, "%s", error->message);
        error = unreadable;
    }
    post(fetch, body_event_failed(fetch->job, item, error));
}

/* It is read all the same. */
static void warn_if_short(const Fetch *fetch, guint32 number, const BodyFile *file)
{
    const Pop3Slot *slot = pop3_slot(fetch->backend, number);
    g_autoptr(GError) error = NULL;

    if (slot && !pop3_is_whole(body_file_fd(file), body_file_length(file), slot->size, &error))
        g_warning("%s: %s", fetch->backend->params.config->id, error->message);
}

static void on_whole(guint32 number, BodyFile *file, const GError *error, gpointer user)
{
    Fetch *fetch = user;
    const FetchItem *item = g_hash_table_lookup(fetch->by_number, GUINT_TO_POINTER(number));
    g_autoptr(GError) failure = NULL;

    if (!item)
        return;
    if (file && hand_out(fetch, item, file, &failure)) {
        g_array_append_vals(fetch->whole, item, 1);
        warn_if_short(fetch, number, file);
    } else {
        tell_failed(fetch, item, file ? failure : error);
    }
    g_hash_table_remove(fetch->by_number, GUINT_TO_POINTER(number));
}

/* A server that has no other copy after QUIT: what is still shown is kept as a file. */
static gboolean keep_last_copy(MaildirWorker *worker, guint32 uid, int fd, guint64 size,
                               GError **error)
{
    const Ledger *ledger = pop3_inbox(worker, error);

    if (ledger && !pop3_inbox_shows(ledger, uid))
        return mail_fail(error, MAIL_ERROR_GONE, "the message was removed meanwhile");
    return ledger && maildir_worker_keep(worker, POP3_INBOX, uid, fd, size, error);
}

/* pop3-keep=fetched, or a server that has it so (EXPIRE 0, RFC 2449 section 6.7): from the file in
 * the cache, which is whole, but not durable. */
static void take_fetched(Fetch *fetch)
{
    Pop3Backend *backend = fetch->backend;
    gboolean is_taken = backend->params.config->pop3_keep == CONFIG_POP3_KEEP_FETCHED;
    MaildirWorker *worker;

    if ((!is_taken && !fetch->is_last_copy) || fetch->whole->len == 0)
        return;
    worker = maildir_backend_enter(backend->local);
    for (guint i = 0; i < fetch->whole->len; i++) {
        const FetchItem *item = &g_array_index(fetch->whole, FetchItem, i);
        autofd int fd =
            disk_open_body(backend->params.disk, fetch->job->mailbox, item->item, NULL);
        g_autoptr(GError) error = NULL;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
            continue;
        if (!(is_taken ? pop3_take(backend, worker, item->uid, fd, (guint64)st.st_size, &error)
                       : keep_last_copy(worker, item->uid, fd, (guint64)st.st_size, &error)) &&
            !mail_error_is(error, MAIL_ERROR_GONE))
            pop3_note(backend, POP3_NOT_TAKEN, error);
    }
    maildir_backend_leave(backend->local);
    pop3_say(backend, POP3_NOT_TAKEN);
    if (is_taken)
        pop3_owe(backend);
}

/* The numbers of those that are in the maildrop; the others are GONE. */
static GArray *numbers_of(Fetch *fetch)
{
    GArray *numbers = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autoptr(GError) gone = NULL;

    for (guint i = 0; i < fetch->job->items->len; i++) {
        FetchItem *item = &g_array_index(fetch->job->items, FetchItem, i);
        const Pop3Slot *slot =
            g_hash_table_lookup(fetch->backend->by_uid, GUINT_TO_POINTER(item->uid));

        if (slot) {
            g_hash_table_insert(fetch->by_number, GUINT_TO_POINTER(slot->number), item);
            g_array_append_val(numbers, slot->number);
            continue;
        }
        if (!gone)
            mail_fail(&gone, MAIL_ERROR_GONE, "the message is no longer on the server");
        post(fetch, body_event_failed(fetch->job, item, gone));
    }
    return numbers;
}

/* The session broke: what was answered is not asked for again in the next one, nor is the message
 * that broke it. */
static void leave_unanswered(const Fetch *fetch, const GArray *numbers, const GError *error)
{
    gboolean is_culprit = mail_error_is(error, MAIL_ERROR_DAMAGED);
    GArray *left = g_array_new(FALSE, FALSE, sizeof(FetchItem));

    for (guint i = 0; i < numbers->len; i++) {
        guint32 number = g_array_index(numbers, guint32, i);
        const FetchItem *item = g_hash_table_lookup(fetch->by_number, GUINT_TO_POINTER(number));

        if (item && is_culprit)
            post(fetch, body_event_failed(fetch->job, item, error));
        else if (item)
            g_array_append_vals(left, item, 1);
        is_culprit = is_culprit && !item;
    }
    g_array_unref(fetch->job->items);
    fetch->job->items = left;
}

static gboolean fetch_in_session(Pop3Backend *backend, Job *job, GError **error)
{
    Fetch fetch = {.backend = backend, .job = job};
    Retrieval retrieval = {
        .backend = backend, .func = on_whole, .progress = on_progress, .user = &fetch};
    g_autoptr(GArray) numbers = NULL, whole = NULL;
    g_autoptr(GHashTable) by_number = NULL;
    g_autoptr(GError) failure = NULL;
    guint32 days;

    if (!pop3_connect_for(backend, job, FALSE, error))
        return FALSE;
    fetch.is_last_copy = pop3_session_expire(backend->session, &days) && days == 0;
    fetch.by_number = by_number = g_hash_table_new(NULL, NULL);
    fetch.whole = whole = g_array_new(FALSE, FALSE, sizeof(FetchItem));
    numbers = numbers_of(&fetch);
    if (run(&retrieval, numbers, &failure)) {
        take_fetched(&fetch);
        return TRUE;
    }
    leave_unanswered(&fetch, numbers, failure);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* Who wants other messages does not hear of one that breaks sessions. */
gboolean pop3_fetch(Pop3Backend *backend, Job *job, GError **error)
{
    g_autoptr(GError) failure = NULL;

    while (!fetch_in_session(backend, job, &failure)) {
        if (!mail_error_is(failure, MAIL_ERROR_DAMAGED)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
        g_clear_error(&failure);
        if (job->items->len == 0)
            return TRUE;
    }
    return TRUE;
}

/* -- COPY -------------------------------------------------------------------------------------- */

typedef struct {
    Pop3Backend *backend;
    Job *job;
    GHashTable *by_number; /* number -> ChangeMessage */
    GError *error;
} Copy;

static gboolean deliver(const Copy *copy, MaildirWorker *worker, ChangeMessage *message,
                        BodyFile *file, GError **error)
{
    Ledger *ledger = pop3_inbox(worker, error);
    const LedgerEntry *entry = ledger ? ledger_find_uid(ledger, message->uid) : NULL;
    MaildirDelivery delivery = {.fd = body_file_fd(file), .size = body_file_length(file)};
    JobChange *change = copy->job->change;

    if (!entry)
        return ledger ? mail_fail(error, MAIL_ERROR_GONE, "the message is gone") : FALSE;
    if (change->is_move && !pop3_is_whole(delivery.fd, delivery.size, entry->size, error))
        return FALSE;
    delivery.date = entry->date;
    delivery.flags = entry->flags;
    delivery.is_passed = message_has_keyword(entry->keywords, MESSAGE_PASSED);
    if (!maildir_worker_deliver(worker, change->target, &delivery, &message->target_uid,
                                &change->uidvalidity, error))
        return FALSE;
    change->was_sent = TRUE;
    FAULT("pop3-delivered");
    ledger = pop3_inbox(worker, error);
    if (!ledger ||
        (change->is_move && !pop3_inbox_doom(copy->backend, ledger, message->uid, error)) ||
        !pop3_inbox_promise(copy->backend, ledger, error))
        return FALSE;
    message->is_done = TRUE;
    return TRUE;
}

static void on_copy(guint32 number, BodyFile *file, const GError *error, gpointer user)
{
    Copy *copy = user;
    ChangeMessage *message =
        g_hash_table_lookup(copy->by_number, GUINT_TO_POINTER(number));
    MaildirWorker *worker;

    if (!message || copy->error)
        return;
    if (!file) {
        copy->error = g_error_copy(error);
        return;
    }
    worker = maildir_backend_enter(copy->backend->local);
    (void)deliver(copy, worker, message, file, &copy->error);
    maildir_backend_leave(copy->backend->local);
}

gboolean pop3_copy(Pop3Backend *backend, Job *job, GError **error)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autoptr(GHashTable) by_number = g_hash_table_new(NULL, NULL);
    Copy copy = {backend, job, by_number, NULL};
    gboolean has_vague = FALSE, ok;

    if (!pop3_connect_for(backend, job, FALSE, error))
        return FALSE;
    for (guint i = 0; i < job->change->messages->len; i++) {
        ChangeMessage *message = &g_array_index(job->change->messages, ChangeMessage, i);
        const Pop3Slot *slot =
            g_hash_table_lookup(backend->by_uid, GUINT_TO_POINTER(message->uid));

        if (message->is_done || !slot)
            continue; /* one that is gone is not done */
        if (job->change->is_move && g_str_has_prefix(slot->key, POP3_VAGUE)) {
            has_vague = TRUE;
            continue;
        }
        g_hash_table_insert(by_number, GUINT_TO_POINTER(slot->number), message);
        g_array_append_val(numbers, slot->number);
    }
    ok = pop3_retrieve(backend, numbers, on_copy, &copy, error);
    job->change->did_move = job->change->is_move;
    pop3_owe(backend);
    if (ok && copy.error) {
        g_propagate_error(error, g_steal_pointer(&copy.error));
        return FALSE;
    }
    g_clear_error(&copy.error);
    return ok && (!has_vague || pop3_inbox_refuse_move(error));
}
