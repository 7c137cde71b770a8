/* The commands that change mailboxes (RFC 3501 and 9051 section 6.3, 6.4; UIDPLUS, MOVE, REPLACE).
 *
 * Thin: each function is one command, or one and its fallback where a server lacks an extension
 * and the fallback says the same.  What is safe to send, and what to make of a connection that
 * died in between, is decided above (store/imap-change.c, and the journal).
 *
 * All need an open session; those about messages need their mailbox selected for writing
 * (imap_session_select() without @examine).  Errors are those of imap_session_wait().
 */
#pragma once

#include "client/imap-session.h"
#include "imap/uidplus.h"

typedef struct {
    const char *mailbox; /* wire name */
    guint16 flags;       /* of ImapFlags */
    /* Blank-separated, or NULL; atoms only, others are left out.  So are all that a server does
     * not understand (BAD), and what a command line has no room for. */
    const char *keywords;
    gint64 date; /* INTERNALDATE, Unix time; 0: the server's own now */
    int fd;      /* the octets, from offset 0; read with pread(), borrowed */
    guint64 size;
    guint32 replaces; /* by UID REPLACE (RFC 8508), of the selected mailbox; else 0 */
    /* Called now and then with the octets sent so far; may be NULL. */
    void (*progress)(guint64 n_sent, gpointer user);
    gpointer user;
} ImapAppend;

/* The largest message that the server takes (APPENDLIMIT, RFC 7889), or 0 where none is known. */
guint64 imap_session_append_limit(const ImapSession *session);

/* APPEND, or UID REPLACE (UNSUPPORTED without it).  The literal is streamed from the file: with
 * LITERAL+ (up to 100 KiB) and LITERAL- (up to 4 KiB) without waiting for "+".  Before anything is
 * sent: TOOBIG where the server's limit is known and smaller, INVALID for a NUL octet, CACHE for a
 * file that is shorter than it should be; one that becomes so while it is sent costs the connection
 * (OFFLINE).  @ret_sent (may be NULL) is TRUE once the literal's first octet may have gone out, on
 * success and failure alike.  A barrier: nothing else is in flight. */
gboolean imap_session_append(ImapSession *session, const ImapAppend *append,
                             ImapAppended *ret_appended, gboolean *ret_sent, GError **error);

/* What COPYUID said; uidvalidity 0 and no pairs where the server said nothing, or something that
 * makes no sense. */
typedef struct {
    guint32 uidvalidity; /* of the target */
    GArray *pairs;       /* of ImapCopyPair, in no order */
} ImapCopied;

void imap_copied_clear(ImapCopied *copied);

/* UID COPY or, with @is_move, UID MOVE (RFC 6851; UNSUPPORTED without it) of messages of the
 * selected mailbox.  More than 100 messages, or a set longer than a command line, go in several
 * commands; @ret_copied is always set, and holds what those that succeeded said even when a later
 * one fails.  GONE for a target that is not there ([TRYCREATE]). */
gboolean imap_session_copy(ImapSession *session, const UidSet *uids, const char *target,
                           gboolean is_move, ImapCopied *ret_copied, GError **error);

typedef struct {
    gboolean is_removal; /* -FLAGS, else +FLAGS */
    guint16 flags;
    const char *keywords;    /* blank-separated, or NULL; INVALID if one is no atom */
    guint64 unchanged_since; /* UNSUPPORTED without CONDSTORE; 0: whatever happened */
} ImapStore;

/* UID STORE +FLAGS.SILENT / -FLAGS.SILENT.  @ret_modified (may be NULL; the caller owns the set)
 * gets the UIDs that [MODIFIED] left alone, empty for none. */
gboolean imap_session_store(ImapSession *session, const UidSet *uids, const ImapStore *store,
                            UidSet **ret_modified, GError **error);

/* UID EXPUNGE (RFC 4315); UNSUPPORTED without UIDPLUS. */
gboolean imap_session_uid_expunge(ImapSession *session, const UidSet *uids, GError **error);
/* The bare EXPUNGE, which takes every message that carries \Deleted: only for a caller who knows
 * that these are all his. */
gboolean imap_session_expunge_all(ImapSession *session, GError **error);

/* Wire names.  CREATE also subscribes (SUBSCRIBE; its refusal is no failure), DELETE unsubscribes,
 * RENAME moves the subscriptions of the mailbox and those below it along.  CREATE and RENAME answer
 * EXISTS, DELETE and RENAME GONE, also where the server has no response codes but says so in words
 * that are known.  DELETE and RENAME unselect the mailbox first if it is selected.
 *
 * @special_use: "\\Trash" and so on, asked for where CREATE-SPECIAL-USE (RFC 6154) is offered and
 * left out if the server refuses it (USEATTR); or NULL. */
gboolean imap_session_create(ImapSession *session, const char *mailbox, const char *special_use,
                             GError **error);
gboolean imap_session_delete(ImapSession *session, const char *mailbox, GError **error);
gboolean imap_session_rename(ImapSession *session, const char *from, const char *to,
                             GError **error);

/* STATUS (MESSAGES UIDNEXT UIDVALIDITY) of one mailbox, now.  GONE when it is not there.  The items
 * say what the server answered; the handler hears of it as well. */
gboolean imap_session_status(ImapSession *session, const char *mailbox, ImapStatus *ret_status,
                             GError **error);
