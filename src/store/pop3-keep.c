/* What stays, and where: messages that the server lists no more, and those that pop3-keep= takes
 * off it.
 *
 * What is listed no more is not thereby deleted: if it was read, its octets are kept as a file;
 * only what nobody here ever read goes, and many of those at once only when a second session lists
 * them neither.  Who it was is known for one session more.
 */
#include "store/pop3-internal.h"
#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <sys/stat.h>

enum {
    PLAUSIBLE = 5, /* so many may go at once, or */
    PLAUSIBLE_PERCENT = 20,
    TAKEN_AT_ONCE = 200, /* by pop3-keep=Nd in one session; the next poll goes on */
    OCTETS_AT_ONCE = 16 * 1024 * 1024, /* of these, for somebody may wait to read; one at least */
    DAY_SECONDS = 24 * 3600,
};

static gint64 now(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

/* The octets in the cache, which are compared with their hash: they are to be the only ones.  -1:
 * GONE when there are none, or not what they were. */
static int open_cached(const Pop3Sync *sync, guint32 uid, guint64 *ret_size, GError **error)
{
    const guint64 *item = g_hash_table_lookup(sync->items, GUINT_TO_POINTER(uid));
    autofd int fd = -1;
    struct stat st;

    if (!item) {
        mail_fail(error, MAIL_ERROR_GONE, "the message was never read");
        return -1;
    }
    fd = disk_open_sound_body(sync->backend->params.disk, sync->job->mailbox, *item, error);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0) {
        mail_fail_errno(error, errno, "a message in the cache cannot be looked at");
        return -1;
    }
    *ret_size = (guint64)st.st_size;
    return steal_fd(&fd);
}

/* -- What is listed no more -------------------------------------------------------------------- */

static void let_go(Ledger *ledger, guint32 uid)
{
    pop3_inbox_turn(ledger, uid, POP3_HERE, POP3_GONE);
    pop3_inbox_forget(ledger, uid, POP3_VAGUE);
}

typedef enum { KEPT, HELD, NOT_HERE } Kept;

/* Its file, or what is in the cache: a kill may leave a file's name in the ledger alone. */
static int open_here(const Pop3Sync *sync, MaildirWorker *worker, guint32 uid, guint64 *ret_size,
                     GError **error)
{
    const Ledger *ledger = pop3_inbox(worker, NULL);
    g_autoptr(GError) failure = NULL;
    int fd;

    if (!ledger || !ledger_key(ledger, uid, MAILDIR_KEY))
        return open_cached(sync, uid, ret_size, error);
    fd = maildir_worker_open_message(worker, POP3_INBOX, uid, ret_size, &failure);
    if (fd >= 0)
        return fd;
    if (mail_error_is(failure, MAIL_ERROR_GONE))
        return open_cached(sync, uid, ret_size, error);
    g_propagate_error(error, g_steal_pointer(&failure));
    return -1;
}

/* HELD: its octets are here, but cannot be stored now.  It stays as it is, in the hope that the
 * cache keeps them until then. */
static Kept keep_one(const Pop3Sync *sync, MaildirWorker *worker, guint32 uid)
{
    g_autoptr(GError) error = NULL;
    guint64 size = 0;
    autofd int fd = open_here(sync, worker, uid, &size, &error);

    if (fd < 0 && mail_error_is(error, MAIL_ERROR_GONE))
        return NOT_HERE;
    if (fd >= 0 && maildir_worker_keep(worker, POP3_INBOX, uid, fd, size, &error))
        return KEPT;
    pop3_note(sync->backend, POP3_NOT_KEPT, error);
    return HELD;
}

static UidSet *find_unlisted(const Pop3Sync *sync, const Ledger *ledger, guint *ret_n_known)
{
    UidSet *unlisted = uid_set_new();
    const LedgerEntry *entry;

    *ret_n_known = 0;
    for (entry = ledger_next(ledger, 1); entry; entry = ledger_next(ledger, entry->uid + 1)) {
        if (!ledger_key(ledger, entry->uid, POP3_HERE) &&
            !ledger_key(ledger, entry->uid, POP3_VAGUE))
            continue;
        ++*ret_n_known;
        if (!g_hash_table_contains(sync->backend->by_uid, GUINT_TO_POINTER(entry->uid)))
            uid_set_add(unlisted, entry->uid);
    }
    return unlisted;
}

/* Of those that nobody has read, @lost, which are believed to be gone. */
static UidSet *believed(const Pop3Sync *sync, const UidSet *lost, guint n_known)
{
    Pop3Backend *backend = sync->backend;
    gboolean is_plausible =
        uid_set_count(lost) <= MAX(PLAUSIBLE, n_known * PLAUSIBLE_PERCENT / 100);
    UidSet *gone = uid_set_new();

    for (guint i = 0; i < uid_set_n_ranges(lost); i++) {
        UidRange range = uid_set_range(lost, i);

        for (guint64 uid = range.low; uid <= range.high; uid++)
            if (is_plausible || uid_set_contains(backend->missing, (guint32)uid))
                uid_set_add(gone, (guint32)uid);
    }
    uid_set_free(backend->missing);
    backend->missing = uid_set_minus(lost, gone);
    if (!uid_set_is_empty(backend->missing))
        g_message("%s: the server lists %u messages less than it did; they are kept until it has "
                  "said so twice", backend->params.config->id,
                  (guint)uid_set_count(backend->missing));
    return gone;
}

static void for_each(Ledger *ledger, const UidSet *uids, void (*func)(Ledger *, guint32))
{
    for (guint i = 0; i < uid_set_n_ranges(uids); i++) {
        UidRange range = uid_set_range(uids, i);

        for (guint64 uid = range.low; uid <= range.high; uid++)
            func(ledger, (guint32)uid);
    }
}

gboolean pop3_settle_unlisted(const Pop3Sync *sync, MaildirWorker *worker, GError **error)
{
    Ledger *ledger = pop3_inbox(worker, error);
    g_autoptr(UidSet) unlisted = NULL, kept = uid_set_new(), lost = uid_set_new(), gone = NULL;
    guint n_known;

    if (!ledger)
        return FALSE;
    unlisted = find_unlisted(sync, ledger, &n_known);
    for (guint i = 0; i < uid_set_n_ranges(unlisted); i++) {
        UidRange range = uid_set_range(unlisted, i);

        for (guint64 uid = range.low; uid <= range.high; uid++) {
            Kept how = keep_one(sync, worker, (guint32)uid);

            if (how != HELD)
                uid_set_add(how == KEPT ? kept : lost, (guint32)uid);
        }
    }
    pop3_say(sync->backend, POP3_NOT_KEPT);
    gone = believed(sync, lost, n_known);
    ledger = pop3_inbox(worker, error); /* keeping one may have opened it anew */
    if (!ledger)
        return FALSE;
    for_each(ledger, kept, let_go);
    for_each(ledger, gone, let_go); /* should the next list have it again, it is who it was */
    return ledger_flush(ledger, error);
}

/* -- pop3-keep= -------------------------------------------------------------------------------- */

typedef enum { STAYS, TAKEN, TO_FETCH } Keeping;

static Keeping keeping_of(const Pop3Sync *sync, const Ledger *ledger, guint32 uid)
{
    const ConfigAccount *config = sync->backend->params.config;
    const LedgerEntry *entry = ledger_find_uid(ledger, uid);
    gboolean is_here = ledger_key(ledger, uid, MAILDIR_KEY) ||
                       g_hash_table_contains(sync->items, GUINT_TO_POINTER(uid));

    if (!entry || !ledger_key(ledger, uid, POP3_HERE) ||
        config->pop3_keep == CONFIG_POP3_KEEP_FOREVER)
        return STAYS;
    if (config->pop3_keep == CONFIG_POP3_KEEP_FETCHED)
        return is_here ? TAKEN : STAYS;
    if (now() - entry->first_seen < (gint64)config->pop3_keep_days * DAY_SECONDS)
        return STAYS;
    return is_here ? TAKEN : TO_FETCH;
}

/* From its file, if it has one and that is still there, or from the cache.  What is not whole waits
 * its turn, so that so many of those at a time do not keep back all others. */
static gboolean take_one(const Pop3Sync *sync, MaildirWorker *worker, guint32 uid)
{
    const Ledger *ledger = pop3_inbox(worker, NULL);
    gboolean has_file = ledger && ledger_key(ledger, uid, MAILDIR_KEY);
    g_autoptr(GError) error = NULL;
    guint64 size = 0;
    autofd int fd = has_file
                        ? maildir_worker_open_message(worker, POP3_INBOX, uid, &size, &error)
                        : open_cached(sync, uid, &size, &error);

    if (fd >= 0 && pop3_take(sync->backend, worker, uid, fd, size, &error)) {
        pop3_setback_over(sync->backend, uid);
        return TRUE;
    }
    if (mail_error_is(error, MAIL_ERROR_GONE))
        return FALSE; /* of what is not here there is nothing to say */
    if (mail_error_is(error, MAIL_ERROR_DAMAGED))
        pop3_set_back(sync->backend, uid, error);
    else
        pop3_note(sync->backend, POP3_NOT_TAKEN, error);
    return TRUE;
}

/* What one session takes. */
typedef struct {
    Pop3Sync *sync;
    guint n;            /* messages */
    guint64 octets;     /* of those that are to be fetched: */
    GArray *numbers;
    GArray *uids;
    guint n_answered;   /* of these, in their order */
} Taking;

static void on_taken(guint32 number, BodyFile *file, const GError *error, gpointer user)
{
    Taking *taking = user;
    Pop3Backend *backend = taking->sync->backend;
    guint32 uid = g_array_index(taking->uids, guint32, taking->n_answered++);
    g_autoptr(GError) failure = NULL;
    MaildirWorker *worker;

    if (!file && mail_error_is(error, MAIL_ERROR_NOSPACE)) {
        pop3_note(backend, POP3_NOT_TAKEN, error);
        return;
    }
    if (!file) {
        pop3_note_damaged(backend, number, error);
        pop3_set_back(backend, uid, error);
        return;
    }
    pop3_setback_over(backend, uid);
    worker = maildir_backend_enter(backend->local);
    if (!pop3_take(backend, worker, uid, body_file_fd(file), body_file_length(file), &failure) &&
        !mail_error_is(failure, MAIL_ERROR_GONE)) {
        pop3_note_damaged(backend, number, failure);
        pop3_note(backend, POP3_NOT_TAKEN, failure);
    }
    maildir_backend_leave(backend->local);
}

static gboolean should_fetch(Pop3Backend *backend, const Pop3Slot *slot)
{
    g_autoptr(GError) error = NULL;

    if (pop3_is_worth_fetching(backend, slot, &error))
        return TRUE;
    pop3_note(backend, POP3_NOT_TAKEN, error);
    return FALSE;
}

/* Takes it if it is here, else puts it among those that are to be fetched. */
static void take_or_choose(Taking *taking, MaildirWorker *worker, const Pop3Slot *slot)
{
    Pop3Backend *backend = taking->sync->backend;
    const Ledger *ledger = pop3_inbox(worker, NULL);
    Keeping keeping = ledger ? keeping_of(taking->sync, ledger, slot->uid) : STAYS;

    if (keeping == TAKEN && !take_one(taking->sync, worker, slot->uid)) {
        /* What was fetched, and is not here any more, waits until it is fetched again. */
        keeping = backend->params.config->pop3_keep == CONFIG_POP3_KEEP_DAYS ? TO_FETCH : STAYS;
    }
    if (keeping == TO_FETCH && !should_fetch(backend, slot))
        keeping = STAYS;
    taking->n += keeping != STAYS;
    if (keeping != TO_FETCH)
        return;
    g_array_append_val(taking->numbers, slot->number);
    g_array_append_val(taking->uids, slot->uid);
    taking->octets += MIN(slot->size, OCTETS_AT_ONCE);
}

/* Those whose turn it is. */
static void choose(Taking *taking, MaildirWorker *worker, Pop3Turn turn)
{
    const Pop3Backend *backend = taking->sync->backend;

    for (guint i = 0; i < backend->slots->len && taking->n < TAKEN_AT_ONCE &&
                      taking->octets < OCTETS_AT_ONCE;
         i++) {
        const Pop3Slot *slot = g_ptr_array_index(backend->slots, i);

        if (slot->uid && pop3_turn(backend, slot->uid) == turn)
            take_or_choose(taking, worker, slot);
    }
}

static gboolean retrieve_singly(Taking *taking, GError **error)
{
    for (guint i = 0; i < taking->numbers->len; i++) {
        g_autoptr(GArray) one = g_array_new(FALSE, FALSE, sizeof(guint32));

        g_array_append_val(one, g_array_index(taking->numbers, guint32, i));
        if (!pop3_retrieve(taking->sync->backend, one, on_taken, taking, error))
            return FALSE;
    }
    return TRUE;
}

/* FALSE: the session broke.  That may be for the message that it was about to send, and would come
 * again with it.  Which one that was is not known where several were asked for, for answers that
 * were on their way are lost with the connection: the next session asks for one at a time. */
static gboolean fetch_chosen(Taking *taking, GError **error)
{
    Pop3Backend *backend = taking->sync->backend;
    g_autoptr(GError) failure = NULL;
    gboolean was_single = backend->takes_singly;
    gboolean ok = was_single ? retrieve_singly(taking, &failure)
                             : taking->numbers->len == 0 ||
                                   pop3_retrieve(backend, taking->numbers, on_taken, taking,
                                                 &failure);

    backend->takes_singly = !ok;
    if (ok)
        return TRUE;
    /* One that is damaged is left out from now on, and the rest of the sync goes on. */
    if (mail_error_is(failure, MAIL_ERROR_DAMAGED)) {
        pop3_note(backend, POP3_NOT_TAKEN, failure);
        return pop3_connect(backend, TRUE, error);
    }
    if (was_single && taking->n_answered < taking->uids->len && !pop3_is_stopping(backend))
        pop3_set_back(backend, g_array_index(taking->uids, guint32, taking->n_answered), failure);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean pop3_take_off(Pop3Sync *sync, GError **error)
{
    Pop3Backend *backend = sync->backend;
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(guint32));
    Taking taking = {.sync = sync, .numbers = numbers, .uids = uids};
    MaildirWorker *worker = maildir_backend_enter(backend->local);
    gboolean ok;

    choose(&taking, worker, POP3_TURN_FIRST);
    choose(&taking, worker, POP3_TURN_AGAIN); /* with the room that they leave */
    maildir_backend_leave(backend->local);
    ok = fetch_chosen(&taking, error);
    pop3_say(backend, POP3_NOT_TAKEN);
    if (taking.n > 0)
        pop3_owe(backend);
    return ok;
}
