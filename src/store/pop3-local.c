/* What jobs about the INBOX can do without the server.
 *
 * INBOX is a Maildir, and messages that are only in the maildrop are in its ledger alone.  So flags
 * are set, and removals noted, for those here; for those that have a file the Maildir worker does
 * it.  Messages leave for other folders from their file, or from the cache.  Who needs the
 * server is passed on.
 *
 * What is removed and has its octets here leaves for Trash, likewise, before its removal is noted;
 * only what was never fetched goes for good, as all of it does with delete=expunge.
 */
#include "store/pop3-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "store/change-internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* -- Some of a job's messages ------------------------------------------------------------------ */

typedef gboolean (*IsMeant)(const Ledger *ledger, const Job *job, const ChangeMessage *message);

typedef struct {
    GArray *all;    /* of ChangeMessage */
    GArray *places; /* of guint: where in there the job's are */
} Whole;

/* The job is about those alone until whole_again(), and what comes of them is in the job's. */
static Whole narrow(Job *job, const Ledger *ledger, IsMeant is_meant)
{
    Whole whole = {job->change->messages, g_array_new(FALSE, FALSE, sizeof(guint))};
    GArray *some = g_array_new(FALSE, TRUE, sizeof(ChangeMessage));

    for (guint i = 0; i < whole.all->len; i++) {
        const ChangeMessage *each = &g_array_index(whole.all, ChangeMessage, i);

        if (each->is_done || !is_meant(ledger, job, each))
            continue;
        g_array_append_val(some, *each);
        g_array_append_val(whole.places, i);
    }
    job->change->messages = some;
    return whole;
}

static void whole_again(Job *job, Whole *whole)
{
    GArray *some = job->change->messages;

    for (guint i = 0; i < some->len; i++)
        g_array_index(whole->all, ChangeMessage, g_array_index(whole->places, guint, i)) =
            g_array_index(some, ChangeMessage, i);
    job->change->messages = whole->all;
    g_array_unref(whole->places);
    g_array_unref(some);
}

/* One that could be removed here alone, and would be back with the next list. */
static gboolean must_stay(const Ledger *ledger, const Job *job, guint32 uid)
{
    return (job->kind == JOB_EXPUNGE || job->change->is_move) &&
           ledger_key(ledger, uid, POP3_VAGUE);
}

static gboolean is_file(const Ledger *ledger, const Job *job, const ChangeMessage *message)
{
    return has_file(ledger, message->uid) && !must_stay(ledger, job, message->uid);
}

/* The Maildir worker does it for those that have a file. */
static gboolean run_files(MaildirWorker *worker, Job *job, GError **error)
{
    const Ledger *ledger = pop3_inbox(worker, error);
    gboolean ok;
    Whole whole;

    if (!ledger)
        return FALSE;
    whole = narrow(job, ledger, is_file);
    ok = job->change->messages->len == 0 || maildir_worker_run(worker, job, error);
    whole_again(job, &whole);
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
    return ledger_flush(ledger, error) && run_files(worker, job, error);
}

/* -- To another folder ------------------------------------------------------------------------- */

enum { AT_ONCE = 64 }; /* descriptors that are open at the same time */

/* The octets of @delivery, from the cache: GONE when it has none, DAMAGED for less than @claim. */
static gboolean open_cached(const Pop3Backend *backend, const Job *job, guint64 item,
                            guint64 claim, MaildirDelivery *delivery, GError **error)
{
    autofd int fd = -1;
    struct stat st;

    if (!item)
        return mail_fail(error, MAIL_ERROR_GONE, "the message was never read");
    fd = disk_open_sound_body(backend->params.disk, job->mailbox, item, error);
    if (fd < 0)
        return FALSE;
    if (fstat(fd, &st) < 0)
        return mail_fail_errno(error, errno, "a message in the cache cannot be looked at");
    if (!pop3_is_whole(fd, (guint64)st.st_size, claim, error))
        return FALSE; /* perhaps the server gives all of it now */
    delivery->size = (guint64)st.st_size;
    delivery->fd = steal_fd(&fd);
    return TRUE;
}

/* Those at @places of the job, which are done then.  The descriptors are closed. */
static gboolean deliver_some(MaildirWorker *worker, Job *job, GArray *deliveries, GArray *places,
                             GError **error)
{
    gboolean ok = TRUE;

    if (deliveries->len > 0) {
        job->change->was_sent = TRUE;
        ok = maildir_worker_deliver_all(worker, job->change->target, deliveries,
                                        &job->change->uidvalidity, error);
    }
    for (guint i = 0; i < deliveries->len; i++) {
        const MaildirDelivery *each = &g_array_index(deliveries, MaildirDelivery, i);
        ChangeMessage *message = nth(job, g_array_index(places, guint, i));

        (void)close(each->fd);
        message->target_uid = each->uid;
        message->is_done = each->uid != 0;
    }
    g_array_set_size(deliveries, 0);
    g_array_set_size(places, 0);
    return ok;
}

/* Of those without a file, what the cache has goes to the job's target, durably, and is done: one
 * sync of that folder for many.  @must_be_whole: not what is shorter than the server says.  FALSE
 * as well when the cache may have one and does not give it. */
static gboolean deliver_cached(MaildirWorker *worker, Pop3Backend *backend, Job *job,
                               gboolean must_be_whole, GError **error)
{
    g_autoptr(GArray) deliveries = g_array_new(FALSE, TRUE, sizeof(MaildirDelivery));
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(GError) refused = NULL;

    for (guint i = 0; i < job->change->messages->len; i++) {
        const Ledger *ledger = pop3_inbox(worker, NULL); /* others were asked for meanwhile */
        const ChangeMessage *message = nth(job, i);
        const LedgerEntry *entry = ledger ? ledger_find_uid(ledger, message->uid) : NULL;
        g_autoptr(GError) failure = NULL;
        MaildirDelivery delivery = {.fd = -1};

        if (!entry || message->is_done || has_file(ledger, message->uid) ||
            must_stay(ledger, job, message->uid))
            continue;
        delivery.date = entry->date;
        delivery.flags = entry->flags;
        delivery.is_passed = message_has_keyword(entry->keywords, MESSAGE_PASSED);
        if (open_cached(backend, job, message->item, must_be_whole ? entry->size : 0, &delivery,
                        &failure)) {
            g_array_append_val(deliveries, delivery);
            g_array_append_val(places, i);
        } else if (!refused && !mail_error_is(failure, MAIL_ERROR_GONE)) {
            refused = g_steal_pointer(&failure);
        }
        if (deliveries->len == AT_ONCE && !deliver_some(worker, job, deliveries, places, error))
            return FALSE;
    }
    if (!deliver_some(worker, job, deliveries, places, error))
        return FALSE;
    if (refused)
        g_propagate_error(error, g_error_copy(refused));
    return !refused;
}

/* Durable over there: here it may go.  One that may not does not undo the others. */
static gboolean forget_sources(MaildirWorker *worker, Pop3Backend *backend, Job *job,
                               GError **error)
{
    Ledger *ledger = pop3_inbox(worker, error);
    g_autoptr(GError) refused = NULL;

    if (!ledger)
        return FALSE;
    for (guint i = 0; i < job->change->messages->len; i++) {
        const ChangeMessage *message = nth(job, i);

        if (job->change->is_move && message->is_done && message->target_uid)
            (void)pop3_inbox_doom(backend, ledger, message->uid, refused ? NULL : &refused);
    }
    job->change->did_move = job->change->is_move;
    FAULT("pop3-copied");
    if (!pop3_inbox_promise(backend, ledger, error)) {
        for (guint i = 0; i < job->change->messages->len; i++)
            if (job->change->is_move && pop3_inbox_shows(ledger, nth(job, i)->uid))
                nth(job, i)->is_done = FALSE;
        return FALSE;
    }
    pop3_owe(backend);
    if (refused)
        g_propagate_error(error, g_error_copy(refused));
    return !refused;
}

/* -- EXPUNGE ----------------------------------------------------------------------------------- */

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

/* Each is noted as owed; a file goes with it. */
static gboolean remove_for_good(MaildirWorker *worker, Pop3Backend *backend, Job *job,
                                GError **error)
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
    if (has_files && !run_files(worker, job, error))
        return FALSE;
    if (ok)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&refused));
    return FALSE;
}

/* -- Trash ------------------------------------------------------------------------------------- */

static void post_changed(const Pop3Backend *backend, const char *wire)
{
    Event *event = event_new(EVENT_CHANGED, NULL);

    event->wire = g_strdup(wire);
    maildir_backend_post(backend->local, event);
}

static gboolean make_trash(MaildirWorker *worker, Pop3Backend *backend, const char *trash,
                           GError **error)
{
    g_autoptr(GError) exists = NULL;

    if (!maildir_worker_open(worker, error))
        return FALSE;
    if (maildir_tree_create(maildir_worker_tree(worker), trash, &exists)) {
        post_changed(backend, "");
        return TRUE;
    }
    if (mail_error_is(exists, MAIL_ERROR_EXISTS))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&exists));
    return FALSE;
}

/* The target is Trash, where delete= wants it; and what was moved is over there. */
static gboolean goes_to_trash(const Job *job)
{
    return job->change->target && !job->change->is_move && !is_inbox(job->change->target);
}

/* Not what cannot be removed from the server: it would be in both. */
static gboolean may_go_to_trash(const Ledger *ledger, const Job *job,
                                const ChangeMessage *message)
{
    const LedgerEntry *entry = ledger_find_uid(ledger, message->uid);

    return entry && pop3_inbox_shows(ledger, message->uid) && is_same(entry, message) &&
           !must_stay(ledger, job, message->uid);
}

/* What is left then.  A file that did not get there stays. */
static gboolean goes_for_good(const Ledger *ledger, const Job *job, const ChangeMessage *message)
{
    return !has_file(ledger, message->uid) || must_stay(ledger, job, message->uid);
}

/* Whether there is, or may be, anything to put there: without, none is made. */
static gboolean has_octets(MaildirWorker *worker, Pop3Backend *backend, const Job *job)
{
    const Ledger *ledger = pop3_inbox(worker, NULL);

    for (guint i = 0; ledger && i < job->change->messages->len; i++) {
        const ChangeMessage *message = nth(job, i);
        g_autoptr(GError) error = NULL;
        autofd int fd = -1;

        if (has_file(ledger, message->uid))
            return TRUE;
        if (!message->item)
            continue;
        fd = disk_open_body(backend->params.disk, job->mailbox, message->item, &error);
        if (fd >= 0 || !mail_error_is(error, MAIL_ERROR_GONE))
            return TRUE;
    }
    return FALSE;
}

/* As a move, of what has its octets here: from its file, or from the cache. */
static gboolean move_to_trash(MaildirWorker *worker, Pop3Backend *backend, Job *job,
                              GError **error)
{
    const char *trash = job->change->target;
    g_autoptr(GError) failure = NULL;
    gboolean ok;

    if (!has_octets(worker, backend, job))
        return TRUE;
    if (!make_trash(worker, backend, trash, error))
        return FALSE;
    job->kind = JOB_COPY;
    job->change->is_move = TRUE;
    ok = run_files(worker, job, &failure) &&
         deliver_cached(worker, backend, job, FALSE, &failure);
    FAULT("pop3-trashed");
    ok = forget_sources(worker, backend, job, ok ? error : NULL) && ok;
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    job->kind = JOB_EXPUNGE;
    job->change->is_move = FALSE;
    post_changed(backend, trash);
    return ok;
}

static gboolean expunge(MaildirWorker *worker, Pop3Backend *backend, Job *job, GError **error)
{
    const Ledger *ledger = pop3_inbox(worker, error);
    gboolean ok;
    Whole whole;

    if (!ledger)
        return FALSE;
    if (!goes_to_trash(job))
        return remove_for_good(worker, backend, job, error);
    whole = narrow(job, ledger, may_go_to_trash);
    ok = move_to_trash(worker, backend, job, error);
    whole_again(job, &whole);
    ledger = ok ? pop3_inbox(worker, error) : NULL;
    if (!ledger)
        return FALSE;
    whole = narrow(job, ledger, goes_for_good);
    ok = remove_for_good(worker, backend, job, error);
    whole_again(job, &whole);
    return ok;
}

/* -- COPY -------------------------------------------------------------------------------------- */

static gboolean has_vague(const Ledger *ledger, const Job *job)
{
    for (guint i = 0; ledger && i < job->change->messages->len; i++)
        if (ledger_key(ledger, nth(job, i)->uid, POP3_VAGUE))
            return TRUE;
    return FALSE;
}

/* There are some that only the server has. */
static gboolean is_left(MaildirWorker *worker, const Job *job)
{
    const Ledger *ledger = pop3_inbox(worker, NULL);

    for (guint i = 0; ledger && i < job->change->messages->len; i++) {
        const ChangeMessage *message = nth(job, i);

        if (!message->is_done && !has_file(ledger, message->uid) &&
            !must_stay(ledger, job, message->uid) && pop3_inbox_shows(ledger, message->uid))
            return TRUE;
    }
    return FALSE;
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
    gboolean ok;

    if (!pop3_inbox(worker, error))
        return FALSE;
    if (job->change->is_move && !has_whole_files(worker, job, error))
        return FALSE;
    /* What fails is tried from the server. */
    (void)deliver_cached(worker, backend, job, job->change->is_move, NULL);
    ok = run_files(worker, job, error);
    if (!forget_sources(worker, backend, job, ok ? error : NULL) || !ok)
        return FALSE;
    *ret_is_passed_on = is_left(worker, job);
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
