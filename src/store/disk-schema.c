/* The two databases as files: their tables, their versions, and what happens when one of them is
 * damaged.
 *
 * The index may be thrown away: when it is damaged it is set aside and begun anew, and what is
 * lost is fetched again.  The state may not: a fresh file is built beside it out of every row
 * that can still be read, from both ends of each table, and what is missing then is taken from
 * the index, which holds the same names and numbers of all messages that it knows.
 *
 * Both are opened with locking_mode=EXCLUSIVE: the lock files of disk.c keep others out anyway,
 * and without shared memory WAL also works on a home that is a network filesystem.
 */
#include "store/disk-internal.h"

#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    const char *file;
    int version; /* user_version */
    const char *synchronous;
    const char *tables;
    const char *const *statements;
    guint n_statements;
} Schema;

/* What opening a file came to. */
typedef enum {
    FOUND_NEW,      /* it was not there, or empty: the tables were made */
    FOUND_GOOD,
    FOUND_DAMAGED,  /* set it aside; the error says what was seen */
    FOUND_UNUSABLE, /* another failure: full, forbidden, from a newer version */
} Found;

/* -- state.db ---------------------------------------------------------------------------------- */

/* A mailbox without a wire name is one whose name another number took over (a rename), or whose
 * messages were put first; its number stays taken. */
G_STATIC_ASSERT(DISK_MAX_ITEM == 68719476735);
static const char state_tables[] =
    "CREATE TABLE mailbox("
    "  number INTEGER PRIMARY KEY CHECK(number BETWEEN 1 AND 65535),"
    "  wire TEXT UNIQUE,"
    "  next_item INTEGER NOT NULL CHECK(next_item > 0)"
    ") STRICT;"
    "CREATE TABLE item("
    "  mailbox INTEGER NOT NULL CHECK(mailbox BETWEEN 1 AND 65535),"
    "  item INTEGER NOT NULL CHECK(item BETWEEN 1 AND 68719476735)," /* DISK_MAX_ITEM */
    "  uidvalidity INTEGER NOT NULL,"
    "  uid INTEGER NOT NULL,"
    "  name TEXT NOT NULL,"
    "  PRIMARY KEY(mailbox, item)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX item_by_uid ON item(mailbox, uidvalidity, uid);";

/* Rows that would not change are not written (the WHERE of an upsert): listing a mailbox again
 * after the cache was lost must not cost an fsync of the state. */
static const char *const state_statements[STATE_N_STATEMENTS] = {
    [STATE_MAILBOXES] = "SELECT number, wire, next_item FROM mailbox ORDER BY number",
    [STATE_DISPLACE_WIRE] = "UPDATE mailbox SET wire = NULL WHERE wire = ?2 AND number <> ?1",
    [STATE_PUT_MAILBOX] = "INSERT INTO mailbox(number, wire, next_item) VALUES(?1, ?2, 1)"
                          " ON CONFLICT(number) DO UPDATE SET wire = excluded.wire"
                          " WHERE wire IS NOT excluded.wire",
    [STATE_RAISE_NEXT] = "INSERT INTO mailbox(number, next_item) VALUES(?1, ?2)"
                         " ON CONFLICT(number) DO UPDATE SET next_item = excluded.next_item"
                         " WHERE next_item < excluded.next_item",
    /* A UID is one item's only. */
    [STATE_DISPLACE_UID] = "DELETE FROM item WHERE mailbox = ?1 AND uidvalidity = ?2 AND uid = ?3"
                           " AND item <> ?4 AND ?3 > 0",
    [STATE_PUT_ITEM] = "INSERT INTO item(mailbox, item, uidvalidity, uid, name)"
                       " VALUES(?1, ?2, ?3, ?4, ?5)"
                       " ON CONFLICT(mailbox, item) DO UPDATE SET"
                       " uidvalidity = excluded.uidvalidity, uid = excluded.uid,"
                       " name = excluded.name"
                       " WHERE uidvalidity <> excluded.uidvalidity OR uid <> excluded.uid"
                       " OR name <> excluded.name",
    [STATE_REMOVE_ITEM] = "DELETE FROM item WHERE mailbox = ?1 AND item = ?2",
    [STATE_RECALL] = "SELECT item, uid, name FROM item INDEXED BY item_by_uid"
                     " WHERE mailbox = ?1 AND uidvalidity = ?2 AND uid BETWEEN ?3 AND ?4"
                     " ORDER BY uid",
};

static const Schema state_schema = {"state.db",   1,                "FULL",
                                    state_tables, state_statements, STATE_N_STATEMENTS};

/* -- index.db ---------------------------------------------------------------------------------- */

/* meta has one row.  clean: disk_close() was reached, in the boot of this number; else 0.  swept:
 * rows and files of bodies agree, as far as a sweep can tell.  body.suspect: cached before an
 * unclean end, and not verified since. */
static const char index_tables[] =
    "CREATE TABLE meta(clean INTEGER NOT NULL, swept INTEGER NOT NULL) STRICT;"
    "INSERT INTO meta(clean, swept) VALUES(0, 0);"
    "CREATE TABLE mailbox("
    "  number INTEGER PRIMARY KEY CHECK(number BETWEEN 1 AND 65535),"
    "  wire TEXT NOT NULL,"
    "  path BLOB NOT NULL," /* components, each ended by a NUL */
    "  delimiter INTEGER NOT NULL,"
    "  list_flags INTEGER NOT NULL,"
    "  uidvalidity INTEGER NOT NULL,"
    "  uidnext INTEGER NOT NULL,"
    "  highestmodseq INTEGER NOT NULL,"
    "  n_messages INTEGER NOT NULL,"
    "  n_unseen INTEGER NOT NULL,"
    "  is_listed INTEGER NOT NULL,"
    "  used INTEGER NOT NULL,"
    "  compared INTEGER NOT NULL,"
    "  changed INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE message("
    "  mailbox INTEGER NOT NULL CHECK(mailbox BETWEEN 1 AND 65535),"
    "  item INTEGER NOT NULL CHECK(item BETWEEN 1 AND 68719476735)," /* DISK_MAX_ITEM */
    "  uid INTEGER NOT NULL,"
    "  size INTEGER NOT NULL,"
    "  is_exact INTEGER NOT NULL,"
    "  date INTEGER NOT NULL,"
    "  appeared INTEGER NOT NULL,"
    "  fingerprint INTEGER NOT NULL,"
    "  flags INTEGER NOT NULL,"
    "  keywords TEXT,"
    "  name TEXT NOT NULL,"
    "  PRIMARY KEY(mailbox, item)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX message_by_uid ON message(mailbox, uid);"
    "CREATE TABLE body("
    "  mailbox INTEGER NOT NULL,"
    "  item INTEGER NOT NULL,"
    "  size INTEGER NOT NULL,"
    "  sha256 BLOB NOT NULL,"
    "  used INTEGER NOT NULL,"
    "  suspect INTEGER NOT NULL,"
    "  PRIMARY KEY(mailbox, item)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX body_by_use ON body(used, size);";

static const char *const index_statements[INDEX_N_STATEMENTS] = {
    [INDEX_MAILBOXES] = "SELECT number, wire, path, delimiter, list_flags, uidvalidity, uidnext,"
                        " highestmodseq, n_messages, n_unseen, is_listed, used, compared, changed"
                        " FROM mailbox ORDER BY number",
    [INDEX_PUT_MAILBOX] = "INSERT OR REPLACE INTO mailbox(number, wire, path, delimiter,"
                          " list_flags, uidvalidity, uidnext, highestmodseq, n_messages,"
                          " n_unseen, is_listed, used, compared, changed)"
                          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [INDEX_REMOVE_MAILBOX] = "DELETE FROM mailbox WHERE number = ?1",
    /* INDEXED BY: the other plan sorts a whole mailbox in memory. */
    [INDEX_LOAD] = "SELECT m.item, m.uid, m.size, m.is_exact, m.date, m.appeared, m.fingerprint,"
                   " m.flags, m.keywords, m.name, b.suspect"
                   " FROM message AS m INDEXED BY message_by_uid"
                   " LEFT JOIN body AS b ON b.mailbox = m.mailbox AND b.item = m.item"
                   " WHERE m.mailbox = ?1 ORDER BY m.uid",
    [INDEX_DISPLACE_UID] = "DELETE FROM message WHERE mailbox = ?1 AND uid = ?2 AND item <> ?3"
                           " AND ?2 > 0",
    [INDEX_PUT_MESSAGE] = "INSERT OR REPLACE INTO message(mailbox, item, uid, size, is_exact,"
                          " date, appeared, fingerprint, flags, keywords, name)"
                          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [INDEX_PUT_FLAGS] = "UPDATE message SET flags = ?3, keywords = ?4"
                        " WHERE mailbox = ?1 AND item = ?2",
    [INDEX_PUT_SIZE] = "UPDATE message SET size = ?3, is_exact = 1"
                       " WHERE mailbox = ?1 AND item = ?2",
    [INDEX_REMOVE_MESSAGE] = "DELETE FROM message WHERE mailbox = ?1 AND item = ?2",
    [INDEX_REMOVE_MESSAGES] = "DELETE FROM message WHERE mailbox = ?1",
    [INDEX_BODY_TOTAL] = "SELECT SUM(size) FROM body",
    [INDEX_BODY_MAILBOXES] = "SELECT DISTINCT mailbox FROM body",
    [INDEX_BODY_ITEMS] = "SELECT item FROM body WHERE mailbox = ?1 ORDER BY item",
    [INDEX_GET_BODY] = "SELECT size, sha256 FROM body WHERE mailbox = ?1 AND item = ?2",
    [INDEX_PUT_BODY] = "INSERT OR REPLACE INTO body(mailbox, item, size, sha256, used, suspect)"
                       " VALUES(?1, ?2, ?3, ?4, ?5, 0)",
    [INDEX_USE_BODY] = "UPDATE body SET used = ?3 WHERE mailbox = ?1 AND item = ?2",
    [INDEX_TRUST_BODY] = "UPDATE body SET suspect = 0 WHERE mailbox = ?1 AND item = ?2",
    [INDEX_DROP_BODY] = "DELETE FROM body WHERE mailbox = ?1 AND item = ?2 RETURNING size",
    [INDEX_DROP_BODIES] = "DELETE FROM body WHERE mailbox = ?1 RETURNING size",
    [INDEX_VICTIMS] = "SELECT mailbox, item, size FROM body INDEXED BY body_by_use"
                      " ORDER BY used",
};

static const Schema index_schema = {"index.db",   1,                "NORMAL",
                                    index_tables, index_statements, INDEX_N_STATEMENTS};

/* -- Opening one file -------------------------------------------------------------------------- */

static gboolean db_number(DiskDb *db, const char *sql, gint64 *ret_number)
{
    sqlite3_stmt *statement = NULL;
    gboolean found = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL) == SQLITE_OK &&
                     sqlite3_step(statement) == SQLITE_ROW;

    if (found)
        *ret_number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return found;
}

/* FALSE with a sentence when the pages of the file do not fit together. */
static gboolean db_check(DiskDb *db, GError **error)
{
    sqlite3_stmt *statement = NULL;
    const char *said = NULL;
    gboolean is_sound;

    if (sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &statement, NULL) ==
            SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        said = (const char *)sqlite3_column_text(statement, 0);
    is_sound = g_strcmp0(said, "ok") == 0;
    if (!is_sound)
        mail_fail(error, MAIL_ERROR_CACHE, "%s is damaged: %s", db->path,
                  said ? said : sqlite3_errmsg(db->handle));
    sqlite3_finalize(statement);
    return is_sound;
}

static gboolean db_connect(DiskDb *db, const char *synchronous, GError **error)
{
    /* SQLite would make the file with the umask's rights; its -wal takes the rights of this. */
    autofd int fd = io_open_at(db->dir_fd, db->file, O_RDWR | O_CREAT, 0600, error);
    g_autofree char *pragmas = NULL;

    if (fd < 0)
        return FALSE;
    close(steal_fd(&fd)); /* before SQLite locks it: a close drops all our locks on the file */
    if (sqlite3_open_v2(db->path, &db->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                            SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK)
        return disk_db_fail(db, error);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    /* 1 MiB of pages each; temp_store=MEMORY because the sandbox has no /tmp. */
    pragmas = g_strdup_printf("PRAGMA locking_mode=EXCLUSIVE; PRAGMA trusted_schema=OFF;"
                              "PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY;"
                              "PRAGMA cache_size=-1024; PRAGMA journal_size_limit=4194304;"
                              "PRAGMA journal_mode=WAL; PRAGMA synchronous=%s", synchronous);
    if (sqlite3_exec(db->handle, pragmas, NULL, NULL, NULL) != SQLITE_OK)
        return disk_db_fail(db, error);
    return TRUE;
}

static gboolean db_make_tables(DiskDb *db, const Schema *schema, GError **error)
{
    g_autofree char *sql = g_strdup_printf("BEGIN; %s PRAGMA user_version=%d; COMMIT",
                                           schema->tables, schema->version);

    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK || disk_db_fail(db, error);
}

static Found db_failed(DiskDb *db)
{
    return db->handle && disk_db_is_damage(sqlite3_extended_errcode(db->handle)) ? FOUND_DAMAGED
                                                                         : FOUND_UNUSABLE;
}

/* Opens @db (whose file and dir_fd are set) in the folder @dir.  @is_checked reads it whole. */
static Found db_open(DiskDb *db, const char *dir, const Schema *schema, gboolean is_checked,
                     GError **error)
{
    gint64 version = 0, n_tables = 0;
    Found found = FOUND_GOOD;

    db->path = g_build_filename(dir, db->file, NULL);
    if (!db_connect(db, schema->synchronous, error))
        return db_failed(db);
    if (!db_number(db, "PRAGMA user_version", &version) ||
        !db_number(db, "SELECT COUNT(*) FROM sqlite_schema", &n_tables)) {
        disk_db_fail(db, error);
        return db_failed(db);
    }
    if (version > schema->version) {
        mail_fail(error, MAIL_ERROR_INVALID, "%s was written by a newer mailfs (its version is %"
                  G_GINT64_FORMAT ", this mailfs knows %d); install the newer mailfs",
                  db->path, version, schema->version);
        return FOUND_UNUSABLE;
    }
    if (version == 0 && n_tables == 0) {
        if (!db_make_tables(db, schema, error))
            return db_failed(db);
        found = FOUND_NEW;
    } else if (version != schema->version) {
        mail_fail(error, MAIL_ERROR_CACHE, "%s has the unknown version %" G_GINT64_FORMAT,
                  db->path, version);
        return FOUND_DAMAGED;
    }
    if (is_checked && found == FOUND_GOOD && !db_check(db, error))
        return FOUND_DAMAGED;
    for (guint i = 0; i < schema->n_statements; i++)
        if (sqlite3_prepare_v3(db->handle, schema->statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &db->statements[i], NULL) != SQLITE_OK) {
            disk_db_fail(db, error);
            /* Here a plain ERROR means that a table or a column is not there. */
            return (sqlite3_errcode(db->handle) & 0xff) == SQLITE_ERROR ? FOUND_DAMAGED
                                                                        : db_failed(db);
        }
    return found;
}

static gboolean has_file(int dir_fd, const char *name)
{
    return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void remove_file(int dir_fd, const char *file, const char *suffix)
{
    g_autofree char *name = g_strconcat(file, suffix, NULL);

    (void)unlinkat(dir_fd, name, 0);
}

static gboolean has_mark(const DiskDb *db)
{
    g_autofree char *name = disk_db_mark_name(db);

    return has_file(db->dir_fd, db->file) && has_file(db->dir_fd, name);
}

/* -- Rescue ------------------------------------------------------------------------------------ */

/* Copies what @select finds into @insert, row by row, for as long as rows can be read; those that
 * the tables refuse are left out.  TRUE when the end was reached. */
static gboolean copy_rows(sqlite3 *from, const char *select, sqlite3 *to, const char *insert,
                          guint *n_copied)
{
    sqlite3_stmt *reader = NULL, *writer = NULL;
    int code = sqlite3_prepare_v2(from, select, -1, &reader, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(to, insert, -1, &writer, NULL);
    if (code == SQLITE_OK)
        while ((code = sqlite3_step(reader)) == SQLITE_ROW) {
            for (int i = 0; i < sqlite3_column_count(reader); i++)
                sqlite3_bind_value(writer, i + 1, sqlite3_column_value(reader, i));
            if (sqlite3_step(writer) == SQLITE_DONE)
                *n_copied += (guint)sqlite3_changes(to);
            sqlite3_reset(writer);
        }
    sqlite3_finalize(reader);
    sqlite3_finalize(writer);
    return code == SQLITE_DONE;
}

#define INSERT_MAILBOX "INSERT OR IGNORE INTO mailbox(number, wire, next_item) VALUES(?1, ?2, ?3)"
#define INSERT_ITEM                                                                                \
    "INSERT OR IGNORE INTO item(mailbox, item, uidvalidity, uid, name) VALUES(?1, ?2, ?3, ?4, ?5)"

/* No number may be given twice, so every mailbox counts on from the highest item that was found. */
static const char raise_all_next[] =
    "INSERT OR IGNORE INTO mailbox(number, next_item) SELECT DISTINCT mailbox, 1 FROM item;"
    "UPDATE mailbox SET next_item = MAX(next_item,"
    " IFNULL((SELECT MAX(item) + 1 FROM item WHERE mailbox = number), 1));";

/* The readable rows of the damaged file at @path. */
static guint salvage(const char *path, sqlite3 *to)
{
    static const struct {
        const char *ascending, *descending, *insert;
    } tables[] = {
        {"SELECT number, wire, next_item FROM mailbox ORDER BY number",
         "SELECT number, wire, next_item FROM mailbox ORDER BY number DESC", INSERT_MAILBOX},
        {"SELECT mailbox, item, uidvalidity, uid, name FROM item ORDER BY mailbox, item",
         "SELECT mailbox, item, uidvalidity, uid, name FROM item"
         " ORDER BY mailbox DESC, item DESC", INSERT_ITEM},
    };
    sqlite3 *from = NULL;
    guint n_copied = 0;

    if (sqlite3_open_v2(path, &from,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
                        NULL) == SQLITE_OK) {
        /* It is kept for whoever wants to look into it: nothing more is written there. */
        sqlite3_db_config(from, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_exec(from, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY", NULL, NULL,
                     NULL);
        for (guint i = 0; i < G_N_ELEMENTS(tables); i++)
            if (!copy_rows(from, tables[i].ascending, to, tables[i].insert, &n_copied))
                copy_rows(from, tables[i].descending, to, tables[i].insert, &n_copied);
    }
    sqlite3_close(from);
    return n_copied;
}

/* Renames the state and its write-ahead log out of the way; the name they have then. */
static char *set_state_aside(int dir_fd, const char *file, GError **error)
{
    g_autofree char *log = g_strconcat(file, "-wal", NULL);

    for (guint i = 1;; i++) {
        g_autofree char *aside = g_strdup_printf("%s.damaged-%u", file, i);
        g_autofree char *aside_log = g_strconcat(aside, "-wal", NULL);

        if (has_file(dir_fd, aside))
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

/* Builds the state anew from the readable rows of the damaged file.  The fresh file is whole
 * before it takes the other's place, so that a crash in here costs nothing. */
static gboolean rescue_state(Disk *disk, GError **error)
{
    DiskDb fresh = {.file = "state.db.new", .dir_fd = disk->state_fd};
    g_autofree char *aside = NULL, *damaged = NULL;
    guint n_copied = 0;
    gboolean is_done;

    disk_db_close(&disk->state);
    remove_file(disk->state_fd, fresh.file, "");
    remove_file(disk->state_fd, fresh.file, "-wal");
    is_done = db_open(&fresh, disk->state_dir, &state_schema, FALSE, error) == FOUND_NEW &&
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
    remove_file(disk->state_fd, disk->state.file, ".broken");
    disk->warning = g_strdup_printf(
        "%s was damaged; %u of its rows could be kept, other messages may get new names. "
        "The damaged file is %s/%s", damaged, n_copied, disk->state_dir, aside);
    g_message("%s", disk->warning);
    return TRUE;
}

/* Takes names and numbers over from the index where the state lacks them. */
static gboolean refill_state(Disk *disk, guint *n_copied, GError **error)
{
    if (!disk_db_exec(&disk->state, "BEGIN", error))
        return FALSE;
    copy_rows(disk->index.handle, "SELECT number, wire, 1 FROM mailbox", disk->state.handle,
              INSERT_MAILBOX, n_copied);
    copy_rows(disk->index.handle,
              "SELECT m.mailbox, m.item, b.uidvalidity, m.uid, m.name FROM message AS m"
              " JOIN mailbox AS b ON b.number = m.mailbox",
              disk->state.handle, INSERT_ITEM, n_copied);
    return disk_db_exec(&disk->state, raise_all_next, error) &&
           disk_db_exec(&disk->state, "COMMIT", error);
}

/* -- Opening both ------------------------------------------------------------------------------ */

static gboolean open_state(Disk *disk, Found *ret_found, GError **error)
{
    g_autoptr(GError) damage = NULL;
    Found found = FOUND_DAMAGED;

    disk->state.file = state_schema.file;
    disk->state.dir_fd = disk->state_fd;
    if (!has_mark(&disk->state))
        found = db_open(&disk->state, disk->state_dir, &state_schema, TRUE, &damage);
    if (found == FOUND_UNUSABLE) {
        g_propagate_error(error, g_steal_pointer(&damage));
        return FALSE;
    }
    if (found == FOUND_DAMAGED) {
        if (!rescue_state(disk, error) ||
            db_open(&disk->state, disk->state_dir, &state_schema, FALSE, error) != FOUND_GOOD)
            return FALSE;
    }
    *ret_found = found;
    return TRUE;
}

/* Bodies are not synced: a sync of the whole file system at each unmount takes as long as what
 * others have written there, half a minute on a busy disk (measured).  So a clean end holds only
 * for the boot that it happened in; after the next one bodies are verified at their first use.
 * What is stored in meta.clean is a number of the boot, which is never 0. */
static gint64 number_of_boot(void)
{
    g_autofree char *id = NULL;
    guint64 hash;

    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &id, NULL, NULL))
        return 1; /* it cannot be known: every boot is the same */
    hash = message_fingerprint(g_strchomp(id));
    return (gint64)(hash >> 2) + 2;
}

static Found look_at_index(Disk *disk, gboolean *ret_is_clean, GError **error)
{
    gint64 is_clean = 0, is_swept = 0;
    Found found = FOUND_DAMAGED;

    if (has_mark(&disk->index)) {
        mail_fail(error, MAIL_ERROR_CACHE, "damage was met in the last run");
        return FOUND_DAMAGED;
    }
    found = db_open(&disk->index, disk->cache_dir, &index_schema, FALSE, error);
    if (found != FOUND_GOOD)
        return found;
    if (!db_number(&disk->index, "SELECT clean FROM meta", &is_clean) ||
        !db_number(&disk->index, "SELECT swept FROM meta", &is_swept)) {
        mail_fail(error, MAIL_ERROR_CACHE, "%s has lost its first row", disk->index.path);
        return FOUND_DAMAGED;
    }
    is_clean = is_clean == disk->boot;
    /* After a clean end damage is unlikely, and reading everything would make each start slow. */
    if (!is_clean && !db_check(&disk->index, error))
        return FOUND_DAMAGED;
    disk->sweep = is_clean && is_swept ? SWEEP_DONE : SWEEP_DUE;
    *ret_is_clean = is_clean != 0;
    return FOUND_GOOD;
}

static gboolean open_index(Disk *disk, Found *ret_found, GError **error)
{
    g_autoptr(GError) damage = NULL;
    gboolean is_clean = FALSE;
    Found found;

    disk->index.file = index_schema.file;
    disk->index.dir_fd = disk->cache_fd;
    found = look_at_index(disk, &is_clean, &damage);
    if (found == FOUND_UNUSABLE) {
        g_propagate_error(error, g_steal_pointer(&damage));
        return FALSE;
    }
    if (found == FOUND_DAMAGED) {
        g_message("the index in %s is set aside and begun anew: %s", disk->cache_dir,
                  damage->message);
        disk_db_close(&disk->index);
        if (!io_rename_at(disk->cache_fd, "index.db", "index.db.damaged", error))
            return FALSE;
        remove_file(disk->cache_fd, disk->index.file, "-wal");
        remove_file(disk->cache_fd, disk->index.file, ".broken");
        if (db_open(&disk->index, disk->cache_dir, &index_schema, FALSE, error) != FOUND_NEW)
            return FALSE;
    }
    disk->was_unclean = found != FOUND_NEW && !is_clean;
    *ret_found = found;
    return TRUE;
}

/* An index.db alone is written with synchronous=NORMAL: a power cut may take its last moments.
 * The mark must not be among them, in neither direction. */
static gboolean write_mark(Disk *disk, const char *sql, GError **error)
{
    return disk_db_exec(&disk->index, "PRAGMA synchronous=FULL", error) &&
           disk_db_exec(&disk->index, sql, error) &&
           disk_db_exec(&disk->index, "PRAGMA synchronous=NORMAL", error);
}

gboolean disk_schema_mark_clean(Disk *disk, gboolean is_swept, GError **error)
{
    g_autofree char *sql =
        g_strdup_printf("UPDATE meta SET clean = %" G_GINT64_FORMAT ", swept = %d", disk->boot,
                        is_swept != FALSE);

    return disk_db_is_usable(&disk->index, error) &&
           write_mark(disk, sql, error);
}

gboolean disk_schema_open(Disk *disk, GError **error)
{
    Found state = FOUND_NEW, index = FOUND_NEW;
    guint n_copied = 0;

    disk->boot = number_of_boot();
    if (!open_state(disk, &state, error) || !open_index(disk, &index, error))
        return FALSE;
    if (state != FOUND_GOOD && index == FOUND_GOOD && !refill_state(disk, &n_copied, error))
        return FALSE;
    if (state == FOUND_NEW && n_copied > 0) {
        disk->warning = g_strdup_printf("%s was missing; its rows were taken from the index, "
                                        "messages that it did not know may get new names",
                                        disk->state.path);
        g_message("%s", disk->warning);
    }
    return write_mark(disk,
                      disk->was_unclean ? "BEGIN; UPDATE meta SET clean = 0, swept = 0;"
                                          "UPDATE body SET suspect = 1 WHERE suspect = 0; COMMIT"
                                        : "UPDATE meta SET clean = 0",
                      error);
}
