/* SYNC: what a folder holds, against what the main thread knows of it.
 *
 * First the ledger is brought up to date, which reads names alone; then what is new to the main
 * thread is told, with its header read for a name.  That second part may take minutes for a large
 * folder on a slow disk, so it works on a list of its own and others are let in between.
 *
 * All flags are told, unless the main thread knows what the last SYNC of this run said: then only
 * those that changed since.
 */
#include "store/maildir-worker-internal.h"
#include "base/error.h"
#include "base/io.h"
#include "mime/header.h"
#include "mime/message-name.h"

#include <string.h>

enum { PAUSE_FILES = 16 }; /* on a disk that seeks, 0.2 s */

/* A message that is to be told. */
typedef struct {
    guint32 uid;
    guint16 flags;
    gint64 date;
    char *keywords;    /* or NULL */
    MaildirFile *file; /* a copy */
} Wanted;

typedef struct {
    MaildirWorker *worker;
    Job *job;
    MaildirFolder *folder;
    UidSet *there;
    GPtrArray *wanted;   /* of Wanted */
    GPtrArray *missed;   /* of Wanted, borrowed: not where they were */
    GPtrArray *messages; /* the next slice */
    guint n_read;
    guint32 uidvalidity, uidnext;
    guint64 stamp;
} Sync;

static void wanted_free(gpointer data)
{
    Wanted *wanted = data;

    g_free(wanted->keywords);
    maildir_file_free(wanted->file);
    g_free(wanted);
}

static void sync_clear(Sync *sync)
{
    maildir_folder_free(sync->folder);
    uid_set_free(sync->there);
    g_ptr_array_unref(sync->wanted);
    g_ptr_array_unref(sync->missed);
    g_ptr_array_unref(sync->messages);
}

/* -- What is told ------------------------------------------------------------------------------ */

static void post_begin(const Sync *sync, gboolean is_reset)
{
    Event *event = event_new(EVENT_SYNC_BEGIN, sync->job);

    event->uidvalidity = sync->uidvalidity;
    event->is_reset = is_reset;
    event->is_readonly = !maildir_folder_is_writable(sync->folder);
    event->n_messages = (guint32)uid_set_count(sync->there);
    event->n_expected = sync->wanted->len;
    maildir_worker_post(sync->worker, event);
}

static void post_vanished(const Sync *sync)
{
    g_autoptr(UidSet) gone = uid_set_minus(sync->job->known.uids, sync->there);
    Event *event;

    if (uid_set_is_empty(gone))
        return;
    event = event_new(EVENT_VANISHED, sync->job);
    event->uids = g_steal_pointer(&gone);
    maildir_worker_post(sync->worker, event);
}

static void post_flags(const Sync *sync, GArray **flags)
{
    Event *event = event_take_flags(sync->job, flags);

    if (event)
        maildir_worker_post(sync->worker, event);
}

/* Of @uids (NULL: all) that the main thread knows. */
static void tell_flags(const Sync *sync, const Ledger *ledger, const UidSet *uids)
{
    GArray *flags = g_array_new(FALSE, FALSE, sizeof(FlagChange));
    const LedgerEntry *entry;

    for (entry = ledger_next(ledger, 1); entry; entry = ledger_next(ledger, entry->uid + 1)) {
        FlagChange change = {.uid = entry->uid, .flags = entry->flags};

        if ((uids && !uid_set_contains(uids, entry->uid)) ||
            !uid_set_contains(sync->job->known.uids, entry->uid))
            continue;
        if (entry->keywords)
            change.keywords = g_ref_string_new_intern(entry->keywords);
        g_array_append_val(flags, change);
        if (flags->len >= EVENT_MAX_MESSAGES)
            post_flags(sync, &flags);
    }
    post_flags(sync, &flags);
    g_array_unref(flags);
}

static void post_messages(Sync *sync)
{
    Event *event = event_take_messages(sync->job, &sync->messages);

    if (event)
        maildir_worker_post(sync->worker, event);
}

static void post_state(const Sync *sync)
{
    Event *event = event_new(EVENT_SYNC_STATE, sync->job);

    event->uidvalidity = sync->uidvalidity;
    event->uidnext = sync->uidnext;
    event->highestmodseq = sync->stamp;
    event->n_messages = (guint32)uid_set_count(sync->there);
    event->compared = TRUE;
    maildir_worker_post(sync->worker, event);
}

/* -- Messages ---------------------------------------------------------------------------------- */

static Message *new_message(const Wanted *wanted, guint64 size)
{
    Message *message = message_new();

    message->uid = wanted->uid;
    message->flags = wanted->flags;
    message_set_keywords(message, wanted->keywords);
    message->size = size;
    message->date = wanted->date;
    return message;
}

/* names=uid: no header is read, only how long it is. */
static Message *look_at_message(const Sync *sync, const Wanted *wanted, GError **error)
{
    guint64 size;
    autofd int fd = maildir_folder_open_file(sync->folder, wanted->file, &size, NULL, error);
    Message *message;

    if (fd < 0)
        return NULL;
    message = new_message(wanted, size);
    message->name = message_name_from_uid(wanted->uid);
    return message;
}

static Message *read_message(const Sync *sync, const Wanted *wanted, GError **error)
{
    g_autoptr(GBytes) header = NULL;
    g_autofree char *id = NULL;
    Message *message;
    const char *text;
    guint64 size;
    gsize length;

    if (!sync->job->known.want_names)
        return look_at_message(sync, wanted, error);
    header = maildir_folder_read_header(sync->folder, wanted->file, &size, NULL, error);
    if (!header)
        return NULL;
    text = g_bytes_get_data(header, &length);
    id = header_message_id(text ? text : "", length);
    message = new_message(wanted, size);
    message->fingerprint = message_fingerprint(id);
    message->name = message_name_make(text ? text : "", length, wanted->date, wanted->uid,
                                      sync->worker->params.charset_fallback);
    return message;
}

static gboolean pause_now(Sync *sync, GError **error)
{
    return ++sync->n_read % PAUSE_FILES != 0 ||
           maildir_worker_pause(sync->worker, sync->job, error);
}

/* What is not where it was, goes to sync->missed, or (@is_last) waits for the next SYNC. */
static gboolean tell_messages(Sync *sync, GPtrArray *wanted, gboolean is_last, GError **error)
{
    for (guint i = 0; i < wanted->len; i++) {
        Wanted *each = g_ptr_array_index(wanted, i);
        g_autoptr(GError) failure = NULL;
        Message *message = read_message(sync, each, &failure);

        if (message) {
            g_ptr_array_add(sync->messages, message);
        } else if (mail_error_is(failure, MAIL_ERROR_GONE) && !is_last) {
            g_ptr_array_add(sync->missed, each);
        } else if (!mail_error_is(failure, MAIL_ERROR_GONE)) {
            g_message("%s: %s: %s", sync->worker->params.account, sync->job->wire,
                      failure->message);
        }
        if (!message)
            sync->stamp = 0;
        if (sync->messages->len >= EVENT_MAX_MESSAGES)
            post_messages(sync);
        if (!pause_now(sync, error))
            return FALSE;
    }
    return TRUE;
}

/* Somebody renames while we read. */
static gboolean find_missed(Sync *sync, GError **error)
{
    g_autoptr(GHashTable) files = NULL;

    if (sync->missed->len == 0)
        return TRUE;
    files = maildir_folder_scan(sync->folder, error);
    if (!files)
        return FALSE;
    for (guint i = 0; i < sync->missed->len; i++) {
        Wanted *wanted = g_ptr_array_index(sync->missed, i);
        g_autofree char *base = maildir_file_base(wanted->file->name);
        const MaildirFile *file = g_hash_table_lookup(files, base);

        if (!file)
            continue;
        maildir_file_free(wanted->file);
        wanted->file = maildir_file_parse(file->name, file->is_new);
    }
    return tell_messages(sync, sync->missed, TRUE, error);
}

/* -- All of it --------------------------------------------------------------------------------- */

/* New to the main thread, or learnt otherwise than by a SYNC: those are told once more. */
static UidSet *choose_wanted(const Sync *sync, gboolean is_reset)
{
    const SyncKnown *known = &sync->job->known;
    g_autoptr(UidSet) learnt = uid_set_new();
    g_autoptr(UidSet) settled = NULL;

    if (is_reset)
        return uid_set_copy(sync->there);
    uid_set_add_range(learnt, MAX(known->uidnext, 1), G_MAXUINT32);
    settled = uid_set_minus(known->uids, learnt);
    return uid_set_minus(sync->there, settled);
}

static void take_wanted(Sync *sync, const MaildirState *state, const LedgerEntry *entry)
{
    const char *key = ledger_key(state->ledger, entry->uid, MAILDIR_KEY);
    const MaildirFile *file =
        key ? g_hash_table_lookup(state->files, key + strlen(MAILDIR_KEY)) : NULL;
    Wanted *wanted;

    if (!file)
        return;
    wanted = g_new0(Wanted, 1);
    wanted->uid = entry->uid;
    wanted->flags = entry->flags;
    wanted->date = entry->date;
    wanted->keywords = g_strdup(entry->keywords);
    wanted->file = maildir_file_parse(file->name, file->is_new);
    g_ptr_array_add(sync->wanted, wanted);
}

static void take_ledger(Sync *sync, const MaildirState *state, gboolean is_reset)
{
    g_autoptr(UidSet) uids = NULL;
    const LedgerEntry *entry;

    for (entry = ledger_next(state->ledger, 1); entry;
         entry = ledger_next(state->ledger, entry->uid + 1))
        if (ledger_key(state->ledger, entry->uid, MAILDIR_KEY))
            uid_set_add(sync->there, entry->uid);
    uids = choose_wanted(sync, is_reset);
    for (guint r = 0; r < uid_set_n_ranges(uids); r++) {
        UidRange range = uid_set_range(uids, r);

        for (entry = ledger_next(state->ledger, range.low); entry && entry->uid <= range.high;
             entry = ledger_next(state->ledger, entry->uid + 1))
            take_wanted(sync, state, entry);
    }
}

/* What the ledger says; after this it is not used any more. */
static gboolean tell_known(Sync *sync, MaildirState *state, GError **error)
{
    const SyncKnown *known = &sync->job->known;
    gboolean is_reset, is_up_to_date;

    if (!maildir_worker_catch_up(sync->worker, sync->folder, state, &sync->stamp, error))
        return FALSE;
    sync->uidvalidity = ledger_uidvalidity(state->ledger);
    sync->uidnext = ledger_uidnext(state->ledger);
    is_reset = known->uidvalidity != sync->uidvalidity;
    is_up_to_date = state->told && state->told == known->highestmodseq && !known->all_flags;
    take_ledger(sync, state, is_reset);
    post_begin(sync, is_reset);
    if (!is_reset) {
        post_vanished(sync);
        if (!is_up_to_date || !uid_set_is_empty(state->untold))
            tell_flags(sync, state->ledger, is_up_to_date ? state->untold : NULL);
    }
    uid_set_free(state->untold);
    state->untold = uid_set_new();
    state->told = 0;
    return TRUE;
}

static gboolean run(Sync *sync, MaildirState *state, GError **error)
{
    maildir_worker_watch(sync->worker, sync->folder);
    if (!state->files)
        maildir_folder_tidy(sync->folder); /* once, when it is first looked at */
    if (!tell_known(sync, state, error) || !tell_messages(sync, sync->wanted, FALSE, error) ||
        !find_missed(sync, error))
        return FALSE;
    post_messages(sync);
    return TRUE;
}

gboolean maildir_worker_sync(MaildirWorker *worker, Job *job, GError **error)
{
    Sync sync = {.worker = worker, .job = job};
    MaildirState *state;
    gboolean ok;

    sync.folder = maildir_worker_enter(worker, job->wire, 0, &state, error);
    if (!sync.folder)
        return FALSE;
    sync.there = uid_set_new();
    sync.wanted = g_ptr_array_new_with_free_func(wanted_free);
    sync.missed = g_ptr_array_new();
    sync.messages = g_ptr_array_new_with_free_func((GDestroyNotify)message_free);
    worker->is_listing = TRUE;
    ok = run(&sync, state, error);
    worker->is_listing = FALSE;
    if (ok) {
        if (sync.stamp == 0) /* none that a STATUS will ever have, nor another SYNC */
            sync.stamp = (++worker->serial << 1 | 1) & G_MAXINT64;
        post_state(&sync);
        state = g_hash_table_lookup(worker->states, job->wire); /* others were let in */
        if (state)
            state->told = sync.stamp;
    }
    sync_clear(&sync);
    return ok;
}
