/* One connection to SQLite: kept statements, steps, and its failures as sentences.
 *
 * SQLite's codes become ours in one place, disk_db_fail().  Damage that is met here, while
 * running, is not repaired on the spot: the connection is of no more use for this run, and a
 * mark beside the file tells the next start to set it aside (disk-schema.c).
 */
#include "store/disk-internal.h"

#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>

gboolean disk_db_is_damage(int code)
{
    return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB ||
           code == SQLITE_IOERR_SHORT_READ;
}

char *disk_db_mark_name(const DiskDb *db)
{
    return g_strconcat(db->file, ".broken", NULL);
}

/* Damage met while running.  The mark makes the next start set the file aside, for a look at
 * its first pages may not show it. */
static void note_damage(DiskDb *db)
{
    g_autofree char *name = disk_db_mark_name(db);
    autofd int fd = io_open_at(db->dir_fd, name, O_WRONLY | O_CREAT, 0600, NULL);

    if (!db->is_broken)
        g_message("%s is damaged and will be set aside at the next start", db->path);
    db->is_broken = TRUE;
}

/* The errno behind a failure.  sqlite3_system_errno() does not know that of a COMMIT: the file
 * that could not be written, the write-ahead log, remembers it. */
static int db_errno(DiskDb *db, int code)
{
    int errnum = sqlite3_system_errno(db->handle);
    sqlite3_file *log = NULL;

    if (code == SQLITE_IOERR_WRITE &&
        sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) ==
            SQLITE_OK &&
        log && log->pMethods)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &errnum);
    return errnum;
}

gboolean disk_db_fail(DiskDb *db, GError **error)
{
    int code = sqlite3_extended_errcode(db->handle);
    int errnum = db_errno(db, code);
    const char *reason = sqlite3_errmsg(db->handle);

    switch (code & 0xff) {
    case SQLITE_FULL:
        return mail_fail(error, MAIL_ERROR_NOSPACE, "the disk is full: %s cannot be written; "
                         "make room there", db->path);
    case SQLITE_IOERR:
        if (errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG)
            return mail_fail(error, MAIL_ERROR_NOSPACE, "%s cannot be written: %s; make room there",
                             db->path, g_strerror(errnum));
        return mail_fail(error, MAIL_ERROR_CACHE, "%s: %s (%s)", db->path, reason,
                         g_strerror(errnum));
    case SQLITE_CANTOPEN:
        return mail_fail(error, MAIL_ERROR_CACHE, "cannot open %s: %s; it must be a regular file "
                         "of yours", db->path, errnum ? g_strerror(errnum) : reason);
    case SQLITE_READONLY:
        return mail_fail(error, MAIL_ERROR_READONLY, "%s is read-only", db->path);
    default:
        return mail_fail(error, MAIL_ERROR_CACHE, "%s: %s", db->path, reason);
    }
}

sqlite3_stmt *disk_db_statement(DiskDb *db, guint id)
{
    sqlite3_stmt *statement = db->statements[id];

    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return statement;
}

int disk_db_step(DiskDb *db, sqlite3_stmt *statement, GError **error)
{
    int code = sqlite3_step(statement);

    if (code == SQLITE_ROW)
        return 1;
    if (code != SQLITE_DONE) {
        disk_db_fail(db, error);
        if (disk_db_is_damage(code))
            note_damage(db);
    }
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? 0 : -1;
}

gboolean disk_db_run(DiskDb *db, sqlite3_stmt *statement, GError **error)
{
    int more;

    while ((more = disk_db_step(db, statement, error)) > 0)
        ;
    return more == 0;
}

gboolean disk_db_exec(DiskDb *db, const char *sql, GError **error)
{
    int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

    if (code == SQLITE_OK)
        return TRUE;
    disk_db_fail(db, error);
    if (disk_db_is_damage(code))
        note_damage(db);
    return FALSE;
}

void disk_db_bind_number(sqlite3_stmt *statement, int i, guint64 number)
{
    sqlite3_bind_int64(statement, i, (sqlite3_int64)number);
}

void disk_db_bind_text(sqlite3_stmt *statement, int i, const char *text)
{
    sqlite3_bind_text(statement, i, text, -1, SQLITE_STATIC);
}

gboolean disk_db_is_usable(const DiskDb *db, GError **error)
{
    if (db->is_unsynced)
        return mail_fail(error, MAIL_ERROR_CACHE,
                         "%s could not be made durable, nothing more is written there; look at "
                         "the disk (dmesg), then unmount and mount again", db->path);
    if (!db->is_broken)
        return TRUE;
    return mail_fail(error, MAIL_ERROR_CACHE,
                     "%s is damaged; unmount and mount again to have it repaired", db->path);
}

void disk_db_close(DiskDb *db)
{
    for (guint i = 0; i < DISK_MAX_STATEMENTS; i++)
        sqlite3_finalize(g_steal_pointer(&db->statements[i]));
    sqlite3_close(g_steal_pointer(&db->handle));
    g_clear_pointer(&db->path, g_free);
}
