/* One mailbox of an account: its place in the tree, what is known of the server's state, and the
 * table of its messages.
 *
 * Belongs to the main thread, as the whole model does; nothing here locks, waits or does I/O.
 * The fields are the interface: read them freely, change them through the functions below.
 *
 * Every directory of an account is a Mailbox, also one that only exists because a mailbox lies
 * below it (is_container), and the account's root, which is number 0 and has no messages.
 */
#pragma once

#include <glib.h>

#include "base/uid-set.h"
#include "model/message.h"

typedef struct Mailbox Mailbox;

typedef enum {
    MAILBOX_UNLOADED, /* rows are on the disk only */
    MAILBOX_LOADING,
    MAILBOX_LOADED,
} MailboxLoad;

struct Mailbox {
    /* Set once. */
    guint16 number; /* lasting, local */
    char *wire;     /* the server's name, verbatim; "" for the root */
    char **path;    /* decoded components; empty for the root */
    char *label;    /* as shown in its parent's directory; unique there */
    Mailbox *parent;
    char delimiter;

    /* As the server last said. */
    guint32 list_flags; /* the backend's; MAILBOX_* below are what the model understands */
    gboolean is_container; /* cannot be selected: a plain directory */
    gboolean is_readonly;
    guint32 uidvalidity, uidnext;
    guint64 highestmodseq;
    guint32 n_messages; /* by STATUS or the table */
    guint32 n_unseen;

    /* Ours. */
    gboolean is_listed; /* the table was whole once, and is kept so */
    gboolean is_gone;   /* removed from the account; kept while handles refer to it */
    gint64 used, compared, changed;
    guint32 changed_nsec; /* within the second; of this run */
    MailboxLoad load;
    guint64 next_item;

    GPtrArray *children; /* of Mailbox, borrowed, in the order of their numbers */

    /* Internal: use the functions. */
    GPtrArray *messages; /* by UID */
    GHashTable *by_name, *by_item;
};

Mailbox *mailbox_new(guint16 number, const char *wire, char **path);
void mailbox_free(Mailbox *mailbox);

/* -- The table --------------------------------------------------------------------------------- */

guint mailbox_n_messages(const Mailbox *mailbox);
Message *mailbox_nth(const Mailbox *mailbox, guint i); /* in UID order */
guint mailbox_lower_bound(const Mailbox *mailbox, guint32 uid); /* first with this UID or more */

Message *mailbox_find_uid(const Mailbox *mailbox, guint32 uid);
Message *mailbox_find_name(const Mailbox *mailbox, const char *name);
Message *mailbox_find_item(const Mailbox *mailbox, guint64 item);

/* Takes @message.  Its item is given here if it is 0.  FALSE, and the message freed, when its
 * UID is there already, its name is empty, or items have run out. */
gboolean mailbox_add(Mailbox *mailbox, Message *message);

/* Takes the message out of the table; the caller owns it then. */
Message *mailbox_steal(Mailbox *mailbox, Message *message);

/* @name must be free. */
void mailbox_rename(Mailbox *mailbox, Message *message, const char *name);

/* Takes all out.  The caller owns the array and its messages. */
GPtrArray *mailbox_steal_all(Mailbox *mailbox);

/* Marks membership or a name as changed: moves the directory's mtime, strictly forward. */
void mailbox_touch(Mailbox *mailbox, gint64 now);

/* Those that a server has given: not of messages that are still to come. */
UidSet *mailbox_uids(const Mailbox *mailbox);
guint mailbox_n_given(const Mailbox *mailbox); /* how many */
guint mailbox_count_unseen(const Mailbox *mailbox);

/* "INBOX/Projects": the labels from the top.  The caller owns it; "" for the root. */
char *mailbox_shown_path(const Mailbox *mailbox);
