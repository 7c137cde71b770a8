/* Saving the state: what of a damaged state.db can still be read, and what the index knows of it.
 *
 * The state cannot be rebuilt.  A fresh file is made beside the damaged one out of every row that
 * can be read, from both ends of each table, and takes its place; what is missing then is taken
 * from the index, which holds the same names and numbers of all messages that it knows.  Journal
 * and local files are nowhere else; what names no row any more is found in staging/ at the start.
 */
#include "store/disk-internal.h"

#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name, *columns, *up, *down; /* the key, in both directions */
} Table;

/* sqlite_sequence comes before the journal, whose rows raise it.  An item of version 1 has fewer
 * columns; where the others can be read, its second turn copies nothing. */
static const Table tables[] = {
    {"mailbox", "number, wire, next_item", "number", "number DESC"},
    {"item", DISK_ITEM_COLUMNS, "mailbox, item", "mailbox DESC, item DESC"},
    {"item", "mailbox, item, uidvalidity, uid, name", "mailbox, item", "mailbox DESC, item DESC"},
    {"sqlite_sequence", "rowid, name, seq", "rowid", "rowid DESC"},
    {"journal", DISK_JOURNAL_COLUMNS, "id", "id DESC"},
    {"local", DISK_LOCAL_COLUMNS, "mailbox, item", "mailbox DESC, item DESC"},
    {"parked", "mailbox, item, name", "mailbox, item", "mailbox DESC, item DESC"},
};

static char *insert_into(const char *table, const char *columns)
{
    g_autoptr(GString) sql = g_string_new(NULL);

    g_string_printf(sql, "INSERT OR IGNORE INTO %s(%s) VALUES(?", table, columns);
    for (const char *p = strchr(columns, ','); p; p = strchr(p + 1, ','))
        g_string_append(sql, ", ?");
    g_string_append_c(sql, ')');
    return g_string_free(g_steal_pointer(&sql), FALSE);
}

/* Copies what @select finds into the @columns of @table, row by row, for as long as rows can be
 * read; those that the table refuses are left out.  TRUE when the end was reached. */
typedef struct {
    sqlite3 *from, *to;
    guint n_copied;
} Copy;

static gboolean copy_rows(Copy *copy, const char *select, const char *table, const char *columns)
{
    g_autofree char *insert = insert_into(table, columns);
    sqlite3_stmt *reader = NULL, *writer = NULL;
    int code = sqlite3_prepare_v2(copy->from, select, -1, &reader, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(copy->to, insert, -1, &writer, NULL);
    if (code == SQLITE_OK)
        while ((code = sqlite3_step(reader)) == SQLITE_ROW) {
            for (int i = 0; i < sqlite3_column_count(reader); i++)
                sqlite3_bind_value(writer, i + 1, sqlite3_column_value(reader, i));
            if (sqlite3_step(writer) == SQLITE_DONE)
                copy->n_copied += (guint)sqlite3_changes(copy->to);
            sqlite3_reset(writer);
        }
    sqlite3_finalize(reader);
    sqlite3_finalize(writer);
    return code == SQLITE_DONE;
}

static void copy_table(Copy *copy, const Table *table)
{
    const char *const orders[] = {table->up, table->down};

    for (guint i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autofree char *select = g_strdup_printf("SELECT %s FROM %s ORDER BY %s", table->columns,
                                                  table->name, orders[i]);

        if (copy_rows(copy, select, table->name, table->columns))
            return;
    }
}

/* No number may be given twice, so every mailbox counts on from the highest item that was found
 * (those of the journal are seen to at every start: disk_read_next_items()). */
static const char raise_all_next[] =
    "INSERT OR IGNORE INTO mailbox(number, next_item) SELECT DISTINCT mailbox, 1 FROM item;"
    "UPDATE mailbox SET next_item = MAX(next_item,"
    " IFNULL((SELECT MAX(item) + 1 FROM item WHERE mailbox = number), 1));";

/* The readable rows of the damaged file at @path. */
static guint salvage(const char *path, sqlite3 *to)
{
    Copy copy = {.to = to};

    if (sqlite3_open_v2(path, &copy.from,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
                        NULL) == SQLITE_OK) {
        /* It is kept for whoever wants to look into it: nothing more is written there. */
        sqlite3_db_config(copy.from, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_exec(copy.from, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY", NULL,
                     NULL, NULL);
        for (guint i = 0; i < G_N_ELEMENTS(tables); i++)
            copy_table(&copy, &tables[i]);
    }
    sqlite3_close(copy.from);
    return copy.n_copied;
}

/* Renames the state and its write-ahead log out of the way; the name they have then. */
static char *set_state_aside(int dir_fd, const char *file, GError **error)
{
    g_autofree char *log = g_strconcat(file, "-wal", NULL);

    for (guint i = 1;; i++) {
        g_autofree char *aside = g_strdup_printf("%s.damaged-%u", file, i);
        g_autofree char *aside_log = g_strconcat(aside, "-wal", NULL);

        if (disk_has_file(dir_fd, aside))
            continue;
        if (!io_rename_at(dir_fd, file, aside, error))
            return NULL;
        /* Left in its place it would be taken for the log of the fresh file. */
        if (renameat(dir_fd, log, dir_fd, aside_log) < 0 && errno != ENOENT) {
            mail_fail_errno(error, errno, "cannot rename %s", log);
            return NULL;
        }
        return g_steal_pointer(&aside);
    }
}

/* The fresh file is whole before it takes the other's place, so that a crash in here costs
 * nothing. */
gboolean disk_rescue_state(Disk *disk, GError **error)
{
    DiskDb fresh = {.file = "state.db.new", .dir_fd = disk->state_fd};
    g_autofree char *aside = NULL, *damaged = NULL;
    guint n_copied = 0;
    gboolean is_done;

    disk_db_close(&disk->state);
    disk_remove_file(disk->state_fd, fresh.file, "");
    disk_remove_file(disk->state_fd, fresh.file, "-wal");
    is_done = disk_db_open(&fresh, disk->state_dir, &disk_state_schema, FALSE, error) ==
                  DISK_FOUND_NEW &&
              disk_db_exec(&fresh, "BEGIN", error);
    if (is_done) {
        damaged = g_build_filename(disk->state_dir, disk->state.file, NULL);
        n_copied = salvage(damaged, fresh.handle);
        is_done = disk_db_exec(&fresh, raise_all_next, error) &&
                  disk_db_exec(&fresh, "COMMIT", error);
    }
    disk_db_close(&fresh);
    if (!is_done)
        return FALSE;
    aside = set_state_aside(disk->state_fd, disk->state.file, error);
    if (!aside || !io_rename_at(disk->state_fd, fresh.file, disk->state.file, error) ||
        !io_fsync(disk->state_fd, error))
        return FALSE;
    disk_remove_file(disk->state_fd, disk->state.file, ".broken");
    disk->warning = g_strdup_printf(
        "%s was damaged; %u of its rows could be kept, other messages may get new names. "
        "The damaged file is %s/%s", damaged, n_copied, disk->state_dir, aside);
    g_message("%s", disk->warning);
    return TRUE;
}

gboolean disk_refill_state(Disk *disk, guint *n_copied, GError **error)
{
    Copy copy = {.from = disk->index.handle, .to = disk->state.handle};

    if (!disk_db_exec(&disk->state, "BEGIN", error))
        return FALSE;
    copy_rows(&copy, "SELECT number, wire, 1 FROM mailbox", "mailbox", "number, wire, next_item");
    copy_rows(&copy,
              "SELECT m.mailbox, m.item, b.uidvalidity, m.uid, m.name, m.mtime, m.mode,"
              " m.is_hidden FROM message AS m JOIN mailbox AS b ON b.number = m.mailbox",
              "item", DISK_ITEM_COLUMNS);
    *n_copied += copy.n_copied;
    return disk_db_exec(&disk->state, raise_all_next, error) &&
           disk_db_exec(&disk->state, "COMMIT", error);
}
