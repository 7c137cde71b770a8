/* One message as the model knows it: a row of a mailbox.
 *
 * Kept small, for there may be hundreds of thousands: about 100 bytes and the name.  Owned by the
 * mailbox's table; between threads it travels by handing over the pointer.
 */
#pragma once

#include <glib.h>

typedef enum {
    MESSAGE_SEEN = 1 << 0,
    MESSAGE_ANSWERED = 1 << 1,
    MESSAGE_FLAGGED = 1 << 2,
    MESSAGE_DELETED = 1 << 3,
    MESSAGE_DRAFT = 1 << 4,
} MessageFlags;

/* "seen", "answered" and so on: the flags by bit, ends with NULL. */
extern const char *const message_flag_names[];

/* The flag of a word that a person wrote: "seen", "\Seen" or "SEEN"; 0 for others. */
guint16 message_flag_of(const char *word);

typedef struct {
    guint64 item;        /* lasting local number, 36 bits; 0 until the table gave one */
    guint64 size;        /* octets: the truth if is_exact, else the server's claim */
    gint64 date;         /* INTERNALDATE, Unix time */
    gint64 appeared;     /* when this entry appeared or changed here, Unix time */
    guint64 fingerprint; /* of EMAILID or Message-ID; 0 for none: message_fingerprint() */
    char *name;          /* owned; in the directory */
    char *keywords;      /* GRefString, interned; blank-separated, sorted; NULL for none */
    gint64 mtime;        /* as set by utimens(), Unix time; 0: INTERNALDATE */
    guint32 uid;
    guint16 flags;       /* MessageFlags */
    guint16 mode;        /* as set by chmod(), permission bits; 0: the default */
    guint8 is_exact : 1; /* the body was seen: size is its length */
    guint8 is_cached : 1;
    guint8 is_suspect : 1; /* cached before an unclean end: verify before use */
    guint8 is_size_news : 1; /* size was corrected since somebody opened it last */
    guint8 is_hidden : 1;  /* removed by us, where the server could not expunge it alone */
    guint8 is_pending : 1; /* a change that waits is about it: it is hidden, or (its uid is
                            * MESSAGE_UID_PENDING or more) still to come */
    guint8 is_withheld : 1; /* the server did not give its body: not asked for unasked again */
} Message;

/* Numbers from here on stand for UIDs that a server has not given yet.  Its own are far below: a
 * million messages a day would take 11 years to come here. */
#define MESSAGE_UID_PENDING 0xf0000000u

Message *message_new(void);
Message *message_copy(const Message *message);
void message_free(Message *message); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Message, message_free)

/* Takes a copy of @keywords ("" or NULL for none). */
void message_set_keywords(Message *message, const char *keywords);

/* In any case of its letters; @keywords as in Message, or NULL. */
gboolean message_has_keyword(const char *keywords, const char *keyword);

#define MESSAGE_PASSED "$Forwarded" /* the keyword that Maildir has a letter for */

/* 64 bits of a hash over an EMAILID or a Message-ID ("<a@b>"); 0 for "" or NULL.  Tells what is
 * likely the same message after UIDVALIDITY changed; never proof of identity by itself. */
guint64 message_fingerprint(const char *id);
