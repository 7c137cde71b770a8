/* The worker's life, and what it keeps of folders: their ledgers, and where files were last seen.
 *
 * Of the folders that were used last; the others are read again when they are needed.
 */
#include "store/maildir-worker-internal.h"
#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* A change that neither inotify nor the stamp shows (another machine's, by NFS, in the moment
     * of one of ours) is found after this. */
    BELIEVED_SECONDS = 60,
    KEPT_STATES = 16, /* with 100,000 messages each is 30 MB; most are far smaller */
};

/* -- Life -------------------------------------------------------------------------------------- */

static void state_free(gpointer data)
{
    MaildirState *state = data;

    g_free(state->wire);
    ledger_free(state->ledger);
    if (state->files)
        g_hash_table_unref(state->files);
    uid_set_free(state->untold);
    g_free(state);
}

MaildirWorker *maildir_worker_new(const MaildirWorkerParams *params)
{
    MaildirWorker *worker = g_new0(MaildirWorker, 1);

    worker->params = *params;
    worker->params.account = worker->account = g_strdup(params->account);
    worker->params.path = worker->path = g_strdup(params->path);
    worker->params.ledger_dir = worker->ledger_dir = g_strdup(params->ledger_dir);
    worker->params.charset_fallback = worker->charset_fallback =
        g_strdup(params->charset_fallback);
    worker->ledger_fd = worker->inotify_fd = -1;
    worker->states = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, state_free);
    worker->uidvalidities = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    worker->watches = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    worker->watched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    worker->own = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    worker->serial = g_random_int();
    return worker;
}

void maildir_worker_free(MaildirWorker *worker)
{
    if (!worker)
        return;
    g_hash_table_unref(worker->states);
    g_hash_table_unref(worker->uidvalidities);
    g_hash_table_unref(worker->watches);
    g_hash_table_unref(worker->watched);
    g_hash_table_unref(worker->own);
    maildir_tree_free(worker->tree);
    io_close_auto(&worker->ledger_fd);
    io_close_auto(&worker->inotify_fd);
    g_free(worker->account);
    g_free(worker->path);
    g_free(worker->ledger_dir);
    g_free(worker->charset_fallback);
    g_free(worker);
}

void maildir_worker_post(MaildirWorker *worker, Event *event)
{
    worker->params.event(event, worker->params.user);
}

/* -- The tree ---------------------------------------------------------------------------------- */

static void close_tree(MaildirWorker *worker)
{
    g_hash_table_remove_all(worker->states);
    g_hash_table_remove_all(worker->watches);
    g_hash_table_remove_all(worker->watched);
    io_close_auto(&worker->inotify_fd);
    worker->inotify_fd = -1;
    g_clear_pointer(&worker->tree, maildir_tree_free);
}

/* What is open is what the path leads to. */
static gboolean is_open(const MaildirWorker *worker)
{
    struct stat open, now;

    return worker->tree && fstat(maildir_tree_fd(worker->tree), &open) == 0 &&
           stat(worker->params.path, &now) == 0 && open.st_dev == now.st_dev &&
           open.st_ino == now.st_ino;
}

/* Of a tree that we make ourselves only ledgers that ever knew a file say that there was one: the
 * others are of messages that are elsewhere. */
static gboolean names_files(const MaildirWorker *worker, const char *name)
{
    g_autofree char *path = g_build_filename(worker->params.ledger_dir, name, NULL);
    g_autofree char *text = NULL;

    return !worker->params.creates || !g_file_get_contents(path, &text, NULL, NULL) ||
           strstr(text, " " MAILDIR_KEY);
}

static gboolean has_ledgers(const MaildirWorker *worker)
{
    g_autoptr(GDir) dir = g_dir_open(worker->params.ledger_dir, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)))
        if (g_str_has_suffix(name, ".ledger") && names_files(worker, name))
            return TRUE;
    return FALSE;
}

/* Nothing at all, where there was something: likely a disk that is not mounted.  Where nothing ever
 * was, an account begins with an INBOX. */
static gboolean settle_empty(MaildirWorker *worker, GError **error)
{
    g_autoptr(GPtrArray) wires = maildir_tree_list(worker->tree, NULL, error);

    if (!wires)
        return FALSE;
    if (wires->len > 0 || !worker->params.has_inbox)
        return TRUE;
    if (has_ledgers(worker))
        return mail_fail(error, MAIL_ERROR_OFFLINE,
                         "there is no Maildir in %s any more; is its disk mounted?",
                         worker->params.path);
    return maildir_tree_create(worker->tree, "INBOX", error);
}

gboolean maildir_worker_open(MaildirWorker *worker, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (is_open(worker))
        return TRUE;
    close_tree(worker);
    if (worker->ledger_fd < 0) {
        worker->ledger_fd = io_open_dir(worker->params.ledger_dir, error);
        if (worker->ledger_fd < 0)
            return FALSE;
    }
    worker->tree = maildir_tree_open(worker->params.path, worker->params.creates, &failure);
    if (worker->tree)
        maildir_tree_note_failure(worker->tree, &worker->has_failed);
    if (worker->tree && settle_empty(worker, &failure))
        return TRUE;
    close_tree(worker);
    /* For jobs, a mailbox that is GONE is another matter. */
    if (!mail_error_is(failure, MAIL_ERROR_OFFLINE) && !mail_error_is(failure, MAIL_ERROR_GONE))
        g_message("%s: %s", worker->params.account, failure->message);
    /* A sandbox allows what was there when it was put up, not what is mounted over it. */
    return mail_fail(error, MAIL_ERROR_OFFLINE, "%s%s", failure->message,
                     mail_error_is(failure, MAIL_ERROR_DENIED)
                         ? " (if its disk was mounted after the account, mount the account again)"
                         : "");
}

MaildirTree *maildir_worker_tree(MaildirWorker *worker)
{
    return worker->tree;
}

/* -- States ------------------------------------------------------------------------------------ */

static void drop_oldest(MaildirWorker *worker)
{
    MaildirState *oldest = NULL;
    GHashTableIter iter;
    gpointer value;

    if (g_hash_table_size(worker->states) < KEPT_STATES)
        return;
    g_hash_table_iter_init(&iter, worker->states);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (!oldest || ((MaildirState *)value)->used < oldest->used)
            oldest = value;
    g_hash_table_remove(worker->states, oldest->wire);
}

MaildirState *maildir_worker_state(MaildirWorker *worker, const char *wire, GError **error)
{
    MaildirState *state = g_hash_table_lookup(worker->states, wire);
    g_autofree char *name = NULL;
    Ledger *ledger;

    if (!state) {
        name = ledger_name(wire);
        ledger = ledger_open(worker->ledger_fd, name, error);
        if (!ledger)
            return NULL;
        drop_oldest(worker);
        state = g_new0(MaildirState, 1);
        state->wire = g_strdup(wire);
        state->ledger = ledger;
        state->untold = uid_set_new();
        g_hash_table_insert(worker->states, state->wire, state);
        g_hash_table_insert(worker->uidvalidities, g_strdup(wire),
                            GUINT_TO_POINTER(ledger_uidvalidity(ledger)));
    }
    state->used = ++worker->clock;
    return state;
}

void maildir_worker_forget(MaildirWorker *worker, const char *wire)
{
    g_autofree char *copy = g_strdup(wire);

    maildir_worker_unwatch(worker, copy);
    g_hash_table_remove(worker->uidvalidities, copy);
    g_hash_table_remove(worker->states, copy);
}

Ledger *maildir_worker_ledger(MaildirWorker *worker, const char *wire, GError **error)
{
    MaildirState *state;

    if (worker->ledger_fd < 0)
        worker->ledger_fd = io_open_dir(worker->params.ledger_dir, error);
    state = worker->ledger_fd < 0 ? NULL : maildir_worker_state(worker, wire, error);
    return state ? state->ledger : NULL;
}

MaildirFolder *maildir_worker_enter(MaildirWorker *worker, const char *wire, guint32 uidvalidity,
                                    MaildirState **ret_state, GError **error)
{
    g_autoptr(MaildirFolder) folder = maildir_folder_open(worker->tree, wire, error);
    MaildirState *state = folder ? maildir_worker_state(worker, wire, error) : NULL;

    if (!state)
        return NULL;
    if (uidvalidity && uidvalidity != ledger_uidvalidity(state->ledger)) {
        mail_fail(error, MAIL_ERROR_GONE, "%s was made anew; its messages have other numbers now",
                  wire);
        return NULL;
    }
    *ret_state = state;
    return g_steal_pointer(&folder);
}

/* -- Where files are --------------------------------------------------------------------------- */

gboolean maildir_worker_refresh(MaildirFolder *folder, MaildirState *state, guint64 *ret_stamp,
                                GError **error)
{
    MaildirSync sync;

    if (!maildir_sync(folder, state->ledger, &sync, error))
        return FALSE;
    g_clear_pointer(&state->files, g_hash_table_unref);
    state->files = g_steal_pointer(&sync.files);
    uid_set_add_set(state->untold, sync.changed);
    if (ret_stamp)
        *ret_stamp = sync.stamp;
    state->stood = sync.stood;
    state->look_again = deadline_in(BELIEVED_SECONDS);
    maildir_sync_clear(&sync);
    return TRUE;
}

static guint64 stamp_of(const MaildirFolder *folder)
{
    gboolean is_fresh;
    guint64 stamp;

    return maildir_folder_stamp(folder, &stamp, &is_fresh, NULL) ? stamp : 0;
}

void maildir_worker_begin_own(const MaildirFolder *folder, MaildirState *state)
{
    if (state->stood != stamp_of(folder))
        state->stood = 0;
}

void maildir_worker_end_own(const MaildirFolder *folder, MaildirState *state)
{
    if (state->stood)
        state->stood = stamp_of(folder);
}

gboolean maildir_worker_catch_up(MaildirWorker *worker, MaildirFolder *folder,
                                 MaildirState *state, guint64 *ret_stamp, GError **error)
{
    maildir_worker_watch_look(worker); /* of what others did, state->stood hears */
    if (!state->files || !state->stood || state->stood != stamp_of(folder) ||
        deadline_passed(state->look_again) || !maildir_worker_is_watched(worker, state->wire))
        return maildir_worker_refresh(folder, state, ret_stamp, error);
    if (ret_stamp)
        *ret_stamp = 0;
    return TRUE;
}

MaildirFile *maildir_worker_locate(MaildirWorker *worker, MaildirFolder *folder,
                                   MaildirState *state, guint32 uid, gboolean again,
                                   GError **error)
{
    const char *key;
    MaildirFile *file = NULL;

    if ((again || !state->files) && !maildir_worker_refresh(folder, state, NULL, error))
        return NULL;
    key = ledger_key(state->ledger, uid, MAILDIR_KEY);
    if (key)
        file = g_hash_table_lookup(state->files, key + strlen(MAILDIR_KEY));
    if (!file)
        mail_fail(error, MAIL_ERROR_GONE, "message %u is no longer in %s", uid, state->wire);
    return file;
}

guint32 maildir_worker_arrived(MaildirWorker *worker, MaildirState *state, MaildirFile *file,
                               const LedgerEntry *entry, GError **error)
{
    char *base = maildir_file_base(file->name);
    g_autofree char *key = maildir_file_key(base);
    guint32 uid = ledger_add(state->ledger, key, entry, error);

    maildir_worker_note_own(worker, file->name);
    if (state->files) {
        g_hash_table_replace(state->files, base, file);
    } else {
        g_free(base);
        maildir_file_free(file);
    }
    return uid;
}

void maildir_worker_gone(MaildirWorker *worker, MaildirState *state, guint32 uid)
{
    const char *key = ledger_key(state->ledger, uid, MAILDIR_KEY);

    if (key && state->files)
        g_hash_table_remove(state->files, key + strlen(MAILDIR_KEY));
    maildir_forget(state->ledger, uid);
}

/* -- Letting others in ------------------------------------------------------------------------- */

gboolean maildir_worker_is_listing(const MaildirWorker *worker)
{
    return worker->is_listing;
}

gboolean maildir_worker_pause(MaildirWorker *worker, const Job *job, GError **error)
{
    enum { MAX_PAUSED = 3 }; /* a message in a listing in a FETCH of many */
    gboolean goes_on = TRUE;

    if (worker->params.pause && worker->n_paused < MAX_PAUSED) {
        gboolean was_listing = worker->is_listing;

        worker->n_paused++;
        goes_on = worker->params.pause(worker->params.user);
        worker->n_paused--;
        worker->is_listing = was_listing;
    }
    return goes_on ||
           mail_fail(error, MAIL_ERROR_CANCELLED, "the work on %s was given up", job->wire);
}

/* -- Jobs -------------------------------------------------------------------------------------- */

gboolean maildir_worker_may_change(const MaildirWorker *worker, GError **error)
{
    return !worker->has_failed ||
           mail_fail(error, MAIL_ERROR_READONLY,
                     "%s takes no changes until it is mounted again: the disk failed to keep what "
                     "was written to its folders (an fsync failed; dmesg may say why)",
                     worker->params.account);
}

gboolean maildir_worker_run(MaildirWorker *worker, Job *job, GError **error)
{
    if (!maildir_worker_open(worker, error) ||
        (job->change && job->kind != JOB_FIND && !maildir_worker_may_change(worker, error)))
        return FALSE;
    switch (job->kind) {
    case JOB_LIST:
        return maildir_worker_list(worker, job, error);
    case JOB_SYNC:
        return maildir_worker_sync(worker, job, error);
    case JOB_FETCH:
        return maildir_worker_fetch(worker, job, error);
    case JOB_APPEND:
        return maildir_worker_append(worker, job, error);
    case JOB_FIND:
        return maildir_worker_find(worker, job, error);
    case JOB_COPY:
        return maildir_worker_copy(worker, job, error);
    case JOB_FLAGS:
        return maildir_worker_flags(worker, job, error);
    case JOB_EXPUNGE:
        return maildir_worker_expunge(worker, job, error);
    case JOB_MAILBOX:
        return maildir_worker_mailbox(worker, job, error);
    }
    g_assert_not_reached();
}

/* -- Calls from outside ------------------------------------------------------------------------ */

int maildir_worker_open_message(MaildirWorker *worker, const char *wire, guint32 uid,
                                guint64 *ret_size, GError **error)
{
    g_autoptr(MaildirFolder) folder = NULL;
    MaildirState *state;
    int fd = -1;

    if (!maildir_worker_open(worker, error))
        return -1;
    folder = maildir_worker_enter(worker, wire, 0, &state, error);
    for (guint again = 0; folder && again < 2 && fd < 0; again++) {
        g_autoptr(GError) failure = NULL;
        const MaildirFile *file =
            maildir_worker_locate(worker, folder, state, uid, again > 0, &failure);

        if (file)
            fd = maildir_folder_open_file(folder, file, ret_size, NULL, &failure);
        if (fd < 0 && (again > 0 || !mail_error_is(failure, MAIL_ERROR_GONE))) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return -1;
        }
    }
    return fd;
}
