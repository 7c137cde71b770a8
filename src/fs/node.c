/* What an inode number names, and what the kernel must hear when the model changes.
 *
 * Numbers carry their meaning (tree/inode.h), so resolving one is two lookups and forgetting one is
 * nothing.  But for one thing: a rename leaves the kernel with the number of where a message was
 * (it moves its own entry and asks for nothing), so numbers that were left are kept together
 * with those that took their place until the kernel forgets them.
 *
 * The observer turns each change of the model into announcements and lines of the
 * event stream.
 */
#include "fs/internal.h"
#include "base/limits.h"
#include "tree/attr.h"

fuse_ino_t fs_ino_mailbox(const Fs *fs, const Store *store, const Mailbox *mailbox)
{
    const Account *account = store_account(store);
    Inode inode = {INODE_DIRECTORY, account->number, mailbox->number, 0};

    if (mailbox == account->root && !fs->params.is_all)
        return FUSE_ROOT_ID;
    return inode_pack(inode);
}

fuse_ino_t fs_ino_item(const Store *store, const Mailbox *mailbox, guint64 item)
{
    Inode inode = {INODE_MESSAGE, store_account(store)->number, mailbox->number, item};

    return inode_pack(inode);
}

fuse_ino_t fs_ino_message(const Store *store, const Mailbox *mailbox, const Message *message)
{
    return fs_ino_item(store, mailbox, message->item);
}

fuse_ino_t fs_ino_virtual(guint item)
{
    Inode inode = {INODE_VIRTUAL, 0, 0, item};

    return inode_pack(inode);
}

FsNode fs_node_mailbox(Store *store, Mailbox *mailbox)
{
    return (FsNode){.kind = INODE_DIRECTORY, .store = store, .mailbox = mailbox};
}

FsNode fs_node_message(Store *store, Mailbox *mailbox, Message *message)
{
    return (FsNode){
        .kind = INODE_MESSAGE,
        .store = store,
        .mailbox = mailbox,
        .message = message,
        .local = local_find_item(store, mailbox, message->item),
    };
}

FsNode fs_node_local(LocalFile *local)
{
    Message *message = mailbox_find_item(local->mailbox, local->item);

    return (FsNode){
        .kind = INODE_MESSAGE,
        .store = local->store,
        .mailbox = local->mailbox,
        .message = message && !message->is_hidden ? message : NULL,
        .local = local,
    };
}

const char *fs_node_state(const FsNode *node)
{
    static const char *const names[] = {
        [LOCAL_NEW] = "new", [LOCAL_EDIT] = "edited", [LOCAL_SCRATCH] = "scratch"};

    if (node->local)
        return names[node->local->kind];
    return local_is_scratch_name(node->message->name) ? "parked" : "stored";
}

static gboolean root_node(const Fs *fs, FsNode *ret_node)
{
    if (fs->params.is_all) {
        *ret_node = (FsNode){.kind = INODE_TOP};
    } else {
        Store *store = g_ptr_array_index(fs->stores, 0);

        *ret_node = fs_node_account(store);
    }
    return TRUE;
}

/* -- Numbers that were left -------------------------------------------------------------------- */

void fs_forward(Fs *fs, fuse_ino_t old, fuse_ino_t now)
{
    gint64 keys[] = {(gint64)old, (gint64)now};

    if (old != now && g_hash_table_size(fs->forwards) < LIMIT_FORWARDS)
        g_hash_table_insert(fs->forwards, g_memdup2(&keys[0], sizeof keys[0]),
                            g_memdup2(&keys[1], sizeof keys[1]));
}

void fs_forget(Fs *fs, fuse_ino_t ino)
{
    gint64 key = (gint64)ino;

    g_hash_table_remove(fs->forwards, &key);
    g_hash_table_remove(fs->news, &key);
}

static gboolean find_number(const Fs *fs, fuse_ino_t ino, FsNode *ret_node)
{
    Inode inode;
    Store *store;
    Mailbox *mailbox;
    Message *message;
    LocalFile *local;

    if (!inode_unpack(ino, &inode))
        return FALSE;
    if (inode.kind == INODE_VIRTUAL) {
        *ret_node = (FsNode){.kind = INODE_VIRTUAL, .item = (guint)inode.item};
        return virtual_stat(fs, ret_node->item, &(struct stat){0});
    }
    if (inode.account >= fs->stores->len)
        return FALSE;
    store = g_ptr_array_index(fs->stores, inode.account);
    mailbox = account_find_number(store_account(store), inode.mailbox);
    if (!mailbox)
        return FALSE;
    if (inode.kind == INODE_DIRECTORY) {
        *ret_node = fs_node_mailbox(store, mailbox);
        return TRUE;
    }
    if (inode.kind == INODE_VIEW) {
        *ret_node = fs_node_view(store, mailbox, (guint)inode.item);
        return inode.item >= VIEW_MAILDIR && inode.item <= VIEW_ACCOUNTS;
    }
    message = mailbox_find_item(mailbox, inode.item);
    local = local_find_item(store, mailbox, inode.item);
    if (local)
        *ret_node = fs_node_local(local);
    else if (message && !message->is_hidden)
        *ret_node = fs_node_message(store, mailbox, message);
    else
        return FALSE;
    return TRUE;
}

gboolean fs_node(const Fs *fs, fuse_ino_t ino, FsNode *ret_node)
{
    gint64 key = (gint64)ino;
    const gint64 *next;

    if (ino == FUSE_ROOT_ID)
        return root_node(fs, ret_node);
    if (find_number(fs, ino, ret_node))
        return TRUE;
    /* Numbers are never given twice, so this ends. */
    next = g_hash_table_lookup(fs->forwards, &key);
    return next && fs_node(fs, (fuse_ino_t)*next, ret_node);
}

/* -- Attributes -------------------------------------------------------------------------------- */

/* A local file is shown as if it were a message: that is what most will be. */
static void local_stat(const FsNode *node, struct stat *ret_stat)
{
    const LocalFile *local = node->local;
    Message shown = {.flags = MESSAGE_SEEN};

    if (node->message)
        shown = *node->message;
    shown.size = local_size(local);
    shown.mtime = local->mtime ? local->mtime : local->written;
    shown.appeared = local->written;
    if (local->mode)
        shown.mode = local->mode;
    attr_message(node->mailbox, &shown, ret_stat);
    ret_stat->st_ino = fs_ino_item(node->store, node->mailbox, local->item);
}

static void top_stat(const Fs *fs, struct stat *ret_stat)
{
    const Store *first = g_ptr_array_index(fs->stores, 0);

    attr_directory(store_account(first)->root, fs->started, ret_stat);
}

void fs_stat(const Fs *fs, const FsNode *node, struct stat *ret_stat)
{
    switch (node->kind) {
    case INODE_TOP:
        top_stat(fs, ret_stat);
        ret_stat->st_ino = FUSE_ROOT_ID;
        break;
    case INODE_DIRECTORY:
        attr_directory(node->mailbox, fs->started, ret_stat);
        ret_stat->st_ino = fs_ino_mailbox(fs, node->store, node->mailbox);
        break;
    case INODE_MESSAGE:
        if (node->local) {
            local_stat(node, ret_stat);
            break;
        }
        attr_message(node->mailbox, node->message, ret_stat);
        ret_stat->st_ino = fs_ino_message(node->store, node->mailbox, node->message);
        break;
    case INODE_VIEW:
        fs_view_stat(fs, node, ret_stat);
        break;
    case INODE_VIRTUAL:
        (void)virtual_stat(fs, node->item, ret_stat);
        ret_stat->st_ino = fs_ino_virtual(node->item);
        break;
    }
    ret_stat->st_uid = fs->uid;
    ret_stat->st_gid = fs->gid;
}

/* What is made anew at each open, or comes and goes by itself, is not kept. */
double fs_attr_timeout(const FsNode *node)
{
    return node->kind == INODE_VIRTUAL || node->kind == INODE_VIEW ? 0 : FS_TIMEOUT;
}

static double entry_timeout(const FsNode *node)
{
    if (node->kind == INODE_VIEW)
        return FS_VIEW_TIMEOUT;
    return node->is_viewed ? 0 : fs_attr_timeout(node);
}

void fs_entry(const Fs *fs, const FsNode *node, struct fuse_entry_param *ret_entry)
{
    *ret_entry = (struct fuse_entry_param){.generation = 1};
    fs_stat(fs, node, &ret_entry->attr);
    ret_entry->ino = ret_entry->attr.st_ino;
    ret_entry->entry_timeout = entry_timeout(node);
    ret_entry->attr_timeout = fs_attr_timeout(node);
}

/* -- The observer ------------------------------------------------------------------------------ */

static void directory_changed(Fs *fs, Store *store, Mailbox *mailbox)
{
    notifier_inode(fs->notifier, fs_ino_mailbox(fs, store, mailbox));
}

static void on_mailbox_added(Store *store, Mailbox *mailbox, gpointer user)
{
    Fs *fs = user;

    fs_event(fs, "mailbox-added", store, mailbox, NULL);
    notifier_entry(fs->notifier, fs_ino_mailbox(fs, store, mailbox->parent), mailbox->label);
    directory_changed(fs, store, mailbox->parent);
}

static void on_mailbox_removed(Store *store, Mailbox *mailbox, gpointer user)
{
    Fs *fs = user;

    fs_event(fs, "mailbox-removed", store, mailbox, NULL);
    notifier_entry(fs->notifier, fs_ino_mailbox(fs, store, mailbox->parent), mailbox->label);
    notifier_inode(fs->notifier, fs_ino_mailbox(fs, store, mailbox));
    directory_changed(fs, store, mailbox->parent);
}

static void announce_message(Fs *fs, Store *store, Mailbox *mailbox, const Message *message)
{
    g_autofree char *shown = attr_shown_name(mailbox, message);

    notifier_entry(fs->notifier, fs_ino_mailbox(fs, store, mailbox),
                   shown ? shown : message->name);
    mailbox_touch(mailbox, g_get_real_time() / G_USEC_PER_SEC);
    directory_changed(fs, store, mailbox);
}

/* Whoever wrote the file has it by this name already. */
static gboolean is_known(const Fs *fs, Store *store, Mailbox *mailbox, guint64 item,
                         const char *name)
{
    FsNode directory = fs_node_mailbox(store, mailbox), node;

    if (!fs_find(fs, &directory, name, &node) || node.kind != INODE_MESSAGE)
        return FALSE;
    return node.local ? node.local->item == item : node.message->item == item;
}

static void on_message_added(Store *store, Mailbox *mailbox, Message *message, gpointer user)
{
    Fs *fs = user;

    fs_event(fs, "new", store, mailbox, message->name);
    fs_view_arrived(fs, store, mailbox, message);
    if (local_find_item(store, mailbox, message->item) &&
        is_known(fs, store, mailbox, message->item, message->name))
        notifier_inode(fs->notifier, fs_ino_message(store, mailbox, message));
    else
        announce_message(fs, store, mailbox, message);
}

static void on_message_removed(Store *store, Mailbox *mailbox, Message *message, gpointer user)
{
    Fs *fs = user;

    fs_event(fs, "removed", store, mailbox, message->name);
    fs_view_left(fs, store, mailbox, message->item);
    announce_message(fs, store, mailbox, message);
}

static void on_message_changed(Store *store, Mailbox *mailbox, Message *message, gpointer user)
{
    Fs *fs = user;

    fs_event(fs, "changed", store, mailbox, message->name);
    fs_view_touch(fs, store, mailbox);
    notifier_inode(fs->notifier, fs_ino_message(store, mailbox, message));
}

static void on_message_moved(Store *store, const StoreMoved *moved, gpointer user)
{
    Fs *fs = user;
    fuse_ino_t old = fs_ino_item(store, moved->from, moved->item);

    fs_event_moved(fs, store, moved);
    if (moved->from != moved->to)
        fs_view_left(fs, store, moved->from, moved->item);
    fs_view_touch(fs, store, moved->to);
    fs_forward(fs, old, fs_ino_message(store, moved->to, moved->message));
    notifier_entry(fs->notifier, fs_ino_mailbox(fs, store, moved->from), moved->name);
    mailbox_touch(moved->from, g_get_real_time() / G_USEC_PER_SEC);
    directory_changed(fs, store, moved->from);
    announce_message(fs, store, moved->to, moved->message);
    notifier_inode(fs->notifier, old);
}

static void on_local_changed(Store *store, Mailbox *mailbox, guint64 item, const char *name,
                             gpointer user)
{
    Fs *fs = user;
    fuse_ino_t ino = fs_ino_item(store, mailbox, item);
    gint64 key = (gint64)ino;

    g_hash_table_add(fs->news, g_memdup2(&key, sizeof key));
    fs_view_touch(fs, store, mailbox);
    notifier_inode(fs->notifier, ino);
    directory_changed(fs, store, mailbox);
    if (!is_known(fs, store, mailbox, item, name))
        notifier_entry(fs->notifier, fs_ino_mailbox(fs, store, mailbox), name);
}

static void on_mailbox_changed(Store *store, Mailbox *mailbox, gpointer user)
{
    fs_view_touch(user, store, mailbox);
    directory_changed(user, store, mailbox);
}

static void on_state_changed(Store *store, gpointer user)
{
    Fs *fs = user;

    if (fs->params.state) {
        g_autofree char *line = fs_status_line(fs);

        fs->params.state(line, fs->params.user);
    }
}

const StoreObserver fs_observer = {
    .mailbox_added = on_mailbox_added,
    .mailbox_removed = on_mailbox_removed,
    .message_added = on_message_added,
    .message_removed = on_message_removed,
    .message_changed = on_message_changed,
    .message_moved = on_message_moved,
    .local_changed = on_local_changed,
    .mailbox_changed = on_mailbox_changed,
    .state_changed = on_state_changed,
};
