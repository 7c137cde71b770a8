/* Directories: looking names up, listing, attributes.
 *
 * What the model has is answered at once.  A mailbox that was never listed makes OPENDIR (and a
 * LOOKUP that could name a message) wait until the listing is whole: a partial directory would
 * make a backup delete what it does not see.  READDIR itself never waits, for while it did, a
 * stat beside it waited too (measured).
 */
#include "fs/internal.h"
#include "fs/errno.h"
#include "tree/attr.h"

#include <errno.h>
#include <string.h>

/* -- Waiting for a listing --------------------------------------------------------------------- */

typedef struct {
    FsWait *wait;
    StoreWait *store_wait;
    fuse_ino_t ino; /* the directory */
    char *name;     /* LOOKUP, or NULL for OPENDIR */
    struct fuse_file_info fi;
} Pending;

static void pending_free(Pending *pending)
{
    g_free(pending->name);
    g_free(pending);
}

static gint64 pending_progress(gpointer data)
{
    return store_wait_progress(((Pending *)data)->store_wait);
}

static void pending_cancel(gpointer data)
{
    Pending *pending = data;

    store_wait_cancel(pending->store_wait);
    pending_free(pending);
}

/* Nothing is given up at the deadline: a server may think for long before it answers SEARCH, and
 * the session itself knows when it has died. */
static const FsWaitOps pending_ops = {.progress = pending_progress, .cancel = pending_cancel};

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name, gboolean may_wait);

static void on_ready(const GError *error, gpointer user)
{
    Pending *pending = user;
    fuse_req_t req = fs_wait_end(pending->wait);

    if (error)
        (void)fuse_reply_err(req, fs_errno(error, FALSE));
    else if (pending->name)
        lookup(req, pending->ino, pending->name, FALSE);
    else
        (void)fuse_reply_open(req, &pending->fi);
    pending_free(pending);
}

static void wait_for(fuse_req_t req, fuse_ino_t ino, const FsNode *node, const char *name,
                     const struct fuse_file_info *fi)
{
    Pending *pending = g_new0(Pending, 1);

    pending->ino = ino;
    pending->name = g_strdup(name);
    if (fi)
        pending->fi = *fi;
    pending->store_wait = store_wait(node->store, node->mailbox, on_ready, pending);
    /* An OPENDIR holds no lock in the kernel: only a LOOKUP keeps announcements back. */
    pending->wait = fs_wait_new(fs_of(req), req, &pending_ops, name ? ino : 0, pending);
}

/* -- Lookup ------------------------------------------------------------------------------------ */

static void reply_node(fuse_req_t req, const FsNode *node)
{
    struct fuse_entry_param entry;

    fs_entry(fs_of(req), node, &entry);
    (void)fuse_reply_entry(req, &entry);
}

static void reply_virtual(fuse_req_t req, guint item)
{
    FsNode node = {.kind = INODE_VIRTUAL, .item = item};

    if (item)
        reply_node(req, &node);
    else
        (void)fuse_reply_err(req, ENOENT);
}

static void lookup_account(fuse_req_t req, const Fs *fs, const char *name)
{
    for (guint i = 0; i < fs->stores->len; i++) {
        Store *store = g_ptr_array_index(fs->stores, i);
        FsNode node = fs_node_account(store);

        if (g_str_equal(store_account(store)->id, name)) {
            reply_node(req, &node);
            return;
        }
    }
    (void)fuse_reply_err(req, ENOENT);
}

/* Does what it holds come from a server?  Of a Maildir that is true of the mailboxes alone. */
static gboolean needs_listing(const FsNode *node)
{
    if (node->kind != INODE_VIEW)
        return node->kind == INODE_DIRECTORY;
    if (node->item == VIEW_MAILDIR)
        return node->mailbox->is_container || !node->mailbox->parent;
    return node->item == VIEW_CUR || node->item == VIEW_NEW;
}

gboolean fs_may_be_message(const char *name)
{
    return *name != '.' && g_str_has_suffix(name, ".eml");
}

gboolean fs_find(const Fs *fs, const FsNode *directory, const char *name, FsNode *ret_node)
{
    Mailbox *child;
    LocalFile *local;
    Message *message;

    if (directory->kind == INODE_VIEW)
        return fs_view_find(fs, directory, name, ret_node);
    child = account_find_label(directory->mailbox, name);
    if (child) {
        *ret_node = fs_node_mailbox(directory->store, child);
        return TRUE;
    }
    local = local_find_name(directory->store, directory->mailbox, name);
    if (local && !local->is_viewed) {
        *ret_node = fs_node_local(local);
        return TRUE;
    }
    message = attr_find_shown(directory->mailbox, name);
    if (!message)
        return FALSE;
    *ret_node = fs_node_message(directory->store, directory->mailbox, message);
    return TRUE;
}

/* Is a name that is not known a reason to wait for a listing? */
static gboolean is_promising(const FsNode *node, const char *name)
{
    if (node->mailbox->is_container)
        return TRUE;
    return node->kind == INODE_VIEW ? *name != '.' && needs_listing(node)
                                    : fs_may_be_message(name);
}

gboolean fs_is_unlisted(const FsNode *directory, const char *name)
{
    return is_promising(directory, name) && !store_is_ready(directory->store, directory->mailbox);
}

static void lookup_in_mailbox(fuse_req_t req, fuse_ino_t parent, const FsNode *node,
                              const char *name, gboolean may_wait)
{
    FsNode found;

    if (fs_find(fs_of(req), node, name, &found))
        reply_node(req, &found);
    else if (may_wait && fs_is_unlisted(node, name))
        wait_for(req, parent, node, name, NULL);
    else
        (void)fuse_reply_err(req, ENOENT);
}

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name, gboolean may_wait)
{
    const Fs *fs = fs_of(req);
    FsNode node, found;

    if (!fs_node(fs, parent, &node))
        (void)fuse_reply_err(req, ESTALE);
    else if (parent == FUSE_ROOT_ID && g_str_equal(name, VIRTUAL_NAME))
        reply_virtual(req, VIRTUAL_DIRECTORY);
    else if (node.kind == INODE_TOP)
        lookup_account(req, fs, name);
    else if (node.kind == INODE_DIRECTORY || node.kind == INODE_VIEW)
        lookup_in_mailbox(req, parent, &node, name, may_wait);
    else if (node.kind == INODE_VIRTUAL && node.item == VIRTUAL_DIRECTORY &&
             g_str_equal(name, VIEW_NAME) && fs_view_top(fs, &found))
        reply_node(req, &found);
    else if (node.kind == INODE_VIRTUAL && virtual_is_directory(fs, node.item))
        reply_virtual(req, virtual_find(fs, node.item, name));
    else
        (void)fuse_reply_err(req, ENOTDIR);
}

void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    lookup(req, parent, name, TRUE);
}

void fs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n_lookups)
{
    fs_forget(fs_of(req), ino);
    fuse_reply_none(req);
}

void fs_op_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < n; i++)
        fs_forget(fs_of(req), forgets[i].ino);
    fuse_reply_none(req);
}

/* -- Attributes -------------------------------------------------------------------------------- */

void fs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    const Fs *fs = fs_of(req);
    FsNode node;
    struct stat st;

    if (!fs_node(fs, ino, &node)) {
        if (fs_handle_stat(fs, ino, &st))
            (void)fuse_reply_attr(req, &st, 0);
        else
            (void)fuse_reply_err(req, ESTALE);
        return;
    }
    fs_stat(fs, &node, &st);
    (void)fuse_reply_attr(req, &st, fs_attr_timeout(&node));
}

void fs_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    enum { BLOCK = 4096 };
    const Fs *fs = fs_of(req);
    struct statvfs st = {.f_bsize = BLOCK, .f_frsize = BLOCK, .f_namemax = 255};

    for (guint i = 0; i < fs->stores->len; i++) {
        StoreFacts facts;

        store_facts(g_ptr_array_index(fs->stores, i), &facts);
        st.f_blocks += facts.quota_limit / BLOCK;
        if (facts.quota_limit > facts.quota_used)
            st.f_bfree += (facts.quota_limit - facts.quota_used) / BLOCK;
    }
    st.f_bavail = st.f_bfree;
    (void)fuse_reply_statfs(req, &st);
}

/* -- Listing ----------------------------------------------------------------------------------- */

void fs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    FsNode node;

    if (!fs_node(fs_of(req), ino, &node)) {
        (void)fuse_reply_err(req, ESTALE);
        return;
    }
    if (!needs_listing(&node) || store_is_ready(node.store, node.mailbox)) {
        if (needs_listing(&node))
            store_mark_used(node.store, node.mailbox);
        (void)fuse_reply_open(req, fi);
        return;
    }
    wait_for(req, ino, &node, NULL, fi);
}

/* Positions in a directory.  They name the last entry that was given, not its place, so that a
 * listing goes on rightly when messages come and go in between. */
enum { OFFSET_DOT = 1, OFFSET_DOTDOT = 2, OFFSET_CHILD = 3 };
#define OFFSET_MESSAGE (1LL << 20) /* and the UID, of 32 bits */
#define OFFSET_LOCAL (1LL << 40)   /* and the item, of 36 */

typedef struct {
    fuse_req_t req;
    const Fs *fs;
    gboolean plus;
    char *buffer;
    size_t size, used;
} Listing;

/* FALSE when the buffer is full. */
static gboolean add(Listing *listing, const char *name, const FsNode *node, off_t offset)
{
    struct fuse_entry_param entry;
    size_t left = listing->size - listing->used, n;
    char *at = listing->buffer + listing->used;

    fs_entry(listing->fs, node, &entry);
    if (listing->plus)
        n = fuse_add_direntry_plus(listing->req, at, left, name, &entry, offset);
    else
        n = fuse_add_direntry(listing->req, at, left, name, &entry.attr, offset);
    if (n > left)
        return FALSE;
    listing->used += n;
    return TRUE;
}

/* "." and "..": by themselves they are no lookups, so they go without READDIRPLUS's entry. */
static gboolean add_dots(Listing *listing, off_t offset)
{
    static const char *const names[] = {".", ".."};

    for (; offset < OFFSET_DOTDOT; offset++) {
        struct fuse_entry_param entry = {.attr = {.st_mode = S_IFDIR, .st_ino = 1}};
        size_t left = listing->size - listing->used, n;
        char *at = listing->buffer + listing->used;

        if (listing->plus)
            n = fuse_add_direntry_plus(listing->req, at, left, names[offset], &entry,
                                       offset + 1);
        else
            n = fuse_add_direntry(listing->req, at, left, names[offset], &entry.attr,
                                  offset + 1);
        if (n > left)
            return FALSE;
        listing->used += n;
    }
    return TRUE;
}

static gboolean add_children(Listing *listing, const FsNode *node, off_t offset)
{
    const GPtrArray *children = node->mailbox->children;

    for (guint i = 0; i < children->len; i++) {
        Mailbox *child = g_ptr_array_index(children, i);
        FsNode each = fs_node_mailbox(node->store, child);
        off_t here = OFFSET_CHILD + child->number;

        if (here > offset && !add(listing, child->label, &each, here))
            return FALSE;
    }
    return TRUE;
}

/* A file is on its way to take the message's place: one name, one entry. */
static gboolean is_shadowed(const FsNode *node, const char *name)
{
    return !node->local && local_nth(node->store, node->mailbox, 0) &&
           local_find_name(node->store, node->mailbox, name);
}

static gboolean add_messages(Listing *listing, const FsNode *node, off_t offset)
{
    guint32 after = offset > OFFSET_MESSAGE ? (guint32)(offset - OFFSET_MESSAGE) : 0;
    guint n = mailbox_n_messages(node->mailbox);

    if (after == G_MAXUINT32)
        return TRUE;
    for (guint i = mailbox_lower_bound(node->mailbox, after + 1); i < n; i++) {
        Message *message = mailbox_nth(node->mailbox, i);
        FsNode each = fs_node_message(node->store, node->mailbox, message);
        g_autofree char *other = attr_shown_name(node->mailbox, message);
        const char *shown = other ? other : message->name;

        if (message->is_hidden || is_shadowed(&each, shown))
            continue;
        if (!add(listing, shown, &each, OFFSET_MESSAGE + message->uid))
            return FALSE;
    }
    return TRUE;
}

/* Those that no message stands for. */
static void add_locals(Listing *listing, const FsNode *node, off_t offset)
{
    LocalFile *local;

    for (guint i = 0; (local = local_nth(node->store, node->mailbox, i)); i++) {
        FsNode each = fs_node_local(local);
        off_t here = OFFSET_LOCAL + (off_t)local->item;

        if (here <= offset || each.message || local->is_viewed)
            continue;
        if (!add(listing, local->name, &each, here))
            return;
    }
}

static void add_files(Listing *listing, const FsNode *node, off_t offset)
{
    if (offset > OFFSET_LOCAL || add_messages(listing, node, offset))
        add_locals(listing, node, offset);
}

static void add_accounts(Listing *listing, off_t offset)
{
    for (guint i = 0; i < listing->fs->stores->len; i++) {
        Store *store = g_ptr_array_index(listing->fs->stores, i);
        FsNode each = fs_node_account(store);
        off_t here = OFFSET_CHILD + 1 + (off_t)i;

        if (here > offset && !add(listing, store_account(store)->id, &each, here))
            return;
    }
}

static void add_virtuals(Listing *listing, guint directory, off_t offset)
{
    g_autoptr(GArray) items = virtual_list(listing->fs, directory);
    FsNode view;
    off_t here;

    for (guint i = 0; i < items->len; i++) {
        FsNode each = {.kind = INODE_VIRTUAL, .item = g_array_index(items, guint, i)};
        const char *name = virtual_name(listing->fs, each.item);

        here = OFFSET_CHILD + (off_t)each.item;
        if (here > offset && !add(listing, name, &each, here))
            return;
    }
    here = OFFSET_MESSAGE;
    if (directory == VIRTUAL_DIRECTORY && here > offset && fs_view_top(listing->fs, &view))
        (void)add(listing, VIEW_NAME, &view, here);
}

static void add_viewed(Listing *listing, const FsNode *node, off_t offset)
{
    FsViewEntry entry = {.offset = MAX(offset, OFFSET_DOTDOT)};

    while (fs_view_next(listing->fs, node, &entry) &&
           add(listing, entry.name, &entry.node, entry.offset))
        ;
    g_free(entry.name);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, gboolean plus)
{
    Listing listing = {.req = req, .fs = fs_of(req), .plus = plus, .size = size};
    g_autofree char *buffer = NULL;
    FsNode node;

    if (!fs_node(listing.fs, ino, &node)) {
        (void)fuse_reply_err(req, ESTALE);
        return;
    }
    listing.buffer = buffer = g_malloc(size);
    if (offset >= OFFSET_DOTDOT || add_dots(&listing, offset)) {
        if (node.kind == INODE_TOP)
            add_accounts(&listing, offset);
        else if (node.kind == INODE_VIRTUAL)
            add_virtuals(&listing, node.item, offset);
        else if (node.kind == INODE_VIEW)
            add_viewed(&listing, &node, offset);
        else if (offset > OFFSET_MESSAGE || add_children(&listing, &node, offset))
            add_files(&listing, &node, offset);
    }
    (void)fuse_reply_buf(req, buffer, listing.used);
}

void fs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                   struct fuse_file_info *fi)
{
    list(req, ino, size, off, FALSE);
}

void fs_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    list(req, ino, size, off, TRUE);
}
