/* Changes of messages: APPEND, COPY and MOVE, FLAGS, EXPUNGE.
 *
 * Each is durable before it is answered, and in an order in which a kill at any point leaves every
 * message whole somewhere: the file before its number, the copy before its source goes, the file's
 * end before its number's.  What a kill leaves half is found by the next SYNC.  The other way round
 * is maildir_worker_keep(), for a message that has its number: the name comes before the file.
 *
 * Files are looked for where they were last seen.  Who is not there has been renamed, or is gone:
 * the folder is read again, a few times a job at most.
 */
#include "store/maildir-worker-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "store/change-internal.h"

#include <string.h>

enum { MAX_LOOKS = 4 };

/* One change at work on the messages of a folder. */
typedef struct {
    MaildirWorker *worker;
    JobChange *change;
    MaildirFolder *folder;
    MaildirState *state;
    MaildirFolder *target; /* COPY */
    MaildirState *target_state;
    guint n_looks;
    gboolean has_strangers; /* EXPUNGE */
} Run;

typedef gboolean (*Deed)(Run *run, MaildirFile *file, ChangeMessage *message, GError **error);

/* Does it to the message's file, wherever that is by now.  GONE when there is none. */
static gboolean do_to(Run *run, ChangeMessage *message, Deed deed, GError **error)
{
    gboolean again = FALSE;

    while (TRUE) {
        g_autoptr(GError) failure = NULL;
        MaildirFile *file;

        run->n_looks += again || !run->state->files;
        file = maildir_worker_locate(run->worker, run->folder, run->state, message->uid, again,
                                     &failure);
        if (file && deed(run, file, message, &failure))
            return TRUE;
        if (!mail_error_is(failure, MAIL_ERROR_GONE) || run->n_looks >= MAX_LOOKS ||
            (!file && run->n_looks > 0)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
        again = TRUE;
    }
}

static ChangeMessage *nth(const Run *run, guint i)
{
    return &g_array_index(run->change->messages, ChangeMessage, i);
}

/* Does @all to the folder of @job. */
static gboolean run_in_folder(MaildirWorker *worker, Job *job,
                              gboolean (*all)(Run *run, GError **error), GError **error)
{
    Run run = {.worker = worker, .change = job->change};
    gboolean ok;

    run.folder = maildir_worker_enter(worker, job->wire, job->uidvalidity, &run.state, error);
    if (!run.folder)
        return FALSE;
    job->change->was_sent = TRUE;
    maildir_worker_begin_own(run.folder, run.state);
    ok = all(&run, error);
    maildir_worker_end_own(run.folder, run.state);
    maildir_folder_free(run.folder);
    return ok;
}

/* -- APPEND ------------------------------------------------------------------------------------ */

/* Some that go into one folder. */
typedef struct {
    const char *wire;
    MaildirDelivery *deliveries;
    guint n;
    const char *keywords; /* of each; or NULL: what is_passed says */
    guint32 uidvalidity, uidnext_then; /* answered */
} Post;

static gboolean put_one(MaildirWorker *worker, MaildirFolder *folder, MaildirState *state,
                        MaildirDelivery *delivery, const char *keywords, GError **error)
{
    LedgerEntry entry = {.flags = delivery->flags,
                         .keywords = !keywords && delivery->is_passed ? MESSAGE_PASSED : keywords,
                         .date = delivery->date};
    MaildirFile *file = maildir_folder_put(folder, delivery, error);

    delivery->uid = file ? maildir_worker_arrived(worker, state, file, &entry, error) : 0;
    return delivery->uid != 0;
}

/* Those before one that cannot be delivered are, and have their UIDs. */
static gboolean deliver(MaildirWorker *worker, Post *post, GError **error)
{
    MaildirState *state;
    g_autoptr(MaildirFolder) folder = maildir_worker_enter(worker, post->wire, 0, &state, error);
    g_autoptr(GError) refused = NULL;
    guint n = 0;

    if (!folder)
        return FALSE;
    post->uidvalidity = ledger_uidvalidity(state->ledger);
    post->uidnext_then = ledger_uidnext(state->ledger);
    maildir_worker_begin_own(folder, state);
    while (n < post->n &&
           put_one(worker, folder, state, &post->deliveries[n], post->keywords, &refused))
        n++;
    maildir_worker_end_own(folder, state);
    if (!maildir_folder_flush(folder, error) || !ledger_flush(state->ledger, error)) {
        while (n-- > 0)
            post->deliveries[n].uid = 0;
        return FALSE;
    }
    if (refused)
        g_propagate_error(error, g_steal_pointer(&refused));
    return n == post->n;
}

gboolean maildir_worker_append(MaildirWorker *worker, Job *job, GError **error)
{
    JobChange *change = job->change;
    MaildirDelivery delivery = {
        .fd = change->fd,
        .size = change->size,
        .date = change->date,
        .flags = change->flags,
        .is_passed = message_has_keyword(change->keywords, MESSAGE_PASSED),
    };
    Post post = {
        .wire = job->wire, .deliveries = &delivery, .n = 1, .keywords = change->keywords};

    change->was_sent = TRUE;
    if (!deliver(worker, &post, error))
        return FALSE;
    change->uid = delivery.uid;
    change->uidvalidity = post.uidvalidity;
    change->uidnext_then = post.uidnext_then;
    return TRUE;
}

gboolean maildir_worker_deliver_all(MaildirWorker *worker, const char *wire, GArray *deliveries,
                                    guint32 *ret_uidvalidity, GError **error)
{
    Post post = {.wire = wire, .deliveries = (MaildirDelivery *)(gpointer)deliveries->data,
                 .n = deliveries->len};
    gboolean ok;

    if (!maildir_worker_open(worker, error) || !maildir_worker_may_change(worker, error))
        return FALSE;
    ok = deliver(worker, &post, error);
    *ret_uidvalidity = post.uidvalidity;
    return ok;
}

gboolean maildir_worker_deliver(MaildirWorker *worker, const char *wire,
                                const MaildirDelivery *delivery, guint32 *ret_uid,
                                guint32 *ret_uidvalidity, GError **error)
{
    g_autoptr(GArray) one = g_array_new(FALSE, FALSE, sizeof(MaildirDelivery));

    g_array_append_vals(one, delivery, 1);
    if (!maildir_worker_deliver_all(worker, wire, one, ret_uidvalidity, error))
        return FALSE;
    *ret_uid = g_array_index(one, MaildirDelivery, 0).uid;
    return TRUE;
}

/* TRUE in *ret_is_kept when it has its file.  A name that a kill left without one is taken off the
 * ledger by the look that does not find it. */
static gboolean look_if_kept(MaildirWorker *worker, const MaildirState *state, guint32 uid,
                             gboolean *ret_is_kept, GError **error)
{
    g_autoptr(GError) failure = NULL;
    guint64 size;
    autofd int fd = -1;

    *ret_is_kept = FALSE;
    if (!ledger_key(state->ledger, uid, MAILDIR_KEY))
        return TRUE;
    fd = maildir_worker_open_message(worker, state->wire, uid, &size, &failure);
    *ret_is_kept = fd >= 0;
    if (fd < 0 && !mail_error_is(failure, MAIL_ERROR_GONE)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return *ret_is_kept || !ledger_key(state->ledger, uid, MAILDIR_KEY) ||
           mail_fail(error, MAIL_ERROR_BUSY, "%s does not stand still", state->wire);
}

/* The ledger knows the file's name before it is there: were it the other way round, what a kill
 * leaves would be a message of its own.  A file whose folder could not be synced keeps its name,
 * for it is there. */
gboolean maildir_worker_keep(MaildirWorker *worker, const char *wire, guint32 uid, int fd,
                             guint64 size, GError **error)
{
    g_autoptr(MaildirFolder) folder = NULL;
    g_autofree char *base = maildir_file_unique(), *key = maildir_file_key(base);
    const LedgerEntry *entry;
    MaildirDelivery delivery = {.fd = fd, .size = size};
    MaildirState *state;
    MaildirFile *file;
    gboolean is_kept;

    if (!maildir_worker_open(worker, error) || !maildir_worker_may_change(worker, error))
        return FALSE;
    folder = maildir_worker_enter(worker, wire, 0, &state, error);
    if (!folder || !look_if_kept(worker, state, uid, &is_kept, error))
        return FALSE;
    if (is_kept)
        return TRUE;
    entry = ledger_find_uid(state->ledger, uid);
    if (!entry)
        return mail_fail(error, MAIL_ERROR_GONE, "message %u is no longer in %s", uid, wire);
    delivery.base = base;
    delivery.date = entry->date;
    delivery.flags = entry->flags;
    delivery.is_passed = message_has_keyword(entry->keywords, MESSAGE_PASSED);
    if (!ledger_add_key(state->ledger, uid, key, error) || !ledger_flush(state->ledger, error))
        return FALSE;
    FAULT("maildir-named");
    file = maildir_folder_put(folder, &delivery, error);
    if (!file) {
        ledger_remove_key(state->ledger, key);
        (void)ledger_flush(state->ledger, NULL); /* else the next look finds that it is not there */
        return FALSE;
    }
    maildir_worker_note_own(worker, file->name);
    if (state->files)
        g_hash_table_replace(state->files, g_steal_pointer(&base), file);
    else
        maildir_file_free(file);
    if (!maildir_folder_flush(folder, error))
        return FALSE;
    FAULT("maildir-kept");
    return TRUE;
}

/* -- COPY and MOVE ----------------------------------------------------------------------------- */

static gboolean copy_one(Run *run, MaildirFile *file, ChangeMessage *message, GError **error)
{
    const LedgerEntry *old = ledger_find_uid(run->state->ledger, message->uid);
    LedgerEntry entry = {.flags = file->flags, .keywords = old->keywords, .date = old->date};
    MaildirFile *copy = maildir_folder_copy(run->folder, file, run->target, error);

    if (!copy)
        return FALSE;
    message->target_uid =
        maildir_worker_arrived(run->worker, run->target_state, copy, &entry, error);
    return message->target_uid != 0;
}

/* Those that are over there, until one cannot be copied for another reason than that it is gone. */
static gboolean copy_all(Run *run, GError **error)
{
    for (guint i = 0; i < run->change->messages->len; i++) {
        g_autoptr(GError) failure = NULL;
        ChangeMessage *message = nth(run, i);

        if (message->is_done || do_to(run, message, copy_one, &failure))
            continue;
        message->target_uid = 0;
        if (mail_error_is(failure, MAIL_ERROR_GONE))
            continue;
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return TRUE;
}

static gboolean remove_one(Run *run, MaildirFile *file, ChangeMessage *message, GError **error)
{
    maildir_worker_note_own(run->worker, file->name);
    return maildir_folder_remove(run->folder, file, error);
}

/* The sources of what is over there.  A file that is gone by itself is what was wanted. */
static gboolean remove_sources(Run *run, GError **error)
{
    for (guint i = 0; i < run->change->messages->len; i++) {
        g_autoptr(GError) failure = NULL;
        ChangeMessage *message = nth(run, i);

        if (!message->target_uid || message->is_done)
            continue;
        if (!do_to(run, message, remove_one, &failure) &&
            !mail_error_is(failure, MAIL_ERROR_GONE)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
    }
    return maildir_folder_flush(run->folder, error);
}

static gboolean forget_sources(Run *run, GError **error)
{
    for (guint i = 0; i < run->change->messages->len; i++)
        if (nth(run, i)->target_uid)
            maildir_worker_gone(run->worker, run->state, nth(run, i)->uid);
    return ledger_flush(run->state->ledger, error);
}

static gboolean copy_and_move(Run *run, GError **error)
{
    g_autoptr(GError) failure = NULL;
    gboolean ok = copy_all(run, &failure);

    if (!maildir_folder_flush(run->target, error) ||
        !ledger_flush(run->target_state->ledger, error))
        return FALSE;
    if (run->change->is_move && !(remove_sources(run, error) && forget_sources(run, error)))
        return FALSE;
    for (guint i = 0; i < run->change->messages->len; i++)
        nth(run, i)->is_done = nth(run, i)->target_uid != 0;
    run->change->did_move = run->change->is_move;
    if (ok)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean maildir_worker_copy(MaildirWorker *worker, Job *job, GError **error)
{
    JobChange *change = job->change;
    Run run = {.worker = worker, .change = change};
    gboolean ok = FALSE;

    run.folder = maildir_worker_enter(worker, job->wire, job->uidvalidity, &run.state, error);
    if (run.folder)
        run.target = maildir_worker_enter(worker, change->target, 0, &run.target_state, error);
    if (run.target) {
        change->uidvalidity = ledger_uidvalidity(run.target_state->ledger);
        change->uidnext_then = ledger_uidnext(run.target_state->ledger);
        change->was_sent = TRUE;
        maildir_worker_begin_own(run.folder, run.state);
        maildir_worker_begin_own(run.target, run.target_state);
        ok = copy_and_move(&run, error);
        maildir_worker_end_own(run.folder, run.state);
        maildir_worker_end_own(run.target, run.target_state);
    }
    maildir_folder_free(run.folder);
    maildir_folder_free(run.target);
    return ok;
}

/* -- FLAGS ------------------------------------------------------------------------------------- */

static gboolean flag_one(Run *run, MaildirFile *file, ChangeMessage *message, GError **error)
{
    const JobChange *change = run->change;
    const LedgerEntry *entry = ledger_find_uid(run->state->ledger, message->uid);
    /* What another program changed since the last SYNC is still to be told by the next. */
    gboolean is_news = entry->flags != file->flags ||
                       message_has_keyword(entry->keywords, MESSAGE_PASSED) != file->is_passed;
    g_autofree char *now = change_merge_keywords(entry->keywords,
                                                 file->is_passed ? MESSAGE_PASSED : NULL,
                                                 file->is_passed ? NULL : MESSAGE_PASSED);
    g_autofree char *keywords =
        change_merge_keywords(now, change->keywords, change->keywords_removed);
    guint16 flags = (guint16)((file->flags | change->flags) & ~change->flags_removed);

    maildir_worker_note_own(run->worker, file->name);
    if (!maildir_folder_set_flags(run->folder, file, flags,
                                  message_has_keyword(keywords, MESSAGE_PASSED), error))
        return FALSE;
    maildir_worker_note_own(run->worker, file->name);
    ledger_set_flags(run->state->ledger, message->uid, flags, keywords);
    if (is_news)
        uid_set_add(run->state->untold, message->uid);
    return TRUE;
}

static gboolean flag_all(Run *run, GError **error)
{
    g_autoptr(GError) failure = NULL;

    for (guint i = 0; i < run->change->messages->len && !failure; i++) {
        if (!do_to(run, nth(run, i), flag_one, &failure) &&
            mail_error_is(failure, MAIL_ERROR_GONE))
            g_clear_error(&failure); /* there is nothing left to do to it */
        nth(run, i)->is_done = !failure;
    }
    if (!maildir_folder_flush(run->folder, error) || !ledger_flush(run->state->ledger, error))
        return FALSE;
    if (!failure)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean maildir_worker_flags(MaildirWorker *worker, Job *job, GError **error)
{
    return run_in_folder(worker, job, flag_all, error);
}

/* -- EXPUNGE ----------------------------------------------------------------------------------- */

/* Only what still is what the one who asked saw. */
static gboolean expunge_one(Run *run, MaildirFile *file, ChangeMessage *message, GError **error)
{
    const LedgerEntry *entry = ledger_find_uid(run->state->ledger, message->uid);
    guint64 size;
    autofd int fd = maildir_folder_open_file(run->folder, file, &size, NULL, error);

    if (fd < 0)
        return FALSE;
    if ((message->date && message->date != entry->date) ||
        (message->size && message->size != size)) {
        run->has_strangers = TRUE;
        return TRUE;
    }
    if (!remove_one(run, file, message, error))
        return FALSE;
    message->is_done = TRUE;
    return TRUE;
}

static gboolean conclude_expunge(Run *run, GError **error)
{
    guint n_done = 0;

    if (!maildir_folder_flush(run->folder, error))
        return FALSE;
    for (guint i = 0; i < run->change->messages->len; i++) {
        n_done += nth(run, i)->is_done;
        if (nth(run, i)->is_done)
            maildir_worker_gone(run->worker, run->state, nth(run, i)->uid);
    }
    if (!ledger_flush(run->state->ledger, error))
        return FALSE;
    return n_done > 0 || !run->has_strangers ||
           mail_fail(error, MAIL_ERROR_GONE,
                     "message %u of %s is not what it was; nothing was deleted",
                     nth(run, 0)->uid, run->state->wire);
}

static gboolean expunge_all(Run *run, GError **error)
{
    g_autoptr(GError) failure = NULL;

    for (guint i = 0; i < run->change->messages->len && !failure; i++)
        if (!nth(run, i)->is_done && !do_to(run, nth(run, i), expunge_one, &failure) &&
            mail_error_is(failure, MAIL_ERROR_GONE)) {
            nth(run, i)->is_done = TRUE;
            g_clear_error(&failure);
        }
    if (!conclude_expunge(run, error))
        return FALSE;
    if (!failure)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean maildir_worker_expunge(MaildirWorker *worker, Job *job, GError **error)
{
    return run_in_folder(worker, job, expunge_all, error);
}

gboolean maildir_worker_remove(MaildirWorker *worker, const char *wire, guint32 uid,
                               GError **error)
{
    JobChange change = {.fd = -1};
    Job job = {.kind = JOB_EXPUNGE, .wire = (char *)wire, .change = &change};
    ChangeMessage message = {.uid = uid};
    g_autoptr(GError) failure = NULL;
    gboolean ok;

    change.messages = g_array_new(FALSE, TRUE, sizeof message);
    g_array_append_val(change.messages, message);
    ok = maildir_worker_run(worker, &job, &failure);
    g_array_unref(change.messages);
    if (ok || mail_error_is(failure, MAIL_ERROR_GONE))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}
