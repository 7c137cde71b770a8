/* Carrying out batches, on the thread.
 *
 * The thread carries out all batches that are queued in one transaction of each database: the
 * state first, then the index.  When the process dies between the two, the state knows messages
 * that the index does not, which is what it looks like after the cache was lost, and listing the
 * mailbox mends it.
 *
 * Bodies are rows of their own, apart from the message they belong to: a UID that passes from
 * one item to another replaces message rows on its way and must not cost the body.
 */
#include "store/disk-internal.h"

#include "base/error.h"
#include "base/fault.h"

#include <string.h>

/* -- Outcomes ---------------------------------------------------------------------------------- */


void disk_outcome_init(DiskOutcome *outcome)
{
    *outcome = (DiskOutcome){
        .orphans = g_array_new(FALSE, TRUE, sizeof(DiskBodyKey)),
        .known = g_array_new(FALSE, TRUE, sizeof(DiskBodyKey)),
        .gone = g_array_new(FALSE, TRUE, sizeof(guint16)),
    };
}

void disk_outcome_clear(DiskOutcome *outcome)
{
    g_clear_pointer(&outcome->orphans, g_array_unref);
    g_clear_pointer(&outcome->known, g_array_unref);
    g_clear_pointer(&outcome->gone, g_array_unref);
}

static void add_key(GArray *keys, guint16 mailbox, guint64 item)
{
    DiskBodyKey key = {.mailbox = mailbox, .item = item};

    g_array_append_val(keys, key);
}

/* A statement with the first two columns of most: mailbox and item. */
static sqlite3_stmt *statement_of(DiskDb *db, guint id, const DiskChange *change)
{
    sqlite3_stmt *statement = disk_db_statement(db, id);

    disk_db_bind_number(statement, 1, change->mailbox);
    disk_db_bind_number(statement, 2, change->item);
    return statement;
}

/* -- One change at a time ---------------------------------------------------------------------- */

/* Components, each ended by a NUL: they may contain every other byte. */
static GByteArray *pack_path(char **path)
{
    GByteArray *packed = g_byte_array_new();

    for (char **component = path; *component; component++)
        g_byte_array_append(packed, (const guint8 *)*component, (guint)strlen(*component) + 1);
    return packed;
}

static gboolean put_mailbox(Disk *disk, const DiskMailbox *mailbox, GError **error)
{
    gboolean has_hole = g_hash_table_contains(disk->holes, GUINT_TO_POINTER(mailbox->number));
    g_autoptr(GByteArray) path = pack_path(mailbox->path);
    sqlite3_stmt *put = disk_db_statement(&disk->index, INDEX_PUT_MAILBOX);

    disk_db_bind_number(put, 1, mailbox->number);
    disk_db_bind_text(put, 2, mailbox->wire);
    sqlite3_bind_blob(put, 3, path->data ? path->data : (const guint8 *)"", (int)path->len,
                      SQLITE_STATIC);
    sqlite3_bind_int(put, 4, mailbox->delimiter);
    disk_db_bind_number(put, 5, mailbox->list_flags);
    disk_db_bind_number(put, 6, mailbox->uidvalidity);
    disk_db_bind_number(put, 7, mailbox->uidnext);
    disk_db_bind_number(put, 8, has_hole ? 0 : mailbox->highestmodseq);
    disk_db_bind_number(put, 9, mailbox->n_messages);
    disk_db_bind_number(put, 10, mailbox->n_unseen);
    disk_db_bind_number(put, 11, has_hole ? 0 : mailbox->is_listed != FALSE);
    sqlite3_bind_int64(put, 12, mailbox->used);
    sqlite3_bind_int64(put, 13, mailbox->compared);
    sqlite3_bind_int64(put, 14, mailbox->changed);
    return disk_db_run(&disk->index, put, error);
}

static gboolean put_mailbox_state(Disk *disk, const DiskMailbox *mailbox, GError **error)
{
    static const guint steps[] = {STATE_DISPLACE_WIRE, STATE_PUT_MAILBOX};

    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        sqlite3_stmt *statement = disk_db_statement(&disk->state, steps[i]);

        disk_db_bind_number(statement, 1, mailbox->number);
        disk_db_bind_text(statement, 2, mailbox->wire);
        if (!disk_db_run(&disk->state, statement, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean put_message(Disk *disk, const DiskChange *change, GError **error)
{
    const Message *message = change->message;
    sqlite3_stmt *displace = disk_db_statement(&disk->index, INDEX_DISPLACE_UID);
    sqlite3_stmt *put = statement_of(&disk->index, INDEX_PUT_MESSAGE, change);

    disk_db_bind_number(displace, 1, change->mailbox);
    disk_db_bind_number(displace, 2, message->uid);
    disk_db_bind_number(displace, 3, change->item);
    disk_db_bind_number(put, 3, message->uid);
    disk_db_bind_number(put, 4, message->size);
    disk_db_bind_number(put, 5, message->is_exact);
    sqlite3_bind_int64(put, 6, message->date);
    sqlite3_bind_int64(put, 7, message->appeared);
    disk_db_bind_number(put, 8, message->fingerprint);
    disk_db_bind_number(put, 9, message->flags);
    disk_db_bind_text(put, 10, message->keywords);
    disk_db_bind_text(put, 11, message->name);
    sqlite3_bind_int64(put, 12, message->mtime);
    disk_db_bind_number(put, 13, message->mode);
    disk_db_bind_number(put, 14, message->is_hidden);
    return disk_db_run(&disk->index, displace, error) && disk_db_run(&disk->index, put, error);
}

static gboolean put_message_state(Disk *disk, const DiskChange *change, GError **error)
{
    const Message *message = change->message;
    sqlite3_stmt *raise = disk_db_statement(&disk->state, STATE_RAISE_NEXT);
    sqlite3_stmt *displace = disk_db_statement(&disk->state, STATE_DISPLACE_UID);
    sqlite3_stmt *put = statement_of(&disk->state, STATE_PUT_ITEM, change);

    disk_db_bind_number(raise, 1, change->mailbox);
    disk_db_bind_number(raise, 2, change->item + 1);
    disk_db_bind_number(displace, 1, change->mailbox);
    disk_db_bind_number(displace, 2, change->uidvalidity);
    disk_db_bind_number(displace, 3, message->uid);
    disk_db_bind_number(displace, 4, change->item);
    disk_db_bind_number(put, 3, change->uidvalidity);
    disk_db_bind_number(put, 4, message->uid);
    disk_db_bind_text(put, 5, message->name);
    sqlite3_bind_int64(put, 6, message->mtime);
    disk_db_bind_number(put, 7, message->mode);
    disk_db_bind_number(put, 8, message->is_hidden);
    return disk_db_run(&disk->state, raise, error) && disk_db_run(&disk->state, displace, error) &&
           disk_db_run(&disk->state, put, error);
}

static gboolean put_flags(Disk *disk, const DiskChange *change, GError **error)
{
    sqlite3_stmt *put = statement_of(&disk->index, INDEX_PUT_FLAGS, change);

    disk_db_bind_number(put, 3, change->message->flags);
    disk_db_bind_text(put, 4, change->message->keywords);
    return disk_db_run(&disk->index, put, error);
}

/* Runs a DELETE ... RETURNING size; @ret_n_dropped (may be NULL) gets how many bodies went. */
static gboolean drop_bodies(Disk *disk, sqlite3_stmt *drop, guint *ret_n_dropped,
                            DiskOutcome *outcome, GError **error)
{
    guint n_dropped = 0;
    int more;

    while ((more = disk_db_step(&disk->index, drop, error)) > 0) {
        outcome->body_bytes -= sqlite3_column_int64(drop, 0);
        n_dropped++;
    }
    if (more == 0 && ret_n_dropped)
        *ret_n_dropped = n_dropped;
    return more == 0;
}

static gboolean remove_mailbox(Disk *disk, const DiskChange *change, DiskOutcome *outcome,
                               GError **error)
{
    static const guint steps[] = {INDEX_REMOVE_MESSAGES, INDEX_REMOVE_MAILBOX};
    sqlite3_stmt *drop = disk_db_statement(&disk->index, INDEX_DROP_BODIES);

    disk_db_bind_number(drop, 1, change->mailbox);
    if (!drop_bodies(disk, drop, NULL, outcome, error))
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        sqlite3_stmt *statement = disk_db_statement(&disk->index, steps[i]);

        disk_db_bind_number(statement, 1, change->mailbox);
        if (!disk_db_run(&disk->index, statement, error))
            return FALSE;
    }
    g_array_append_val(outcome->gone, change->mailbox);
    return TRUE;
}

static gboolean remove_message(Disk *disk, const DiskChange *change, DiskOutcome *outcome,
                               GError **error)
{
    guint n_dropped = 0;

    if (!drop_bodies(disk, statement_of(&disk->index, INDEX_DROP_BODY, change), &n_dropped,
                     outcome, error) ||
        !disk_db_run(&disk->index, statement_of(&disk->index, INDEX_REMOVE_MESSAGE, change),
                     error))
        return FALSE;
    if (n_dropped > 0)
        add_key(outcome->orphans, change->mailbox, change->item);
    return TRUE;
}

static gboolean put_body(Disk *disk, const DiskChange *change, DiskOutcome *outcome, GError **error)
{
    sqlite3_stmt *size = statement_of(&disk->index, INDEX_PUT_SIZE, change);
    sqlite3_stmt *put = statement_of(&disk->index, INDEX_PUT_BODY, change);

    disk_db_bind_number(size, 3, change->body.size);
    if (!disk_db_run(&disk->index, size, error))
        return FALSE;
    add_key(outcome->known, change->mailbox, change->item);
    if (sqlite3_changes(disk->index.handle) == 0) {
        /* The message went while its body was on the way. */
        add_key(outcome->orphans, change->mailbox, change->item);
        return TRUE;
    }
    disk_db_bind_number(put, 3, change->body.size);
    sqlite3_bind_blob(put, 4, change->body.sha256, DISK_SHA256, SQLITE_STATIC);
    sqlite3_bind_int64(put, 5, change->used);
    /* An older body of the item is replaced, but not without being subtracted. */
    if (!drop_bodies(disk, statement_of(&disk->index, INDEX_DROP_BODY, change), NULL, outcome,
                     error) ||
        !disk_db_run(&disk->index, put, error))
        return FALSE;
    outcome->body_bytes += (gint64)change->body.size;
    return TRUE;
}

/* The row of a body goes along with its message, or is doubled. */
static gboolean move_row(Disk *disk, const DiskChange *change, DiskOutcome *outcome,
                         GError **error)
{
    sqlite3_stmt *move =
        statement_of(&disk->index, change->to.keeps ? INDEX_COPY_BODY : INDEX_MOVE_BODY, change);
    int more;

    disk_db_bind_number(move, 3, change->to.mailbox);
    disk_db_bind_number(move, 4, change->to.item);
    while ((more = disk_db_step(&disk->index, move, error)) > 0)
        outcome->body_bytes += sqlite3_column_int64(move, 0); /* of a copy alone */
    return more == 0;
}

/* Before, the target's own row goes: its file was replaced.  Without a row to move, or without a
 * message to move it to, the file that disk_move_body() put there belongs to nobody. */
static gboolean move_body(Disk *disk, const DiskChange *change, DiskOutcome *outcome,
                          GError **error)
{
    const DiskChange target = {.mailbox = change->to.mailbox, .item = change->to.item};
    sqlite3_stmt *size = statement_of(&disk->index, INDEX_MOVE_SIZE, change);

    if (!drop_bodies(disk, statement_of(&disk->index, INDEX_DROP_BODY, &target), NULL, outcome,
                     error))
        return FALSE;
    add_key(outcome->known, target.mailbox, target.item);
    disk_db_bind_number(size, 3, target.mailbox);
    disk_db_bind_number(size, 4, target.item);
    if (!disk_db_run(&disk->index, size, error))
        return FALSE;
    if (sqlite3_changes(disk->index.handle) > 0)
        return move_row(disk, change, outcome, error);
    add_key(outcome->orphans, target.mailbox, target.item);
    return change->to.keeps ||
           drop_bodies(disk, statement_of(&disk->index, INDEX_DROP_BODY, change), NULL, outcome,
                       error);
}

static gboolean use_body(Disk *disk, const DiskChange *change, GError **error)
{
    sqlite3_stmt *use = statement_of(&disk->index, INDEX_USE_BODY, change);

    sqlite3_bind_int64(use, 3, change->used);
    return disk_db_run(&disk->index, use, error);
}

static gboolean change_state(Disk *disk, const DiskChange *change, GError **error)
{
    switch (change->kind) {
    case CHANGE_PUT_MAILBOX:
        return put_mailbox_state(disk, change->put_mailbox, error);
    case CHANGE_PUT_MESSAGE:
        return put_message_state(disk, change, error);
    case CHANGE_REMOVE_MESSAGE:
        return disk_db_run(&disk->state, statement_of(&disk->state, STATE_REMOVE_ITEM, change),
                           error);
    case CHANGE_PUT_JOURNAL:
    case CHANGE_REMOVE_JOURNAL:
    case CHANGE_PUT_LOCAL:
    case CHANGE_REMOVE_LOCAL:
    case CHANGE_PUT_PARKED:
    case CHANGE_REMOVE_PARKED:
        return disk_journal_write(disk, change, error);
    default:
        return TRUE;
    }
}

static gboolean change_index(Disk *disk, const DiskChange *change, DiskOutcome *outcome,
                             GError **error)
{
    switch (change->kind) {
    case CHANGE_PUT_MAILBOX:
        return put_mailbox(disk, change->put_mailbox, error);
    case CHANGE_REMOVE_MAILBOX:
        return remove_mailbox(disk, change, outcome, error);
    case CHANGE_PUT_MESSAGE:
        return put_message(disk, change, error);
    case CHANGE_PUT_FLAGS:
        return put_flags(disk, change, error);
    case CHANGE_REMOVE_MESSAGE:
        return remove_message(disk, change, outcome, error);
    case CHANGE_BODY_CACHED:
        return put_body(disk, change, outcome, error);
    case CHANGE_BODY_DROPPED:
        return drop_bodies(disk, statement_of(&disk->index, INDEX_DROP_BODY, change), NULL,
                           outcome, error);
    case CHANGE_BODY_USED:
        return use_body(disk, change, error);
    case CHANGE_BODY_MOVED:
        return move_body(disk, change, outcome, error);
    default:
        return TRUE;
    }
}

/* -- Transactions ------------------------------------------------------------------------------ */

static void roll_back(DiskDb *db)
{
    /* After some failures SQLite has done so itself. */
    if (!sqlite3_get_autocommit(db->handle))
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* All changes of one database, in the transaction that was begun; @outcome is NULL for the
 * state. */
static gboolean write_changes(Disk *disk, GPtrArray *batches, DiskOutcome *outcome, GError **error)
{
    for (guint i = 0; i < batches->len; i++) {
        const DiskBatch *batch = g_ptr_array_index(batches, i);

        for (guint k = 0; k < batch->changes->len; k++) {
            const DiskChange *change = &g_array_index(batch->changes, DiskChange, k);

            if (outcome ? !change_index(disk, change, outcome, error)
                        : !change_state(disk, change, error))
                return FALSE;
        }
    }
    return TRUE;
}

gboolean disk_write_index(Disk *disk, GPtrArray *batches, DiskOutcome *outcome, GError **error)
{
    DiskDb *db = &disk->index;

    if (disk_db_is_usable(db, error) && disk_db_exec(db, "BEGIN", error) &&
        write_changes(disk, batches, outcome, error) && disk_db_exec(db, "COMMIT", error))
        return TRUE;
    roll_back(db);
    return FALSE;
}

/* Faults are met where the journal is written, and nowhere else. */
static gboolean has_journal(GPtrArray *batches)
{
    for (guint i = 0; i < batches->len; i++)
        if (((const DiskBatch *)g_ptr_array_index(batches, i))->has_journal)
            return TRUE;
    return FALSE;
}

/* COMMIT is where a state with synchronous=FULL calls fsync(2).  If that fails, nothing tells what
 * the disk holds, and asking again would be answered with a lie (J6 in journal.h). */
static gboolean commit_state(DiskDb *db, GError **error)
{
    int code;

    if (disk_db_exec(db, "COMMIT", error))
        return TRUE;
    code = sqlite3_extended_errcode(db->handle);
    db->is_unsynced = code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC;
    return FALSE;
}

static gboolean commit_journal(DiskDb *db, GError **error)
{
    FAULT("journal-before-commit");
    if (FAULT_FAILS("journal-commit")) {
        db->is_unsynced = TRUE;
        return mail_fail(error, MAIL_ERROR_CACHE, "%s: fsync failed", db->path);
    }
    if (!commit_state(db, error))
        return FALSE;
    FAULT("journal-after-commit");
    return TRUE;
}

gboolean disk_write_state(Disk *disk, GPtrArray *batches, GError **error)
{
    DiskDb *db = &disk->state;

    if (disk_db_is_usable(db, error) && disk_db_exec(db, "BEGIN", error) &&
        write_changes(disk, batches, NULL, error) &&
        (has_journal(batches) ? commit_journal(db, error) : commit_state(db, error)))
        return TRUE;
    roll_back(db);
    return FALSE;
}
