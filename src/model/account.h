/* One account: all its mailboxes as a tree, found by number and by wire name.
 *
 * Belongs to the main thread; nothing here waits or does I/O.
 */
#pragma once

#include <glib.h>

#include "model/mailbox.h"

typedef struct Account Account;

/* How a component of a path is shown is the tree's business (tree/mailbox-name.h). */
typedef char *(*AccountShowFunc)(const char *component, gsize length, gboolean is_top);

struct Account {
    char *id;
    guint8 number; /* its place in the configuration: the inode's field */
    gboolean is_listed; /* the mailboxes were listed whole once */
    Mailbox *root;      /* number 0 */
    guint16 next_number;

    GHashTable *by_number, *by_wire; /* borrowed values; use the functions */
    GPtrArray *all;                  /* owned, gone ones too while the account lives */
    AccountShowFunc show;
};

Account *account_new(const char *id, guint8 number, AccountShowFunc show);
void account_free(Account *account); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Account, account_free)

Mailbox *account_find_number(const Account *account, guint16 number);
Mailbox *account_find_wire(const Account *account, const char *wire); /* "inbox" in any case */
Mailbox *account_find_label(const Mailbox *parent, const char *label);
Mailbox *account_find_path(const Account *account, const char *shown_path);

/* Adds a mailbox below the parent that its path names; parents that are missing are made as
 * containers by joining the path with @delimiter and @encode (the wire form of a component,
 * whose result the caller owns).  @number 0 takes the next free one.  Returns the mailbox, which
 * may have been there; NULL when numbers have run out or the path is too deep or empty.
 * Containers that were made on the way are appended to @ret_made (may be NULL). */
typedef struct {
    guint16 number;
    const char *wire;
    char **path;
    char delimiter;
    char *(*encode)(const char *component);
} AccountMailboxSpec;

Mailbox *account_add(Account *account, const AccountMailboxSpec *spec, GPtrArray *ret_made);

/* @wire is to have @number when it is added, and nobody else is: as if it had been removed. */
void account_reserve(Account *account, guint16 number, const char *wire);

/* Takes the mailbox out of the tree: is_gone.  Its memory stays until the account's end, for
 * inodes the kernel still holds may name it; its messages are freed.  Children go first. */
void account_remove(Account *account, Mailbox *mailbox);

/* Moves @mailbox, with all that lies below it, to @parent (not below itself): its name there is
 * @component (decoded), its wire name @wire.  Numbers and messages stay. */
void account_rename(Account *account, Mailbox *mailbox, Mailbox *parent, const char *component,
                    const char *wire);
