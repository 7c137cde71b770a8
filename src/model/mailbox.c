/* A mailbox's table of messages: an array in UID order, and two hash tables into it.
 *
 * New mail has the highest UID, so adding is nearly always an append.  Removal from the middle
 * moves pointers, 8 octets a message: 800 kB for the first of 100,000, which is less than the
 * rest of a removal costs.
 */
#include "model/mailbox.h"

enum { NSEC_PER_SEC = 1000000000 };

#define MAX_ITEM ((1ULL << 36) - 1) /* the inode's field: tree/inode.h */

Mailbox *mailbox_new(guint16 number, const char *wire, char **path)
{
    Mailbox *mailbox = g_new0(Mailbox, 1);

    mailbox->number = number;
    mailbox->wire = g_strdup(wire);
    mailbox->path = g_strdupv(path);
    mailbox->next_item = 1;
    mailbox->children = g_ptr_array_new();
    mailbox->messages = g_ptr_array_new_with_free_func((GDestroyNotify)message_free);
    mailbox->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    mailbox->by_item = g_hash_table_new(g_int64_hash, g_int64_equal);
    return mailbox;
}

void mailbox_free(Mailbox *mailbox)
{
    if (!mailbox)
        return;
    g_hash_table_unref(mailbox->by_name);
    g_hash_table_unref(mailbox->by_item);
    g_ptr_array_unref(mailbox->messages);
    g_ptr_array_unref(mailbox->children);
    g_strfreev(mailbox->path);
    g_free(mailbox->label);
    g_free(mailbox->wire);
    g_free(mailbox);
}

guint mailbox_n_messages(const Mailbox *mailbox)
{
    return mailbox->messages->len;
}

Message *mailbox_nth(const Mailbox *mailbox, guint i)
{
    return g_ptr_array_index(mailbox->messages, i);
}

guint mailbox_lower_bound(const Mailbox *mailbox, guint32 uid)
{
    guint low = 0, high = mailbox->messages->len;

    /* The end first: that is where new mail goes. */
    if (high > 0 && mailbox_nth(mailbox, high - 1)->uid < uid)
        return high;
    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (mailbox_nth(mailbox, middle)->uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

Message *mailbox_find_uid(const Mailbox *mailbox, guint32 uid)
{
    guint i = mailbox_lower_bound(mailbox, uid);

    if (i < mailbox->messages->len && mailbox_nth(mailbox, i)->uid == uid)
        return mailbox_nth(mailbox, i);
    return NULL;
}

Message *mailbox_find_name(const Mailbox *mailbox, const char *name)
{
    return g_hash_table_lookup(mailbox->by_name, name);
}

Message *mailbox_find_item(const Mailbox *mailbox, guint64 item)
{
    gint64 key = (gint64)item;

    return g_hash_table_lookup(mailbox->by_item, &key);
}

gboolean mailbox_add(Mailbox *mailbox, Message *message)
{
    g_autoptr(Message) owned = message;
    guint at = mailbox_lower_bound(mailbox, message->uid);

    if (at < mailbox->messages->len && mailbox_nth(mailbox, at)->uid == message->uid)
        return FALSE;
    if (message->item == 0)
        message->item = mailbox->next_item;
    if (message->item > MAX_ITEM || !message->name || !*message->name ||
        mailbox_find_item(mailbox, message->item) || mailbox_find_name(mailbox, message->name))
        return FALSE;
    mailbox->next_item = MAX(mailbox->next_item, message->item + 1);
    g_ptr_array_insert(mailbox->messages, (gint)at, message);
    g_hash_table_insert(mailbox->by_name, message->name, message);
    g_hash_table_insert(mailbox->by_item, &message->item, message);
    mailbox->n_messages = mailbox->messages->len;
    (void)g_steal_pointer(&owned);
    return TRUE;
}

Message *mailbox_steal(Mailbox *mailbox, Message *message)
{
    guint at = mailbox_lower_bound(mailbox, message->uid);

    g_assert(mailbox_nth(mailbox, at) == message);
    g_hash_table_remove(mailbox->by_name, message->name);
    g_hash_table_remove(mailbox->by_item, &message->item);
    g_ptr_array_steal_index(mailbox->messages, at);
    mailbox->n_messages = mailbox->messages->len;
    return message;
}

void mailbox_rename(Mailbox *mailbox, Message *message, const char *name)
{
    g_assert(!mailbox_find_name(mailbox, name));
    g_hash_table_remove(mailbox->by_name, message->name);
    g_free(message->name);
    message->name = g_strdup(name);
    g_hash_table_insert(mailbox->by_name, message->name, message);
}

GPtrArray *mailbox_steal_all(Mailbox *mailbox)
{
    GPtrArray *all = mailbox->messages;

    g_hash_table_remove_all(mailbox->by_name);
    g_hash_table_remove_all(mailbox->by_item);
    mailbox->messages = g_ptr_array_new_with_free_func((GDestroyNotify)message_free);
    return all;
}

void mailbox_touch(Mailbox *mailbox, gint64 now)
{
    /* As on a disk: who compares whole seconds (notmuch) does not trust the one that runs.  One
     * second a change would date a directory into which a thousand files were copied far into the
     * future. */
    if (now > mailbox->changed) {
        mailbox->changed = now;
        mailbox->changed_nsec = 0;
    } else if (++mailbox->changed_nsec == NSEC_PER_SEC) {
        mailbox->changed++;
        mailbox->changed_nsec = 0;
    }
}

UidSet *mailbox_uids(const Mailbox *mailbox)
{
    UidSet *uids = uid_set_new();

    for (guint i = 0; i < mailbox_n_given(mailbox); i++)
        uid_set_add(uids, mailbox_nth(mailbox, i)->uid);
    return uids;
}

guint mailbox_n_given(const Mailbox *mailbox)
{
    return mailbox_lower_bound(mailbox, MESSAGE_UID_PENDING);
}

guint mailbox_count_unseen(const Mailbox *mailbox)
{
    guint n = 0;

    for (guint i = 0; i < mailbox->messages->len; i++)
        n += !(mailbox_nth(mailbox, i)->flags & MESSAGE_SEEN);
    return n;
}

char *mailbox_shown_path(const Mailbox *mailbox)
{
    g_autofree char *above = NULL;

    if (!mailbox->parent)
        return g_strdup("");
    if (!mailbox->parent->parent)
        return g_strdup(mailbox->label);
    above = mailbox_shown_path(mailbox->parent);
    return g_strconcat(above, "/", mailbox->label, NULL);
}
