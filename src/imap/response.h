/* What the responses of an IMAP server mean: generic arguments turned into typed structs.
 *
 * Nothing here keeps state or does I/O, and nothing is copied unless it is said: a struct is valid
 * as long as the response that it was read from.  The functions forgive whatever some server is
 * known to send (src/README.md has the list) and answer FALSE or NULL for a response that makes no
 * sense; that is to be skipped, for one odd line must not cost the connection.  A FETCH alone can
 * be worse than that: one that contradicts itself about which message it is about.
 */
#pragma once

#include <glib.h>

#include "base/uid-set.h"
#include "imap/flags.h"
#include "imap/parser.h"

typedef enum { IMAP_OK, IMAP_NO, IMAP_BAD } ImapCond;

/* -- CAPABILITY (RFC 9051 section 7.2.2) ------------------------------------------------------- */

typedef enum {
    IMAP_CAP_ACL,
    IMAP_CAP_APPENDLIMIT,
    IMAP_CAP_COMPRESS,
    IMAP_CAP_CONDSTORE,
    IMAP_CAP_CREATE_SPECIAL_USE,
    IMAP_CAP_ENABLE,
    IMAP_CAP_ESEARCH,
    IMAP_CAP_ID,
    IMAP_CAP_IDLE,
    IMAP_CAP_IMAP4REV2,
    IMAP_CAP_LIST_EXTENDED,
    IMAP_CAP_LIST_MYRIGHTS,
    IMAP_CAP_LIST_STATUS,
    IMAP_CAP_LITERAL_MINUS,
    IMAP_CAP_LITERAL_PLUS,
    IMAP_CAP_LOGINDISABLED,
    IMAP_CAP_MOVE,
    IMAP_CAP_NAMESPACE,
    IMAP_CAP_NOTIFY,
    IMAP_CAP_OBJECTID,
    IMAP_CAP_QRESYNC,
    IMAP_CAP_QUOTA,
    IMAP_CAP_REPLACE,
    IMAP_CAP_SASL_IR,
    IMAP_CAP_SPECIAL_USE,
    IMAP_CAP_STARTTLS,
    IMAP_CAP_STATUS_SIZE,
    IMAP_CAP_UIDPLUS,
    IMAP_CAP_UNSELECT,
    IMAP_CAP_UTF8_ACCEPT,
    IMAP_CAP_UTF8_ONLY,
    IMAP_N_CAPS
} ImapCap;

/* A server's list, taken apart. */
typedef struct {
    char *line; /* as it was sent; "" for none yet */
    gboolean has[IMAP_N_CAPS];
    guint64 append_limit; /* octets; 0: none is known */
    GPtrArray *auth; /* "PLAIN": the SASL mechanisms, upper case; NULL-terminated by a last entry */
} ImapCapabilities;

void imap_capabilities_init(ImapCapabilities *caps);
void imap_capabilities_clear(ImapCapabilities *caps);

/* Replaces what is there by the blank-separated @line.  QRESYNC implies CONDSTORE and both imply
 * nothing about ENABLE; IMAP4rev2 alone implies what it made part of the protocol. */
void imap_capabilities_parse(ImapCapabilities *caps, const char *line);

/* A capability by its name, in any case; IMAP_N_CAPS if it is none of them. */
ImapCap imap_cap_from_name(const char *name);

/* -- Messages and mailboxes -------------------------------------------------------------------- */

typedef enum {
    IMAP_FETCH_UID = 1 << 0,
    IMAP_FETCH_FLAGS = 1 << 1,
    IMAP_FETCH_SIZE = 1 << 2,
    IMAP_FETCH_DATE = 1 << 3,
    IMAP_FETCH_MODSEQ = 1 << 4,
    IMAP_FETCH_HEADER = 1 << 5,
    IMAP_FETCH_BODY = 1 << 6, /* BODY[] came; its octets are elsewhere */
    IMAP_FETCH_EMAILID = 1 << 7,
} ImapFetchItems;

/* One FETCH response.  Everything is valid during the call only. */
typedef struct {
    guint32 seq; /* message sequence number */
    guint32 uid; /* 0 when the server left it out */
    ImapFetchItems items;
    ImapFlags flags;
    const char *keywords; /* flags without a backslash, blank-separated, sorted; "" for none */
    guint64 size;         /* RFC822.SIZE: a claim, not a fact */
    gint64 date;          /* INTERNALDATE, Unix time; 0 when it could not be read */
    guint64 modseq;
    const char *header;   /* BODY[HEADER...]: at most LIMIT_HEADER octets */
    gsize header_length;
    guint64 body_length; /* octets of BODY[] that came; 0 for NIL */
    gboolean body_is_nil;
    const char *email_id;
} ImapFetch;

typedef enum {
    IMAP_LIST_NOSELECT = 1 << 0,
    IMAP_LIST_NONEXISTENT = 1 << 1,
    IMAP_LIST_NOINFERIORS = 1 << 2,
    IMAP_LIST_SUBSCRIBED = 1 << 3,
    IMAP_LIST_ALL = 1 << 4, /* SPECIAL-USE (RFC 6154) from here on */
    IMAP_LIST_ARCHIVE = 1 << 5,
    IMAP_LIST_DRAFTS = 1 << 6,
    IMAP_LIST_FLAGGED = 1 << 7,
    IMAP_LIST_JUNK = 1 << 8,
    IMAP_LIST_SENT = 1 << 9,
    IMAP_LIST_TRASH = 1 << 10,
} ImapListFlags;

typedef struct {
    const char *mailbox; /* the wire name, verbatim: the mailbox's identity */
    char delimiter;      /* '\0' for NIL: a flat name */
    ImapListFlags flags;
    const char *old_name; /* OLDNAME of a rename (RFC 5465, RFC 9051), or NULL */
} ImapListItem;

typedef enum {
    IMAP_STATUS_MESSAGES = 1 << 0,
    IMAP_STATUS_UIDNEXT = 1 << 1,
    IMAP_STATUS_UIDVALIDITY = 1 << 2,
    IMAP_STATUS_UNSEEN = 1 << 3,
    IMAP_STATUS_HIGHESTMODSEQ = 1 << 4,
    IMAP_STATUS_SIZE = 1 << 5,
    IMAP_STATUS_MAILBOXID = 1 << 6,
} ImapStatusItems;

typedef struct {
    const char *mailbox; /* wire name */
    ImapStatusItems items;
    guint32 messages, uidnext, uidvalidity, unseen;
    guint64 highestmodseq, size;
    const char *mailbox_id;
} ImapStatus;

/* The arguments of CAPABILITY, ENABLED and the like as one line.  The caller owns it. */
char *imap_response_words(const ImapResponse *response);

/* A FETCH (RFC 9051 section 7.5.2).  @scratch holds the keywords and is overwritten.  @ret_body is
 * the value of BODY[], BODY[]<n> or RFC822: a string, STREAM, NIL, or NULL when there is none;
 * body_length is set from it.  A header that was streamed has header NULL and its length.
 * Unknown items are skipped.  PROTOCOL for a message number or UID that is 0, too large or
 * given twice, and for two bodies. */
gboolean imap_response_fetch(const ImapResponse *response, GString *scratch, ImapFetch *ret_fetch,
                             const ImapArg **ret_body, GError **error);

typedef enum { IMAP_STREAM_OTHER, IMAP_STREAM_BODY, IMAP_STREAM_HEADER } ImapStream;

/* What the literal at the end of an unfinished response is; @ret_uid is 0 where it has not been
 * said yet. */
ImapStream imap_response_stream(const ImapResponse *response, guint32 *ret_uid);

/* LIST and LSUB (RFC 9051 section 7.3.1, RFC 5258).  A delimiter that is not one printable
 * character counts as NIL. */
gboolean imap_response_list(const ImapResponse *response, ImapListItem *ret_item);

/* STATUS (RFC 9051 section 7.3.4).  Items without a number that fits are left out. */
gboolean imap_response_status(const ImapResponse *response, ImapStatus *ret_status);

/* EXISTS and EXPUNGE: their number, if it fits. */
gboolean imap_response_number(const ImapResponse *response, guint32 *ret_number);

/* SEARCH (RFC 3501 section 7.2.5): its numbers go into @set. */
gboolean imap_response_search(const ImapResponse *response, UidSet *set);

/* ESEARCH (RFC 4731): ALL goes into @set.  FALSE if it does not answer the command @tag by UIDs. */
gboolean imap_response_esearch(const ImapResponse *response, const char *tag, UidSet *set,
                               gboolean *ret_has_all);

/* VANISHED (RFC 7162 section 3.2.10).  NULL when it makes no sense; the caller owns the set. */
UidSet *imap_response_vanished(const ImapResponse *response, gboolean *ret_earlier);

/* The value of "name" in ID (RFC 2971), or NULL. */
const char *imap_response_id_name(const ImapResponse *response);

/* The personal namespaces of NAMESPACE (RFC 2342): a walk, one at a time. */
ImapArgs imap_response_namespaces(const ImapResponse *response);
gboolean imap_namespace_next(ImapArgs *walk, const char **ret_prefix, char *ret_delimiter);

/* QUOTA (RFC 9208): FALSE unless it tells of STORAGE. */
gboolean imap_response_quota(const ImapResponse *response, const char **ret_root,
                             guint64 *ret_used_kib, guint64 *ret_limit_kib);

/* MYRIGHTS (RFC 4314). */
gboolean imap_response_my_rights(const ImapResponse *response, const char **ret_mailbox,
                                 const char **ret_rights);
