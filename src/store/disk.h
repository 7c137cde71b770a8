/* What a mailbox left on the local disk: SQLite databases behind one thread, bodies as files.
 *
 * state.db  (XDG_STATE_HOME/mailfs/ACCOUNT)  cannot be rebuilt: mailbox and item numbers, names.
 * index.db  (XDG_CACHE_HOME/mailfs/ACCOUNT)  disposable: what servers said, which bodies are here.
 * bodies/   (beside index.db)                one file a body, hex names only.
 *
 * One thread owns both databases.  The main thread hands it batches and requests, and never
 * waits for it; answers come back on the main context.  Batches are carried out in the order
 * of their submission, several in one transaction where they queue up (group commit), so that
 * what is submitted later (a HIGHESTMODSEQ) is never durable before what came earlier.
 *
 * A database that is damaged is set aside as FILE.damaged and begun anew: index.db silently
 * but for a log line, state.db after its readable rows were copied over, with a warning that
 * disk_warning() keeps.  A newer user_version is refused (INVALID).
 */
#pragma once

#include <glib.h>

#include "base/uid-set.h"
#include "model/message.h"

typedef struct Disk Disk;
typedef struct DiskBatch DiskBatch;

/* Creates the folders (0700, ours, no symlinks: io_open_dir()), takes the locks that keep a
 * second daemon out (BUSY: "another mailfs is using ..."), opens or makes the databases.  Blocks.
 * To be called in the process that goes on to use it, for neither the locks nor SQLite's handles
 * are good for anything beyond a fork.  The thread starts with the first request, so that a
 * sandbox put up after disk_open() holds it as well. */
Disk *disk_open(const char *cache_dir, const char *state_dir, GError **error);

/* Carries out what was submitted, marks the end as clean, closes.  No callback runs after; what
 * was asked for and not yet answered is dropped.  All BodyFiles have been freed before. */
void disk_close(Disk *disk); /* NULL is fine */

const char *disk_warning(const Disk *disk); /* a sentence for status, or NULL */
gboolean disk_was_unclean(const Disk *disk); /* the last run did not reach disk_close() */

/* The first write that failed since the start (a full disk), as a sentence; NULL for none.
 * Cleared when a later batch succeeds.  Main thread. */
const char *disk_failure(const Disk *disk);

/* -- Mailboxes --------------------------------------------------------------------------------- */

typedef struct {
    guint16 number;  /* lasting; 0 in disk_new_mailbox()'s argument */
    char *wire;      /* the server's name, verbatim */
    char **path;     /* decoded components */
    char delimiter;  /* or '\0' */
    guint32 list_flags;
    guint32 uidvalidity, uidnext; /* 0: never selected */
    guint64 highestmodseq;
    guint32 n_messages;  /* at the last sync; what a listing will show before it is loaded */
    guint32 n_unseen;
    gboolean is_listed;  /* its messages were once listed whole */
    gint64 used;         /* when it was last opened, Unix time; 0 never */
    gint64 compared;     /* when all UIDs were last compared, Unix time */
    gint64 changed;      /* the directory's mtime, Unix time */
} DiskMailbox;

void disk_mailbox_free(DiskMailbox *mailbox); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DiskMailbox, disk_mailbox_free)

/* The mailboxes that the index knows, of DiskMailbox, by number; the caller owns the array.
 * Blocks briefly; called at the start, before any request. */
GPtrArray *disk_load_mailboxes(Disk *disk, GError **error);

/* Every number that was ever given, with the wire name it belongs to; also those of mailboxes
 * that were removed, or that went with the cache.  A name that comes back is to get its number,
 * or its items and names cannot be recalled; and no other name may get it.  @wire is "" when
 * another number took the name over (a rename).  As disk_load_mailboxes(), before any request. */
typedef void (*DiskNumberFunc)(guint16 number, const char *wire, gpointer user);
gboolean disk_load_numbers(Disk *disk, DiskNumberFunc func, gpointer user, GError **error);

/* Called on the main context with rows in UID order, at most 1024 a call; takes the messages by
 * stealing them from @messages (what is left is freed).  @is_last comes once, also with no rows
 * at all.  @error is set instead (with @is_last) when the rows could not be read. */
typedef void (*DiskLoadFunc)(guint16 mailbox, GPtrArray *messages, gboolean is_last,
                             const GError *error, gpointer user);

void disk_load_messages(Disk *disk, guint16 mailbox, DiskLoadFunc func, gpointer user);

/* -- Batches ----------------------------------------------------------------------------------- */

DiskBatch *disk_batch_new(void);
void disk_batch_free(DiskBatch *batch); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DiskBatch, disk_batch_free)
gboolean disk_batch_is_empty(const DiskBatch *batch);

/* Inserts or replaces a mailbox by its number (which the model gave; state.db keeps
 * wire <-> number for ever, also after a removal: disk_load_numbers()).  Copies. */
void disk_batch_put_mailbox(DiskBatch *batch, const DiskMailbox *mailbox);
/* The mailbox is gone from the server: its rows and bodies go from the index.  Names and item
 * numbers stay in state.db. */
void disk_batch_remove_mailbox(DiskBatch *batch, guint16 mailbox);

/* Inserts or replaces a message by (mailbox, item), its name and UID in state.db too; another
 * item that has the UID loses it.  Copies.  is_cached and is_suspect are not taken from @message:
 * they follow the body_*() calls. */
void disk_batch_put_message(DiskBatch *batch, guint16 mailbox, guint32 uidvalidity,
                            const Message *message);
/* Only what changes often: flags, keywords. */
void disk_batch_put_flags(DiskBatch *batch, guint16 mailbox, const Message *message);
/* The UID is gone from the server for good: its rows, its name and its body's file go. */
void disk_batch_remove_message(DiskBatch *batch, guint16 mailbox, guint64 item);
/* The body of @item went to another mailbox, or (@keeps) is there as well: its row, with length and
 * hash.  The file is the caller's: disk_move_body().  A body that has no row is no failure. */
typedef struct {
    guint16 mailbox, to_mailbox;
    guint64 item, to_item;
    gboolean keeps;
} DiskBodyMove;
void disk_batch_move_body(DiskBatch *batch, const DiskBodyMove *move);

/* A body came whole (body_file_commit()): its length and SHA-256 (32 octets); sets size, is_exact,
 * is_cached of a message that was put before. */
void disk_batch_body_cached(DiskBatch *batch, guint16 mailbox, guint64 item, guint64 size,
                            const guint8 *sha256);
void disk_batch_body_dropped(DiskBatch *batch, guint16 mailbox, guint64 item);
void disk_batch_body_used(DiskBatch *batch, guint16 mailbox, guint64 item, gint64 now);

/* Takes @batch.  @done (may be NULL) is called on the main context when it is durable, or with
 * the error.  What index.db got survives every end of the process; a power cut may take its last
 * moments, never out of order.
 *
 * After a failed batch (a full disk) later ones are carried out all the same, but the mailboxes
 * it was about are kept as not listed and without HIGHESTMODSEQ for the rest of the run, so that
 * the next start lists them whole.
 *
 * A batch with anything of journal.h in it is "durable" when state.db has it: @done then gets an
 * error only if nothing of the batch is in state.db, so that nobody takes back what will be found
 * there after a crash.  An index that could not be written is disk_failure()'s alone.
 *
 * After an fsync of state.db failed every later batch fails, too (CACHE, J6), until the next
 * disk_open(). */
typedef void (*DiskDoneFunc)(const GError *error, gpointer user);
void disk_submit(Disk *disk, DiskBatch *batch, DiskDoneFunc done, gpointer user);

/* -- Numbers ----------------------------------------------------------------------------------- */

/* What state.db knows of messages that the index does not: after the cache was lost, a message
 * that is listed again gets its old item and name.  Looks (mailbox, uidvalidity, uid) up for a
 * set; called with rows as DiskLoadFunc is: Messages with item, uid, name, mtime, mode and
 * is_hidden only. */
void disk_recall(Disk *disk, guint16 mailbox, guint32 uidvalidity, const UidSet *uids,
                 DiskLoadFunc func, gpointer user);

/* The next free item of a mailbox, above all that were submitted; the model counts on from
 * there.  Main thread. */
guint64 disk_next_item(Disk *disk, guint16 mailbox);

/* -- Bodies --------------------------------------------------------------------------------------
 * File operations; all thread-safe, none touches SQLite. */

typedef struct BodyFile BodyFile; /* one body on its way in; one thread at a time writes */

BodyFile *body_file_new(Disk *disk, GError **error); /* a temporary file */
gboolean body_file_append(BodyFile *file, const void *data, gsize length, GError **error);
guint64 body_file_length(const BodyFile *file);
int body_file_fd(const BodyFile *file); /* readable by pread() from any thread; borrowed */
/* Renames into place; @ret_sha256 gets 32 octets.  An older body of the item is replaced; who
 * has it open reads on.  The file stays open until freed. */
gboolean body_file_commit(BodyFile *file, guint16 mailbox, guint64 item, guint8 *ret_sha256,
                          GError **error);
void body_file_free(BodyFile *file); /* removes it unless committed; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BodyFile, body_file_free)

/* A read-only descriptor; -1 (GONE) when it is not there. */
int disk_open_body(Disk *disk, guint16 mailbox, guint64 item, GError **error);
void disk_remove_body(Disk *disk, guint16 mailbox, guint64 item);
/* Renames (or links, if it keeps) the file.  FALSE when it could not: then there is no body. */
gboolean disk_move_body(Disk *disk, const DiskBodyMove *move);

/* A message of the account whose cached body has this length and hash, so that a copy of it need
 * not be uploaded.  Answers on the main context; @mailbox 0: there is none. */
typedef void (*DiskTwinFunc)(guint16 mailbox, guint64 item, gpointer user);
void disk_find_twin(Disk *disk, guint64 size, const guint8 *sha256, DiskTwinFunc func,
                    gpointer user);

/* After an unclean end: reads the whole body on the disk's thread and answers on the main
 * context whether length and SHA-256 are those of the index. */
typedef void (*DiskVerifyFunc)(guint16 mailbox, guint64 item, gboolean is_good, gpointer user);
void disk_verify_body(Disk *disk, guint16 mailbox, guint64 item, DiskVerifyFunc func,
                      gpointer user);

/* As disk_open_body(), for who makes a body the only copy there is: only when length and SHA-256
 * are those of the index; GONE when they are not.  Waits for the disk's thread, so not on the main
 * thread. */
int disk_open_sound_body(Disk *disk, guint16 mailbox, guint64 item, GError **error);

guint64 disk_body_bytes(const Disk *disk); /* of all bodies that the index knows; main thread */

typedef struct {
    guint16 mailbox;
    guint64 item;
    guint64 size;
} DiskVictim;

/* The least recently used bodies, together at least @bytes.  On the main context; the array
 * (of DiskVictim) is valid during the call.  The caller decides (one may be open), then removes
 * the files and submits body_dropped. */
typedef void (*DiskVictimsFunc)(GArray *victims, gpointer user);
void disk_choose_victims(Disk *disk, guint64 bytes, DiskVictimsFunc func, gpointer user);
