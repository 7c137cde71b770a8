/* What jobs about the INBOX can do without the server.
 *
 * INBOX is a Maildir, and messages that are only in the maildrop are in its ledger alone.  So flags
 * are set, and removals noted, for those here; for those that have a file the Maildir worker does
 * it.  Messages leave for other folders from their file, or from the cache.  Who needs the
 * server is passed on.
 */
#include "store/pop3-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "store/change-internal.h"

#include <string.h>
#include <sys/stat.h>

static gboolean is_inbox(const char *wire)
{
    return g_strcmp0(wire, POP3_INBOX) == 0;
}

static gboolean has_file(const Ledger *ledger, guint32 uid)
{
    return ledger_key(ledger, uid, MAILDIR_KEY) != NULL;
}

static ChangeMessage *nth(const Job *job, guint i)
{
    return &g_array_index(job->change->messages, ChangeMessage, i);
}

/* -- The Maildir worker for those that have a file --------------------------------------------- */

/* Which of them: all, those that are owed to the server as well, or the others. */
typedef enum { ANY, IS_OWED, IS_LOCAL } Files;

static gboolean is_among(const Ledger *ledger, guint32 uid, Files which)
{
    return has_file(ledger, uid) &&
           (which == ANY || (ledger_key(ledger, uid, POP3_OWED) != NULL) == (which == IS_OWED));
}

/* One that could be removed here alone, and would be back with the next list. */
static gboolean must_stay(const Ledger *ledger, const Job *job, guint32 uid)
{
    return (job->kind == JOB_EXPUNGE || job->change->is_move) &&
           ledger_key(ledger, uid, POP3_VAGUE);
}

/* Runs @job for these messages alone; what came of them is in @job's. */
static gboolean run_files(MaildirWorker *worker, Job *job, Files which, GError **error)
{
    Ledger *ledger = pop3_inbox(worker, error);
    g_autoptr(GArray) all = job->change->messages;
    GArray *files = g_array_new(FALSE, TRUE, sizeof(ChangeMessage));
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(guint));
    gboolean ok = ledger != NULL;

    for (guint i = 0; ok && i < all->len; i++) {
        const ChangeMessage *each = &g_array_index(all, ChangeMessage, i);

        if (each->is_done || !is_among(ledger, each->uid, which) ||
            must_stay(ledger, job, each->uid))
            continue;
        g_array_append_val(files, *each);
        g_array_append_val(places, i);
    }
    job->change->messages = files;
    if (ok && files->len > 0)
        ok = maildir_worker_run(worker, job, error);
    for (guint i = 0; i < places->len; i++)
        g_array_index(all, ChangeMessage, g_array_index(places, guint, i)) =
            g_array_index(files, ChangeMessage, i);
    job->change->messages = g_steal_pointer(&all);
    g_array_unref(files);
    return ok;
}

/* -- FLAGS ------------------------------------------------------------------------------------- */

static gboolean set_flags(MaildirWorker *worker, Job *job, GError **error)
{
    const JobChange *change = job->change;
    Ledger *ledger = pop3_inbox(worker, error);

    if (!ledger)
        return FALSE;
    for (guint i = 0; i < change->messages->len; i++) {
        const LedgerEntry *entry = ledger_find_uid(ledger, nth(job, i)->uid);
        g_autofree char *keywords = NULL;

        if (entry && has_file(ledger, entry->uid))
            continue;
        nth(job, i)->is_done = TRUE; /* of one that has gone nothing is left to do */
        if (!entry)
            continue;
        keywords = change_merge_keywords(entry->keywords, change->keywords,
                                         change->keywords_removed);
        ledger_set_flags(ledger, entry->uid,
                         (guint16)((entry->flags | change->flags) & ~change->flags_removed),
                         keywords);
    }
    job->change->was_sent = TRUE;
    return ledger_flush(ledger, error) && run_files(worker, job, ANY, error);
}

/* -- EXPUNGE ----------------------------------------------------------------------------------- */

static void post_changed(const Pop3Backend *backend, const char *wire)
{
    Event *event = event_new(EVENT_CHANGED, NULL);

    event->wire = g_strdup(wire);
    maildir_backend_post(backend->local, event);
}

/* What exists here alone goes where rm puts things; the folder is made if need be. */
static gboolean run_trash(MaildirWorker *worker, Pop3Backend *backend, Job *job, GError **error)
{
    const char *trash = job->change->target;
    g_autoptr(GError) exists = NULL;
    gboolean ok;

    if (!maildir_worker_open(worker, error))
        return FALSE;
    if (!maildir_tree_create(maildir_worker_tree(worker), trash, &exists) &&
        !mail_error_is(exists, MAIL_ERROR_EXISTS)) {
        g_propagate_error(error, g_steal_pointer(&exists));
        return FALSE;
    }
    job->kind = JOB_COPY;
    job->change->is_move = TRUE;
    ok = run_files(worker, job, IS_LOCAL, error);
    job->kind = JOB_EXPUNGE;
    post_changed(backend, "");
    post_changed(backend, trash);
    return ok;
}

/* Only what still is what the one who asked saw. */
static gboolean is_same(const LedgerEntry *entry, const ChangeMessage *message)
{
    return !message->date || message->date == entry->date;
}

/* Notes all that may be noted, and says of the first that may not why; those that have a file go on
 * to be removed here as well. */
static gboolean doom_all(Pop3Backend *backend, Ledger *ledger, Job *job, gboolean *ret_has_files,
                         GError **error)
{
    gboolean ok = TRUE;

    for (guint i = 0; i < job->change->messages->len; i++) {
        ChangeMessage *message = nth(job, i);
        const LedgerEntry *entry = ledger_find_uid(ledger, message->uid);

        if (!entry || !pop3_inbox_shows(ledger, message->uid)) {
            message->is_done = TRUE;
            continue;
        }
        if (!is_same(entry, message))
            continue;
        if (!pop3_inbox_doom(backend, ledger, message->uid, ok ? error : NULL)) {
            ok = FALSE;
            continue;
        }
        message->date = 0;
        if (ledger_key(ledger, message->uid, POP3_OWED))
            message->size = 0; /* the server's claim, perhaps: a file that was just made differs */
        message->is_done = !has_file(ledger, message->uid);
        *ret_has_files = *ret_has_files || !message->is_done;
    }
    return ok;
}

static gboolean has_local(MaildirWorker *worker, const Job *job)
{
    const Ledger *ledger = pop3_inbox(worker, NULL);

    for (guint i = 0; ledger && i < job->change->messages->len; i++)
        if (!nth(job, i)->is_done && is_among(ledger, nth(job, i)->uid, IS_LOCAL) &&
            !must_stay(ledger, job, nth(job, i)->uid))
            return TRUE;
    return FALSE;
}

/* A copy of what is removed from the server is removed with it; what is here alone goes to Trash,
 * if delete= says so. */
static gboolean remove_files(MaildirWorker *worker, Pop3Backend *backend, Job *job, GError **error)
{
    if (!job->change->target)
        return run_files(worker, job, ANY, error);
    return run_files(worker, job, IS_OWED, error) &&
           (!has_local(worker, job) || run_trash(worker, backend, job, error));
}

static gboolean expunge(MaildirWorker *worker, Pop3Backend *backend, Job *job, GError **error)
{
    Ledger *ledger = pop3_inbox(worker, error);
    g_autoptr(GError) refused = NULL;
    gboolean has_files = FALSE, ok;

    if (!ledger)
        return FALSE;
    ok = doom_all(backend, ledger, job, &has_files, &refused);
    if (!pop3_inbox_promise(backend, ledger, error)) {
        for (guint i = 0; i < job->change->messages->len; i++)
            nth(job, i)->is_done = FALSE;
        return FALSE;
    }
    FAULT("pop3-doomed");
    pop3_owe(backend);
    if (has_files && !remove_files(worker, backend, job, error))
        return FALSE;
    if (ok)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&refused));
    return FALSE;
}

/* -- COPY -------------------------------------------------------------------------------------- */

static gboolean has_vague(const Ledger *ledger, const Job *job)
{
    for (guint i = 0; ledger && i < job->change->messages->len; i++)
        if (ledger_key(ledger, nth(job, i)->uid, POP3_VAGUE))
            return TRUE;
    return FALSE;
}

/* From the cache; FALSE when it is not there, or cannot be delivered. */
static gboolean copy_cached(MaildirWorker *worker, Pop3Backend *backend, Job *job,
                            ChangeMessage *message)
{
    const Ledger *ledger = pop3_inbox(worker, NULL);
    const LedgerEntry *entry = ledger ? ledger_find_uid(ledger, message->uid) : NULL;
    autofd int fd = entry && message->item
                        ? disk_open_sound_body(backend->params.disk, job->mailbox, message->item,
                                               NULL)
                        : -1;
    MaildirDelivery delivery = {.fd = fd};
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return FALSE;
    if (job->change->is_move && !pop3_is_whole(fd, (guint64)st.st_size, entry->size, NULL))
        return FALSE; /* perhaps the server gives all of it now */
    delivery.size = (guint64)st.st_size;
    delivery.date = entry->date;
    delivery.flags = entry->flags;
    delivery.is_passed = message_has_keyword(entry->keywords, MESSAGE_PASSED);
    job->change->was_sent = TRUE;
    return maildir_worker_deliver(worker, job->change->target, &delivery, &message->target_uid,
                                  &job->change->uidvalidity, NULL);
}

/* Durable over there: here it may go. */
static gboolean forget_sources(MaildirWorker *worker, Pop3Backend *backend, Job *job,
                               GError **error)
{
    Ledger *ledger = pop3_inbox(worker, error);

    if (!ledger)
        return FALSE;
    for (guint i = 0; i < job->change->messages->len; i++) {
        if (job->change->is_move && nth(job, i)->target_uid &&
            !pop3_inbox_doom(backend, ledger, nth(job, i)->uid, error))
            return FALSE;
    }
    job->change->did_move = job->change->is_move;
    FAULT("pop3-copied");
    if (!pop3_inbox_promise(backend, ledger, error))
        return FALSE;
    for (guint i = 0; i < job->change->messages->len; i++)
        nth(job, i)->is_done = nth(job, i)->is_done || nth(job, i)->target_uid != 0;
    pop3_owe(backend);
    return TRUE;
}

/* FALSE when it has a file that was made of what is on the server, and of less than that. */
static gboolean has_whole_file(MaildirWorker *worker, guint32 uid, GError **error)
{
    const Ledger *ledger = pop3_inbox(worker, error);
    const LedgerEntry *entry = ledger ? ledger_find_uid(ledger, uid) : NULL;
    guint64 claim = entry ? entry->size : 0, size;
    autofd int fd = -1;

    if (!entry || !has_file(ledger, uid) || !ledger_key(ledger, uid, POP3_HERE))
        return ledger != NULL;
    fd = maildir_worker_open_message(worker, POP3_INBOX, uid, &size, NULL);
    return fd < 0 || pop3_is_whole(fd, size, claim, error);
}

static gboolean has_whole_files(MaildirWorker *worker, const Job *job, GError **error)
{
    for (guint i = 0; i < job->change->messages->len; i++)
        if (!has_whole_file(worker, nth(job, i)->uid, error))
            return FALSE;
    return TRUE;
}

static gboolean copy(MaildirWorker *worker, Pop3Backend *backend, Job *job,
                     gboolean *ret_is_passed_on, GError **error)
{
    Ledger *ledger = pop3_inbox(worker, error);

    if (!ledger)
        return FALSE;
    if (job->change->is_move && !has_whole_files(worker, job, error))
        return FALSE;
    for (guint i = 0; i < job->change->messages->len; i++) {
        ChangeMessage *message = nth(job, i);

        if (!ledger_find_uid(ledger, message->uid) || has_file(ledger, message->uid) ||
            must_stay(ledger, job, message->uid))
            continue;
        if (!copy_cached(worker, backend, job, message))
            *ret_is_passed_on = TRUE;
        ledger = pop3_inbox(worker, error); /* other states were asked for meanwhile */
        if (!ledger) {
            *ret_is_passed_on = FALSE;
            return FALSE;
        }
    }
    if (!run_files(worker, job, ANY, error) || !forget_sources(worker, backend, job, error)) {
        *ret_is_passed_on = FALSE;
        return FALSE;
    }
    if (!*ret_is_passed_on)
        return !job->change->is_move || !has_vague(pop3_inbox(worker, NULL), job) ||
               pop3_inbox_refuse_move(error);
    pop3_pass_on(backend, job); /* which refuses those as well */
    return TRUE;
}

/* -- FETCH ------------------------------------------------------------------------------------- */

/* Those that have a file; the others are left in the job, for the server. */
static gboolean fetch(MaildirWorker *worker, Pop3Backend *backend, Job *job,
                      gboolean *ret_is_passed_on, GError **error)
{
    Ledger *ledger = pop3_inbox(worker, error);
    g_autoptr(GArray) files = g_array_new(FALSE, FALSE, sizeof(FetchItem));
    GArray *rest = g_array_new(FALSE, FALSE, sizeof(FetchItem));
    gboolean ok = ledger != NULL;

    for (guint i = 0; ok && i < job->items->len; i++) {
        const FetchItem *item = &g_array_index(job->items, FetchItem, i);

        g_array_append_vals(has_file(ledger, item->uid) ? files : rest, item, 1);
    }
    if (files->len > 0) {
        GArray *all = job->items;

        job->items = files;
        ok = maildir_worker_run(worker, job, error);
        job->items = all;
    }
    *ret_is_passed_on = ok && rest->len > 0;
    if (*ret_is_passed_on) {
        g_array_unref(job->items);
        job->items = rest;
        pop3_pass_on(backend, job);
    } else {
        g_array_unref(rest);
    }
    return ok;
}

/* -- SYNC -------------------------------------------------------------------------------------- */

static gboolean pass_on_sync(MaildirWorker *worker, Pop3Backend *backend, Job *job,
                             gboolean *ret_is_passed_on, GError **error)
{
    const Ledger *ledger = pop3_inbox(worker, error);
    g_autoptr(GError) away = NULL;

    if (!ledger)
        return FALSE;
    away = pop3_inbox_has_heard(ledger) ? NULL : pop3_away(backend);
    if (away) {
        g_propagate_error(error, g_steal_pointer(&away));
        return FALSE;
    }
    *ret_is_passed_on = TRUE;
    pop3_pass_on(backend, job);
    return TRUE;
}

/* -- All of them ------------------------------------------------------------------------------- */

/* The stamp of its files is not all there is to the INBOX. */
static void leave_out_inbox(Job *job)
{
    for (guint i = job->status_of ? job->status_of->len : 0; i > 0; i--)
        if (is_inbox(g_ptr_array_index(job->status_of, i - 1)))
            g_ptr_array_remove_index(job->status_of, i - 1);
}

/* A ledger that was lost begins anew, and its UIDs are of others. */
static gboolean is_of_this_ledger(MaildirWorker *worker, const Job *job, GError **error)
{
    const Ledger *ledger = job->uidvalidity ? pop3_inbox(worker, error) : NULL;

    if (!job->uidvalidity || (ledger && ledger_uidvalidity(ledger) == job->uidvalidity))
        return TRUE;
    return ledger ? mail_fail(error, MAIL_ERROR_GONE,
                              "%s was made anew; its messages have other numbers now", job->wire)
                  : FALSE;
}

gboolean pop3_local_run(MaildirWorker *worker, Job *job, gboolean *ret_is_passed_on,
                        gpointer user, GError **error)
{
    Pop3Backend *backend = user;

    if (job->kind == JOB_LIST)
        leave_out_inbox(job);
    if (!is_inbox(job->wire))
        return maildir_worker_run(worker, job, error);
    if (job->change && job->kind != JOB_FIND && !maildir_worker_may_change(worker, error))
        return FALSE;
    if (!is_of_this_ledger(worker, job, error))
        return FALSE;
    switch (job->kind) {
    case JOB_SYNC:
        return pass_on_sync(worker, backend, job, ret_is_passed_on, error);
    case JOB_FETCH:
        return fetch(worker, backend, job, ret_is_passed_on, error);
    case JOB_COPY:
        return copy(worker, backend, job, ret_is_passed_on, error);
    case JOB_FLAGS:
        return set_flags(worker, job, error);
    case JOB_EXPUNGE:
        return expunge(worker, backend, job, error);
    default:
        return maildir_worker_run(worker, job, error);
    }
}
