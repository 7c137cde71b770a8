/* What the parts of the disk share; see disk.h for what the disk is.
 *
 *   disk.c         opening and closing, what the main thread asks for
 *   disk-thread.c  the thread, its queue, answers to the main context
 *   disk-schema.c  the two databases as files: opened, upgraded, damaged
 *   disk-tables.c  their tables and statements
 *   disk-rescue.c  saving what can be read of a damaged state
 *   disk-reconcile.c  making the index follow the state
 *   disk-db.c      one connection: statements, steps, failures
 *   disk-batch.c   what a batch holds
 *   disk-write.c   carrying batches out
 *   disk-journal.c journal, local files, parked messages: journal.h
 *   disk-read.c    rows read back
 *   disk-body.c    body files
 *   disk-sweep.c   making rows and files of bodies agree
 *   stage.c, stage-seal.c, stage-lost.c   files that exist nowhere else: stage.h
 *
 * Who may touch a database: the thread; before it is started and after it was joined, the main
 * thread.  The handles are therefore opened without SQLite's own mutexes.
 */
#pragma once

#include <glib.h>
#include <pthread.h>
#include <sqlite3.h>

#include "store/disk.h"
#include "store/journal.h"
#include "store/stage.h"

#define DISK_MAX_ITEM ((G_GUINT64_CONSTANT(1) << 36) - 1) /* 36 bits of an inode */
#define DISK_CHUNK 1024                                   /* rows in one DiskLoadFunc call */
#define DISK_SHA256 32
#define DISK_JOURNAL_MESSAGE 41                           /* octets of one, packed */

/* -- Databases: disk-tables.c, disk-schema.c, disk-rescue.c ------------------------------------ */

/* All columns of a table, in the order that they are bound and read in. */
#define DISK_ITEM_COLUMNS "mailbox, item, uidvalidity, uid, name, mtime, mode, is_hidden"
#define DISK_JOURNAL_COLUMNS                                                                       \
    "id, kind, state, mailbox, wire, uidvalidity, uidnext, target_mailbox, target,"                \
    " target_uidvalidity, messages, item, name, stage, size, sha256, message_id, date, flags,"     \
    " keywords, flags_removed, keywords_removed, verb, uid, reason, made, n_tries"
#define DISK_LOCAL_COLUMNS                                                                         \
    "mailbox, item, kind, name, stage, is_flushed, mtime, mode, replaces"

typedef enum {
    STATE_MAILBOXES,
    STATE_DISPLACE_WIRE,
    STATE_PUT_MAILBOX,
    STATE_RAISE_NEXT,
    STATE_DISPLACE_UID,
    STATE_PUT_ITEM,
    STATE_REMOVE_ITEM,
    STATE_RECALL,
    STATE_JOURNAL,
    STATE_PUT_JOURNAL,
    STATE_REMOVE_JOURNAL,
    STATE_LAST_ENTRY,
    STATE_LAST_STAGE,
    STATE_LOCALS,
    STATE_PUT_LOCAL,
    STATE_REMOVE_LOCAL,
    STATE_PARKED,
    STATE_PUT_PARKED,
    STATE_REMOVE_PARKED,
    STATE_N_STATEMENTS
} StateStatement;

typedef enum {
    INDEX_MAILBOXES,
    INDEX_PUT_MAILBOX,
    INDEX_REMOVE_MAILBOX,
    INDEX_LOAD,
    INDEX_NAMES,
    INDEX_RENAME_ITEM,
    INDEX_COMPARE,
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
    INDEX_MOVE_SIZE,
    INDEX_MOVE_BODY,
    INDEX_COPY_BODY,
    INDEX_TWIN,
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
    gboolean is_unsynced; /* an fsync failed: no more use in this run (the kernel forgets what it
                           * could not write, and a second fsync would lie) */
} DiskDb;

typedef struct {
    const char *file;
    int version; /* user_version */
    const char *synchronous;
    const char *tables;
    const char *const *upgrades; /* [i]: from version i + 1 to the next */
    const char *const *statements;
    guint n_statements;
} DiskSchema;

extern const DiskSchema disk_state_schema, disk_index_schema;

/* What opening a file came to. */
typedef enum {
    DISK_FOUND_NEW,      /* it was not there, or empty: the tables were made */
    DISK_FOUND_GOOD,
    DISK_FOUND_DAMAGED,  /* set it aside; the error says what was seen */
    DISK_FOUND_UNUSABLE, /* another failure: full, forbidden, from a newer version */
} DiskFound;

/* Opens @db (whose file and dir_fd are set) in the folder @dir.  @is_checked reads it whole. */
DiskFound disk_db_open(DiskDb *db, const char *dir, const DiskSchema *schema, gboolean is_checked,
                       GError **error);

gboolean disk_has_file(int dir_fd, const char *name);
void disk_remove_file(int dir_fd, const char *file, const char *suffix);

/* Builds the state anew from the readable rows of the damaged file, which is set aside; sets
 * disk->warning. */
gboolean disk_rescue_state(Disk *disk, GError **error);
/* Takes names and numbers over from the index where the state lacks them. */
gboolean disk_refill_state(Disk *disk, guint *n_copied, GError **error);

/* After an unclean end: rows of the index that are behind those of the state are put right; before
 * the thread is started. */
gboolean disk_reconcile(Disk *disk, GError **error);

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
/* Text and blobs stay the caller's, who keeps them until the statement ran. */
void disk_db_bind_number(sqlite3_stmt *statement, int i, guint64 number);
void disk_db_bind_text(sqlite3_stmt *statement, int i, const char *text); /* NULL is NULL */
/* FALSE (CACHE) for a database that proved to be damaged, or that could not be synced. */
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
/* Of a row with item, uid, name, mtime, mode and is_hidden; the caller owns it. */
Message *disk_read_recalled(sqlite3_stmt *row);
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

/* A body with this length and hash whose message a server has; mailbox 0 when there is none. */
void disk_read_twin(Disk *disk, guint64 size, const guint8 *sha256, DiskVictim *ret_twin);

/* -- Batches: disk-batch.c --------------------------------------------------------------------- */

typedef enum {
    CHANGE_PUT_MAILBOX,
    CHANGE_REMOVE_MAILBOX,
    CHANGE_PUT_MESSAGE,
    CHANGE_PUT_FLAGS,
    CHANGE_REMOVE_MESSAGE,
    CHANGE_BODY_CACHED,
    CHANGE_BODY_DROPPED,
    CHANGE_BODY_USED,
    CHANGE_BODY_MOVED,
    /* Of the state alone: what journal.h is about. */
    CHANGE_PUT_JOURNAL,
    CHANGE_REMOVE_JOURNAL,
    CHANGE_PUT_LOCAL,
    CHANGE_REMOVE_LOCAL,
    CHANGE_PUT_PARKED,
    CHANGE_REMOVE_PARKED,
} DiskChangeKind;

typedef struct {
    DiskChangeKind kind;
    guint16 mailbox; /* 0 for those of the journal */
    guint32 uidvalidity;
    guint64 item;
    union {
        DiskMailbox *put_mailbox; /* owned, as are the other pointers */
        Message *message;
        JournalEntry *entry;
        JournalLocal *local;
        JournalParked *parked;
        guint64 id; /* REMOVE_JOURNAL */
        struct {
            guint64 size;
            guint8 sha256[DISK_SHA256];
        } body;
        struct {
            guint16 mailbox;
            guint64 item;
            gboolean keeps;
        } to; /* BODY_MOVED */
    };
    gint64 used;
} DiskChange;

struct DiskBatch {
    GArray *changes; /* of DiskChange */
    gboolean has_journal, has_paper; /* changes of the journal; of anything in journal.h */
};

void disk_batch_add(DiskBatch *batch, const DiskChange *change); /* takes what is owned */

/* The mailboxes of a batch that could not be written have a hole: see Disk.holes. */
void disk_batch_note_holes(const DiskBatch *batch, GHashTable *holes);
/* Raises disk->next_items by the items in @batch.  Main thread. */
void disk_batch_note_items(const DiskBatch *batch, GHashTable *next_items);
void disk_note_item(GHashTable *next_items, guint16 mailbox, guint64 item);

/* -- Journal: disk-journal.c ------------------------------------------------------------------- */

/* Every item that an entry or a local file uses; none twice at most. */
typedef void (*DiskItemFunc)(guint16 mailbox, guint64 item, gpointer user);
void disk_entry_each_item(const JournalEntry *entry, DiskItemFunc func, gpointer user);

/* Of the kinds from CHANGE_PUT_JOURNAL on; on the thread. */
gboolean disk_journal_write(Disk *disk, const DiskChange *change, GError **error);
/* Sets next_entry and next_stage, raises next_items: at the start. */
gboolean disk_journal_read_numbers(Disk *disk, GError **error);

/* -- Carrying out: disk-write.c; on the thread ------------------------------------------------- */

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

/* Carry out @batches (an array of DiskBatch *) in one transaction of a database; all of them, or
 * none. */
gboolean disk_write_state(Disk *disk, GPtrArray *batches, GError **error);
gboolean disk_write_index(Disk *disk, GPtrArray *batches, DiskOutcome *outcome, GError **error);

/* As disk_write_index(), and does what the outcome asks for: disk-thread.c. */
gboolean disk_carry_out_index(Disk *disk, GPtrArray *batches, GError **error);

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
/* Makes a body of the file @name below @dir_fd: renamed, or copied where that cannot be. */
gboolean disk_body_take(Disk *disk, int dir_fd, const char *name, guint16 mailbox, guint64 item,
                        GError **error);
/* TRUE when @name is exactly @n_digits lower-case hex digits. */
gboolean disk_parse_name(const char *name, gsize n_digits, guint64 *ret_number);
/* Calls @func with every name in a folder; @fd stays open.  FALSE when that was not all. */
gboolean disk_each_name(int fd, void (*func)(const char *name, gpointer user), gpointer user,
                        GError **error);
int disk_compare_numbers(gconstpointer a, gconstpointer b); /* of guint64 */

/* -- Stages: stage.c, stage-seal.c, stage-lost.c ----------------------------------------------- */

gboolean stage_open_folder(Disk *disk, GError **error);
/* The rest: on the thread.  @ret_seal gets a message_id that the caller owns. */
gboolean stage_make_seal(Disk *disk, int fd, StageSeal *ret_seal, GError **error);
gboolean stage_make_durable(Disk *disk, int fd, GError **error);
gboolean stage_put_lost(Disk *disk, int fd, const StageLost *lost, GError **error);
/* fsync(2); CACHE whatever the reason, for it must not be tried again (J6). */
gboolean stage_fsync(int fd, GError **error);
/* All octets of @from, from its start, to the end of @to. */
gboolean stage_copy(int from, int to, GError **error);

/* -- The sweep: disk-sweep.c; on the thread ---------------------------------------------------- */

gboolean disk_wants_sweep(const Disk *disk);
void disk_sweep(Disk *disk); /* one step; called while there is nothing else to do */

/* -- The thread: disk-thread.c ----------------------------------------------------------------- */

typedef enum {
    REQUEST_BATCH,
    REQUEST_LOAD,
    REQUEST_RECALL,
    REQUEST_VERIFY,
    REQUEST_ROW,
    REQUEST_VICTIMS,
    REQUEST_TWIN,
    REQUEST_SEAL,
    REQUEST_SYNC,
    REQUEST_LOSE,
} DiskRequestKind;

/* Another thread that waits for the row of a body. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    gboolean is_answered, is_found;
    DiskVictim body;
    guint8 sha256[DISK_SHA256];
    GError *error;
} DiskRow;

typedef struct {
    DiskRequestKind kind;
    guint16 mailbox;
    guint32 uidvalidity;
    guint64 item; /* or octets, of VICTIMS and TWIN */
    DiskBatch *batch;
    UidSet *uids;
    int fd; /* SEAL, SYNC, LOSE: owned; -1 when it could not be duplicated */
    union {
        guint8 sha256[DISK_SHA256]; /* TWIN */
        struct {
            char *folder, *name, *reason;
        } lost;
    };
    union {
        DiskDoneFunc done;
        DiskLoadFunc load;
        DiskVerifyFunc verify;
        DiskVictimsFunc victims;
        DiskTwinFunc twin;
        StageSealFunc seal;
        DiskRow *row; /* borrowed; who waits stays until it is answered */
    };
    gpointer user;
} DiskRequest;

typedef struct DiskAnswers DiskAnswers;

DiskAnswers *disk_answers_new(Disk *disk);
void disk_answers_free(DiskAnswers *answers);
/* Puts a copy of @request into the queue, and takes what it owns.  Main thread; any but the disk's
 * for ROW. */
void disk_ask(Disk *disk, const DiskRequest *request);
/* Carries out what was submitted and ends the thread. */
void disk_end_thread(Disk *disk);

/* -- The disk ---------------------------------------------------------------------------------- */

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
    gboolean keeps_octets;       /* stage_keep_octets() */
    char *lost_dir;
    int cache_fd, state_fd, bodies_fd, staging_fd;
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

    /* The queue, under its lock. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    GQueue requests;
    gboolean is_closing;

    /* Bodies, under theirs: renamed into place, but no row yet (of DiskBodyKey). */
    pthread_mutex_t bodies_lock;
    GHashTable *fresh;

    _Atomic guint64 next_stage;

    /* The main thread's. */
    GThread *thread;        /* NULL until the first request */
    GHashTable *next_items; /* number -> guint64, owned */
    guint64 next_entry;     /* of the journal */
    guint64 body_bytes;
    char *failure;
};
