/* The list of mailboxes: what LIST says, applied to the model.
 */
#include "store/change-internal.h"

/* The mailbox went, its name stays as a level of the hierarchy: a plain directory now. */
static void make_container(Store *store, Mailbox *mailbox)
{
    DiskBatch *batch = disk_batch_new();
    g_autoptr(GPtrArray) messages = NULL;

    store_drop_sync(store, mailbox);
    disk_batch_remove_mailbox(batch, mailbox->number);
    disk_submit(store->disk, batch, NULL, NULL);
    messages = mailbox_steal_all(mailbox);
    for (guint i = 0; i < messages->len; i++)
        store->params.observer->message_removed(store, mailbox, g_ptr_array_index(messages, i),
                                                store->params.user);
    mailbox->is_container = TRUE;
    mailbox->is_listed = FALSE;
    mailbox->uidvalidity = mailbox->uidnext = mailbox->n_messages = mailbox->n_unseen = 0;
    mailbox->highestmodseq = 0;
    mailbox->load = MAILBOX_LOADED;
    store_put_mailbox(store, mailbox);
}

Mailbox *store_add_mailbox(Store *store, const ListedMailbox *listed)
{
    g_autoptr(GPtrArray) made = g_ptr_array_new();
    AccountMailboxSpec spec = {0, listed->wire, listed->path, listed->delimiter,
                               store->ops->encode};
    Mailbox *mailbox = account_find_wire(store->account, listed->wire);
    gboolean is_new = mailbox == NULL;
    gint64 now = store_now();

    mailbox = account_add(store->account, &spec, made);
    if (!mailbox) {
        g_warning("%s: the mailbox \"%s\" cannot be shown: too many, or nested too deep",
                  store->account->id, listed->wire);
        return NULL;
    }
    if (!is_new && mailbox->list_flags == listed->list_flags &&
        mailbox->is_container == listed->is_container)
        return mailbox;
    mailbox->list_flags = listed->list_flags;
    if (!is_new && listed->is_container && !mailbox->is_container)
        make_container(store, mailbox);
    else if (!is_new && !listed->is_container && mailbox->is_container)
        mailbox->load = MAILBOX_UNLOADED;
    mailbox->is_container = listed->is_container;
    if (is_new) {
        mailbox->load = mailbox->is_container ? MAILBOX_LOADED : MAILBOX_UNLOADED;
        mailbox->next_item = disk_next_item(store->disk, mailbox->number);
        g_ptr_array_add(made, mailbox);
    } else {
        store_put_mailbox(store, mailbox);
    }
    for (guint i = 0; i < made->len; i++) {
        Mailbox *each = g_ptr_array_index(made, i);

        mailbox_touch(each, now);
        mailbox_touch(each->parent, now);
        store_put_mailbox(store, each);
        store->params.observer->mailbox_added(store, each, store->params.user);
    }
    return mailbox;
}

void store_remove_mailbox(Store *store, Mailbox *mailbox)
{
    DiskBatch *batch = disk_batch_new();
    g_autoptr(GPtrArray) gone = g_ptr_array_new();

    for (guint i = 0; i < store->account->all->len; i++) {
        Mailbox *each = g_ptr_array_index(store->account->all, i);
        Mailbox *above = each;

        while (above && above != mailbox)
            above = above->parent;
        if (above && !each->is_gone)
            g_ptr_array_add(gone, each);
    }
    for (guint i = gone->len; i > 0; i--) {
        Mailbox *each = g_ptr_array_index(gone, i - 1);

        store_drop_sync(store, each);
        disk_batch_remove_mailbox(batch, each->number);
        store->params.observer->mailbox_removed(store, each, store->params.user);
    }
    mailbox_touch(mailbox->parent, store_now());
    account_remove(store->account, mailbox);
    disk_submit(store->disk, batch, NULL, NULL);
}

/* A container that was made because something lay below it, and where nothing does any more. */
static gboolean is_needed(const Store *store, const Mailbox *mailbox, GHashTable *listed)
{
    if (g_hash_table_contains(listed, mailbox->wire) || store_is_expected(store, mailbox))
        return TRUE;
    for (guint i = 0; i < mailbox->children->len; i++)
        if (is_needed(store, g_ptr_array_index(mailbox->children, i), listed))
            return TRUE;
    return FALSE;
}

static void remove_unlisted(Store *store, Mailbox *parent, GHashTable *listed)
{
    for (guint i = parent->children->len; i > 0; i--) {
        Mailbox *child = g_ptr_array_index(parent->children, i - 1);

        if (!is_needed(store, child, listed)) {
            store_remove_mailbox(store, child);
        } else if (!g_hash_table_contains(listed, child->wire) && !child->is_container &&
                   !store_is_expected(store, child)) {
            make_container(store, child);
            remove_unlisted(store, child, listed);
        } else {
            remove_unlisted(store, child, listed);
        }
    }
}

/* The path as folders= sees it. */
static gboolean is_wanted(const Store *store, const ListedMailbox *listed)
{
    g_autofree char *path = g_strjoinv("/", listed->path);

    return config_wants_folder(store->params.config, path);
}

/* Changes whose answer was lost are judged by what is there. */
static void announce_wires(Store *store, const Event *event)
{
    g_autoptr(GHashTable) wires = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < event->mailboxes->len; i++)
        g_hash_table_add(wires, g_array_index(event->mailboxes, ListedMailbox, i).wire);
    if (event->is_whole && g_hash_table_size(wires) > 0)
        store_changes_listed(store, wires);
}

void store_apply_list(Store *store, Event *event)
{
    g_autoptr(GHashTable) listed = g_hash_table_new(g_str_hash, g_str_equal);

    /* It was asked before a mailbox was changed, and may not know. */
    if (event->is_list && store->list_is_late)
        return;
    if (event->is_list)
        announce_wires(store, event);
    for (guint i = 0; i < event->mailboxes->len; i++) {
        ListedMailbox *each = &g_array_index(event->mailboxes, ListedMailbox, i);
        Mailbox *mailbox;

        if (!each->path) { /* MYRIGHTS of one */
            mailbox = account_find_wire(store->account, each->wire);
            if (mailbox && mailbox->is_readonly != each->is_readonly) {
                mailbox->is_readonly = each->is_readonly;
                store_put_mailbox(store, mailbox);
            }
            continue;
        }
        if (!is_wanted(store, each))
            continue;
        mailbox = store_add_mailbox(store, each);
        if (mailbox)
            g_hash_table_add(listed, mailbox->wire);
    }
    if (!event->is_list)
        return;
    /* What could not be read removes nothing; nor does an empty list, which no server means, for
     * every account has INBOX. */
    if (event->is_whole && g_hash_table_size(listed) > 0)
        remove_unlisted(store, store->account->root, listed);
    store->account->is_listed = TRUE;
    store->params.observer->mailbox_changed(store, store->account->root, store->params.user);
    store_listed(store, NULL);
}
