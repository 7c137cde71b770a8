/* The journal: what was promised to a server, or is to be, kept where nothing but the disk itself
 * can lose it.
 *
 * Rows of state.db (synchronous=FULL), written by the disk's thread.  The main thread puts and
 * removes them as part of a DiskBatch, so that what a change did to the model and the end of its
 * entry are one transaction; it goes on when the batch's DiskDoneFunc says "durable".
 *
 * An entry lives from the moment something would be lost without it to the moment where the server
 * (or proof) says that it is done, or somebody dropped it.  store/change.h has the rules; this is
 * the paper.
 */
#pragma once

#include "store/disk.h"

typedef enum {
    JOURNAL_CREATE,  /* a file becomes a message; with `replaces`, in the place of another */
    JOURNAL_COPY,    /* messages to another mailbox of the account */
    JOURNAL_MOVE,
    JOURNAL_EXPUNGE, /* messages are removed for good */
    JOURNAL_FLAGS,
    JOURNAL_MAILBOX, /* CREATE, DELETE, RENAME */
    JOURNAL_N_KINDS
} JournalKind;

/* Lasting: the numbers are on disks. */
typedef enum {
    JOURNAL_PREP = 1, /* durable; nothing has been sent */
    JOURNAL_SENT = 2, /* may have been sent; what became of it is to be found out */
    JOURNAL_HALF = 3, /* the first half is proved (the new copy is there), the old one has to go */
    JOURNAL_FAILED = 4, /* refused for good; kept for `mailfs queue` until dropped or retried */
} JournalState;

typedef struct {
    guint64 item;     /* in the entry's mailbox */
    guint64 new_item; /* COPY, MOVE: in the target's; 0 otherwise */
    gint64 date;
    guint64 size;
    guint32 uid;
    guint32 new_uid;  /* COPY, MOVE: when known.  CREATE: not 0 once the old one is in Trash as
                       * well */
    gboolean is_done; /* of a set that was carried out in part */
} JournalMessage;

typedef struct {
    guint64 id; /* given by journal_next_id(), rising */
    JournalKind kind;
    JournalState state;
    guint16 mailbox; /* number; 0 for MAILBOX */
    char *wire;
    guint32 uidvalidity; /* of the mailbox when the entry was made; 0: not known */
    guint32 uidnext;     /* CREATE: of the mailbox, COPY and MOVE: of the target, before anything
                          * was sent: a search for what came of it begins there */
    guint16 target_mailbox; /* COPY, MOVE */
    char *target;           /* COPY, MOVE: its wire name; MAILBOX: the new name of a RENAME */
    guint32 target_uidvalidity;
    GArray *messages; /* of JournalMessage, by UID; CREATE: the one that is replaced, if any.  Never
                       * NULL in an entry that was loaded */
    guint64 item;     /* CREATE: of the file in `mailbox` */
    char *name;       /* CREATE; COPY and MOVE of one: as shown; else NULL */
    guint64 stage;    /* CREATE: the sealed octets; 0 none */
    guint64 size;     /* CREATE: of the sealed octets */
    guint8 sha256[32];
    char *message_id; /* CREATE: "<a@b>", or NULL */
    gint64 date;      /* CREATE: INTERNALDATE */
    guint16 flags;    /* CREATE: given; FLAGS: added */
    char *keywords;
    guint16 flags_removed; /* FLAGS */
    char *keywords_removed;
    guint verb;   /* MAILBOX: a MailboxVerb; CREATE with `messages`: what happens to the old copy,
                   * see change.c */
    guint32 uid;  /* CREATE: of the new message, once known */
    char *reason; /* FAILED: the sentence; else why it waits, or NULL */
    gint64 made;  /* Unix time */
    guint n_tries;
} JournalEntry;

JournalEntry *journal_entry_new(JournalKind kind);
JournalEntry *journal_entry_copy(const JournalEntry *entry);
void journal_entry_free(JournalEntry *entry); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JournalEntry, journal_entry_free)

const char *journal_kind_name(JournalKind kind); /* "create" ...: for queue and status; static */
const char *journal_state_name(JournalState state);

/* The next id, above all that are or were in use.  Main thread. */
guint64 journal_next_id(Disk *disk);

/* All entries by id.  The caller owns the array and its JournalEntry.  As disk_load_mailboxes():
 * at the start, before any request. */
GPtrArray *journal_load(Disk *disk, GError **error);

/* Inserts or replaces by id.  Copies. */
void disk_batch_put_journal(DiskBatch *batch, const JournalEntry *entry);
void disk_batch_remove_journal(DiskBatch *batch, guint64 id);

/* -- Local files ---------------------------------------------------------------------------------
 * What a person wrote and no server has (yet): rows of state.db that name a file in staging/. */

typedef enum {
    LOCAL_NEW = 1,     /* will be a message: it is written, or its commit is under way */
    LOCAL_EDIT = 2,    /* a new version of the message that has the same item */
    LOCAL_SCRATCH = 3, /* an editor's: stays here */
} LocalKind;

typedef struct {
    guint16 mailbox;
    guint64 item; /* shared with messages: one number is never both a scratch file and a message */
    LocalKind kind;
    char *name;
    guint64 stage;
    gboolean is_flushed; /* a FLUSH of it answered 0: recovery commits it */
    gint64 mtime;        /* as set by utimens(), Unix time; 0: that of the staging file */
    guint16 mode;        /* as set by chmod(); 0: the default */
    guint64 replaces;    /* NEW: item of the message whose place it takes (a parked one); 0 none */
} JournalLocal;

void journal_local_free(JournalLocal *local); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JournalLocal, journal_local_free)

GPtrArray *journal_load_locals(Disk *disk, GError **error); /* of JournalLocal; as journal_load() */
void disk_batch_put_local(DiskBatch *batch, const JournalLocal *local); /* by mailbox and item */
void disk_batch_remove_local(DiskBatch *batch, guint16 mailbox, guint64 item);

/* -- Parked messages -----------------------------------------------------------------------------
 * A message that was renamed to a scratch name ("x.eml~"): under which name it is to come back. */

typedef struct {
    guint16 mailbox;
    guint64 item;
    char *name; /* the one it had */
} JournalParked;

void journal_parked_free(JournalParked *parked);
GPtrArray *journal_load_parked(Disk *disk, GError **error); /* of JournalParked */
void disk_batch_put_parked(DiskBatch *batch, const JournalParked *parked);
void disk_batch_remove_parked(DiskBatch *batch, guint16 mailbox, guint64 item);
