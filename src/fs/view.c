/* The same mail as a Maildir: what lies where, and what it is called.
 *
 *     .mailfs/maildir/[ACCOUNT/]MAILBOX/{cur,new,tmp}/    MAILBOX's own mailboxes beside them
 *
 * or, with layout=maildir, at the root.  A message keeps its inode number, so a file seen here and
 * as an .eml file is one inode with two paths; only names are different (tree/maildir-name.h).
 * The change side is view-change.c.
 *
 * - Names follow flags, and those change without anybody asking the kernel.  So it may keep no
 *   name of a file here: each use is a LOOKUP, from memory.  Directories may be kept for a second.
 * - A name is right only if it is exact, flags and directory: a rename to the name with other
 *   flags would otherwise be one of a file onto itself, which the kernel takes for done.
 * - new/ is \Recent: what arrived in this run of the program after its mailbox had been listed,
 *   is unseen, and was not put into cur/ by a tool.  Nothing of it is kept; a restart moves all to
 *   cur/, as a reader that left would.  Readers take a message in new/ for one to announce.
 * - The times of cur/ and new/ move with every change of membership, of a name, of a flag: notmuch
 *   and neomutt read a directory again only then.  They are the clock's, so that they are right
 *   in whole seconds as well, and a start of the program is a change.
 * - Those who make a Maildir make its cur, new and tmp too, and Python and mutt take EEXIST for a
 *   failure.  So those of a mailbox that was made here are not to be seen for some seconds, unless
 *   made; the same after an rmdir, which is how a Maildir is removed.
 */
#include "fs/internal.h"
#include "base/limits.h"
#include "tree/attr.h"
#include "tree/maildir-name.h"

#include <string.h>

enum { BARE_SECONDS = 5 };

/* Which of cur, new and tmp are not to be seen. */
typedef struct {
    guint items; /* a bit each: 1 << VIEW_CUR ... */
    gint64 until; /* monotonic */
} Bare;

struct FsViews {
    GHashTable *arrived; /* inode numbers: what new/ has */
    GHashTable *changed; /* mailbox_key() -> when, in microseconds of Unix time */
    GHashTable *bare;    /* mailbox_key() -> Bare */
    GHashTable *links;   /* link_key() -> inode number */
};

FsViews *fs_views_new(void)
{
    FsViews *views = g_new0(FsViews, 1);

    views->arrived = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    views->changed = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    views->bare = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    views->links = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return views;
}

void fs_views_free(FsViews *views)
{
    g_hash_table_unref(views->arrived);
    g_hash_table_unref(views->changed);
    g_hash_table_unref(views->bare);
    g_hash_table_unref(views->links);
    g_free(views);
}

static gpointer mailbox_key(const Store *store, const Mailbox *mailbox)
{
    return GUINT_TO_POINTER((guint)store_account(store)->number << 16 | mailbox->number);
}

static gboolean is_view_at_root(const Store *store)
{
    return store_config(store)->layout == CONFIG_LAYOUT_MAILDIR;
}

/* -- Nodes ------------------------------------------------------------------------------------- */

FsNode fs_node_view(Store *store, Mailbox *mailbox, guint item)
{
    return (FsNode){.kind = INODE_VIEW, .store = store, .mailbox = mailbox, .item = item};
}

FsNode fs_node_account(Store *store)
{
    Mailbox *root = store_account(store)->root;

    return is_view_at_root(store) ? fs_node_view(store, root, VIEW_MAILDIR)
                                  : fs_node_mailbox(store, root);
}

fuse_ino_t fs_ino_view(const Fs *fs, const FsNode *node)
{
    const Account *account = store_account(node->store);
    Inode inode = {INODE_VIEW, account->number, node->mailbox->number, node->item};

    if (node->item == VIEW_MAILDIR && node->mailbox == account->root && !fs->params.is_all &&
        is_view_at_root(node->store))
        return FUSE_ROOT_ID;
    return inode_pack(inode);
}

gboolean fs_view_top(const Fs *fs, FsNode *ret_node)
{
    Store *first = g_ptr_array_index(fs->stores, 0);

    *ret_node = fs_node_view(first, store_account(first)->root,
                             fs->params.is_all ? VIEW_ACCOUNTS : VIEW_MAILDIR);
    for (guint i = 0; i < fs->stores->len; i++)
        if (!is_view_at_root(g_ptr_array_index(fs->stores, i)))
            return TRUE;
    return FALSE;
}

/* -- Times ------------------------------------------------------------------------------------- */

void fs_view_touch(Fs *fs, const Store *store, const Mailbox *mailbox)
{
    gpointer key = mailbox_key(store, mailbox);
    gint64 *changed = g_hash_table_lookup(fs->views->changed, key);

    if (!changed) {
        changed = g_new0(gint64, 1);
        g_hash_table_insert(fs->views->changed, key, changed);
    }
    *changed = MAX(*changed + 1, g_get_real_time());
}

static struct timespec view_time(const Fs *fs, const FsNode *node)
{
    const gint64 *changed =
        g_hash_table_lookup(fs->views->changed, mailbox_key(node->store, node->mailbox));
    gint64 time = changed ? *changed : fs->started * G_USEC_PER_SEC;

    return (struct timespec){time / G_USEC_PER_SEC, time % G_USEC_PER_SEC * 1000};
}

void fs_view_stat(const Fs *fs, const FsNode *node, struct stat *ret_stat)
{
    attr_directory(node->mailbox, fs->started, ret_stat);
    ret_stat->st_ino = fs_ino_view(fs, node);
    if (node->item == VIEW_ACCOUNTS)
        return;
    ret_stat->st_mtim = ret_stat->st_ctim = view_time(fs, node);
    if (node->item != VIEW_MAILDIR) /* nothing can lie below: notmuch need not look */
        ret_stat->st_nlink = 2;
}

/* -- cur, new, tmp ----------------------------------------------------------------------------- */

static const char *const view_names[] = {
    [VIEW_CUR] = "cur", [VIEW_NEW] = "new", [VIEW_TMP] = "tmp"};

static gboolean is_bare(const Fs *fs, const FsNode *maildir, guint item)
{
    const Bare *bare =
        g_hash_table_lookup(fs->views->bare, mailbox_key(maildir->store, maildir->mailbox));

    return bare && (bare->items & 1U << item) && g_get_monotonic_time() < bare->until;
}

void fs_view_hide(Fs *fs, const FsNode *node)
{
    gpointer key = mailbox_key(node->store, node->mailbox);
    Bare *bare = g_hash_table_lookup(fs->views->bare, key);

    if (!bare) {
        bare = g_new0(Bare, 1);
        g_hash_table_insert(fs->views->bare, key, bare);
    }
    if (g_get_monotonic_time() >= bare->until)
        bare->items = 0;
    bare->items |= node->item == VIEW_MAILDIR
                       ? 1U << VIEW_CUR | 1U << VIEW_NEW | 1U << VIEW_TMP
                       : 1U << node->item;
    bare->until = g_get_monotonic_time() + BARE_SECONDS * G_USEC_PER_SEC;
}

gboolean fs_view_unhide(Fs *fs, const FsNode *maildir, const char *name)
{
    Bare *bare =
        g_hash_table_lookup(fs->views->bare, mailbox_key(maildir->store, maildir->mailbox));

    for (guint item = VIEW_CUR; bare && item <= VIEW_TMP; item++)
        if (g_str_equal(view_names[item], name) && is_bare(fs, maildir, item)) {
            bare->items &= ~(1U << item);
            return TRUE;
        }
    return FALSE;
}

static gboolean holds_messages(const Mailbox *mailbox)
{
    return !mailbox->is_container && mailbox->parent;
}

static gboolean find_in_maildir(const Fs *fs, const FsNode *maildir, const char *name,
                                FsNode *ret_node)
{
    g_autofree char *label = maildir_name_to_label(name);
    Mailbox *child = label ? account_find_label(maildir->mailbox, label) : NULL;

    for (guint item = VIEW_CUR; item <= VIEW_TMP && !label; item++)
        if (g_str_equal(view_names[item], name) && holds_messages(maildir->mailbox) &&
            !is_bare(fs, maildir, item)) {
            *ret_node = fs_node_view(maildir->store, maildir->mailbox, item);
            return TRUE;
        }
    if (child)
        *ret_node = fs_node_view(maildir->store, child, VIEW_MAILDIR);
    return child != NULL;
}

static gboolean find_account(const Fs *fs, const char *name, FsNode *ret_node)
{
    for (guint i = 0; i < fs->stores->len; i++) {
        Store *store = g_ptr_array_index(fs->stores, i);
        const Account *account = store_account(store);

        if (is_view_at_root(store) || !g_str_equal(account->id, name))
            continue;
        *ret_node = fs_node_view(store, account->root, VIEW_MAILDIR);
        return TRUE;
    }
    return FALSE;
}

/* -- Messages ---------------------------------------------------------------------------------- */

gboolean fs_view_find_base(const FsNode *view, const char *name, FsNode *ret_node)
{
    LocalFile *local = local_find_name(view->store, view->mailbox, name);
    Message *message = mailbox_find_name(view->mailbox, name);

    if (local && local->kind != LOCAL_SCRATCH)
        *ret_node = fs_node_local(local);
    else if (message && !message->is_hidden)
        *ret_node = fs_node_message(view->store, view->mailbox, message);
    else
        return FALSE;
    ret_node->is_viewed = TRUE;
    return TRUE;
}

static gint64 number_of(const FsNode *node)
{
    guint64 item = node->local ? node->local->item : node->message->item;

    return (gint64)fs_ino_item(node->store, node->mailbox, item);
}

guint16 fs_view_flags(const FsNode *node, const char **ret_keywords)
{
    const LocalFile *local = node->local;

    if (local && local->is_flagged) {
        *ret_keywords = local->is_passed ? MESSAGE_PASSED : NULL;
        return local->flags;
    }
    *ret_keywords = node->message ? node->message->keywords : NULL;
    return node->message ? node->message->flags : 0;
}

/* NULL for what is not shown in the directory @item. */
static char *shown_name(const Fs *fs, const FsNode *node, guint item)
{
    const char *keywords, *name = node->local ? node->local->name : node->message->name;
    guint16 flags = fs_view_flags(node, &keywords);
    gint64 number = number_of(node);
    gboolean is_new =
        !(flags & MESSAGE_SEEN) && g_hash_table_contains(fs->views->arrived, &number);

    return is_new == (item == VIEW_NEW) ? maildir_name_show(name, flags, keywords, is_new) : NULL;
}

static gboolean find_message(const Fs *fs, const FsNode *view, const char *name, FsNode *ret_node)
{
    g_autofree char *shown = NULL;
    MaildirName parsed;
    FsNode node;

    if (!maildir_name_parse(name, &parsed, NULL))
        return FALSE;
    if (fs_view_find_base(view, parsed.name, &node))
        shown = shown_name(fs, &node, view->item);
    maildir_name_clear(&parsed);
    if (g_strcmp0(shown, name) != 0)
        return FALSE;
    *ret_node = node;
    return TRUE;
}

void fs_view_place(Fs *fs, const FsNode *node, gboolean is_new)
{
    gint64 number = number_of(node);

    if (is_new)
        g_hash_table_add(fs->views->arrived, g_memdup2(&number, sizeof number));
    else
        g_hash_table_remove(fs->views->arrived, &number);
    fs_view_touch(fs, node->store, node->mailbox);
}

void fs_view_arrived(Fs *fs, Store *store, Mailbox *mailbox, Message *message)
{
    FsNode node = fs_node_message(store, mailbox, message);

    /* What was sent from here is where the one who made it put it. */
    if (!node.local)
        fs_view_place(fs, &node, TRUE);
    else
        fs_view_touch(fs, store, mailbox);
}

void fs_view_left(Fs *fs, const Store *store, const Mailbox *mailbox, guint64 item)
{
    gint64 number = (gint64)fs_ino_item(store, mailbox, item);

    g_hash_table_remove(fs->views->arrived, &number);
    fs_view_touch(fs, store, mailbox);
}

/* -- tmp --------------------------------------------------------------------------------------- */

/* @name: with LOCAL_VIEWED. */
static char *link_key(const Store *store, const Mailbox *mailbox, const char *name)
{
    return g_strdup_printf("%u/%u/%s", store_account(store)->number, mailbox->number, name);
}

gboolean fs_view_link(Fs *fs, const FsNode *node, const char *name)
{
    gint64 number = number_of(node);

    if (g_hash_table_size(fs->views->links) >= LIMIT_VIEW_LINKS)
        return FALSE;
    g_hash_table_insert(fs->views->links, link_key(node->store, node->mailbox, name),
                        g_memdup2(&number, sizeof number));
    return TRUE;
}

void fs_view_unlink(Fs *fs, const FsNode *tmp, const char *name)
{
    g_autofree char *local_name = g_strconcat(LOCAL_VIEWED, name, NULL);
    g_autofree char *key = link_key(tmp->store, tmp->mailbox, local_name);

    g_hash_table_remove(fs->views->links, key);
}

static gboolean find_in_tmp(const Fs *fs, const FsNode *tmp, const char *name, FsNode *ret_node)
{
    g_autofree char *local_name = g_strconcat(LOCAL_VIEWED, name, NULL);
    g_autofree char *key = link_key(tmp->store, tmp->mailbox, local_name);
    LocalFile *local = local_find_name(tmp->store, tmp->mailbox, local_name);
    const gint64 *number = local ? NULL : g_hash_table_lookup(fs->views->links, key);

    if (local)
        *ret_node = fs_node_local(local);
    else if (!number || !fs_node(fs, (fuse_ino_t)*number, ret_node))
        return FALSE;
    ret_node->is_viewed = TRUE;
    ret_node->is_linked = !local;
    return TRUE;
}

gboolean fs_view_find(const Fs *fs, const FsNode *view, const char *name, FsNode *ret_node)
{
    switch (view->item) {
    case VIEW_ACCOUNTS:
        return find_account(fs, name, ret_node);
    case VIEW_MAILDIR:
        return find_in_maildir(fs, view, name, ret_node);
    case VIEW_TMP:
        return find_in_tmp(fs, view, name, ret_node);
    default:
        return find_message(fs, view, name, ret_node);
    }
}

/* -- Listing ----------------------------------------------------------------------------------- */

/* As in directory.c, positions name the entry that was given last. */
enum { OFFSET_ENTRY = 3, OFFSET_CHILD = 64 };
#define OFFSET_MESSAGE (1LL << 20) /* and the UID, of 32 bits */
#define OFFSET_LOCAL (1LL << 40)   /* and the item, of 36 */

static gboolean next_account(const Fs *fs, FsViewEntry *entry)
{
    for (guint i = 0; i < fs->stores->len; i++) {
        Store *store = g_ptr_array_index(fs->stores, i);

        if (is_view_at_root(store) || OFFSET_ENTRY + (off_t)i <= entry->offset)
            continue;
        entry->offset = OFFSET_ENTRY + (off_t)i;
        entry->node = fs_node_view(store, store_account(store)->root, VIEW_MAILDIR);
        entry->name = g_strdup(store_account(store)->id);
        return TRUE;
    }
    return FALSE;
}

static gboolean next_in_maildir(const Fs *fs, const FsNode *view, FsViewEntry *entry)
{
    const GPtrArray *children = view->mailbox->children;

    for (guint item = VIEW_CUR; item <= VIEW_TMP; item++) {
        if (OFFSET_ENTRY + (off_t)item <= entry->offset || !holds_messages(view->mailbox) ||
            is_bare(fs, view, item))
            continue;
        entry->offset = OFFSET_ENTRY + (off_t)item;
        entry->node = fs_node_view(view->store, view->mailbox, item);
        entry->name = g_strdup(view_names[item]);
        return TRUE;
    }
    for (guint i = 0; i < children->len; i++) {
        Mailbox *child = g_ptr_array_index(children, i);

        if (OFFSET_CHILD + (off_t)child->number <= entry->offset)
            continue;
        entry->offset = OFFSET_CHILD + (off_t)child->number;
        entry->node = fs_node_view(view->store, child, VIEW_MAILDIR);
        entry->name = maildir_name_of_label(child->label);
        return TRUE;
    }
    return FALSE;
}

static gboolean next_message(const Fs *fs, const FsNode *view, FsViewEntry *entry)
{
    gint64 after = MAX(entry->offset - OFFSET_MESSAGE, 0);
    guint n = mailbox_n_messages(view->mailbox);

    if (after >= G_MAXUINT32 ||
        (view->item == VIEW_NEW && g_hash_table_size(fs->views->arrived) == 0))
        return FALSE;
    for (guint i = mailbox_lower_bound(view->mailbox, (guint32)after + 1); i < n; i++) {
        Message *message = mailbox_nth(view->mailbox, i);
        FsNode node = fs_node_message(view->store, view->mailbox, message);
        /* Of a message and the file that is to take its place, the file is shown. */
        gboolean is_shown = !message->is_hidden &&
                            (node.local || !local_nth(view->store, view->mailbox, 0) ||
                             !local_find_name(view->store, view->mailbox, message->name));

        entry->name = is_shown ? shown_name(fs, &node, view->item) : NULL;
        if (!entry->name)
            continue;
        entry->offset = OFFSET_MESSAGE + message->uid;
        entry->node = node;
        return TRUE;
    }
    return FALSE;
}

static gboolean next_local(const Fs *fs, const FsNode *view, FsViewEntry *entry)
{
    LocalFile *local;

    for (guint i = 0; (local = local_nth(view->store, view->mailbox, i)); i++) {
        off_t here = OFFSET_LOCAL + (off_t)local->item;
        FsNode node = fs_node_local(local);

        if (here <= entry->offset)
            continue;
        if (view->item == VIEW_TMP)
            entry->name = local->is_viewed ? g_strdup(local->name + strlen(LOCAL_VIEWED)) : NULL;
        else
            entry->name = node.message || local->kind == LOCAL_SCRATCH
                              ? NULL
                              : shown_name(fs, &node, view->item);
        if (!entry->name)
            continue;
        entry->offset = here;
        entry->node = node;
        return TRUE;
    }
    return FALSE;
}

gboolean fs_view_next(const Fs *fs, const FsNode *view, FsViewEntry *entry)
{
    gboolean found;

    g_clear_pointer(&entry->name, g_free);
    if (view->item == VIEW_ACCOUNTS)
        return next_account(fs, entry);
    if (view->item == VIEW_MAILDIR)
        return next_in_maildir(fs, view, entry);
    found = (view->item != VIEW_TMP && entry->offset < OFFSET_LOCAL &&
             next_message(fs, view, entry)) ||
            next_local(fs, view, entry);
    entry->node.is_viewed = TRUE;
    return found;
}
