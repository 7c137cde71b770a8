/* Files that are here and not, or not in this form, on a server: being written, an editor's
 * scratch, a new version of a message.
 *
 * A local file shares the numbers of messages (item), so that what is committed keeps its inode.
 * It is found before a message of the same item or name: while a message is edited, its local file
 * is what everybody sees.  Its octets are a stage (store/stage.h) and its row is in state.db, so it
 * survives every end of the process.
 *
 * All of it is the main thread's.  Writing goes to the stage's file and waits for no disk.
 */
#pragma once

#include "store/journal.h"
#include "store/store.h"

typedef struct LocalFile LocalFile;

struct LocalFile {
    Store *store;
    Mailbox *mailbox;
    guint64 item;
    LocalKind kind;
    char *name;
    guint64 stage;
    int fd;            /* of the stage, or -1: local_fd() */
    guint64 size;
    gint64 mtime;      /* as set, Unix time; 0: when it was written */
    gint64 written;    /* Unix time */
    guint16 mode;      /* as set; 0: the default */
    guint64 replaces;  /* NEW: item of the message whose place it takes; 0 none */
    guint n_refs;      /* the store's, and one a handle */
    guint n_writers;   /* handles open for writing: while there are any, everybody sees the octets
                        * as they were written, not as the server holds them */
    guint revision;    /* moves with every write */
    guint committed;   /* the revision that the server has; 0: none */
    guint committing;  /* the one that is on its way, or 0 */
    guint16 twin_mailbox; /* store_note_twin(): what it is a copy of, as of a revision */
    guint64 twin_item;
    guint twin_revision;
    guint64 flushed;   /* the stage with what a FLUSH answered 0 for, or 0; the row names it.  What
                        * is written since is in another one */
    guint flushed_revision;
    guint n_sealing;   /* of the stage as it is: it must not change */
    guint left;        /* the revision with which a stage was left to those who seal it */
    GError *refusal;   /* why the server, or we, did not take `refused`; or NULL */
    guint refused;     /* a revision.  While there are writers it goes on as if nothing was */
    guint64 refused_entry; /* its entry in the queue, or 0 */
    gboolean is_gone;  /* taken out of the directory; lives for its handles */
    gboolean is_viewed; /* by its name: see LOCAL_VIEWED */
    gboolean is_flagged; /* the next commit gives the message these, whatever it replaces */
    guint16 flags;       /* MessageFlags */
    gboolean is_passed;  /* and $Forwarded */
};

/* A name that begins so lies in the tmp/ of a Maildir view: it is shown there and not as an .eml
 * file.  No other name has a '/', so the two never meet. */
#define LOCAL_VIEWED "tmp/"

/* Names that editors and copying tools use for what is not yet, or no longer, the file itself:
 * ".*", "*~", "#*#", "4913", "sed??????", "*.eml.??????", "*.tmp", "*.bak" and so on. */
gboolean local_is_scratch_name(const char *name);
/* Names that desktops scatter (".Trash-1000", ".DS_Store", ".directory", "Thumbs.db" ...), and
 * those of repositories (".git", ".hg", ".svn"): refused. */
gboolean local_is_junk_name(const char *name);

/* The name must be free; NEW takes the place of the message that was parked from it, if there is
 * one.  OFFLINE at once for NEW when the account is offline and does not queue;
 * READONLY, DENIED by the mailbox; NOSPACE.  The caller owns a reference. */
LocalFile *local_create(Store *store, Mailbox *mailbox, const char *name, LocalKind kind,
                        GError **error);
/* A new version of @message, which begins as the octets of @fd (-1: empty), or the one that is
 * being written already.  The caller owns a reference. */
LocalFile *local_edit(Store *store, Mailbox *mailbox, Message *message, int fd, GError **error);

LocalFile *local_ref(LocalFile *file);
void local_unref(LocalFile *file); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LocalFile, local_unref)

LocalFile *local_find_name(const Store *store, const Mailbox *mailbox, const char *name);
LocalFile *local_find_item(const Store *store, const Mailbox *mailbox, guint64 item);
/* Those of a mailbox in the order of their items: @i counts up until NULL. */
LocalFile *local_nth(const Store *store, const Mailbox *mailbox, guint i);

/* For pread(), until the next write or the end of a reference: whoever does not write needs none
 * most of the time, and queues may be long.  Borrowed; -1: CACHE, BUSY (too many are open). */
int local_fd(LocalFile *file, GError **error);
guint64 local_size(const LocalFile *file);
gboolean local_write(LocalFile *file, const void *data, gsize length, goffset offset,
                     GError **error);
gboolean local_truncate(LocalFile *file, guint64 size, GError **error);
void local_set_mtime(LocalFile *file, gint64 mtime);
void local_set_mode(LocalFile *file, guint16 mode);
/* What a Maildir's name says of it.  In memory only: a commit has them in the journal. */
void local_set_flags(LocalFile *file, guint16 flags, gboolean is_passed);

/* Written since the server took it (or never sent), and not empty. */
gboolean local_is_dirty(const LocalFile *file);

/* A handle for writing is opened, is closed.  When the last one closes on what is committed, the
 * local file ends and the message is what everybody sees; the observer hears of it.  When it closes
 * on what was refused, the octets go to lost+found. */
void local_add_writer(LocalFile *file);
void local_remove_writer(LocalFile *file);

/* In its mailbox; the name must be free.  To a name of another kind only by change.h. */
void local_rename(LocalFile *file, const char *name);
/* Into another mailbox of the account, where the name must be free: it gets another item. */
void local_move(LocalFile *file, Mailbox *to, const char *name);
/* Out of the directory and, when nobody has it open any more, off the disk.  A commit that is
 * under way goes on; see change.h for removing what comes of it. */
void local_remove(LocalFile *file);

/* Only the bytes: durable in the stage.  As all changes (store/change.h) it is answered once,
 * later.  What was made durable is committed by the next start if nobody did before: these octets,
 * and not those that were written after them and never closed. */
struct StoreChange *local_sync(LocalFile *file, StoreFunc func, gpointer user);
