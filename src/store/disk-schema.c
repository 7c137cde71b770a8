/* The two databases as files: opened, made, brought to this version, and what happens when one of
 * them is damaged.
 *
 * The index may be thrown away: when it is damaged it is set aside and begun anew, and what is
 * lost is fetched again.  The state may not: disk-rescue.c.  A file of an older version is
 * upgraded in its place, in one transaction, after it was found sound.
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

static gboolean db_make_tables(DiskDb *db, const DiskSchema *schema, GError **error)
{
    g_autofree char *sql = g_strdup_printf("BEGIN; %s PRAGMA user_version=%d; COMMIT",
                                           schema->tables, schema->version);

    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK || disk_db_fail(db, error);
}

/* From @version to this one, step by step, in one transaction.  What fails half-way is rolled back
 * when the connection is closed. */
static gboolean db_upgrade(DiskDb *db, const DiskSchema *schema, gint64 version, GError **error)
{
    g_autoptr(GString) sql = g_string_new("BEGIN;");

    for (gint64 i = version; i < schema->version; i++)
        g_string_append(sql, schema->upgrades[i - 1]);
    g_string_append_printf(sql, "PRAGMA user_version=%d; COMMIT", schema->version);
    return sqlite3_exec(db->handle, sql->str, NULL, NULL, NULL) == SQLITE_OK ||
           disk_db_fail(db, error);
}

static gboolean db_prepare(DiskDb *db, const DiskSchema *schema, GError **error)
{
    for (guint i = 0; i < schema->n_statements; i++)
        if (sqlite3_prepare_v3(db->handle, schema->statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &db->statements[i], NULL) != SQLITE_OK)
            return disk_db_fail(db, error);
    return TRUE;
}

/* What the last failure makes of a file.  A plain ERROR means that a table or a column is not
 * there, for the statements are ours. */
static DiskFound db_failed(DiskDb *db)
{
    int code = db->handle ? sqlite3_extended_errcode(db->handle) : SQLITE_CANTOPEN;

    return disk_db_is_damage(code) || (code & 0xff) == SQLITE_ERROR ? DISK_FOUND_DAMAGED
                                                                    : DISK_FOUND_UNUSABLE;
}

DiskFound disk_db_open(DiskDb *db, const char *dir, const DiskSchema *schema, gboolean is_checked,
                       GError **error)
{
    gint64 version = 0, n_tables = 0;
    gboolean is_new;

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
        return DISK_FOUND_UNUSABLE;
    }
    is_new = version == 0 && n_tables == 0;
    if (!is_new && version < 1) {
        mail_fail(error, MAIL_ERROR_CACHE, "%s has the unknown version %" G_GINT64_FORMAT,
                  db->path, version);
        return DISK_FOUND_DAMAGED;
    }
    if (!is_new && is_checked && !db_check(db, error))
        return DISK_FOUND_DAMAGED;
    if (is_new ? !db_make_tables(db, schema, error)
               : version < schema->version && !db_upgrade(db, schema, version, error))
        return db_failed(db);
    if (!db_prepare(db, schema, error))
        return db_failed(db);
    return is_new ? DISK_FOUND_NEW : DISK_FOUND_GOOD;
}

gboolean disk_has_file(int dir_fd, const char *name)
{
    return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void disk_remove_file(int dir_fd, const char *file, const char *suffix)
{
    g_autofree char *name = g_strconcat(file, suffix, NULL);

    (void)unlinkat(dir_fd, name, 0);
}

static gboolean has_mark(const DiskDb *db)
{
    g_autofree char *name = disk_db_mark_name(db);

    return disk_has_file(db->dir_fd, db->file) && disk_has_file(db->dir_fd, name);
}

/* -- Opening both ------------------------------------------------------------------------------ */

static gboolean open_state(Disk *disk, DiskFound *ret_found, GError **error)
{
    g_autoptr(GError) damage = NULL;
    DiskFound found = DISK_FOUND_DAMAGED;

    disk->state.file = disk_state_schema.file;
    disk->state.dir_fd = disk->state_fd;
    if (!has_mark(&disk->state))
        found = disk_db_open(&disk->state, disk->state_dir, &disk_state_schema, TRUE, &damage);
    if (found == DISK_FOUND_UNUSABLE) {
        g_propagate_error(error, g_steal_pointer(&damage));
        return FALSE;
    }
    if (found == DISK_FOUND_DAMAGED) {
        if (!disk_rescue_state(disk, error) ||
            disk_db_open(&disk->state, disk->state_dir, &disk_state_schema, FALSE, error) !=
                DISK_FOUND_GOOD)
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

static DiskFound look_at_index(Disk *disk, gboolean *ret_is_clean, GError **error)
{
    gint64 is_clean = 0, is_swept = 0;
    DiskFound found = DISK_FOUND_DAMAGED;

    if (has_mark(&disk->index)) {
        mail_fail(error, MAIL_ERROR_CACHE, "damage was met in the last run");
        return DISK_FOUND_DAMAGED;
    }
    found = disk_db_open(&disk->index, disk->cache_dir, &disk_index_schema, FALSE, error);
    if (found != DISK_FOUND_GOOD)
        return found;
    if (!db_number(&disk->index, "SELECT clean FROM meta", &is_clean) ||
        !db_number(&disk->index, "SELECT swept FROM meta", &is_swept)) {
        mail_fail(error, MAIL_ERROR_CACHE, "%s has lost its first row", disk->index.path);
        return DISK_FOUND_DAMAGED;
    }
    is_clean = is_clean == disk->boot;
    /* After a clean end damage is unlikely, and reading everything would make each start slow. */
    if (!is_clean && !db_check(&disk->index, error))
        return DISK_FOUND_DAMAGED;
    disk->sweep = is_clean && is_swept ? SWEEP_DONE : SWEEP_DUE;
    *ret_is_clean = is_clean != 0;
    return DISK_FOUND_GOOD;
}

static gboolean open_index(Disk *disk, DiskFound *ret_found, GError **error)
{
    g_autoptr(GError) damage = NULL;
    gboolean is_clean = FALSE;
    DiskFound found;

    disk->index.file = disk_index_schema.file;
    disk->index.dir_fd = disk->cache_fd;
    found = look_at_index(disk, &is_clean, &damage);
    if (found == DISK_FOUND_UNUSABLE) {
        g_propagate_error(error, g_steal_pointer(&damage));
        return FALSE;
    }
    if (found == DISK_FOUND_DAMAGED) {
        g_message("the index in %s is set aside and begun anew: %s", disk->cache_dir,
                  damage->message);
        disk_db_close(&disk->index);
        if (!io_rename_at(disk->cache_fd, "index.db", "index.db.damaged", error))
            return FALSE;
        disk_remove_file(disk->cache_fd, disk->index.file, "-wal");
        disk_remove_file(disk->cache_fd, disk->index.file, ".broken");
        if (disk_db_open(&disk->index, disk->cache_dir, &disk_index_schema, FALSE, error) !=
            DISK_FOUND_NEW)
            return FALSE;
    }
    disk->was_unclean = found != DISK_FOUND_NEW && !is_clean;
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
    DiskFound state = DISK_FOUND_NEW, index = DISK_FOUND_NEW;
    guint n_copied = 0;

    disk->boot = number_of_boot();
    if (!open_state(disk, &state, error) || !open_index(disk, &index, error))
        return FALSE;
    if (state != DISK_FOUND_GOOD && index == DISK_FOUND_GOOD &&
        !disk_refill_state(disk, &n_copied, error))
        return FALSE;
    if (state == DISK_FOUND_NEW && n_copied > 0) {
        disk->warning = g_strdup_printf("%s was missing; its rows were taken from the index, "
                                        "messages that it did not know may get new names",
                                        disk->state.path);
        g_message("%s", disk->warning);
    }
    if (disk->was_unclean && !disk_reconcile(disk, error))
        return FALSE;
    return write_mark(disk,
                      disk->was_unclean ? "BEGIN; UPDATE meta SET clean = 0, swept = 0;"
                                          "UPDATE body SET suspect = 1 WHERE suspect = 0; COMMIT"
                                        : "UPDATE meta SET clean = 0",
                      error);
}
