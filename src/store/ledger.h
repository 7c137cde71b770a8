/* The ledger: what a mailbox remembers whose server, or disk, knows no UIDs.
 *
 * IMAP gives every message a number that stays.  A Maildir has file names, POP3 has UIDLs; here
 * they get numbers of the same kind, so that all above can treat every mailbox alike: an entry has
 * a UID (rising, never given twice), one or more keys by which it is known out there, flags,
 * keywords, an INTERNALDATE and the time when it was first seen.  Keys are octets without NUL and
 * line ends; their first two say whose they are: "f:" the base of a Maildir file, "u:" a UIDL.
 *
 * It lives in one file: text, a line a change, only appended to, each line with a check of its own.
 * What a crash left of the last lines is recognised and cut off; what is damaged in the midst is
 * left out; and numbers that such lines may have given are passed over, so that none comes twice.
 * When most lines are of the past, the file is written anew beside itself and renamed (fsync of
 * file and folder).  A ledger that is lost, or whose first line cannot be read, begins anew with
 * another UIDVALIDITY (the unreadable one is kept as NAME.damaged); one of a later version is
 * refused and left alone.
 *
 * A change is in memory at once and on the disk after ledger_flush(): nobody may hear of a UID
 * before that.  A Ledger belongs to one thread at a time, usually a backend's: everything here may
 * block on the disk.  Who opens one must hold the account's lock (disk_open() does).
 */
#pragma once

#include <glib.h>

#include "model/message.h"

typedef struct Ledger Ledger;

/* Borrowed, and valid until the ledger is changed. */
typedef struct {
    guint32 uid;
    guint16 flags;        /* MessageFlags */
    const char *keywords; /* blank-separated, or NULL */
    gint64 date;          /* INTERNALDATE, Unix time */
    gint64 first_seen;    /* Unix time */
    guint64 size;         /* as a server claims it; 0: not known, or told by the file */
    guint64 likeness;     /* of its header, to know it again by; 0: not known */
} LedgerEntry;

/* A file name for the ledger of the mailbox @wire: hexadecimal digits and ".ledger".  The caller
 * owns it. */
char *ledger_name(const char *wire);

/* Opens, or begins, the ledger @name in the folder @dir_fd (a duplicate is taken).  INVALID for one
 * of a later version, CACHE or NOSPACE when the disk fails.  A file that has another name as well
 * (ledger_link()) is made one of its own. */
Ledger *ledger_open(int dir_fd, const char *name, GError **error);
void ledger_free(Ledger *ledger); /* what was not flushed is lost; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ledger, ledger_free)

/* For a mailbox that gets another name: @to is the same ledger as @from, under both names, until
 * ledger_remove() takes the old one away, so that whatever happens in between loses none.  What
 * was @to before is gone.  No @from is no failure. */
gboolean ledger_link(int dir_fd, const char *from, const char *to, GError **error);
/* Of a mailbox that is gone.  Not there: no failure.  Both are durable when they return. */
gboolean ledger_remove(int dir_fd, const char *name, GError **error);

guint32 ledger_uidvalidity(const Ledger *ledger); /* never 0 */
guint32 ledger_uidnext(const Ledger *ledger);     /* above all UIDs ever given */

/* Whose the keys are, in words of the caller's, without line ends; NULL: nobody has said.  Borrowed
 * until it is set. */
const char *ledger_origin(const Ledger *ledger);
void ledger_set_origin(Ledger *ledger, const char *origin);

guint ledger_n_entries(const Ledger *ledger);
const LedgerEntry *ledger_find_uid(const Ledger *ledger, guint32 uid);
const LedgerEntry *ledger_find_key(const Ledger *ledger, const char *key);
/* The entry with the lowest UID from @uid on, or NULL: start with 1, go on with entry->uid + 1.
 * Entries may be removed on the way. */
const LedgerEntry *ledger_next(const Ledger *ledger, guint32 uid);
/* The entry's first key that begins with @prefix ("f:"), or NULL.  Borrowed as entries are. */
const char *ledger_key(const Ledger *ledger, guint32 uid, const char *prefix);

/* A new entry with the next UID; its @entry->uid is ignored, @first_seen 0 means now.  Returns the
 * UID; 0 with EXISTS when the key is known, INVALID for one that cannot be a key, TOOBIG when
 * there are LIMIT_MESSAGES or UIDs have run out. */
guint32 ledger_add(Ledger *ledger, const char *key, const LedgerEntry *entry, GError **error);
/* One more key for an entry.  EXISTS when another entry has it; GONE for an unknown UID. */
gboolean ledger_add_key(Ledger *ledger, guint32 uid, const char *key, GError **error);
/* Takes a key away; the entry stays, also without any. */
void ledger_remove_key(Ledger *ledger, const char *key);
/* @keywords: all that it has then; NULL for none.  Returns TRUE when that is a change.  Keywords
 * that are too long for a line are cut at a blank. */
gboolean ledger_set_flags(Ledger *ledger, guint32 uid, guint16 flags, const char *keywords);
/* Both return TRUE when that is a change. */
gboolean ledger_set_size(Ledger *ledger, guint32 uid, guint64 size);
gboolean ledger_set_likeness(Ledger *ledger, guint32 uid, guint64 likeness);
void ledger_remove_uid(Ledger *ledger, guint32 uid); /* an unknown one is fine */

/* All changes are durable (fdatasync).  When it fails for want of space it may be called again;
 * after a failed fdatasync every later call fails, too: the kernel may have dropped what it could
 * not write, and forgotten. */
gboolean ledger_flush(Ledger *ledger, GError **error);
