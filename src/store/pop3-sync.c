/* SYNC of the INBOX: its files, and what is in the maildrop.
 *
 * First the ledger learns what the new session lists, and what has been on the server for long
 * enough is taken off it (pop3-keep.c).
 *
 * The files are told by the Maildir worker, whose events are held and put together with those of
 * the maildrop.  Of what is new there, TOP gives the header, in flights; a server without TOP gives
 * whole messages, which are kept as files at once, so that none is ever fetched twice.  A message
 * that the server lists, and gives neither way, is shown with its number for a name.
 */
#include "store/pop3-internal.h"
#include "base/error.h"
#include "base/io.h"
#include "base/limits.h"
#include "mime/date.h"
#include "mime/header.h"
#include "mime/message-name.h"

#include <string.h>

enum {
    FLIGHT = EVENT_MAX_MESSAGES, /* headers in memory at a time */
    STALE_SECONDS = 10,          /* so old a list may lack new mail */
};

static gint64 now(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

static void post(const Pop3Sync *sync, Event *event)
{
    maildir_backend_post(sync->backend->local, event);
}

/* -- What is told ------------------------------------------------------------------------------ */

/* Without the server the ledger tells what there is, if it ever heard: a directory that lacks a
 * part of its files looks to a backup as if they had been deleted. */
static gboolean can_do_without(const Pop3Sync *sync)
{
    MaildirWorker *worker = maildir_backend_enter(sync->backend->local);
    const Ledger *ledger = pop3_inbox(worker, NULL);
    gboolean has_heard = ledger && pop3_inbox_has_heard(ledger);

    maildir_backend_leave(sync->backend->local);
    return has_heard;
}

/* Without TOP, what is not to be fetched has no header.  One that is too large is refused as by the
 * server; one that breaks sessions would do so for each program that looks into all files. */
static gboolean can_be_shown(const Pop3Sync *sync, const Pop3Slot *slot)
{
    g_autoptr(GError) error = NULL;

    if (!sync->backend->has_no_top || pop3_is_worth_fetching(sync->backend, slot, &error) ||
        mail_error_is(error, MAIL_ERROR_TOOBIG))
        return TRUE;
    pop3_note(sync->backend, POP3_NOT_SHOWN, error);
    return FALSE;
}

static void choose_wanted(Pop3Sync *sync, const Ledger *ledger)
{
    const SyncKnown *known = &sync->job->known;
    const LedgerEntry *entry;

    sync->uidvalidity = ledger_uidvalidity(ledger);
    sync->is_reset = known->uidvalidity != sync->uidvalidity;
    for (entry = ledger_next(ledger, 1); entry; entry = ledger_next(ledger, entry->uid + 1))
        if (pop3_inbox_shows(ledger, entry->uid))
            uid_set_add(sync->there, entry->uid);
    for (guint i = 0; sync->has_server && i < sync->backend->slots->len; i++) {
        Pop3Slot *slot = g_ptr_array_index(sync->backend->slots, i);
        gboolean is_shown = slot->uid == 0 || (uid_set_contains(sync->there, slot->uid) &&
                                               !ledger_key(ledger, slot->uid, MAILDIR_KEY));

        if (is_shown && (slot->uid == 0 || sync->is_reset ||
                         !uid_set_contains(known->uids, slot->uid)) &&
            can_be_shown(sync, slot))
            g_ptr_array_add(sync->wanted, slot);
    }
    entry = sync->has_server ? NULL : ledger_next(ledger, 1);
    for (; entry; entry = ledger_next(ledger, entry->uid + 1))
        if (uid_set_contains(sync->there, entry->uid) &&
            !ledger_key(ledger, entry->uid, MAILDIR_KEY) &&
            (sync->is_reset || !uid_set_contains(known->uids, entry->uid)))
            uid_set_add(sync->unseen, entry->uid);
}

/* What the ledger and the files say; the files' events are held. */
static gboolean look_here(Pop3Sync *sync, GError **error)
{
    Backend *local = sync->backend->local;
    MaildirWorker *worker = maildir_backend_enter(local);
    Ledger *ledger;
    gboolean ok = !sync->has_server || pop3_settle_unlisted(sync, worker, error);

    maildir_backend_capture(local, &sync->events);
    ok = ok && maildir_worker_run(worker, sync->job, error);
    maildir_backend_capture(local, NULL);
    ledger = ok ? pop3_inbox(worker, error) : NULL;
    if (ledger)
        choose_wanted(sync, ledger);
    maildir_backend_leave(local);
    return ledger != NULL;
}

static void post_vanished(const Pop3Sync *sync)
{
    g_autoptr(UidSet) gone = uid_set_minus(sync->job->known.uids, sync->there);
    Event *event;

    if (sync->is_reset || uid_set_is_empty(gone))
        return;
    event = event_new(EVENT_VANISHED, sync->job);
    event->uids = g_steal_pointer(&gone);
    post(sync, event);
}

/* All but the last event of the files, which is handed out: the state. */
static Event *post_files(Pop3Sync *sync)
{
    Event *event, *state = NULL;

    while ((event = g_queue_pop_head(&sync->events))) {
        switch (event->kind) {
        case EVENT_SYNC_BEGIN:
            event->n_messages = (guint32)(uid_set_count(sync->there) + sync->wanted->len);
            event->n_expected +=
                sync->wanted->len + (guint32)uid_set_count(sync->unseen);
            post(sync, event);
            post_vanished(sync);
            break;
        case EVENT_SYNC_STATE:
            state = event;
            break;
        case EVENT_VANISHED: /* which counts what has no file */
            event_free(event);
            break;
        default:
            post(sync, event);
        }
    }
    return state;
}

/* -- Headers ----------------------------------------------------------------------------------- */

/* The message of a slot, from its header (NULL: there is none); it gets its UID, if it has none.
 * With the worker entered. */
static Message *make_message(const Pop3Sync *sync, Ledger *ledger, Pop3Slot *slot,
                             const char *header, gsize length)
{
    const ConfigAccount *config = sync->backend->params.config;
    const char *text = header ? header : "";
    gint64 date = header_date(text, length);
    LedgerEntry fresh = {.date = date ? date : now()};
    const LedgerEntry *entry;
    g_autofree char *id = header_message_id(text, length);
    g_autoptr(GError) error = NULL;
    Message *message;

    if (slot->uid == 0) {
        slot->uid = ledger_add(ledger, slot->key, &fresh, &error);
        if (slot->uid)
            g_hash_table_insert(sync->backend->by_uid, GUINT_TO_POINTER(slot->uid), slot);
    }
    ledger_set_size(ledger, slot->uid, slot->size);
    if (header)
        ledger_set_likeness(ledger, slot->uid, pop3_likeness(header, length));
    entry = ledger_find_uid(ledger, slot->uid);
    if (!entry) {
        if (!error)
            mail_fail(&error, MAIL_ERROR_GONE, "it is gone");
        pop3_note(sync->backend, POP3_NOT_SHOWN, error);
        return NULL;
    }
    message = message_new();
    message->uid = entry->uid;
    message->flags = entry->flags;
    message_set_keywords(message, entry->keywords);
    message->date = entry->date;
    message->size = slot->size ? slot->size : MAX(length, 1);
    message->fingerprint = message_fingerprint(id);
    message->name = header && sync->job->known.want_names
                        ? message_name_make(header, length, entry->date, entry->uid,
                                            config->charset_fallback)
                        : message_name_from_uid(entry->uid);
    return message;
}

/* Durable, then told; the main thread gets the array, which no two threads share. */
static gboolean post_messages(const Pop3Sync *sync, Ledger *ledger, GPtrArray **messages,
                              GError **error)
{
    Event *event;

    if (!ledger_flush(ledger, error))
        return FALSE;
    if ((*messages)->len == 0)
        return TRUE;
    event = event_new(EVENT_MESSAGES, sync->job);
    event->messages = g_steal_pointer(messages);
    post(sync, event);
    return TRUE;
}

typedef struct {
    Pop3Sink base;
    GHashTable *headers; /* number -> GByteArray */
    GByteArray *coming;
    GArray *refused; /* numbers */
} Headers;

static void header_begin(Pop3Sink *sink, guint32 number)
{
    Headers *headers = (Headers *)sink;

    if (headers->coming)
        g_byte_array_unref(headers->coming);
    headers->coming = g_byte_array_new();
}

static void header_data(Pop3Sink *sink, const void *data, gsize length)
{
    GByteArray *coming = ((Headers *)sink)->coming;
    gsize room = LIMIT_HEADER - coming->len;

    g_byte_array_append(coming, data, (guint)MIN(length, room));
}

static void header_end(Pop3Sink *sink, guint32 number, const GError *error)
{
    Headers *headers = (Headers *)sink;

    if (error)
        g_array_append_val(headers->refused, number);
    else
        g_hash_table_insert(headers->headers, GUINT_TO_POINTER(number),
                            g_steal_pointer(&headers->coming));
}

static gboolean tell_headers(const Pop3Sync *sync, GHashTable *headers, guint first, guint n,
                             GError **error)
{
    MaildirWorker *worker = maildir_backend_enter(sync->backend->local);
    Ledger *ledger = pop3_inbox(worker, error);
    g_autoptr(GPtrArray) messages =
        g_ptr_array_new_with_free_func((GDestroyNotify)message_free);
    gboolean ok = ledger != NULL;

    for (guint i = first; ok && i < first + n; i++) {
        Pop3Slot *slot = g_ptr_array_index(sync->wanted, i);
        const GByteArray *header =
            g_hash_table_lookup(headers, GUINT_TO_POINTER(slot->number));
        Message *message =
            header ? make_message(sync, ledger, slot,
                                  header->data ? (const char *)header->data : "", header->len)
                   : NULL;

        if (message)
            g_ptr_array_add(messages, message);
    }
    ok = ok && post_messages(sync, ledger, &messages, error);
    maildir_backend_leave(sync->backend->local);
    return ok;
}

static Message *message_of(const LedgerEntry *entry)
{
    Message *message = message_new();

    message->uid = entry->uid;
    message->flags = entry->flags;
    message_set_keywords(message, entry->keywords);
    message->date = entry->date;
    message->size = MAX(entry->size, 1);
    message->name = message_name_from_uid(entry->uid);
    return message;
}

/* Without a header: the name is what the main thread remembers, if it does. */
static gboolean tell_unseen(const Pop3Sync *sync, GError **error)
{
    MaildirWorker *worker = maildir_backend_enter(sync->backend->local);
    Ledger *ledger = pop3_inbox(worker, error);
    const LedgerEntry *entry = ledger ? ledger_next(ledger, 1) : NULL;
    gboolean ok = ledger != NULL;

    while (ok && entry) {
        g_autoptr(GPtrArray) messages =
            g_ptr_array_new_with_free_func((GDestroyNotify)message_free);

        for (; entry && messages->len < FLIGHT; entry = ledger_next(ledger, entry->uid + 1))
            if (uid_set_contains(sync->unseen, entry->uid))
                g_ptr_array_add(messages, message_of(entry));
        ok = post_messages(sync, ledger, &messages, error);
    }
    maildir_backend_leave(sync->backend->local);
    return ok;
}

static GArray *numbers_of(const Pop3Sync *sync, guint first, guint n)
{
    GArray *numbers = g_array_new(FALSE, FALSE, sizeof(guint32));

    for (guint i = first; i < first + n; i++)
        g_array_append_val(numbers,
                           ((const Pop3Slot *)g_ptr_array_index(sync->wanted, i))->number);
    return numbers;
}

/* -- Without TOP ------------------------------------------------------------------------------- */

/* The header at the beginning of a whole message. */
static GByteArray *read_header(BodyFile *file)
{
    gsize length = (gsize)MIN(body_file_length(file), LIMIT_HEADER);
    GByteArray *header = g_byte_array_new();
    const char *end;
    gssize n;

    g_byte_array_set_size(header, (guint)length);
    n = length > 0 ? io_pread_all(body_file_fd(file), header->data, length, 0, NULL) : 0;
    g_byte_array_set_size(header, (guint)MAX(n, 0));
    if (header->len == 0)
        return header;
    end = g_strstr_len((const char *)header->data, (gssize)header->len, "\n\r\n");
    if (!end)
        end = g_strstr_len((const char *)header->data, (gssize)header->len, "\n\n");
    if (end)
        g_byte_array_set_size(header, (guint)(end + 1 - (const char *)header->data));
    return header;
}

static void tell_whole(const Pop3Sync *sync, MaildirWorker *worker, Pop3Slot *slot, BodyFile *file)
{
    g_autoptr(GByteArray) header = read_header(file);
    g_autoptr(GPtrArray) messages =
        g_ptr_array_new_with_free_func((GDestroyNotify)message_free);
    g_autoptr(GError) error = NULL;
    guint64 size = body_file_length(file);
    Ledger *ledger = pop3_inbox(worker, &error);
    Message *message =
        ledger ? make_message(sync, ledger, slot, header->data ? (const char *)header->data : "",
                              header->len)
               : NULL;

    if (message) {
        message->size = size;
        g_ptr_array_add(messages, message);
        ledger = NULL;
        if (maildir_worker_keep(worker, POP3_INBOX, slot->uid, body_file_fd(file), size, &error))
            ledger = pop3_inbox(worker, &error);
        if (ledger)
            (void)post_messages(sync, ledger, &messages, &error);
    }
    if (error)
        pop3_note(sync->backend, POP3_NOT_SHOWN, error);
}

/* By its number alone; it is asked for again by who reads it. */
static void tell_nameless(const Pop3Sync *sync, Pop3Slot *slot)
{
    MaildirWorker *worker = maildir_backend_enter(sync->backend->local);
    g_autoptr(GPtrArray) messages =
        g_ptr_array_new_with_free_func((GDestroyNotify)message_free);
    g_autoptr(GError) error = NULL;
    Ledger *ledger = pop3_inbox(worker, &error);
    Message *message = ledger ? make_message(sync, ledger, slot, NULL, 0) : NULL;

    if (message)
        g_ptr_array_add(messages, message);
    if (ledger)
        (void)post_messages(sync, ledger, &messages, &error);
    if (error)
        pop3_note(sync->backend, POP3_NOT_SHOWN, error);
    maildir_backend_leave(sync->backend->local);
}

/* The server lists the message and does not give it.  What is no passing trouble is shown all the
 * same: it is there. */
static void take_refusal(const Pop3Sync *sync, Pop3Slot *slot, const GError *error)
{
    if (!pop3_note_refused(sync->backend, slot, error) ||
        (slot->uid == 0 && !pop3_is_refused(sync->backend, slot))) {
        pop3_note(sync->backend, POP3_NOT_SHOWN, error);
        return;
    }
    pop3_note(sync->backend, POP3_NOT_GIVEN, error);
    tell_nameless(sync, slot);
}

static void on_whole(guint32 number, BodyFile *file, const GError *error, gpointer user)
{
    const Pop3Sync *sync = user;
    MaildirWorker *worker;

    if (!file) {
        take_refusal(sync, pop3_slot(sync->backend, number), error);
        return;
    }
    worker = maildir_backend_enter(sync->backend->local);
    tell_whole(sync, worker, pop3_slot(sync->backend, number), file);
    maildir_backend_leave(sync->backend->local);
}

static gboolean tell_by_retr(Pop3Sync *sync, const GArray *numbers, GError **error)
{
    g_autoptr(GArray) wanted = g_array_new(FALSE, FALSE, sizeof(guint32));

    for (guint i = 0; i < numbers->len; i++) {
        Pop3Slot *slot = pop3_slot(sync->backend, g_array_index(numbers, guint32, i));
        g_autoptr(GError) damage = NULL;

        if (pop3_is_worth_fetching(sync->backend, slot, &damage))
            g_array_append_val(wanted, slot->number);
        else
            take_refusal(sync, slot, damage);
    }
    return wanted->len == 0 ||
           pop3_retrieve(sync->backend, wanted, on_whole, sync, error);
}

/* Of those whose TOP is refused, while others' is not, the whole is asked for. */
static gboolean tell_by_top(Pop3Sync *sync, const GArray *numbers, guint first, GError **error)
{
    g_autoptr(GHashTable) table =
        g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_byte_array_unref);
    g_autoptr(GArray) refused = g_array_new(FALSE, FALSE, sizeof(guint32));
    Headers headers = {{header_begin, header_data, header_end}, table, NULL, refused};
    gboolean ok =
        pop3_transfer(sync->backend, POP3_TOP, numbers, &headers.base, error);

    if (headers.coming)
        g_byte_array_unref(headers.coming);
    return ok && tell_headers(sync, table, first, numbers->len, error) &&
           tell_by_retr(sync, refused, error);
}

static gboolean tell_wanted(Pop3Sync *sync, GError **error)
{
    for (guint first = 0; first < sync->wanted->len; first += FLIGHT) {
        guint n = MIN(sync->wanted->len - first, FLIGHT);
        g_autoptr(GArray) numbers = numbers_of(sync, first, n);
        gboolean ok = sync->backend->has_no_top
                          ? tell_by_retr(sync, numbers, error)
                          : tell_by_top(sync, numbers, first, error);

        if (!ok)
            return FALSE;
    }
    if (sync->has_server) {
        pop3_say(sync->backend, POP3_NOT_SHOWN);
        pop3_say(sync->backend, POP3_NOT_GIVEN);
    }
    return TRUE;
}

/* -- All of it --------------------------------------------------------------------------------- */

static void post_state(const Pop3Sync *sync, Event *state)
{
    MaildirWorker *worker = maildir_backend_enter(sync->backend->local);
    const Ledger *ledger = pop3_inbox(worker, NULL);

    if (ledger)
        state->uidnext = ledger_uidnext(ledger);
    maildir_backend_leave(sync->backend->local);
    state->highestmodseq = 1; /* no poll of the list is to ask: the thread looks by itself */
    post(sync, state);
}

static gboolean run(Pop3Sync *sync, GError **error)
{
    Event *state;

    if (sync->has_server && !pop3_take_off(sync, error))
        return FALSE;
    if (!look_here(sync, error))
        return FALSE;
    state = post_files(sync);
    if (!tell_wanted(sync, error) ||
        (!uid_set_is_empty(sync->unseen) && !tell_unseen(sync, error))) {
        event_free(state);
        return FALSE;
    }
    post_state(sync, state);
    return TRUE;
}

static void fill_items(Pop3Sync *sync)
{
    const GArray *cached = sync->job->known.cached;

    sync->items = g_hash_table_new(NULL, NULL);
    for (guint i = 0; cached && i < cached->len; i++) {
        FetchItem *item = &g_array_index(cached, FetchItem, i);

        g_hash_table_insert(sync->items, GUINT_TO_POINTER(item->uid), &item->item);
    }
}

/* Whether what the open session lists is too old: older than the question, if somebody asked; else
 * when it has been looked at, or a while ago.  But where nobody is let in again so soon, that has
 * to do: a new session would only keep out who wants to read. */
static gboolean is_list_old(const Pop3Backend *backend, const Job *job)
{
    if (job->known.is_asked)
        return TRUE;
    if (!deadline_passed(backend->next_login))
        return FALSE;
    return backend->was_synced ||
           deadline_passed(backend->opened + STALE_SECONDS * G_USEC_PER_SEC);
}

gboolean pop3_sync(Pop3Backend *backend, Job *job, GError **error)
{
    Pop3Sync sync = {.backend = backend, .job = job};
    g_autoptr(GError) failure = NULL;
    gboolean ok;

    if (is_list_old(backend, job))
        pop3_disconnect(backend);
    sync.has_server = job->known.is_asked || !can_do_without(&sync)
                          ? pop3_connect_for(backend, job, TRUE, &failure)
                          : pop3_connect(backend, TRUE, &failure);
    backend->was_synced = sync.has_server;
    if (!sync.has_server && !can_do_without(&sync)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    sync.there = uid_set_new();
    sync.wanted = g_ptr_array_new();
    sync.unseen = uid_set_new();
    fill_items(&sync);
    ok = run(&sync, error);
    g_queue_clear_full(&sync.events, (GDestroyNotify)event_free);
    g_hash_table_unref(sync.items);
    g_ptr_array_unref(sync.wanted);
    uid_set_free(sync.there);
    uid_set_free(sync.unseen);
    if (ok && !sync.has_server && job->known.is_asked) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return ok;
}
