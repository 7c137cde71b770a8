/* Attributes and shown names.  See attr.h. */
#include "tree/attr.h"
#include "mime/message-name.h"
#include "model/account.h"

#include <string.h>

enum { BLOCK = 512, DIRECTORY_SIZE = 4096 };

/* stat's times are signed 64 bits, but tools format them: years 1970 to 9999. */
static gint64 sane_time(gint64 time)
{
    return CLAMP(time, 0, 253402300799);
}

void attr_message(const Mailbox *mailbox, const Message *message, struct stat *ret_stat)
{
    gint64 mtime = sane_time(message->mtime ? message->mtime : message->date);
    mode_t mode = message->mode ? message->mode & 0777 : mailbox->is_readonly ? 0400 : 0600;
    gboolean is_seen = (message->flags & MESSAGE_SEEN) != 0;

    memset(ret_stat, 0, sizeof *ret_stat);
    ret_stat->st_mode = S_IFREG | mode;
    ret_stat->st_nlink = 1;
    ret_stat->st_size = (off_t)message->size;
    ret_stat->st_blocks = (blkcnt_t)((message->size + BLOCK - 1) / BLOCK);
    ret_stat->st_blksize = 4096;
    ret_stat->st_mtime = mtime;
    ret_stat->st_ctime = sane_time(message->appeared);
    ret_stat->st_atime = is_seen ? MAX(mtime, ret_stat->st_ctime) : MAX(mtime - 1, 0);
}

void attr_directory(const Mailbox *mailbox, gint64 fallback_time, struct stat *ret_stat)
{
    gint64 changed = sane_time(mailbox->changed ? mailbox->changed : fallback_time);

    memset(ret_stat, 0, sizeof *ret_stat);
    ret_stat->st_mode = S_IFDIR | (mailbox->is_readonly ? 0500 : 0700);
    ret_stat->st_nlink = 1;
    ret_stat->st_size = DIRECTORY_SIZE;
    ret_stat->st_blocks = DIRECTORY_SIZE / BLOCK;
    ret_stat->st_blksize = 4096;
    ret_stat->st_mtime = ret_stat->st_ctime = ret_stat->st_atime = changed;
    ret_stat->st_mtim.tv_nsec = ret_stat->st_ctim.tv_nsec = (long)mailbox->changed_nsec;
}

/* A mailbox may be called like a message: "x.12.eml" is a name like any other on a server. */
static gboolean has_rivals(const Mailbox *mailbox)
{
    for (guint i = 0; i < mailbox->children->len; i++) {
        const Mailbox *child = g_ptr_array_index(mailbox->children, i);

        if (g_str_has_suffix(child->label, ".eml"))
            return TRUE;
    }
    return FALSE;
}

char *attr_shown_name(const Mailbox *mailbox, const Message *message)
{
    guint n = 1;
    char *name;

    if (!has_rivals(mailbox) || !account_find_label(mailbox, message->name))
        return NULL;
    name = message_name_with_suffix(message->name, n);
    while (account_find_label(mailbox, name)) {
        g_free(name);
        name = message_name_with_suffix(message->name, ++n);
    }
    return name;
}

Message *attr_find_shown(const Mailbox *mailbox, const char *name)
{
    Message *message = mailbox_find_name(mailbox, name);

    if (message && message->is_hidden)
        return NULL;
    if (message)
        return account_find_label(mailbox, name) ? NULL : message;
    if (!has_rivals(mailbox))
        return NULL;
    for (guint i = 0; i < mailbox->children->len; i++) {
        const Mailbox *child = g_ptr_array_index(mailbox->children, i);
        g_autofree char *shown = NULL;

        message = mailbox_find_name(mailbox, child->label);
        shown = message ? attr_shown_name(mailbox, message) : NULL;
        if (shown && g_str_equal(shown, name))
            return message;
    }
    return NULL;
}
