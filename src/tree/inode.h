/* Inode numbers: what a number names is written in it, so that no table is needed and a number
 * means the same in every run.
 *
 *     kind 4 bits | account 8 | mailbox 16 | item 36
 *
 * The kind is never 0, so no number collides with FUSE's root, which is 1.  Items and mailbox
 * numbers are lasting (state.db); they do not depend on UIDs or UIDVALIDITY.  What does not fit
 * is refused where the number is given out, never wrapped.
 */
#pragma once

#include <glib.h>

typedef enum {
    INODE_DIRECTORY = 1, /* a mailbox, or (mailbox 0) the top of an account; item 0 */
    INODE_MESSAGE = 2,
    INODE_VIRTUAL = 3, /* below .mailfs; the item says which */
    INODE_TOP = 4,     /* the root when all accounts are mounted */
    INODE_VIEW = 5,    /* a directory of the Maildir view; the item says which of a mailbox's */
} InodeKind;

typedef struct {
    InodeKind kind;
    guint8 account;
    guint16 mailbox;
    guint64 item; /* at most INODE_MAX_ITEM */
} Inode;

#define INODE_MAX_ITEM ((1ULL << 36) - 1)

guint64 inode_pack(Inode inode);

/* FALSE for a number that inode_pack() never gives. */
gboolean inode_unpack(guint64 number, Inode *ret_inode);
