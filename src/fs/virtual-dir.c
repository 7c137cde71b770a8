/* .mailfs/pending and .mailfs/lost+found: what is on its way to the server, and what the server
 * did not take.
 *
 *   pending/[ACCOUNT/]MAILBOX/NAME     read-only; the octets of the journal's entries that create
 *   lost+found/[ACCOUNT/]MAILBOX/NAME  the folder in XDG_STATE_HOME itself, to be read and cleaned
 *
 * ACCOUNT is there where all accounts are mounted.  Both change without anybody's doing, so the
 * kernel may keep nothing of them.  A path gets its number when it is first seen and keeps it for
 * the run: a listing is in the order of these numbers, so one that is read while its files are
 * removed loses none.  Paths are few, and those that are gone cost a hundred octets each.
 */
#include "fs/internal.h"
#include "base/error.h"
#include "fs/errno.h"
#include "store/change.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    guint top;    /* VIRTUAL_PENDING or VIRTUAL_LOST */
    Store *store; /* NULL: above the accounts */
    char *path;   /* below the account's; "" for itself */
} Node;

struct VirtualNodes {
    GPtrArray *nodes;   /* of Node; the first is item VIRTUAL_END */
    GHashTable *by_key; /* key_of() -> item */
};

static void node_free(gpointer data)
{
    g_free(((Node *)data)->path);
    g_free(data);
}

VirtualNodes *virtual_nodes_new(void)
{
    VirtualNodes *nodes = g_new0(VirtualNodes, 1);

    nodes->nodes = g_ptr_array_new_with_free_func(node_free);
    nodes->by_key = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return nodes;
}

void virtual_nodes_free(VirtualNodes *nodes)
{
    g_ptr_array_unref(nodes->nodes);
    g_hash_table_unref(nodes->by_key);
    g_free(nodes);
}

static char *key_of(const Node *node)
{
    return g_strdup_printf("%u/%u/%s", node->top, store_account(node->store)->number, node->path);
}

/* The number of what @node names, whose path is taken. */
static guint give_item(const Fs *fs, Node node)
{
    VirtualNodes *nodes = fs->virtuals;
    g_autofree char *path = node.path;
    g_autofree char *key = key_of(&node);
    guint item = GPOINTER_TO_UINT(g_hash_table_lookup(nodes->by_key, key));

    if (item)
        return item;
    item = VIRTUAL_END + nodes->nodes->len;
    node.path = g_steal_pointer(&path);
    g_ptr_array_add(nodes->nodes, g_memdup2(&node, sizeof node));
    g_hash_table_insert(nodes->by_key, g_steal_pointer(&key), GUINT_TO_POINTER(item));
    return item;
}

/* FALSE for items that are no such node. */
static gboolean find_node(const Fs *fs, guint item, Node *ret_node)
{
    if (item == VIRTUAL_PENDING || item == VIRTUAL_LOST) {
        static char none[] = "";
        Store *only = fs->params.is_all ? NULL : g_ptr_array_index(fs->stores, 0);

        *ret_node = (Node){.top = item, .store = only, .path = none};
        return TRUE;
    }
    if (item < VIRTUAL_END || item - VIRTUAL_END >= fs->virtuals->nodes->len)
        return FALSE;
    *ret_node = *(Node *)g_ptr_array_index(fs->virtuals->nodes, item - VIRTUAL_END);
    return TRUE;
}

static Node child_of(const Node *node, const char *name)
{
    return (Node){.top = node->top,
                  .store = node->store,
                  .path = *node->path ? g_strconcat(node->path, "/", name, NULL)
                                      : g_strdup(name)};
}

/* -- Pending ----------------------------------------------------------------------------------- */

/* The mailbox that the entry's file lies in; the top where that is gone. */
static Mailbox *mailbox_of(const Store *store, const JournalEntry *entry)
{
    Mailbox *mailbox = account_find_number(store_account(store), entry->mailbox);

    return mailbox ? mailbox : store_account(store)->root;
}

static gboolean has_octets(const JournalEntry *entry)
{
    return entry->kind == JOURNAL_CREATE && entry->stage != 0 && entry->name;
}

static gboolean has_pending(const Store *store, const GPtrArray *queue, const Mailbox *mailbox)
{
    for (guint i = 0; i < queue->len; i++) {
        const JournalEntry *entry = g_ptr_array_index(queue, i);
        const Mailbox *at = has_octets(entry) ? mailbox_of(store, entry) : NULL;

        for (; at; at = at->parent)
            if (at == mailbox)
                return TRUE;
    }
    return FALSE;
}

/* A name that an earlier entry or a directory has gets the entry's id. */
static char *pending_name(const Store *store, const GPtrArray *queue, guint i)
{
    const JournalEntry *entry = g_ptr_array_index(queue, i);
    const Mailbox *mailbox = mailbox_of(store, entry);
    gboolean is_taken = account_find_label(mailbox, entry->name) != NULL;

    for (guint j = 0; j < i && !is_taken; j++) {
        const JournalEntry *earlier = g_ptr_array_index(queue, j);

        is_taken = has_octets(earlier) && mailbox_of(store, earlier) == mailbox &&
                   g_str_equal(earlier->name, entry->name);
    }
    return is_taken ? g_strdup_printf("%s.%" G_GUINT64_FORMAT, entry->name, entry->id)
                    : g_strdup(entry->name);
}

/* What a path of pending/ names: a directory, or (with @ret_entry set) a file. */
static gboolean find_pending(const Node *node, const JournalEntry **ret_entry)
{
    const Account *account = store_account(node->store);
    Mailbox *mailbox = account_find_path(account, node->path);
    g_autoptr(GPtrArray) queue = store_queue(node->store);
    const char *slash = strrchr(node->path, '/');
    const char *name = slash ? slash + 1 : node->path;
    g_autofree char *directory = g_strndup(node->path, slash ? (gsize)(slash - node->path) : 0);

    *ret_entry = NULL;
    if (mailbox && (!*node->path || has_pending(node->store, queue, mailbox)))
        return TRUE;
    mailbox = account_find_path(account, directory);
    for (guint i = 0; mailbox && i < queue->len; i++) {
        const JournalEntry *entry = g_ptr_array_index(queue, i);
        g_autofree char *shown = NULL;

        if (!has_octets(entry) || mailbox_of(node->store, entry) != mailbox)
            continue;
        shown = pending_name(node->store, queue, i);
        if (g_str_equal(shown, name)) {
            *ret_entry = entry;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean stat_pending(const Node *node, struct stat *ret_stat)
{
    const JournalEntry *entry;

    if (!find_pending(node, &entry))
        return FALSE;
    if (entry) {
        ret_stat->st_mode = S_IFREG | 0400;
        ret_stat->st_size = (off_t)entry->size;
        ret_stat->st_blocks = (blkcnt_t)((entry->size + 511) / 512);
        ret_stat->st_mtime = ret_stat->st_atime = entry->date;
        ret_stat->st_ctime = entry->made;
    } else {
        ret_stat->st_mode = S_IFDIR | 0500;
    }
    return TRUE;
}

static void list_pending(const Fs *fs, const Node *node, GArray *items)
{
    Mailbox *mailbox = account_find_path(store_account(node->store), node->path);
    g_autoptr(GPtrArray) queue = store_queue(node->store);

    for (guint i = 0; mailbox && i < mailbox->children->len; i++) {
        const Mailbox *child = g_ptr_array_index(mailbox->children, i);
        guint item;

        if (!has_pending(node->store, queue, child))
            continue;
        item = give_item(fs, child_of(node, child->label));
        g_array_append_val(items, item);
    }
    for (guint i = 0; mailbox && i < queue->len; i++) {
        const JournalEntry *entry = g_ptr_array_index(queue, i);
        g_autofree char *name = NULL;
        guint item;

        if (!has_octets(entry) || mailbox_of(node->store, entry) != mailbox)
            continue;
        name = pending_name(node->store, queue, i);
        item = give_item(fs, child_of(node, name));
        g_array_append_val(items, item);
    }
}

/* -- lost+found -------------------------------------------------------------------------------- */

static char *real_path(const Node *node)
{
    return g_build_filename(store_lost_dir(node->store), node->path, NULL);
}

/* The folder itself is made with the first loss. */
static gboolean stat_lost(const Node *node, struct stat *ret_stat)
{
    g_autofree char *path = real_path(node);
    struct stat real;

    ret_stat->st_mode = S_IFDIR | 0700;
    if (lstat(path, &real) < 0)
        return !*node->path;
    ret_stat->st_mode = real.st_mode & (S_IFMT | 0700);
    ret_stat->st_size = real.st_size;
    ret_stat->st_blocks = real.st_blocks;
    ret_stat->st_mtime = real.st_mtime;
    ret_stat->st_ctime = real.st_ctime;
    ret_stat->st_atime = real.st_atime;
    return S_ISREG(real.st_mode) || S_ISDIR(real.st_mode);
}

static void list_lost(const Fs *fs, const Node *node, GArray *items)
{
    g_autofree char *path = real_path(node);
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        guint item;

        if (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, ".."))
            continue;
        item = give_item(fs, child_of(node, entry->d_name));
        g_array_append_val(items, item);
    }
    if (dir)
        (void)closedir(dir);
}

/* What was removed is not what comes back under its name. */
static void forget_item(const Fs *fs, const Node *node)
{
    g_autofree char *key = key_of(node);

    g_hash_table_remove(fs->virtuals->by_key, key);
}

static void remove_lost(fuse_req_t req, fuse_ino_t parent, const char *name, int flags)
{
    const Fs *fs = fs_of(req);
    g_autofree char *path = NULL, *real = NULL;
    FsNode directory;
    Node node;

    if (!fs_node(fs, parent, &directory) || directory.kind != INODE_VIRTUAL ||
        !find_node(fs, directory.item, &node) || node.top != VIRTUAL_LOST || !node.store) {
        (void)fuse_reply_err(req, EPERM);
        return;
    }
    node = child_of(&node, name);
    path = node.path;
    real = real_path(&node);
    if (unlinkat(AT_FDCWD, real, flags) < 0) {
        (void)fuse_reply_err(req, errno);
        return;
    }
    forget_item(fs, &node);
    (void)fuse_reply_err(req, 0);
}

void virtual_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_lost(req, parent, name, 0);
}

void virtual_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_lost(req, parent, name, AT_REMOVEDIR);
}

/* -- Both -------------------------------------------------------------------------------------- */

gboolean virtual_dir_stat(const Fs *fs, guint item, struct stat *ret_stat)
{
    Node node;

    if (!find_node(fs, item, &node))
        return FALSE;
    if (!node.store) {
        ret_stat->st_mode = S_IFDIR | 0500;
        return TRUE;
    }
    return node.top == VIRTUAL_LOST ? stat_lost(&node, ret_stat) : stat_pending(&node, ret_stat);
}

static guint find_account(const Fs *fs, guint top, const char *name)
{
    for (guint i = 0; i < fs->stores->len; i++) {
        Store *store = g_ptr_array_index(fs->stores, i);

        if (g_str_equal(store_account(store)->id, name))
            return give_item(fs, (Node){.top = top, .store = store, .path = g_strdup("")});
    }
    return 0;
}

guint virtual_dir_find(const Fs *fs, guint directory, const char *name)
{
    struct stat ignored = {0};
    Node node, child;
    g_autofree char *path = NULL;
    gboolean is_there;

    if (!find_node(fs, directory, &node))
        return 0;
    if (!node.store)
        return find_account(fs, node.top, name);
    child = child_of(&node, name);
    path = child.path;
    is_there = child.top == VIRTUAL_LOST ? stat_lost(&child, &ignored)
                                         : stat_pending(&child, &ignored);
    if (!is_there)
        return 0;
    path = NULL;
    return give_item(fs, child);
}

static int by_number(gconstpointer a, gconstpointer b)
{
    guint x = *(const guint *)a, y = *(const guint *)b;

    return (x > y) - (x < y);
}

GArray *virtual_dir_list(const Fs *fs, guint directory)
{
    GArray *items = g_array_new(FALSE, FALSE, sizeof(guint));
    Node node;

    if (!find_node(fs, directory, &node))
        return items;
    for (guint i = 0; !node.store && i < fs->stores->len; i++) {
        Store *store = g_ptr_array_index(fs->stores, i);
        guint item = give_item(fs, (Node){node.top, store, g_strdup("")});

        g_array_append_val(items, item);
    }
    if (node.store && node.top == VIRTUAL_LOST)
        list_lost(fs, &node, items);
    else if (node.store)
        list_pending(fs, &node, items);
    g_array_sort(items, by_number);
    return items;
}

const char *virtual_dir_name(const Fs *fs, guint item)
{
    Node node;
    const char *slash;

    g_return_val_if_fail(find_node(fs, item, &node), "");
    if (!*node.path)
        return store_account(node.store)->id;
    slash = strrchr(node.path, '/');
    return slash ? slash + 1 : node.path;
}

int virtual_dir_open(const Fs *fs, guint item, GError **error)
{
    g_autofree char *path = NULL;
    const JournalEntry *entry;
    Node node;
    int fd = -1;

    if (!find_node(fs, item, &node) || !node.store) {
        mail_fail(error, MAIL_ERROR_GONE, "there is no such file");
    } else if (node.top == VIRTUAL_LOST) {
        path = real_path(&node);
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
            mail_fail_errno(error, errno, "cannot open %s", path);
    } else if (find_pending(&node, &entry) && entry) {
        fd = store_queue_open(node.store, entry->id, error);
    } else {
        mail_fail(error, MAIL_ERROR_GONE, "nothing is pending under this name any more");
    }
    return fd;
}
