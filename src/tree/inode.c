/* Packing inode numbers.  See inode.h. */
#include "tree/inode.h"

guint64 inode_pack(Inode inode)
{
    g_assert(inode.item <= INODE_MAX_ITEM);
    return (guint64)inode.kind << 60 | (guint64)inode.account << 52 |
           (guint64)inode.mailbox << 36 | inode.item;
}

gboolean inode_unpack(guint64 number, Inode *ret_inode)
{
    guint kind = (guint)(number >> 60);

    if (kind < INODE_DIRECTORY || kind > INODE_VIEW)
        return FALSE;
    *ret_inode = (Inode){
        .kind = (InodeKind)kind,
        .account = (guint8)(number >> 52),
        .mailbox = (guint16)(number >> 36),
        .item = number & INODE_MAX_ITEM,
    };
    return TRUE;
}
