/* CREATE: a file becomes a message, perhaps in the place of another.
 *
 *   seal -> PREP/SENT -> APPEND -> the message is in the model
 *                          |-> HALF: the new one is proved by its hash, then the old one goes
 *
 * What is sent is a sealed copy of the file, so the file may be written on meanwhile; that is
 * another change, which waits for this one and then replaces what this one made.
 *
 * Where the octets are those of a message that the account has already, COPY brings them there
 * without an upload (the octets of an answer that is lost are looked for in the same way).
 *
 * The old one: REPLACE does it all in one command, but ends the old message for good, so it is used
 * where rm would do that too.  Otherwise the old one goes to Trash, or is expunged, only after the
 * new one was read back and has the right hash: Gmail answers an APPEND of a known Message-ID with
 * the old message's UID.  What cannot be proved is kept: two versions, and a line in the log.
 */
#include "store/change-internal.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/io.h"
#include "base/fault.h"

#include <string.h>
#include <unistd.h>

/* Change.stage: which job is out. */
enum {
    ASK_APPEND,
    ASK_COPY,
    ASK_FIND,    /* did it arrive? */
    ASK_CONFIRM, /* it did, but where? */
    ASK_PROOF,   /* is it what we sent? */
    ASK_TRASH,   /* CREATE of the Trash */
    ASK_MOVE,    /* the old one to Trash */
    ASK_EXPUNGE,
};

static void ask_append(Change *change);
static void remove_old(Change *change);

static JournalMessage *old_one(const Change *change)
{
    const JournalEntry *entry = change->entry;

    return entry->messages->len > 0 ? &g_array_index(entry->messages, JournalMessage, 0) : NULL;
}

/* -- The end ----------------------------------------------------------------------------------- */

/* The octets that were sent are the body: nothing is ever fetched for it. */
static void adopt_body(Change *change, DiskBatch *batch, Mailbox *mailbox, Message *message)
{
    JournalEntry *entry = change->entry;
    Disk *disk = change->store->disk;

    if (message && stage_to_body(disk, entry->stage, mailbox->number, entry->item)) {
        disk_batch_body_cached(batch, mailbox->number, entry->item, entry->size, entry->sha256);
        message->is_cached = TRUE;
    } else {
        stage_remove(disk, entry->stage);
    }
    entry->stage = 0;
}

/* A message of which only the number is known any more: it is on the server, marked \Deleted, and
 * could not be removed alone. */
static void hide_old(Change *change, DiskBatch *batch, Mailbox *mailbox)
{
    const JournalMessage *old = old_one(change);
    Message *hidden = message_new();

    hidden->item = change_new_item(mailbox);
    hidden->uid = old->uid;
    hidden->date = old->date;
    hidden->size = old->size;
    hidden->name = g_strdup_printf("hidden.%u.eml", old->uid);
    hidden->flags = MESSAGE_DELETED;
    hidden->is_hidden = TRUE;
    disk_batch_put_message(batch, mailbox->number, mailbox->uidvalidity, hidden);
    (void)mailbox_add(mailbox, hidden);
    store_sync_flagged(change->store, mailbox, old->uid);
}

/* Somebody removed the file while it was on its way: what came of it goes the way of all rm. */
static void remove_unwanted(Store *store, Mailbox *mailbox, Message *message)
{
    g_autoptr(GPtrArray) messages = g_ptr_array_new();

    g_ptr_array_add(messages, message);
    store_change_forget(store_remove(store, mailbox, messages, NULL, NULL));
}

typedef enum { OLD_STAYS, OLD_GONE, OLD_HIDDEN } OldOne;

/* A new version keeps the old one's INTERNALDATE, but whoever compares times (rsync, an editor)
 * must see that it was written. */
static gint64 mtime_of(const LocalFile *file, gint64 date)
{
    gint64 mtime = file->mtime ? file->mtime : file->written;

    return mtime != date ? mtime : 0;
}

/* The server has it, under entry->uid (0: somewhere; the next sync will show it). */
static void done(Change *change, OldOne fate)
{
    Store *store = change->store;
    const JournalEntry *entry = change->entry;
    Mailbox *mailbox = change_mailbox(change);
    const JournalMessage *old = old_one(change);
    LocalFile *file = change->file;
    DiskBatch *batch = disk_batch_new();
    Message *message = NULL, *replaced = old ? change_message(change, old) : NULL;
    gboolean is_unwanted = file && file->is_gone;

    FAULT("create-done");
    if (mailbox && replaced && replaced->item != entry->item && fate != OLD_STAYS)
        change_drop_message(store, batch, mailbox, replaced);
    /* Both stay: the old one is found by the next sync, as a message that is new to us. */
    if (mailbox && entry->uid) {
        ChangeArrival arrival = {
            .item = entry->item,
            .uid = entry->uid,
            .name = file ? file->name : entry->name,
            .size = entry->size,
            .fingerprint = message_fingerprint(entry->message_id),
            .date = entry->date,
            .mtime = file ? mtime_of(file, entry->date) : 0,
            .mode = file ? file->mode : 0,
            .flags = entry->flags,
            .keywords = entry->keywords,
        };

        message = change_arrive(store, batch, mailbox, &arrival);
    }
    if (mailbox && old && fate == OLD_HIDDEN)
        hide_old(change, batch, mailbox);
    adopt_body(change, batch, mailbox, message);
    FAULT("create-adopted");
    if (file)
        local_committed(file, batch, change->revision);
    if (mailbox && (!message || fate == OLD_STAYS))
        store_request_sync(store, mailbox, JOB_WAITED);
    if (mailbox && message && is_unwanted)
        remove_unwanted(store, mailbox, message);
    change_finish(change, batch);
}

/* -- Refusals ---------------------------------------------------------------------------------- */

/* Takes back what the directory shows.  The scratch file that was renamed is what it was. */
static void undo(Change *change, const GError *error)
{
    LocalFile *file = change->file;

    if (!file)
        return;
    if (file->committing == change->revision)
        file->committing = 0;
    if (file->is_gone || !change->scratch_name)
        return;
    file->kind = LOCAL_SCRATCH;
    local_rename(file, change->scratch_name);
}

static char *folder_of(const Change *change)
{
    const Mailbox *mailbox = change_mailbox(change);

    return mailbox ? mailbox_shown_path(mailbox) : g_strdup("unknown");
}

/* Why it ends, while its octets are on their way to lost+found. */
typedef struct {
    GError *error;
    gboolean is_sealed; /* and so may be in the journal */
} Loss;

static void loss_free(gpointer data)
{
    Loss *loss = data;

    g_error_free(loss->error);
    g_free(loss);
}

static void end_lost(Change *change)
{
    const Loss *loss = change->own;
    g_autoptr(GError) error = g_error_copy(loss->error);

    if (loss->is_sealed)
        change_refuse(change, NULL, error);
    else
        change_abandon(change, error);
}

static void on_lost(const GError *failure, gpointer user)
{
    Change *change = user;
    LocalFile *file = change->file;

    if (failure) {
        g_warning("%s: %s stays where it is: %s", change->store->account->id, change->entry->name,
                  failure->message);
    } else if (file && !file->is_gone) {
        DiskBatch *batch = disk_batch_new();

        mailbox_touch(file->mailbox, store_now());
        local_drop(file, batch);
        disk_submit(change->store->disk, batch, NULL, NULL);
    }
    end_lost(change);
}

/* Its octets go to lost+found, and when they are there, the file out of the directory; a scratch
 * file stays one.  Then the change ends. */
static void lose(Change *change, int fd, const GError *error, gboolean is_sealed)
{
    g_autofree char *folder = folder_of(change);
    const char *name = change->file ? change->file->name : change->entry->name;
    StageLost lost = {folder, name, error->message};
    Loss *loss = g_new(Loss, 1);

    *loss = (Loss){g_error_copy(error), is_sealed};
    change->own = loss;
    change->own_free = loss_free;
    if (change->scratch_name || fd < 0)
        end_lost(change);
    else
        stage_lose(change->store->disk, fd, &lost, on_lost, change);
}

static void refuse(Change *change, const GError *error)
{
    autofd int fd = stage_open(change->store->disk, change->entry->stage, NULL);

    lose(change, fd, error, TRUE);
}

/* -- The new one ------------------------------------------------------------------------------- */

/* What it replaces, by what the model knows now: the message of the same item (an edit), the one
 * whose name it took, or the one that was parked to make room for it. */
static Message *find_old(Change *change, Mailbox *mailbox)
{
    const JournalMessage *old = old_one(change);
    guint64 item = old ? old->item : change->file ? change->file->replaces : 0;
    Message *message = mailbox_find_item(mailbox, change->entry->item);

    return message || !item ? message : mailbox_find_item(mailbox, item);
}

static void set_flags(JournalEntry *entry, guint16 flags, const char *keywords)
{
    entry->flags = flags;
    g_free(entry->keywords);
    entry->keywords = g_strdup(keywords);
}

/* Flags, keywords and date are the old one's; what somebody set goes before. */
static void inherit(Change *change, const Message *old)
{
    JournalEntry *entry = change->entry;
    const LocalFile *file = change->file;

    g_array_set_size(entry->messages, 0);
    if (old) {
        change_add_message(change, old, 0);
        if (old->is_exact) /* the server's claim, which EXPUNGE compares, is not known any more */
            old_one(change)->size = 0;
        set_flags(entry, old->flags & (guint16)~MESSAGE_DELETED, old->keywords);
        entry->date = old->date;
    }
    if (file && file->is_flagged)
        set_flags(entry, file->flags, file->is_passed ? MESSAGE_PASSED : NULL);
    if (file && file->mtime)
        entry->date = file->mtime;
}

static gboolean wants_trash(Change *change, Mailbox *mailbox)
{
    g_autoptr(GError) missing = NULL;

    return change_trash(change->store, mailbox, &missing) || missing;
}

static void fill_octets(const Change *change, Job *job)
{
    const JournalEntry *entry = change->entry;

    job->change->fd = stage_open(change->store->disk, entry->stage, NULL);
    job->change->size = entry->size;
    memcpy(job->change->sha256, entry->sha256, sizeof entry->sha256);
    job->change->message_id = g_strdup(entry->message_id);
    job->change->date = entry->date;
    job->change->flags = entry->flags;
    job->change->keywords = g_strdup(entry->keywords);
}

static void ask_append(Change *change)
{
    Mailbox *mailbox = change_mailbox(change);
    const JournalMessage *old = old_one(change);
    Job *job = change_own_job(change, JOB_APPEND);

    fill_octets(change, job);
    if (job->change->fd < 0) {
        g_autoptr(GError) error = NULL;

        job_free(job);
        mail_fail(&error, MAIL_ERROR_CACHE, "the octets of %s are gone from the staging folder",
                  change->entry->name);
        change_refuse(change, NULL, error);
        return;
    }
    if (old && !wants_trash(change, mailbox))
        job->change->replaces = old->uid;
    change->stage = ASK_APPEND;
    change_send(change, JOURNAL_SENT, job);
}

static gboolean has_wanted_flags(const LocalFile *file, const Message *twin)
{
    return !file || !file->is_flagged ||
           (twin->flags == file->flags &&
            message_has_keyword(twin->keywords, MESSAGE_PASSED) == file->is_passed);
}

/* The message with the same octets, if a copy of it would be the same message: no other flags, no
 * other date than was asked for; and not one that is marked \Deleted, for the copy would be, too,
 * and be taken by whoever expunges next. */
static const Message *find_twin(const Change *change, Mailbox **ret_mailbox)
{
    const Mailbox *own = change_mailbox(change);
    Mailbox *mailbox = change->twin_mailbox
                           ? account_find_number(change->store->account, change->twin_mailbox)
                           : NULL;
    const Message *message = mailbox ? mailbox_find_item(mailbox, change->twin_item) : NULL;
    gint64 wanted = change->file ? change->file->mtime : change->entry->date;

    if (!message || mailbox == own || old_one(change) || (message->flags & MESSAGE_DELETED) ||
        message->is_hidden ||
        message->uid != change->twin_uid ||
        (wanted && wanted != message->date) || !has_wanted_flags(change->file, message))
        return NULL;
    *ret_mailbox = mailbox;
    return message;
}

static void ask_copy(Change *change, Mailbox *from, const Message *twin)
{
    Job *job = change_job(JOB_COPY, from->wire, from->uidvalidity);
    ChangeMessage message = {.uid = twin->uid, .item = twin->item};

    job->mailbox = from->number;
    job->change->target = g_strdup(change->entry->wire);
    job->change->target_uidvalidity = change->entry->uidvalidity;
    job->change->messages = g_array_new(FALSE, TRUE, sizeof message);
    g_array_append_val(job->change->messages, message);
    change->entry->date = twin->date;
    set_flags(change->entry, twin->flags, twin->keywords);
    change->stage = ASK_COPY;
    change_send(change, JOURNAL_SENT, job);
}

/* The octets are those of the message that would be replaced, as when files with LF are copied over
 * what they have become: nothing is to be sent.  What took the message's name is the message. */
static gboolean is_same(const Change *change, const Mailbox *mailbox)
{
    const JournalMessage *old = old_one(change);
    const LocalFile *file = change->file;

    return old && file && !file->is_gone && !file->replaces &&
           change->twin_mailbox == mailbox->number && change->twin_item == old->item &&
           change->twin_uid == old->uid &&
           (old->item == change->entry->item || file->n_writers == 0);
}

static void done_same(Change *change, Mailbox *mailbox)
{
    Store *store = change->store;
    JournalEntry *entry = change->entry;
    LocalFile *file = change->file;
    Message *message = change_message(change, old_one(change));
    gint64 mtime = file->mtime != message->date ? file->mtime : 0;
    DiskBatch *batch = disk_batch_new();

    store_set_local(store, mailbox, message, file->mode, mtime);
    if (message->item == entry->item) {
        local_committed(file, batch, change->revision);
    } else {
        StoreMoved moved = {mailbox, entry->item, file->name, mailbox, message};

        local_drop(file, batch);
        store->params.observer->message_moved(store, &moved, store->params.user);
    }
    stage_remove(store->disk, entry->stage);
    entry->stage = 0;
    change_finish(change, batch);
}

static void begin(Change *change)
{
    Mailbox *mailbox = change_mailbox(change), *from = NULL;
    g_autoptr(GError) error = NULL;
    const Message *twin;

    if (!mailbox || mailbox->is_container) {
        mail_fail(&error, MAIL_ERROR_GONE, "the mailbox %s is gone", change->entry->wire);
        refuse(change, error);
        return;
    }
    change->entry->uidvalidity = mailbox->uidvalidity;
    change->entry->uidnext = change_first_possible_uid(mailbox);
    inherit(change, find_old(change, mailbox));
    FAULT("create-begin");
    if (is_same(change, mailbox)) {
        done_same(change, mailbox);
        return;
    }
    twin = find_twin(change, &from);
    if (twin)
        ask_copy(change, from, twin);
    else
        ask_append(change);
}

/* UIDs that are other files' are no candidates: two files may hold the same octets. */
static UidSet *known_uids(const Mailbox *mailbox, guint32 from, guint64 but_item)
{
    UidSet *known = uid_set_new();

    for (guint i = mailbox_lower_bound(mailbox, from); i < mailbox_n_messages(mailbox); i++) {
        const Message *message = mailbox_nth(mailbox, i);

        if (message->item != but_item && message->is_exact && message->is_cached)
            uid_set_add(known, message->uid);
    }
    return known;
}

static void ask_find(Change *change, guint purpose, guint32 uidnext)
{
    const Mailbox *mailbox = change_mailbox(change);
    Job *job = change_own_job(change, JOB_FIND);

    fill_octets(change, job);
    job->change->uidnext = MAX(uidnext, 1);
    if (mailbox)
        job->change->others = known_uids(mailbox, job->change->uidnext, change->entry->item);
    change->stage = purpose;
    change_submit(change, job);
}

static gboolean is_of_epoch(const Change *change, guint32 uidvalidity)
{
    return uidvalidity == 0 || change->entry->uidvalidity == 0 ||
           uidvalidity == change->entry->uidvalidity;
}

/* It is there, as @uid.  What remains is the old one. */
static void arrived(Change *change, guint32 uid, guint32 uidvalidity)
{
    JournalEntry *entry = change->entry;
    const JournalMessage *old = old_one(change);

    FAULT("create-arrived");
    /* Another epoch of the mailbox: its UIDs mean nothing to the model before the next sync. */
    entry->uid = is_of_epoch(change, uidvalidity) ? uid : 0;
    if (entry->uidvalidity == 0)
        entry->uidvalidity = uidvalidity;
    if (!old || entry->uid == 0) {
        done(change, OLD_STAYS);
        return;
    }
    if (uid == old->uid) {
        g_autoptr(GError) error = NULL;

        mail_fail(&error, MAIL_ERROR_EXISTS,
                  "the server took the new version of %s for the message that it has already "
                  "(the same Message-ID), and kept the old one", entry->name);
        refuse(change, error);
        return;
    }
    entry->state = JOURNAL_HALF;
    change_save(change, NULL, remove_old);
}

static void on_appended(Change *change, const JobChange *result)
{
    JournalEntry *entry = change->entry;

    if (result->did_replace && result->uid && is_of_epoch(change, result->uidvalidity)) {
        entry->uid = result->uid;
        done(change, OLD_GONE);
    } else if (result->uid) {
        arrived(change, result->uid, result->uidvalidity);
    } else {
        ask_find(change, ASK_CONFIRM, MAX(result->uidnext_then, entry->uidnext));
    }
}

/* COPY of a message that is gone is OK, and copies nothing (RFC 9051 section 6.4.9). */
static void on_copied(Change *change, const JobChange *result)
{
    const ChangeMessage *message = &g_array_index(result->messages, ChangeMessage, 0);

    if (message->is_done && message->target_uid) {
        arrived(change, message->target_uid, result->uidvalidity);
    } else if (message->is_done) {
        ask_find(change, ASK_CONFIRM, MAX(result->uidnext_then, change->entry->uidnext));
    } else {
        change->twin_mailbox = 0;
        ask_append(change);
    }
}

/* The answer was lost: if it is not there, it never came. */
static void on_found(Change *change, const JobChange *result)
{
    if (result->uid)
        arrived(change, result->uid, result->uidvalidity);
    else
        begin(change);
}

/* The answer was OK.  A server that holds other octets than it was given keeps us from saying which
 * message it is, not from knowing that it is there. */
static void on_confirmed(Change *change, const JobChange *result)
{
    if (result->uid)
        arrived(change, result->uid, result->uidvalidity);
    else
        done(change, OLD_STAYS);
}

/* -- The old one ------------------------------------------------------------------------------- */

static void ask_move(Change *change, const char *trash)
{
    Job *job = change_own_job(change, JOB_COPY);

    change_fill_messages(change, job);
    job->change->target = g_strdup(trash);
    job->change->is_move = TRUE;
    change->stage = ASK_MOVE;
    change_submit(change, job);
}

static void ask_expunge(Change *change)
{
    change->stage = ASK_EXPUNGE;
    change_submit(change, change_expunge_job(change));
}

/* When there is none, or the one that we know was removed by another client. */
static void ask_trash(Change *change)
{
    g_autofree char *wire = change_trash_wire(change->store);
    Job *job = change_job(JOB_MAILBOX, wire, 0);

    change->made_trash = TRUE;
    job->change->verb = MAILBOX_CREATE;
    job->change->special_use = g_strdup("\\Trash");
    change->stage = ASK_TRASH;
    change_submit(change, job);
}

/* HALF is durable: the new one is read back first. */
static void remove_old(Change *change)
{
    FAULT("create-half");
    ask_find(change, ASK_PROOF, change->entry->uid);
}

static void on_proof(Change *change, const JobChange *result)
{
    const JournalEntry *entry = change->entry;
    Mailbox *mailbox = change_mailbox(change);
    g_autoptr(GError) missing = NULL;
    const Mailbox *trash;

    if (!mailbox || result->uid != entry->uid) {
        g_warning("%s: %s: the new version does not read back as it was sent; both are kept",
                  change->store->account->id, entry->name);
        done(change, OLD_STAYS);
        return;
    }
    FAULT("create-proved");
    if (old_one(change)->new_uid) {
        ask_expunge(change);
        return;
    }
    trash = change_trash(change->store, mailbox, &missing);
    if (!trash && !missing && !change_may_expunge(change->store, mailbox, 1))
        trash = change_trash_always(change->store, &missing);
    if (trash)
        ask_move(change, trash->wire);
    else if (missing)
        ask_trash(change);
    else
        ask_expunge(change);
}

static void on_trash_made(Change *change)
{
    g_autofree char *wire = change_trash_wire(change->store);

    FAULT("create-trash-made");
    store_ask_list(change->store, JOB_WAITED);
    ask_move(change, wire);
}

/* The server has no MOVE: the copy in Trash is noted before the old one goes, or recovery would
 * make a second one.  One that could not be copied is gone: removed before the process died, or by
 * somebody else; should it be there all the same, the next sync counts one message too many. */
static void on_moved(Change *change, const JobChange *result)
{
    const ChangeMessage *old = &g_array_index(result->messages, ChangeMessage, 0);

    FAULT("create-old-moved");
    if (!old->is_done && change_mailbox(change))
        store_request_sync(change->store, change_mailbox(change), JOB_WAITED);
    if (result->did_move || !old->is_done) {
        done(change, OLD_GONE);
        return;
    }
    old_one(change)->new_uid = old->target_uid ? old->target_uid : MESSAGE_UID_PENDING;
    change_save(change, NULL, ask_expunge);
}

/* -- The machine ------------------------------------------------------------------------------- */

static void step(Change *change)
{
    switch (change->entry->state) {
    case JOURNAL_SENT:
        ask_find(change, ASK_FIND, change->entry->uidnext);
        break;
    case JOURNAL_HALF:
        remove_old(change);
        break;
    default:
        begin(change);
    }
}

/* The old one cannot be removed: then both stay, which is said, and loses nothing. */
static void keep_both(Change *change, const GError *error)
{
    gboolean is_gone = mail_error_is(error, MAIL_ERROR_GONE);

    if (is_gone && change->stage == ASK_MOVE && !change->made_trash) {
        ask_trash(change);
        return;
    }
    g_warning("%s: %s: the old version stays beside the new one: %s",
              change->store->account->id, change->entry->name, error->message);
    done(change, is_gone && change->stage == ASK_EXPUNGE ? OLD_GONE : OLD_STAYS);
}

static void failed(Change *change, const Job *job, const GError *error)
{
    gboolean is_known = change->stage == ASK_TRASH && mail_error_is(error, MAIL_ERROR_EXISTS);

    if (is_known) {
        on_trash_made(change);
    } else if (change->stage == ASK_COPY && !change_is_temporary(error)) {
        change->twin_mailbox = 0;
        ask_append(change);
    } else if (change_is_temporary(error)) {
        /* What never left needs no search. */
        if (!job->change->was_sent && change->stage <= ASK_COPY)
            change->entry->state = JOURNAL_PREP;
        change_postpone(change, error);
    } else if (change->stage >= ASK_TRASH) {
        keep_both(change, error);
    } else {
        refuse(change, error);
    }
}

static void answered(Change *change, Job *job, const GError *error)
{
    if (error) {
        failed(change, job, error);
        return;
    }
    FAULT("create-answered");
    switch (change->stage) {
    case ASK_APPEND:
        on_appended(change, job->change);
        break;
    case ASK_COPY:
        on_copied(change, job->change);
        break;
    case ASK_FIND:
        on_found(change, job->change);
        break;
    case ASK_CONFIRM:
        on_confirmed(change, job->change);
        break;
    case ASK_PROOF:
        on_proof(change, job->change);
        break;
    case ASK_TRASH:
        on_trash_made(change);
        break;
    case ASK_MOVE:
        on_moved(change, job->change);
        break;
    case ASK_EXPUNGE:
        done(change, job->change->is_hidden ? OLD_HIDDEN : OLD_GONE);
        break;
    }
}

const ChangeOps change_create_ops = {step, answered, undo};

/* -- Asking ------------------------------------------------------------------------------------ */

/* With its UID: by the time that it matters, the item may have other octets. */
static void set_twin(Change *change, guint16 number, guint64 item)
{
    const Mailbox *mailbox = number ? account_find_number(change->store->account, number) : NULL;
    const Message *message = mailbox ? mailbox_find_item(mailbox, item) : NULL;

    change->twin_mailbox = message ? number : 0;
    change->twin_item = item;
    change->twin_uid = message ? message->uid : 0;
}

static void on_twin(guint16 mailbox, guint64 item, gpointer user)
{
    set_twin(user, mailbox, item);
    change_begin(user);
}

/* Nothing is in the journal yet: what could not be sealed ends here. */
static void not_sealed(Change *change, const GError *error)
{
    gboolean is_no_message = mail_error_is(error, MAIL_ERROR_INVALID) ||
                             mail_error_is(error, MAIL_ERROR_TOOBIG);

    undo(change, error);
    if (is_no_message)
        lose(change, change->file->fd, error, FALSE);
    else
        change_abandon(change, error);
}

static void on_sealed(const StageSeal *seal, const GError *error, gpointer user)
{
    Change *change = user;
    JournalEntry *entry = change->entry;

    if (error) {
        not_sealed(change, error);
        return;
    }
    entry->stage = seal->number;
    entry->size = seal->size;
    memcpy(entry->sha256, seal->sha256, sizeof entry->sha256);
    entry->message_id = g_strdup(seal->message_id);
    FAULT("create-sealed");
    if (change->twin_mailbox)
        change_begin(change);
    else
        disk_find_twin(change->store->disk, entry->size, entry->sha256, on_twin, change);
}

static Change *begin_commit(Store *store, LocalFile *file)
{
    Change *change = change_new(store, JOURNAL_CREATE, file->mailbox);

    change->file = local_ref(file);
    change->revision = file->revision;
    change->entry->item = file->item;
    change->entry->name = g_strdup(file->name);
    change->entry->date = file->mtime ? file->mtime : file->written;
    if (file->twin_mailbox && file->twin_revision == file->revision)
        set_twin(change, file->twin_mailbox, file->twin_item);
    file->committing = file->revision;
    stage_seal(store->disk, file->fd, on_sealed, change);
    return change;
}

static Change *find_commit(const Store *store, const LocalFile *file, guint revision)
{
    for (GList *link = store->changes; link; link = link->next) {
        Change *change = link->data;

        if (change->file == file && change->revision == revision)
            return change;
    }
    return NULL;
}

StoreChange *store_commit(Store *store, LocalFile *file, StoreFunc func, gpointer user)
{
    g_autoptr(GError) error = NULL;
    Change *change = file->committing ? find_commit(store, file, file->committing) : NULL;

    if (change && (change->revision == file->revision || !local_is_dirty(file)))
        return change_add_waiter(change, func, user);
    if (!local_is_dirty(file))
        return change_answer(store, NULL, func, user);
    if (store->write_failure && !store_may_change(store, file->mailbox, &error))
        return change_answer(store, error, func, user);
    return change_add_waiter(begin_commit(store, file), func, user);
}

StoreChange *store_commit_as(Store *store, LocalFile *file, const char *name, Message *replaced,
                             StoreFunc func, gpointer user)
{
    g_autofree char *scratch_name = g_strdup(file->name);
    g_autoptr(GError) error = NULL;
    Change *change;

    if (!store_may_change(store, file->mailbox, &error))
        return change_answer(store, error, func, user);
    file->kind = LOCAL_NEW;
    local_rename(file, name);
    change = begin_commit(store, file);
    change->scratch_name = g_steal_pointer(&scratch_name);
    if (replaced)
        change_add_message(change, replaced, 0);
    return change_add_waiter(change, func, user);
}

void store_note_twin(Store *store, LocalFile *file, Mailbox *mailbox, Message *message)
{
    file->twin_mailbox = mailbox->number;
    file->twin_item = message->item;
    file->twin_revision = file->revision;
}
