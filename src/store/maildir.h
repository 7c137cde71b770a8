/* Trees of Maildirs on the local disk (https://cr.yp.to/proto/maildir.html), as other programs use
 * them at the same time.
 *
 * Everything here blocks on the disk and belongs to a backend's thread.  Two layouts, found out by
 * looking:
 *
 *   MAILDIR_FS        PATH/Name/Sub/{cur,new,tmp}; names in UTF-8.  INBOX is PATH/INBOX, or PATH
 *                     itself if it has cur and new.  Ours, and Dovecot's LAYOUT=fs
 *   MAILDIR_PLUSPLUS  PATH/{cur,new,tmp} is INBOX, PATH/.Name.Sub/{cur,new,tmp} the others; names
 *                     in modified UTF-7 (Dovecot, Courier, Python's mailbox)
 *
 * Above, a folder is named by its wire name in both: decoded components joined with '/', "INBOX"
 * for the inbox.  A component of the disk that does not decode stays as it is.  What begins with a
 * dot and is no Maildir belongs to other programs (dovecot-*, .notmuch) and is never touched.
 *
 * All calls are relative to directories that are held open, and follow no symlink but PATH's own,
 * so none leads out of the tree.  Errors are DENIED, READONLY, NOSPACE, GONE ... by errno.
 *
 * A message is a file BASE or BASE:2,FLAGS in cur/ or new/.  The base never changes; flags and the
 * directory do, by rename(2), at any time and by anybody.  Its octets never change.
 */
#pragma once

#include <glib.h>

#include "base/uid-set.h"
#include "store/ledger.h"

/* -- Names of files: maildir-file.c ------------------------------------------------------------ */

/* One file as it was last seen.  Owned by whoever has it; maildir_file_free(). */
typedef struct {
    char *name;         /* in its directory */
    gboolean is_new;    /* in new/: unseen, and nobody has looked at it */
    guint16 flags;      /* MessageFlags */
    gboolean is_passed; /* "P": MESSAGE_PASSED */
} MaildirFile;

/* What @name says; NULL for what is no message (it begins with a dot). */
MaildirFile *maildir_file_parse(const char *name, gboolean is_new);
void maildir_file_free(MaildirFile *file); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MaildirFile, maildir_file_free)

/* The part of @name that does not change: without flags, and without mbsync's ",U=n"; a line end in
 * it, which no key can have, is escaped.  The caller owns it. */
char *maildir_file_base(const char *name);
/* The name in cur/ of what is called @name now: other flags; letters that are not ours (Dovecot's
 * keywords) stay.  The caller owns it. */
char *maildir_file_rename(const char *name, guint16 flags, gboolean is_passed);
#define MAILDIR_KEY "f:"
/* The ledger's key: MAILDIR_KEY and @base.  The caller owns it. */
char *maildir_file_key(const char *base);
/* A base that nobody else has: "1700000000.M5P42Q1R1a2b3c.host".  The caller owns it. */
char *maildir_file_unique(void);

/* -- Trees: maildir-tree.c --------------------------------------------------------------------- */

typedef struct MaildirTree MaildirTree;
typedef struct MaildirFolder MaildirFolder;
typedef enum { MAILDIR_FS, MAILDIR_PLUSPLUS } MaildirLayout;

/* Opens the tree at @path.  With @creates, a folder that is not there is made (0700), as
 * MAILDIR_FS; otherwise that is GONE, for a disk that is not mounted must not look like an empty
 * mailbox. */
MaildirTree *maildir_tree_open(const char *path, gboolean creates, GError **error);
/* From now on *@has_failed becomes TRUE when an fsync(2) in the tree fails.  Borrowed, for as long
 * as there is the tree or one of its folders. */
void maildir_tree_note_failure(MaildirTree *tree, gboolean *has_failed);
void maildir_tree_free(MaildirTree *tree); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MaildirTree, maildir_tree_free)

MaildirLayout maildir_tree_layout(const MaildirTree *tree);
const char *maildir_tree_path(const MaildirTree *tree);
gboolean maildir_tree_is_writable(const MaildirTree *tree); /* by access(2), now */
int maildir_tree_fd(const MaildirTree *tree);               /* of PATH; borrowed */

/* The wire names of all folders that are Maildirs, sorted; the caller owns the array and its
 * strings.  Folders beyond LIMIT_MAILBOXES or LIMIT_MAILBOX_DEPTH are counted in @ret_left_out (may
 * be NULL). */
GPtrArray *maildir_tree_list(MaildirTree *tree, guint *ret_left_out, GError **error);

/* INVALID for a name that this layout cannot have; EXISTS; durable when it returns. */
gboolean maildir_tree_create(MaildirTree *tree, const char *wire, GError **error);
/* NOTEMPTY when it holds messages, files of others, or folders.  A mere level of hierarchy goes
 * as well.  GONE. */
gboolean maildir_tree_delete(MaildirTree *tree, const char *wire, GError **error);
/* With all that lies below.  EXISTS, GONE, INVALID. */
gboolean maildir_tree_rename(MaildirTree *tree, const char *wire, const char *target,
                             GError **error);

/* -- Folders: maildir-folder.c ----------------------------------------------------------------- */

/* GONE when it is not there, or is no Maildir.  A missing tmp/ is made when it is needed. */
MaildirFolder *maildir_folder_open(MaildirTree *tree, const char *wire, GError **error);
void maildir_folder_free(MaildirFolder *folder); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MaildirFolder, maildir_folder_free)

gboolean maildir_folder_is_writable(const MaildirFolder *folder); /* by access(2), now */

/* Changes with every change of what is in cur/ and new/.  Never 0, never odd.  @ret_is_fresh: the
 * last change was a moment ago, and another might leave the stamp as it is. */
gboolean maildir_folder_stamp(const MaildirFolder *folder, guint64 *ret_stamp,
                              gboolean *ret_is_fresh, GError **error);

/* All messages: a table of base -> MaildirFile.  A file that is renamed meanwhile may be missing
 * from it (maildir_sync() looks again).  The caller owns it. */
GHashTable *maildir_folder_scan(MaildirFolder *folder, GError **error);

/* Opens the message for reading (a regular file, or DENIED).  @ret_size and @ret_date (its mtime)
 * may be NULL.  -1: GONE also when it was renamed. */
int maildir_folder_open_file(const MaildirFolder *folder, const MaildirFile *file,
                             guint64 *ret_size, gint64 *ret_date, GError **error);
/* Its header, to the empty line; LIMIT_HEADER octets at most.  NULL on error. */
GBytes *maildir_folder_read_header(const MaildirFolder *folder, const MaildirFile *file,
                                   guint64 *ret_size, gint64 *ret_date, GError **error);

typedef struct {
    int fd;          /* the octets, from offset 0; borrowed */
    guint64 size;    /* ... so many */
    gint64 date;     /* becomes the file's mtime */
    guint16 flags;   /* none at all, and not passed: it goes to new/ */
    gboolean is_passed;
    const char *base; /* of maildir_file_unique(), to be its name; NULL: one is made */
    guint32 uid;     /* the worker's answer: 0 where it was not delivered */
} MaildirDelivery;

/* tmp/, fsync, rename: there whole, or not at all; not durable before maildir_folder_flush().
 * Returns the new file (maildir_file_base() of its name is its base). */
MaildirFile *maildir_folder_put(MaildirFolder *folder, const MaildirDelivery *delivery,
                                GError **error);
/* The same message in another folder, under a new base: a link where the file system allows it,
 * else a copy with the same mtime; flags are kept, and whether it is new.  Not durable before
 * maildir_folder_flush(@to). */
MaildirFile *maildir_folder_copy(MaildirFolder *from, const MaildirFile *file, MaildirFolder *to,
                                 GError **error);
/* Renames to other flags, and into cur/.  What has the wanted flags already stays where it is.
 * @file is changed with it.  Not durable before maildir_folder_flush(). */
gboolean maildir_folder_set_flags(MaildirFolder *folder, MaildirFile *file, guint16 flags,
                                  gboolean is_passed, GError **error);
/* Not durable before maildir_folder_flush(). */
gboolean maildir_folder_remove(MaildirFolder *folder, const MaildirFile *file, GError **error);
/* Removes from tmp/ what deliveries left there that were given up (after 36 hours). */
void maildir_folder_tidy(MaildirFolder *folder);
/* fsync of cur/ and new/, where anything was changed through @folder. */
gboolean maildir_folder_flush(MaildirFolder *folder, GError **error);

/* -- A folder and its ledger: maildir-sync.c --------------------------------------------------- */

typedef struct {
    GHashTable *files;  /* base -> MaildirFile: what is there */
    UidSet *added;      /* UIDs given now, in the order of delivery: mtime, then name */
    UidSet *changed;    /* other flags or keywords than the ledger had */
    UidSet *vanished;   /* left the ledger now */
    guint64 stamp;      /* maildir_folder_stamp() from before; 0 when it is not to be trusted */
    guint64 stood;      /* the same, also when it is fresh; 0 when the folder did not stand still */
} MaildirSync;

/* The file of @uid is no more.  An entry that is known by another key as well stays. */
void maildir_forget(Ledger *ledger, guint32 uid);

/* Makes the ledger agree with the folder, and flushes it.  A message counts as vanished only when
 * it was missing from two readings of a folder that did not change meanwhile (a rename may hide a
 * file from readdir(3)).  TOOBIG beyond LIMIT_MESSAGES.  maildir_sync_clear() frees what it
 * filled. */
gboolean maildir_sync(MaildirFolder *folder, Ledger *ledger, MaildirSync *ret_sync,
                      GError **error);
void maildir_sync_clear(MaildirSync *sync);
