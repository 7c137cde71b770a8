/* The journal, local files and parked messages as rows of state.db.
 *
 * An entry is one row, its messages one packed column of it: a row is there whole or not at all,
 * also where a damaged file is rescued row by row, and half a set of messages would be a wrong
 * order to a server.  There are few entries at a time, so that writing a whole one for each step
 * that it takes costs little.
 *
 * Items that these rows use count as used ones: state.mailbox.next_item rises in the transaction
 * that brings the row, as it does for messages.
 */
#include "store/disk-internal.h"

#include "base/error.h"

#include <string.h>

/* -- Entries ----------------------------------------------------------------------------------- */

static GArray *messages_new(guint n)
{
    return g_array_sized_new(FALSE, TRUE, sizeof(JournalMessage), n);
}

JournalEntry *journal_entry_new(JournalKind kind)
{
    JournalEntry *entry = g_new0(JournalEntry, 1);

    entry->kind = kind;
    entry->state = JOURNAL_PREP;
    entry->messages = messages_new(0);
    return entry;
}

JournalEntry *journal_entry_copy(const JournalEntry *entry)
{
    JournalEntry *copy = g_memdup2(entry, sizeof *entry);

    copy->wire = g_strdup(entry->wire);
    copy->target = g_strdup(entry->target);
    copy->messages = entry->messages ? g_array_copy(entry->messages) : messages_new(0);
    copy->name = g_strdup(entry->name);
    copy->message_id = g_strdup(entry->message_id);
    copy->keywords = g_strdup(entry->keywords);
    copy->keywords_removed = g_strdup(entry->keywords_removed);
    copy->reason = g_strdup(entry->reason);
    return copy;
}

void journal_entry_free(JournalEntry *entry)
{
    if (!entry)
        return;
    g_free(entry->wire);
    g_free(entry->target);
    g_clear_pointer(&entry->messages, g_array_unref);
    g_free(entry->name);
    g_free(entry->message_id);
    g_free(entry->keywords);
    g_free(entry->keywords_removed);
    g_free(entry->reason);
    g_free(entry);
}

const char *journal_kind_name(JournalKind kind)
{
    static const char *const names[JOURNAL_N_KINDS] = {"create",  "copy",  "move",
                                                       "expunge", "flags", "mailbox"};

    g_assert(kind < JOURNAL_N_KINDS);
    return names[kind];
}

const char *journal_state_name(JournalState state)
{
    static const char *const names[] = {[JOURNAL_PREP] = "waiting",
                                        [JOURNAL_SENT] = "sent",
                                        [JOURNAL_HALF] = "half-done",
                                        [JOURNAL_FAILED] = "failed"};

    g_assert(state >= JOURNAL_PREP && state <= JOURNAL_FAILED);
    return names[state];
}

void disk_entry_each_item(const JournalEntry *entry, DiskItemFunc func, gpointer user)
{
    if (entry->mailbox > 0 && entry->item > 0)
        func(entry->mailbox, entry->item, user);
    for (guint i = 0; entry->messages && i < entry->messages->len; i++) {
        const JournalMessage *message = &g_array_index(entry->messages, JournalMessage, i);

        if (entry->mailbox > 0 && message->item > 0)
            func(entry->mailbox, message->item, user);
        if (entry->target_mailbox > 0 && message->new_item > 0)
            func(entry->target_mailbox, message->new_item, user);
    }
}

/* -- Other rows -------------------------------------------------------------------------------- */

static JournalLocal *local_copy(const JournalLocal *local)
{
    JournalLocal *copy = g_memdup2(local, sizeof *local);

    copy->name = g_strdup(local->name);
    return copy;
}

void journal_local_free(JournalLocal *local)
{
    if (!local)
        return;
    g_free(local->name);
    g_free(local);
}

static JournalParked *parked_copy(const JournalParked *parked)
{
    JournalParked *copy = g_memdup2(parked, sizeof *parked);

    copy->name = g_strdup(parked->name);
    return copy;
}

void journal_parked_free(JournalParked *parked)
{
    if (!parked)
        return;
    g_free(parked->name);
    g_free(parked);
}

/* -- Batches ----------------------------------------------------------------------------------- */

void disk_batch_put_journal(DiskBatch *batch, const JournalEntry *entry)
{
    g_assert(entry->id > 0 && entry->id <= G_MAXINT64);
    disk_batch_add(batch, &(DiskChange){.kind = CHANGE_PUT_JOURNAL,
                                        .entry = journal_entry_copy(entry)});
}

void disk_batch_remove_journal(DiskBatch *batch, guint64 id)
{
    disk_batch_add(batch, &(DiskChange){.kind = CHANGE_REMOVE_JOURNAL, .id = id});
}

void disk_batch_put_local(DiskBatch *batch, const JournalLocal *local)
{
    g_assert(local->item > 0 && local->name);
    disk_batch_add(batch, &(DiskChange){.kind = CHANGE_PUT_LOCAL,
                                        .mailbox = local->mailbox,
                                        .item = local->item,
                                        .local = local_copy(local)});
}

void disk_batch_remove_local(DiskBatch *batch, guint16 mailbox, guint64 item)
{
    disk_batch_add(batch, &(DiskChange){
        .kind = CHANGE_REMOVE_LOCAL, .mailbox = mailbox, .item = item});
}

void disk_batch_put_parked(DiskBatch *batch, const JournalParked *parked)
{
    g_assert(parked->item > 0 && parked->name);
    disk_batch_add(batch, &(DiskChange){.kind = CHANGE_PUT_PARKED,
                                        .mailbox = parked->mailbox,
                                        .item = parked->item,
                                        .parked = parked_copy(parked)});
}

void disk_batch_remove_parked(DiskBatch *batch, guint16 mailbox, guint64 item)
{
    disk_batch_add(batch, &(DiskChange){
        .kind = CHANGE_REMOVE_PARKED, .mailbox = mailbox, .item = item});
}

/* -- Packed messages --------------------------------------------------------------------------- */

/* Numbers are little-endian, whatever the machine: a home may move to another one. */
static guint8 *pack_number(guint8 *p, guint64 number, guint n_octets)
{
    for (guint i = 0; i < n_octets; i++)
        *p++ = (guint8)(number >> 8 * i);
    return p;
}

static guint64 unpack_number(const guint8 **p, guint n_octets)
{
    guint64 number = 0;

    for (guint i = 0; i < n_octets; i++)
        number |= (guint64)*(*p)++ << 8 * i;
    return number;
}

/* The caller owns it. */
static guint8 *pack_messages(const GArray *messages)
{
    guint8 *packed = g_malloc(DISK_JOURNAL_MESSAGE * (gsize)messages->len + 1), *p = packed;

    for (guint i = 0; i < messages->len; i++) {
        const JournalMessage *message = &g_array_index(messages, JournalMessage, i);

        p = pack_number(p, message->item, 8);
        p = pack_number(p, message->new_item, 8);
        p = pack_number(p, (guint64)message->date, 8);
        p = pack_number(p, message->size, 8);
        p = pack_number(p, message->uid, 4);
        p = pack_number(p, message->new_uid, 4);
        p = pack_number(p, message->is_done != FALSE, 1);
    }
    return packed;
}

static GArray *unpack_messages(const guint8 *packed, guint length)
{
    guint n = length / DISK_JOURNAL_MESSAGE;
    GArray *messages = messages_new(n);

    for (guint i = 0; i < n; i++) {
        JournalMessage message = {0};

        message.item = unpack_number(&packed, 8);
        message.new_item = unpack_number(&packed, 8);
        message.date = (gint64)unpack_number(&packed, 8);
        message.size = unpack_number(&packed, 8);
        message.uid = (guint32)unpack_number(&packed, 4);
        message.new_uid = (guint32)unpack_number(&packed, 4);
        message.is_done = unpack_number(&packed, 1) != 0;
        g_array_append_val(messages, message);
    }
    return messages;
}

/* -- Writing, on the thread -------------------------------------------------------------------- */

typedef struct {
    Disk *disk;
    GError **error;
    gboolean has_failed;
} Raise;

static void raise_next(guint16 mailbox, guint64 item, gpointer user)
{
    Raise *raise = user;
    sqlite3_stmt *statement;

    if (raise->has_failed)
        return;
    statement = disk_db_statement(&raise->disk->state, STATE_RAISE_NEXT);
    disk_db_bind_number(statement, 1, mailbox);
    disk_db_bind_number(statement, 2, item + 1);
    raise->has_failed = !disk_db_run(&raise->disk->state, statement, raise->error);
}

/* The order is that of DISK_JOURNAL_COLUMNS; read_entry() has the same. */
static void bind_entry(sqlite3_stmt *put, const JournalEntry *entry, const guint8 *packed)
{
    int i = 1;

    disk_db_bind_number(put, i++, entry->id);
    disk_db_bind_number(put, i++, entry->kind);
    disk_db_bind_number(put, i++, entry->state);
    disk_db_bind_number(put, i++, entry->mailbox);
    disk_db_bind_text(put, i++, entry->wire);
    disk_db_bind_number(put, i++, entry->uidvalidity);
    disk_db_bind_number(put, i++, entry->uidnext);
    disk_db_bind_number(put, i++, entry->target_mailbox);
    disk_db_bind_text(put, i++, entry->target);
    disk_db_bind_number(put, i++, entry->target_uidvalidity);
    sqlite3_bind_blob64(put, i++, packed,
                        DISK_JOURNAL_MESSAGE * (sqlite3_uint64)entry->messages->len,
                        SQLITE_STATIC);
    disk_db_bind_number(put, i++, entry->item);
    disk_db_bind_text(put, i++, entry->name);
    disk_db_bind_number(put, i++, entry->stage);
    disk_db_bind_number(put, i++, entry->size);
    sqlite3_bind_blob(put, i++, entry->sha256, DISK_SHA256, SQLITE_STATIC);
    disk_db_bind_text(put, i++, entry->message_id);
    sqlite3_bind_int64(put, i++, entry->date);
    disk_db_bind_number(put, i++, entry->flags);
    disk_db_bind_text(put, i++, entry->keywords);
    disk_db_bind_number(put, i++, entry->flags_removed);
    disk_db_bind_text(put, i++, entry->keywords_removed);
    disk_db_bind_number(put, i++, entry->verb);
    disk_db_bind_number(put, i++, entry->uid);
    disk_db_bind_text(put, i++, entry->reason);
    sqlite3_bind_int64(put, i++, entry->made);
    disk_db_bind_number(put, i++, entry->n_tries);
}

static gboolean write_entry(Disk *disk, const JournalEntry *entry, GError **error)
{
    g_autofree guint8 *packed = pack_messages(entry->messages);
    sqlite3_stmt *put = disk_db_statement(&disk->state, STATE_PUT_JOURNAL);
    Raise raise = {disk, error, FALSE};
    gboolean is_written;

    bind_entry(put, entry, packed);
    is_written = disk_db_run(&disk->state, put, error);
    sqlite3_clear_bindings(put); /* what was packed goes now */
    if (!is_written)
        return FALSE;
    disk_entry_each_item(entry, raise_next, &raise);
    return !raise.has_failed;
}

static gboolean write_local(Disk *disk, const JournalLocal *local, GError **error)
{
    sqlite3_stmt *put = disk_db_statement(&disk->state, STATE_PUT_LOCAL);
    Raise raise = {disk, error, FALSE};

    disk_db_bind_number(put, 1, local->mailbox);
    disk_db_bind_number(put, 2, local->item);
    disk_db_bind_number(put, 3, local->kind);
    disk_db_bind_text(put, 4, local->name);
    disk_db_bind_number(put, 5, local->stage);
    disk_db_bind_number(put, 6, local->is_flushed != FALSE);
    sqlite3_bind_int64(put, 7, local->mtime);
    disk_db_bind_number(put, 8, local->mode);
    disk_db_bind_number(put, 9, local->replaces);
    if (!disk_db_run(&disk->state, put, error))
        return FALSE;
    raise_next(local->mailbox, local->item, &raise);
    return !raise.has_failed;
}

static gboolean write_parked(Disk *disk, const JournalParked *parked, GError **error)
{
    sqlite3_stmt *put = disk_db_statement(&disk->state, STATE_PUT_PARKED);

    disk_db_bind_number(put, 1, parked->mailbox);
    disk_db_bind_number(put, 2, parked->item);
    disk_db_bind_text(put, 3, parked->name);
    return disk_db_run(&disk->state, put, error);
}

static gboolean remove_row(Disk *disk, StateStatement id, const DiskChange *change, GError **error)
{
    sqlite3_stmt *statement = disk_db_statement(&disk->state, id);

    disk_db_bind_number(statement, 1, change->mailbox);
    disk_db_bind_number(statement, 2, change->item);
    return disk_db_run(&disk->state, statement, error);
}

static gboolean remove_entry(Disk *disk, guint64 id, GError **error)
{
    sqlite3_stmt *statement = disk_db_statement(&disk->state, STATE_REMOVE_JOURNAL);

    disk_db_bind_number(statement, 1, id);
    return disk_db_run(&disk->state, statement, error);
}

gboolean disk_journal_write(Disk *disk, const DiskChange *change, GError **error)
{
    switch (change->kind) {
    case CHANGE_PUT_JOURNAL:
        return write_entry(disk, change->entry, error);
    case CHANGE_REMOVE_JOURNAL:
        return remove_entry(disk, change->id, error);
    case CHANGE_PUT_LOCAL:
        return write_local(disk, change->local, error);
    case CHANGE_REMOVE_LOCAL:
        return remove_row(disk, STATE_REMOVE_LOCAL, change, error);
    case CHANGE_PUT_PARKED:
        return write_parked(disk, change->parked, error);
    case CHANGE_REMOVE_PARKED:
        return remove_row(disk, STATE_REMOVE_PARKED, change, error);
    default:
        g_assert_not_reached();
    }
}

/* -- Reading, at the start --------------------------------------------------------------------- */

static guint64 number_of(sqlite3_stmt *row, int column)
{
    return (guint64)sqlite3_column_int64(row, column);
}

/* The caller owns it; NULL for NULL. */
static char *text_of(sqlite3_stmt *row, int column)
{
    return g_strdup((const char *)sqlite3_column_text(row, column));
}

/* The order is that of DISK_JOURNAL_COLUMNS.  What a row may hold, the table's CHECKs say. */
static gpointer read_entry(sqlite3_stmt *row)
{
    JournalEntry *entry = g_new0(JournalEntry, 1);
    int i = 0, packed;

    entry->id = number_of(row, i++);
    entry->kind = (JournalKind)number_of(row, i++);
    entry->state = (JournalState)number_of(row, i++);
    entry->mailbox = (guint16)number_of(row, i++);
    entry->wire = text_of(row, i++);
    entry->uidvalidity = (guint32)number_of(row, i++);
    entry->uidnext = (guint32)number_of(row, i++);
    entry->target_mailbox = (guint16)number_of(row, i++);
    entry->target = text_of(row, i++);
    entry->target_uidvalidity = (guint32)number_of(row, i++);
    packed = i++;
    entry->messages = unpack_messages(sqlite3_column_blob(row, packed),
                                      (guint)sqlite3_column_bytes(row, packed));
    entry->item = number_of(row, i++);
    entry->name = text_of(row, i++);
    entry->stage = number_of(row, i++);
    entry->size = number_of(row, i++);
    if (sqlite3_column_bytes(row, i) == DISK_SHA256)
        memcpy(entry->sha256, sqlite3_column_blob(row, i), DISK_SHA256);
    i++;
    entry->message_id = text_of(row, i++);
    entry->date = sqlite3_column_int64(row, i++);
    entry->flags = (guint16)number_of(row, i++);
    entry->keywords = text_of(row, i++);
    entry->flags_removed = (guint16)number_of(row, i++);
    entry->keywords_removed = text_of(row, i++);
    entry->verb = (guint)number_of(row, i++);
    entry->uid = (guint32)number_of(row, i++);
    entry->reason = text_of(row, i++);
    entry->made = sqlite3_column_int64(row, i++);
    entry->n_tries = (guint)number_of(row, i++);
    return entry;
}

static gpointer read_local(sqlite3_stmt *row)
{
    JournalLocal *local = g_new0(JournalLocal, 1);

    local->mailbox = (guint16)number_of(row, 0);
    local->item = number_of(row, 1);
    local->kind = (LocalKind)number_of(row, 2);
    local->name = text_of(row, 3);
    local->stage = number_of(row, 4);
    local->is_flushed = number_of(row, 5) != 0;
    local->mtime = sqlite3_column_int64(row, 6);
    local->mode = (guint16)number_of(row, 7);
    local->replaces = number_of(row, 8);
    return local;
}

static gpointer read_parked(sqlite3_stmt *row)
{
    JournalParked *parked = g_new0(JournalParked, 1);

    parked->mailbox = (guint16)number_of(row, 0);
    parked->item = number_of(row, 1);
    parked->name = text_of(row, 2);
    return parked;
}

/* Adds what @read makes of each row to @all. */
static GPtrArray *load(Disk *disk, StateStatement id, gpointer (*read)(sqlite3_stmt *),
                       GDestroyNotify free_row, GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(free_row);
    sqlite3_stmt *row = disk_db_statement(&disk->state, id);
    int more;

    g_assert(!disk->thread); /* which would own the databases */
    while ((more = disk_db_step(&disk->state, row, error)) > 0)
        g_ptr_array_add(all, read(row));
    return more == 0 ? g_steal_pointer(&all) : NULL;
}

GPtrArray *journal_load(Disk *disk, GError **error)
{
    return load(disk, STATE_JOURNAL, read_entry, (GDestroyNotify)journal_entry_free, error);
}

GPtrArray *journal_load_locals(Disk *disk, GError **error)
{
    return load(disk, STATE_LOCALS, read_local, (GDestroyNotify)journal_local_free, error);
}

GPtrArray *journal_load_parked(Disk *disk, GError **error)
{
    return load(disk, STATE_PARKED, read_parked, (GDestroyNotify)journal_parked_free, error);
}

/* -- Numbers ----------------------------------------------------------------------------------- */

guint64 journal_next_id(Disk *disk)
{
    return disk->next_entry++;
}

static gboolean read_number(Disk *disk, StateStatement id, guint64 *ret_number, GError **error)
{
    sqlite3_stmt *row = disk_db_statement(&disk->state, id);

    if (disk_db_step(&disk->state, row, error) <= 0)
        return FALSE;
    *ret_number = number_of(row, 0);
    sqlite3_reset(row);
    return TRUE;
}

static void note_item(guint16 mailbox, guint64 item, gpointer next_items)
{
    disk_note_item(next_items, mailbox, item);
}

/* After a rescue state.mailbox.next_item may be behind. */
static gboolean note_items(Disk *disk, GError **error)
{
    g_autoptr(GPtrArray) entries = journal_load(disk, error);
    g_autoptr(GPtrArray) locals = entries ? journal_load_locals(disk, error) : NULL;

    if (!locals)
        return FALSE;
    for (guint i = 0; i < entries->len; i++)
        disk_entry_each_item(g_ptr_array_index(entries, i), note_item, disk->next_items);
    for (guint i = 0; i < locals->len; i++) {
        const JournalLocal *local = g_ptr_array_index(locals, i);

        disk_note_item(disk->next_items, local->mailbox, local->item);
    }
    return TRUE;
}

gboolean disk_journal_read_numbers(Disk *disk, GError **error)
{
    guint64 last_entry = 0, last_stage = 0;

    if (!read_number(disk, STATE_LAST_ENTRY, &last_entry, error) ||
        !read_number(disk, STATE_LAST_STAGE, &last_stage, error) || !note_items(disk, error))
        return FALSE;
    disk->next_entry = last_entry + 1;
    disk->next_stage = MAX(disk->next_stage, last_stage + 1);
    return TRUE;
}
