/* What the parts of the disk share; see disk.h for what the disk is.
 *
 *   disk.c         opening and closing, the thread, its queue, answers to the main context
 *   disk-schema.c  the two databases as files: tables, versions, damage
 *   disk-db.c      one connection: statements, steps, failures
 *   disk-batch.c   what a batch holds, and carrying it out
 *   disk-read.c    rows read back
 *   disk-body.c    body files
 *   disk-sweep.c   making rows and files of bodies agree
 *
 * Who may touch a database: the thread; before it is started and after it was joined, the main
 * thread.  The handles are therefore opened without SQLite's own mutexes.
 */
#pragma once

#include <glib.h>
#include <pthread.h>
#include <sqlite3.h>

#include "store/disk.h"

#define DISK_MAX_ITEM ((G_GUINT64_CONSTANT(1) << 36) - 1) /* 36 bits of an inode */
#define DISK_CHUNK 1024                                   /* rows in one DiskLoadFunc call */
#define DISK_SHA256 32

/* -- Databases: disk-schema.c ------------------------------------------------------------------ */

typedef enum {
    STATE_MAILBOXES,
    STATE_DISPLACE_WIRE,
    STATE_PUT_MAILBOX,
    STATE_RAISE_NEXT,
    STATE_DISPLACE_UID,
    STATE_PUT_ITEM,
    STATE_REMOVE_ITEM,
    STATE_RECALL,
    STATE_N_STATEMENTS
} StateStatement;

typedef enum {
    INDEX_MAILBOXES,
    INDEX_PUT_MAILBOX,
    INDEX_REMOVE_MAILBOX,
    INDEX_LOAD,
    INDEX_DISPLACE_UID,
    INDEX_PUT_MESSAGE,
    INDEX_PUT_FLAGS,
    INDEX_PUT_SIZE,
    INDEX_REMOVE_MESSAGE,
    INDEX_REMOVE_MESSAGES,
    INDEX_BODY_TOTAL,
    INDEX_BODY_MAILBOXES,
    INDEX_BODY_ITEMS,
    INDEX_GET_BODY,
    INDEX_PUT_BODY,
    INDEX_USE_BODY,
    INDEX_TRUST_BODY,
    INDEX_DROP_BODY,
    INDEX_DROP_BODIES,
    INDEX_VICTIMS,
    INDEX_N_STATEMENTS
} IndexStatement;

enum { DISK_MAX_STATEMENTS = MAX((int)STATE_N_STATEMENTS, (int)INDEX_N_STATEMENTS) };

typedef struct {
    sqlite3 *handle;
    sqlite3_stmt *statements[DISK_MAX_STATEMENTS];
    const char *file; /* "index.db"; static */
    char *path;       /* of the file, for SQLite and for sentences */
    int dir_fd;       /* borrowed from the Disk */
    gboolean is_broken; /* damage was met while running: no more use, set aside at the next start */
} DiskDb;

/* Opens or makes both databases, with all that damage asks for; sets was_unclean, sweep and
 * warning. */
gboolean disk_schema_open(Disk *disk, GError **error);

/* Marks the end as clean (with @is_swept for the next start) and durable. */
gboolean disk_schema_mark_clean(Disk *disk, gboolean is_swept, GError **error);

/* -- One connection: disk-db.c ----------------------------------------------------------------- */

void disk_db_close(DiskDb *db); /* also one that was never opened */

/* A kept statement, fresh for binding.  Borrowed. */
sqlite3_stmt *disk_db_statement(DiskDb *db, guint id);

/* One step: 1 a row, 0 the end, -1 an error.  The statement is reset unless it gave a row. */
int disk_db_step(DiskDb *db, sqlite3_stmt *statement, GError **error);
/* Steps to the end, over rows that nobody wants. */
gboolean disk_db_run(DiskDb *db, sqlite3_stmt *statement, GError **error);
gboolean disk_db_exec(DiskDb *db, const char *sql, GError **error);
/* FALSE (CACHE) for a database that proved to be damaged. */
gboolean disk_db_is_usable(const DiskDb *db, GError **error);
/* Ends in FALSE with what the connection knows of its last failure, as a sentence. */
gboolean disk_db_fail(DiskDb *db, GError **error);
gboolean disk_db_is_damage(int code); /* SQLite's, extended */
char *disk_db_mark_name(const DiskDb *db); /* of the mark that a damaged file gets */

/* -- Reading: disk-read.c; on the thread ------------------------------------------------------- */

/* Gets rows as they are read; takes @messages. */
typedef void (*DiskChunkFunc)(GPtrArray *messages, gboolean is_last, gpointer user);

gboolean disk_read_messages(Disk *disk, guint16 mailbox, DiskChunkFunc func, gpointer user,
                            GError **error);
typedef struct {
    guint16 mailbox;
    guint32 uidvalidity;
    const UidSet *uids;
} DiskRecallKey;
gboolean disk_read_recall(Disk *disk, const DiskRecallKey *key, DiskChunkFunc func, gpointer user,
                          GError **error);
GArray *disk_read_victims(Disk *disk, guint64 bytes, GError **error); /* of DiskVictim */
GArray *disk_read_body_items(Disk *disk, guint16 mailbox, GError **error); /* guint64, ascending */
GArray *disk_read_body_mailboxes(Disk *disk, GError **error); /* of guint16 */
guint64 disk_read_body_total(Disk *disk);
/* What the index says a body is; GONE when it says nothing. */
gboolean disk_read_body(Disk *disk, guint16 mailbox, guint64 item, DiskVictim *ret_body,
                        guint8 *ret_sha256, GError **error);
/* Fills disk->next_items. */
gboolean disk_read_next_items(Disk *disk, GError **error);

/* -- Carrying out: disk-batch.c; on the thread ------------------------------------------------- */

typedef struct {
    guint16 mailbox;
    guint64 item;
} DiskBodyKey;

/* What is to be done besides once a transaction is durable. */
typedef struct {
    gint64 body_bytes;   /* difference */
    GArray *orphans;     /* of DiskBodyKey: bodies whose message is gone */
    GArray *known;       /* of DiskBodyKey: bodies that now have their row */
    GArray *gone;        /* of guint16: mailboxes removed */
} DiskOutcome;

void disk_outcome_init(DiskOutcome *outcome);
void disk_outcome_clear(DiskOutcome *outcome);

/* Carries out @batches (an array of DiskBatch *, NULLs are skipped) in one transaction of each
 * database, state.db first.  On failure nothing of them is in the index. */
gboolean disk_batch_carry_out(Disk *disk, GPtrArray *batches, DiskOutcome *outcome,
                              GError **error);

/* As disk_batch_carry_out(), and does what the outcome asks for: disk.c. */
gboolean disk_carry_out(Disk *disk, GPtrArray *batches, GError **error);

/* The mailboxes of a batch that could not be written have a hole: see Disk.holes. */
void disk_batch_note_holes(const DiskBatch *batch, GHashTable *holes);
/* Raises disk->next_items by the items in @batch.  Main thread. */
void disk_batch_note_items(const DiskBatch *batch, GHashTable *next_items);

/* -- Bodies: disk-body.c ----------------------------------------------------------------------- */

gboolean disk_body_open_folder(Disk *disk, GError **error); /* and removes orphaned temporaries */
/* Items that have a file (guint64, ascending); NULL when the folder cannot be read. */
GArray *disk_body_list(Disk *disk, guint16 mailbox, GError **error);
/* Adds GUINT_TO_POINTER(number) of every mailbox that has a folder. */
gboolean disk_body_list_mailboxes(Disk *disk, GHashTable *numbers, GError **error);
/* Removes the file of a body that has no row, unless it just came and its row is on its way. */
void disk_body_remove_stray(Disk *disk, guint16 mailbox, guint64 item);
void disk_body_remove_folder(Disk *disk, guint16 mailbox); /* when it is empty */
void disk_body_forget_fresh(Disk *disk, const GArray *known); /* of DiskBodyKey */
gboolean disk_body_is_good(Disk *disk, const DiskVictim *body, const guint8 *sha256);

/* -- The sweep: disk-sweep.c; on the thread ---------------------------------------------------- */

gboolean disk_wants_sweep(const Disk *disk);
void disk_sweep(Disk *disk); /* one step; called while there is nothing else to do */

/* -- The disk ---------------------------------------------------------------------------------- */

typedef struct DiskAnswers DiskAnswers;

/* Whether rows and files of bodies agree. */
typedef enum {
    SWEEP_DUE,    /* nobody knows: every mailbox is to be looked at */
    SWEEP_ON,     /* those in Disk.unswept are left */
    SWEEP_DONE,
    SWEEP_FAILED, /* something was in the way; the next start tries again */
} DiskSweep;

struct Disk {
    /* Set once. */
    char *cache_dir, *state_dir; /* canonical */
    int cache_fd, state_fd, bodies_fd;
    int cache_lock, state_lock;
    char *warning;
    gint64 boot; /* a number of this boot of the machine */
    gboolean was_unclean;
    DiskAnswers *answers;

    /* The databases; see the top for who may touch them. */
    DiskDb state, index;
    DiskSweep sweep;
    GArray *unswept; /* of guint16: mailboxes that the sweep has still to look at */
    /* Mailboxes of which a write was lost (a full disk).  The rest of this run they are written
     * as never listed and with no HIGHESTMODSEQ, whatever a later batch says, so that the next
     * start lists them whole instead of trusting rows that are not all there. */
    GHashTable *holes;
    GError *lost;        /* the first failure since the last flush */

    /* The queue, under its lock. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    GQueue requests;
    gboolean is_closing;

    /* Bodies, under theirs: renamed into place, but no row yet (of DiskBodyKey). */
    pthread_mutex_t bodies_lock;
    GHashTable *fresh;

    /* The main thread's. */
    GThread *thread;        /* NULL until the first request */
    GHashTable *next_items; /* number -> guint64, owned */
    guint64 body_bytes;
    char *failure;
};
