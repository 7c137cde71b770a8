/* What a batch holds, and carrying it out.
 *
 * A batch is a list of changes copied from the model.  The thread carries out all batches that
 * are queued in one transaction of each database: the state first, then the index.  When the
 * process dies between the two, the state knows messages that the index does not, which is what
 * it looks like after the cache was lost, and listing the mailbox mends it.
 *
 * Bodies are rows of their own, apart from the message they belong to: a UID that passes from
 * one item to another replaces message rows on its way and must not cost the body.
 */
#include "store/disk-internal.h"

#include "base/error.h"

#include <string.h>

typedef enum {
    CHANGE_PUT_MAILBOX,
    CHANGE_REMOVE_MAILBOX,
    CHANGE_PUT_MESSAGE,
    CHANGE_PUT_FLAGS,
    CHANGE_REMOVE_MESSAGE,
    CHANGE_BODY_CACHED,
    CHANGE_BODY_DROPPED,
    CHANGE_BODY_USED,
} ChangeKind;

typedef struct {
    ChangeKind kind;
    guint16 mailbox;
    guint32 uidvalidity;
    guint64 item;
    union {
        DiskMailbox *put_mailbox; /* owned */
        Message *message;         /* owned */
        struct {
            guint64 size;
            guint8 sha256[DISK_SHA256];
        } body;
    };
    gint64 used;
} Change;

struct DiskBatch {
    GArray *changes; /* of Change */
};

/* -- Filling ----------------------------------------------------------------------------------- */

static void change_clear(gpointer data)
{
    Change *change = data;

    if (change->kind == CHANGE_PUT_MAILBOX)
        disk_mailbox_free(change->put_mailbox);
    else if (change->kind == CHANGE_PUT_MESSAGE || change->kind == CHANGE_PUT_FLAGS)
        message_free(change->message);
}

DiskBatch *disk_batch_new(void)
{
    DiskBatch *batch = g_new(DiskBatch, 1);

    batch->changes = g_array_new(FALSE, FALSE, sizeof(Change));
    g_array_set_clear_func(batch->changes, change_clear);
    return batch;
}

void disk_batch_free(DiskBatch *batch)
{
    if (!batch)
        return;
    g_array_unref(batch->changes);
    g_free(batch);
}

gboolean disk_batch_is_empty(const DiskBatch *batch)
{
    return batch->changes->len == 0;
}

static void add(DiskBatch *batch, const Change *change)
{
    g_assert(change->mailbox > 0 && change->item <= DISK_MAX_ITEM);
    g_array_append_vals(batch->changes, change, 1);
}

void disk_batch_put_mailbox(DiskBatch *batch, const DiskMailbox *mailbox)
{
    DiskMailbox *copy = g_memdup2(mailbox, sizeof *mailbox);

    g_assert(mailbox->wire && mailbox->path);
    copy->wire = g_strdup(mailbox->wire);
    copy->path = g_strdupv(mailbox->path);
    add(batch, &(Change){.kind = CHANGE_PUT_MAILBOX,
                         .mailbox = mailbox->number,
                         .put_mailbox = copy});
}

void disk_batch_remove_mailbox(DiskBatch *batch, guint16 mailbox)
{
    add(batch, &(Change){.kind = CHANGE_REMOVE_MAILBOX, .mailbox = mailbox});
}

static Message *message_copy(const Message *message)
{
    Message *copy = g_memdup2(message, sizeof *message);

    copy->name = g_strdup(message->name);
    if (copy->keywords)
        g_ref_string_acquire(copy->keywords);
    return copy;
}

void disk_batch_put_message(DiskBatch *batch, guint16 mailbox, guint32 uidvalidity,
                            const Message *message)
{
    g_assert(message->item > 0 && message->name);
    add(batch, &(Change){.kind = CHANGE_PUT_MESSAGE,
                         .mailbox = mailbox,
                         .uidvalidity = uidvalidity,
                         .item = message->item,
                         .message = message_copy(message)});
}

void disk_batch_put_flags(DiskBatch *batch, guint16 mailbox, const Message *message)
{
    Message *copy = message_new();

    copy->flags = message->flags;
    copy->keywords = message->keywords ? g_ref_string_acquire(message->keywords) : NULL;
    add(batch, &(Change){.kind = CHANGE_PUT_FLAGS,
                         .mailbox = mailbox,
                         .item = message->item,
                         .message = copy});
}

void disk_batch_remove_message(DiskBatch *batch, guint16 mailbox, guint64 item)
{
    add(batch, &(Change){.kind = CHANGE_REMOVE_MESSAGE, .mailbox = mailbox, .item = item});
}

void disk_batch_body_cached(DiskBatch *batch, guint16 mailbox, guint64 item, guint64 size,
                            const guint8 *sha256)
{
    Change change = {.kind = CHANGE_BODY_CACHED,
                     .mailbox = mailbox,
                     .item = item,
                     .used = g_get_real_time() / G_USEC_PER_SEC};

    change.body.size = size;
    memcpy(change.body.sha256, sha256, DISK_SHA256);
    add(batch, &change);
}

void disk_batch_body_dropped(DiskBatch *batch, guint16 mailbox, guint64 item)
{
    add(batch, &(Change){.kind = CHANGE_BODY_DROPPED, .mailbox = mailbox, .item = item});
}

void disk_batch_body_used(DiskBatch *batch, guint16 mailbox, guint64 item, gint64 now)
{
    add(batch, &(Change){.kind = CHANGE_BODY_USED, .mailbox = mailbox, .item = item, .used = now});
}

void disk_batch_note_holes(const DiskBatch *batch, GHashTable *holes)
{
    for (guint i = 0; i < batch->changes->len; i++)
        g_hash_table_add(holes,
                         GUINT_TO_POINTER(g_array_index(batch->changes, Change, i).mailbox));
}

void disk_batch_note_items(const DiskBatch *batch, GHashTable *next_items)
{
    for (guint i = 0; i < batch->changes->len; i++) {
        const Change *change = &g_array_index(batch->changes, Change, i);
        gpointer key = GUINT_TO_POINTER(change->mailbox);
        guint64 *next;

        if (change->kind != CHANGE_PUT_MESSAGE)
            continue;
        next = g_hash_table_lookup(next_items, key);
        if (!next) {
            next = g_new0(guint64, 1);
            g_hash_table_insert(next_items, key, next);
        }
        *next = MAX(*next, change->item + 1);
    }
}

/* -- Carrying out ------------------------------------------------------------------------------ */

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

static void add_key(GArray *keys, const Change *change)
{
    DiskBodyKey key = {.mailbox = change->mailbox, .item = change->item};

    g_array_append_val(keys, key);
}

static void bind_number(sqlite3_stmt *statement, int i, guint64 number)
{
    sqlite3_bind_int64(statement, i, (sqlite3_int64)number);
}

/* The text stays the change's, which outlives the statement's run. */
static void bind_text(sqlite3_stmt *statement, int i, const char *text)
{
    sqlite3_bind_text(statement, i, text, -1, SQLITE_STATIC);
}

/* A statement with the first two columns of most: mailbox and item. */
static sqlite3_stmt *statement_of(DiskDb *db, guint id, const Change *change)
{
    sqlite3_stmt *statement = disk_db_statement(db, id);

    bind_number(statement, 1, change->mailbox);
    bind_number(statement, 2, change->item);
    return statement;
}

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

    bind_number(put, 1, mailbox->number);
    bind_text(put, 2, mailbox->wire);
    sqlite3_bind_blob(put, 3, path->data ? path->data : (const guint8 *)"", (int)path->len,
                      SQLITE_STATIC);
    sqlite3_bind_int(put, 4, mailbox->delimiter);
    bind_number(put, 5, mailbox->list_flags);
    bind_number(put, 6, mailbox->uidvalidity);
    bind_number(put, 7, mailbox->uidnext);
    bind_number(put, 8, has_hole ? 0 : mailbox->highestmodseq);
    bind_number(put, 9, mailbox->n_messages);
    bind_number(put, 10, mailbox->n_unseen);
    bind_number(put, 11, has_hole ? 0 : mailbox->is_listed != FALSE);
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

        bind_number(statement, 1, mailbox->number);
        bind_text(statement, 2, mailbox->wire);
        if (!disk_db_run(&disk->state, statement, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean put_message(Disk *disk, const Change *change, GError **error)
{
    const Message *message = change->message;
    sqlite3_stmt *displace = disk_db_statement(&disk->index, INDEX_DISPLACE_UID);
    sqlite3_stmt *put = statement_of(&disk->index, INDEX_PUT_MESSAGE, change);

    bind_number(displace, 1, change->mailbox);
    bind_number(displace, 2, message->uid);
    bind_number(displace, 3, change->item);
    bind_number(put, 3, message->uid);
    bind_number(put, 4, message->size);
    bind_number(put, 5, message->is_exact);
    sqlite3_bind_int64(put, 6, message->date);
    sqlite3_bind_int64(put, 7, message->appeared);
    bind_number(put, 8, message->fingerprint);
    bind_number(put, 9, message->flags);
    bind_text(put, 10, message->keywords);
    bind_text(put, 11, message->name);
    return disk_db_run(&disk->index, displace, error) && disk_db_run(&disk->index, put, error);
}

static gboolean put_message_state(Disk *disk, const Change *change, GError **error)
{
    const Message *message = change->message;
    sqlite3_stmt *raise = disk_db_statement(&disk->state, STATE_RAISE_NEXT);
    sqlite3_stmt *displace = disk_db_statement(&disk->state, STATE_DISPLACE_UID);
    sqlite3_stmt *put = statement_of(&disk->state, STATE_PUT_ITEM, change);

    bind_number(raise, 1, change->mailbox);
    bind_number(raise, 2, change->item + 1);
    bind_number(displace, 1, change->mailbox);
    bind_number(displace, 2, change->uidvalidity);
    bind_number(displace, 3, message->uid);
    bind_number(displace, 4, change->item);
    bind_number(put, 3, change->uidvalidity);
    bind_number(put, 4, message->uid);
    bind_text(put, 5, message->name);
    return disk_db_run(&disk->state, raise, error) && disk_db_run(&disk->state, displace, error) &&
           disk_db_run(&disk->state, put, error);
}

static gboolean put_flags(Disk *disk, const Change *change, GError **error)
{
    sqlite3_stmt *put = statement_of(&disk->index, INDEX_PUT_FLAGS, change);

    bind_number(put, 3, change->message->flags);
    bind_text(put, 4, change->message->keywords);
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

static gboolean remove_mailbox(Disk *disk, const Change *change, DiskOutcome *outcome,
                               GError **error)
{
    static const guint steps[] = {INDEX_REMOVE_MESSAGES, INDEX_REMOVE_MAILBOX};
    sqlite3_stmt *drop = disk_db_statement(&disk->index, INDEX_DROP_BODIES);

    bind_number(drop, 1, change->mailbox);
    if (!drop_bodies(disk, drop, NULL, outcome, error))
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        sqlite3_stmt *statement = disk_db_statement(&disk->index, steps[i]);

        bind_number(statement, 1, change->mailbox);
        if (!disk_db_run(&disk->index, statement, error))
            return FALSE;
    }
    g_array_append_val(outcome->gone, change->mailbox);
    return TRUE;
}

static gboolean remove_message(Disk *disk, const Change *change, DiskOutcome *outcome,
                               GError **error)
{
    guint n_dropped = 0;

    if (!drop_bodies(disk, statement_of(&disk->index, INDEX_DROP_BODY, change), &n_dropped,
                     outcome, error) ||
        !disk_db_run(&disk->index, statement_of(&disk->index, INDEX_REMOVE_MESSAGE, change),
                     error))
        return FALSE;
    if (n_dropped > 0)
        add_key(outcome->orphans, change);
    return TRUE;
}

static gboolean put_body(Disk *disk, const Change *change, DiskOutcome *outcome, GError **error)
{
    sqlite3_stmt *size = statement_of(&disk->index, INDEX_PUT_SIZE, change);
    sqlite3_stmt *put = statement_of(&disk->index, INDEX_PUT_BODY, change);

    bind_number(size, 3, change->body.size);
    if (!disk_db_run(&disk->index, size, error))
        return FALSE;
    add_key(outcome->known, change);
    if (sqlite3_changes(disk->index.handle) == 0) {
        /* The message went while its body was on the way. */
        add_key(outcome->orphans, change);
        return TRUE;
    }
    bind_number(put, 3, change->body.size);
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

static gboolean use_body(Disk *disk, const Change *change, GError **error)
{
    sqlite3_stmt *use = statement_of(&disk->index, INDEX_USE_BODY, change);

    sqlite3_bind_int64(use, 3, change->used);
    return disk_db_run(&disk->index, use, error);
}

static gboolean change_state(Disk *disk, const Change *change, GError **error)
{
    switch (change->kind) {
    case CHANGE_PUT_MAILBOX:
        return put_mailbox_state(disk, change->put_mailbox, error);
    case CHANGE_PUT_MESSAGE:
        return put_message_state(disk, change, error);
    case CHANGE_REMOVE_MESSAGE:
        return disk_db_run(&disk->state, statement_of(&disk->state, STATE_REMOVE_ITEM, change),
                           error);
    default:
        return TRUE;
    }
}

static gboolean change_index(Disk *disk, const Change *change, DiskOutcome *outcome,
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
    }
    g_assert_not_reached();
}

static void roll_back(DiskDb *db)
{
    /* After some failures SQLite has done so itself. */
    if (!sqlite3_get_autocommit(db->handle))
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* All changes of one database in one transaction; @outcome is NULL for the state. */
static gboolean carry_out_one(Disk *disk, DiskDb *db, GPtrArray *batches, DiskOutcome *outcome,
                              GError **error)
{
    gboolean is_done = disk_db_is_usable(db, error) && disk_db_exec(db, "BEGIN", error);

    for (guint i = 0; is_done && i < batches->len; i++) {
        const DiskBatch *batch = g_ptr_array_index(batches, i);

        for (guint k = 0; is_done && batch && k < batch->changes->len; k++) {
            const Change *change = &g_array_index(batch->changes, Change, k);

            is_done = outcome ? change_index(disk, change, outcome, error)
                              : change_state(disk, change, error);
        }
    }
    if (is_done && disk_db_exec(db, "COMMIT", error))
        return TRUE;
    roll_back(db);
    return FALSE;
}

gboolean disk_batch_carry_out(Disk *disk, GPtrArray *batches, DiskOutcome *outcome,
                              GError **error)
{
    return carry_out_one(disk, &disk->state, batches, NULL, error) &&
           carry_out_one(disk, &disk->index, batches, outcome, error);
}
