/* CREATE: a file becomes a message, perhaps in the place of another.
 *
 *   seal -> PREP/SENT -> APPEND -> the message is in the model
 *                          |-> HALF: the new one is proved by its hash, then the old one goes
 *
 * What is sent is a sealed copy of the file, so the file may be written on meanwhile; that is
 * another change, which waits for this one and then replaces what this one made.
 *
 * Where the octets are those of a message that the account has already, COPY brings them there
 * without an upload (change-twin.c; the octets of an answer that is lost are looked for in the same
 * way).  How a file comes to be sealed, and where it goes when it is refused: change-commit.c.
 *
 * The old one: REPLACE does it all in one command, but ends the old message for good, so it is used
 * where rm would do that too.  Otherwise the old one goes to Trash, or is expunged, only after the
 * new one was read back and has the right hash: Gmail answers an APPEND of a known Message-ID with
 * the old message's UID.  What cannot be proved is kept: two versions, and a line in the log.
 */
#include "store/change-create-internal.h"
#include "base/error.h"
#include "base/fault.h"

#include <string.h>

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
    const JournalMessage *old = create_old(change);
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

/* A file may have been renamed since.  After a restart only its newest change has it. */
static const char *name_now(const Change *change, const Mailbox *mailbox)
{
    const JournalEntry *entry = change->entry;
    const LocalFile *file =
        change->file ? change->file : local_find_item(change->store, mailbox, entry->item);

    return file ? file->name : entry->name;
}

/* The server has it, under entry->uid (0: somewhere; the next sync will show it). */
static void done(Change *change, OldOne fate)
{
    Store *store = change->store;
    const JournalEntry *entry = change->entry;
    Mailbox *mailbox = change_mailbox(change);
    const JournalMessage *old = create_old(change);
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
            .name = name_now(change, mailbox),
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

/* -- The new one ------------------------------------------------------------------------------- */

/* What it replaces, by what the model knows now: the message of the same item (an edit), the one
 * whose name it took, or the one that was parked to make room for it. */
static Message *find_old(Change *change, Mailbox *mailbox)
{
    const JournalMessage *old = create_old(change);
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

void create_take_flags(Change *change)
{
    const LocalFile *file = change->file;

    if (file && file->is_flagged)
        set_flags(change->entry, file->flags, file->is_passed ? MESSAGE_PASSED : NULL);
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
            create_old(change)->size = 0;
        set_flags(entry, old->flags & (guint16)~MESSAGE_DELETED, old->keywords);
        entry->date = old->date;
    }
    create_take_flags(change);
    if (file && file->mtime)
        entry->date = file->mtime;
}

static gboolean wants_trash(Change *change, Mailbox *mailbox)
{
    g_autoptr(GError) missing = NULL;

    return change_trash(change->store, mailbox, &missing) || missing;
}

static void fill_octets(const Change *change, Job *job, GError **error)
{
    const JournalEntry *entry = change->entry;

    job->change->fd = stage_open(change->store->disk, entry->stage, error);
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
    const JournalMessage *old = create_old(change);
    Job *job = change_own_job(change, JOB_APPEND);
    g_autoptr(GError) error = NULL, gone = NULL;

    fill_octets(change, job, &error);
    if (error) {
        job_free(job);
        mail_fail(&gone, MAIL_ERROR_CACHE, "the octets of %s are gone from the staging folder",
                  change->entry->name);
        if (change_is_temporary(error))
            change_postpone(change, error);
        else
            change_refuse(change, NULL, gone);
        return;
    }
    if (old && !change->has_lost_race && !wants_trash(change, mailbox))
        job->change->replaces = old->uid;
    if (old && !(change->file && change->file->is_flagged))
        job->change->heir_of = old->uid;
    change->stage = ASK_APPEND;
    change_send(change, JOURNAL_SENT, job);
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

/* It was refused, and what it was a version of is another one by now: saved again, or replaced by
 * somebody.  Then it is an older version, and gets a place beside. */
static void make_room(Change *change, Mailbox *mailbox)
{
    JournalEntry *entry = change->entry;
    const JournalMessage *old = create_old(change);
    const Message *now = mailbox_find_item(mailbox, entry->item);

    if (!now || (old && old->uid == now->uid) || entry->uidvalidity != mailbox->uidvalidity)
        return;
    entry->item = change_new_item(mailbox);
    g_array_set_size(entry->messages, 0);
}

static void begin(Change *change)
{
    Mailbox *mailbox = change_mailbox(change), *from = NULL;
    g_autoptr(GError) error = NULL;
    const Message *twin;

    if (!mailbox || mailbox->is_container) {
        mail_fail(&error, MAIL_ERROR_GONE, "the mailbox %s is gone", change->entry->wire);
        create_refuse(change, error);
        return;
    }
    if (change->is_retried)
        make_room(change, mailbox);
    change->entry->uidvalidity = mailbox->uidvalidity;
    change->entry->uidnext = change_first_possible_uid(mailbox);
    inherit(change, find_old(change, mailbox));
    FAULT("create-begin");
    if (create_is_same(change, mailbox)) {
        create_done_same(change, mailbox);
        return;
    }
    twin = create_find_twin(change, &from);
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

    fill_octets(change, job, NULL);
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
    const JournalMessage *old = create_old(change);

    FAULT("create-arrived");
    /* Another epoch of the mailbox: its UIDs mean nothing to the model before the next sync. */
    entry->uid = is_of_epoch(change, uidvalidity) ? uid : 0;
    if (entry->uidvalidity == 0)
        entry->uidvalidity = uidvalidity;
    if (entry->uid != 0 && (entry->uid < entry->uidnext || (old && uid == old->uid))) {
        g_autoptr(GError) error = NULL;

        mail_fail(&error, MAIL_ERROR_EXISTS,
                  "the server took %s for a message that it has already (the same Message-ID), "
                  "and kept that one", entry->name);
        create_refuse(change, error);
        return;
    }
    if (!old || entry->uid == 0) {
        done(change, OLD_STAYS);
        return;
    }
    entry->state = JOURNAL_HALF;
    change_save(change, NULL, remove_old);
}

static guint32 old_uid(const Change *change)
{
    const JournalMessage *old = create_old(change);

    return old ? old->uid : 0;
}

static void on_appended(Change *change, const JobChange *result)
{
    JournalEntry *entry = change->entry;
    gboolean is_new = result->uid >= MAX(entry->uidnext, 1) && result->uid != old_uid(change);

    set_flags(entry, result->flags, result->keywords);
    if (result->did_replace && is_new && is_of_epoch(change, result->uidvalidity)) {
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
    Job *job = change_expunge_job(change);

    job->change->is_move = create_old(change)->new_uid != 0;
    change->stage = ASK_EXPUNGE;
    change_submit(change, job);
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
    if (create_old(change)->new_uid) {
        ask_expunge(change);
        return;
    }
    trash = change_trash(change->store, mailbox, &missing);
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
    create_old(change)->new_uid = old->target_uid ? old->target_uid : MESSAGE_UID_PENDING;
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

/* REPLACE was refused for the old message's sake: somebody else changed or removed it.  The new
 * one is sent by itself, and what is there of the old one then goes as it does without REPLACE. */
static gboolean is_lost_race(const Job *job, const GError *error)
{
    return job->change->tried_replace && !mail_error_is(error, MAIL_ERROR_QUOTA) &&
           !mail_error_is(error, MAIL_ERROR_TOOBIG);
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
    } else if (is_lost_race(job, error)) {
        change->has_lost_race = TRUE;
        ask_append(change);
    } else {
        create_refuse(change, error);
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

const ChangeOps change_create_ops = {step, answered, create_undo};
