/* Rows read back: mailboxes at the start, messages in chunks, and what the cache holds.
 *
 * Everything here reads in the order of an index, so that a mailbox of a million messages is
 * never sorted, or held, in one piece.
 */
#include "store/disk-internal.h"

#include "base/error.h"

#include <string.h>

/* -- Mailboxes --------------------------------------------------------------------------------- */

void disk_mailbox_free(DiskMailbox *mailbox)
{
    if (!mailbox)
        return;
    g_free(mailbox->wire);
    g_strfreev(mailbox->path);
    g_free(mailbox);
}

static char *dup_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return g_strdup(text ? text : "");
}

static char **unpack_path(const char *packed, int length)
{
    g_autoptr(GPtrArray) path = g_ptr_array_new();

    for (int start = 0; start < length;) {
        char *component = g_strndup(packed + start, (gsize)(length - start));

        start += (int)strlen(component) + 1;
        g_ptr_array_add(path, component);
    }
    g_ptr_array_add(path, NULL);
    return (char **)g_ptr_array_steal(path, NULL);
}

static DiskMailbox *read_mailbox(sqlite3_stmt *row)
{
    DiskMailbox *mailbox = g_new0(DiskMailbox, 1);

    mailbox->number = (guint16)sqlite3_column_int(row, 0);
    mailbox->wire = dup_text(row, 1);
    mailbox->path = unpack_path(sqlite3_column_blob(row, 2), sqlite3_column_bytes(row, 2));
    mailbox->delimiter = (char)sqlite3_column_int(row, 3);
    mailbox->list_flags = (guint32)sqlite3_column_int64(row, 4);
    mailbox->uidvalidity = (guint32)sqlite3_column_int64(row, 5);
    mailbox->uidnext = (guint32)sqlite3_column_int64(row, 6);
    mailbox->highestmodseq = (guint64)sqlite3_column_int64(row, 7);
    mailbox->n_messages = (guint32)sqlite3_column_int64(row, 8);
    mailbox->n_unseen = (guint32)sqlite3_column_int64(row, 9);
    mailbox->is_listed = sqlite3_column_int(row, 10) != 0;
    mailbox->used = sqlite3_column_int64(row, 11);
    mailbox->compared = sqlite3_column_int64(row, 12);
    mailbox->changed = sqlite3_column_int64(row, 13);
    return mailbox;
}

GPtrArray *disk_load_mailboxes(Disk *disk, GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)disk_mailbox_free);
    sqlite3_stmt *row = disk_db_statement(&disk->index, INDEX_MAILBOXES);
    int more;

    g_assert(!disk->thread); /* which would own the databases */
    while ((more = disk_db_step(&disk->index, row, error)) > 0)
        g_ptr_array_add(all, read_mailbox(row));
    return more == 0 ? g_steal_pointer(&all) : NULL;
}

gboolean disk_load_numbers(Disk *disk, DiskNumberFunc func, gpointer user, GError **error)
{
    sqlite3_stmt *row = disk_db_statement(&disk->state, STATE_MAILBOXES);
    int more;

    g_assert(!disk->thread);
    while ((more = disk_db_step(&disk->state, row, error)) > 0) {
        g_autofree char *wire = dup_text(row, 1);

        func((guint16)sqlite3_column_int(row, 0), wire, user);
    }
    return more == 0;
}

gboolean disk_read_next_items(Disk *disk, GError **error)
{
    sqlite3_stmt *row = disk_db_statement(&disk->state, STATE_MAILBOXES);
    int more;

    while ((more = disk_db_step(&disk->state, row, error)) > 0) {
        guint64 *next = g_new(guint64, 1);

        *next = (guint64)sqlite3_column_int64(row, 2);
        g_hash_table_insert(disk->next_items, GINT_TO_POINTER(sqlite3_column_int(row, 0)), next);
    }
    return more == 0;
}

/* -- Messages ---------------------------------------------------------------------------------- */

static GPtrArray *chunk_new(void)
{
    return g_ptr_array_new_full(DISK_CHUNK, (GDestroyNotify)message_free);
}

/* A statement that gives rows, and what makes a message of one. */
typedef struct {
    DiskDb *db;
    sqlite3_stmt *row;
    Message *(*read)(sqlite3_stmt *row);
} RowSource;

/* Runs the statement to its end and hands out the messages.  The last chunk is not handed out,
 * but left in *@chunk. */
static gboolean read_chunks(const RowSource *source, GPtrArray **chunk, DiskChunkFunc func,
                            gpointer user, GError **error)
{
    int more;

    while ((more = disk_db_step(source->db, source->row, error)) > 0) {
        if ((*chunk)->len == DISK_CHUNK) {
            func(g_steal_pointer(chunk), FALSE, user);
            *chunk = chunk_new();
        }
        g_ptr_array_add(*chunk, source->read(source->row));
    }
    return more == 0;
}

static Message *read_message(sqlite3_stmt *row)
{
    Message *message = message_new();

    message->item = (guint64)sqlite3_column_int64(row, 0);
    message->uid = (guint32)sqlite3_column_int64(row, 1);
    message->size = (guint64)sqlite3_column_int64(row, 2);
    message->is_exact = sqlite3_column_int(row, 3) != 0;
    message->date = sqlite3_column_int64(row, 4);
    message->appeared = sqlite3_column_int64(row, 5);
    message->fingerprint = (guint64)sqlite3_column_int64(row, 6);
    message->flags = (guint16)sqlite3_column_int(row, 7);
    message_set_keywords(message, (const char *)sqlite3_column_text(row, 8));
    message->name = dup_text(row, 9);
    message->is_cached = sqlite3_column_type(row, 10) != SQLITE_NULL;
    message->is_suspect = sqlite3_column_int(row, 10) != 0;
    message->mtime = sqlite3_column_int64(row, 11);
    message->mode = (guint16)sqlite3_column_int(row, 12);
    message->is_hidden = sqlite3_column_int(row, 13) != 0;
    return message;
}

gboolean disk_read_messages(Disk *disk, guint16 mailbox, DiskChunkFunc func, gpointer user,
                            GError **error)
{
    g_autoptr(GPtrArray) chunk = chunk_new();
    sqlite3_stmt *row;

    if (!disk_db_is_usable(&disk->index, error))
        return FALSE;
    row = disk_db_statement(&disk->index, INDEX_LOAD);
    sqlite3_bind_int(row, 1, mailbox);
    if (!read_chunks(&(RowSource){&disk->index, row, read_message}, &chunk, func, user, error))
        return FALSE;
    func(g_steal_pointer(&chunk), TRUE, user);
    return TRUE;
}

Message *disk_read_recalled(sqlite3_stmt *row)
{
    Message *message = message_new();

    message->item = (guint64)sqlite3_column_int64(row, 0);
    message->uid = (guint32)sqlite3_column_int64(row, 1);
    message->name = dup_text(row, 2);
    message->mtime = sqlite3_column_int64(row, 3);
    message->mode = (guint16)sqlite3_column_int(row, 4);
    message->is_hidden = sqlite3_column_int(row, 5) != 0;
    return message;
}

gboolean disk_read_recall(Disk *disk, const DiskRecallKey *key, DiskChunkFunc func, gpointer user,
                          GError **error)
{
    g_autoptr(GPtrArray) chunk = chunk_new();

    if (!disk_db_is_usable(&disk->state, error))
        return FALSE;
    for (guint i = 0; i < uid_set_n_ranges(key->uids); i++) {
        UidRange range = uid_set_range(key->uids, i);
        sqlite3_stmt *row = disk_db_statement(&disk->state, STATE_RECALL);

        sqlite3_bind_int(row, 1, key->mailbox);
        sqlite3_bind_int64(row, 2, key->uidvalidity);
        sqlite3_bind_int64(row, 3, range.low);
        sqlite3_bind_int64(row, 4, range.high);
        if (!read_chunks(&(RowSource){&disk->state, row, disk_read_recalled}, &chunk, func, user,
                         error))
            return FALSE;
    }
    func(g_steal_pointer(&chunk), TRUE, user);
    return TRUE;
}

/* -- Bodies ------------------------------------------------------------------------------------ */

GArray *disk_read_victims(Disk *disk, guint64 bytes, GError **error)
{
    g_autoptr(GArray) victims = g_array_new(FALSE, TRUE, sizeof(DiskVictim));
    guint64 found = 0;
    sqlite3_stmt *row;
    int more = 0;

    if (!disk_db_is_usable(&disk->index, error))
        return NULL;
    row = disk_db_statement(&disk->index, INDEX_VICTIMS);
    while (found < bytes && (more = disk_db_step(&disk->index, row, error)) > 0) {
        DiskVictim victim = {.mailbox = (guint16)sqlite3_column_int(row, 0),
                             .item = (guint64)sqlite3_column_int64(row, 1),
                             .size = (guint64)sqlite3_column_int64(row, 2)};

        g_array_append_val(victims, victim);
        found += victim.size;
    }
    sqlite3_reset(row);
    return more >= 0 ? g_steal_pointer(&victims) : NULL;
}

GArray *disk_read_body_items(Disk *disk, guint16 mailbox, GError **error)
{
    g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(guint64));
    sqlite3_stmt *row;
    int more;

    if (!disk_db_is_usable(&disk->index, error))
        return NULL;
    row = disk_db_statement(&disk->index, INDEX_BODY_ITEMS);
    sqlite3_bind_int(row, 1, mailbox);
    while ((more = disk_db_step(&disk->index, row, error)) > 0) {
        guint64 item = (guint64)sqlite3_column_int64(row, 0);

        g_array_append_val(items, item);
    }
    return more == 0 ? g_steal_pointer(&items) : NULL;
}

GArray *disk_read_body_mailboxes(Disk *disk, GError **error)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(guint16));
    sqlite3_stmt *row;
    int more;

    if (!disk_db_is_usable(&disk->index, error))
        return NULL;
    row = disk_db_statement(&disk->index, INDEX_BODY_MAILBOXES);
    while ((more = disk_db_step(&disk->index, row, error)) > 0) {
        guint16 number = (guint16)sqlite3_column_int(row, 0);

        g_array_append_val(numbers, number);
    }
    return more == 0 ? g_steal_pointer(&numbers) : NULL;
}

guint64 disk_read_body_total(Disk *disk)
{
    sqlite3_stmt *row = disk_db_statement(&disk->index, INDEX_BODY_TOTAL);
    guint64 total = 0;

    if (disk_db_step(&disk->index, row, NULL) > 0)
        total = (guint64)sqlite3_column_int64(row, 0);
    sqlite3_reset(row);
    return total;
}

gboolean disk_read_body(Disk *disk, guint16 mailbox, guint64 item, DiskVictim *ret_body,
                        guint8 *ret_sha256, GError **error)
{
    sqlite3_stmt *row;
    gboolean is_found = FALSE;
    int more;

    if (!disk_db_is_usable(&disk->index, error))
        return FALSE;
    row = disk_db_statement(&disk->index, INDEX_GET_BODY);
    sqlite3_bind_int(row, 1, mailbox);
    sqlite3_bind_int64(row, 2, (sqlite3_int64)item);
    more = disk_db_step(&disk->index, row, error);
    if (more < 0)
        return FALSE;
    if (more > 0 && sqlite3_column_bytes(row, 1) == DISK_SHA256) {
        *ret_body = (DiskVictim){mailbox, item, (guint64)sqlite3_column_int64(row, 0)};
        memcpy(ret_sha256, sqlite3_column_blob(row, 1), DISK_SHA256);
        is_found = TRUE;
    }
    sqlite3_reset(row);
    return is_found || mail_fail(error, MAIL_ERROR_GONE, "the body is not in the index");
}

void disk_read_twin(Disk *disk, guint64 size, const guint8 *sha256, DiskVictim *ret_twin)
{
    sqlite3_stmt *row;

    *ret_twin = (DiskVictim){.size = size};
    if (!disk_db_is_usable(&disk->index, NULL))
        return; /* then it is uploaded */
    row = disk_db_statement(&disk->index, INDEX_TWIN);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)size);
    sqlite3_bind_blob(row, 2, sha256, DISK_SHA256, SQLITE_STATIC);
    if (disk_db_step(&disk->index, row, NULL) > 0) {
        ret_twin->mailbox = (guint16)sqlite3_column_int(row, 0);
        ret_twin->item = (guint64)sqlite3_column_int64(row, 1);
    }
    sqlite3_reset(row);
}
