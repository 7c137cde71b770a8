/* A tree of Maildirs: which layout it has, and which folders are where.
 *
 * The layout is what is found: folders in ".Name" are Maildir++, folders in "Name" are the other;
 * a Maildir without any folders is Maildir++, for so its own tools would go on, and a place where
 * nothing is yet is ours.
 */
#include "store/maildir-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/limits.h"
#include "client/imap-name.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* -- Directories ------------------------------------------------------------------------------- */

static int open_dir(int dir_fd, const char *name, GError **error)
{
    return io_open_at(dir_fd, name, O_RDONLY | O_DIRECTORY, 0, error);
}

int maildir_open_place(int dir_fd, const char *place, GError **error)
{
    g_auto(GStrv) levels = g_strsplit(place, "/", -1);
    autofd int fd = open_dir(dir_fd, ".", error);

    for (char **level = levels; *level && fd >= 0; level++) {
        int next = open_dir(fd, *level, error);

        io_close_auto(&fd);
        fd = next;
    }
    return steal_fd(&fd);
}

static gboolean is_dir(int fd, const char *name)
{
    struct stat st;

    return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

gboolean maildir_is_maildir(int fd)
{
    return is_dir(fd, "cur") && is_dir(fd, "new");
}

GPtrArray *maildir_read_names(int fd, guchar only, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    autofd int own = open_dir(fd, ".", error);
    DIR *folder = own < 0 ? NULL : fdopendir(own);
    const struct dirent *entry;
    int failure;

    if (!folder) {
        if (own >= 0)
            mail_fail_errno(error, errno, "cannot read a folder");
        return NULL;
    }
    (void)steal_fd(&own);
    for (errno = 0; (entry = readdir(folder)); errno = 0) {
        const char *name = entry->d_name;

        if (g_str_equal(name, ".") || g_str_equal(name, "..") ||
            (only && entry->d_type != only && entry->d_type != DT_UNKNOWN))
            continue;
        g_ptr_array_add(names, g_strdup(name));
    }
    failure = errno;
    (void)closedir(folder);
    if (failure == 0)
        return g_steal_pointer(&names);
    mail_fail_errno(error, failure, "cannot read a folder");
    return NULL;
}

gboolean maildir_fsync(int fd, gboolean *has_failed, GError **error)
{
    int errnum = EIO;

    if (!FAULT_FAILS("fsync-maildir")) {
        if (fsync(fd) == 0 || errno == EINVAL)
            return TRUE;
        errnum = errno;
    }
    if (has_failed)
        *has_failed = TRUE;
    return mail_fail(error, MAIL_ERROR_CACHE,
                     "fsync failed: %s; what was written may not be on the disk: look at it "
                     "(dmesg), then unmount and mount again", g_strerror(errnum));
}

gboolean maildir_rename(int from_fd, const char *from, int to_fd, const char *to)
{
    struct stat st;

    if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0)
        return TRUE;
    if (errno != EINVAL && errno != ENOSYS)
        return FALSE;
    /* Some file systems have no such rename. */
    if (fstatat(to_fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return FALSE;
    }
    return renameat(from_fd, from, to_fd, to) == 0;
}

/* -- Listing ----------------------------------------------------------------------------------- */

typedef struct {
    MaildirTree *tree;
    GPtrArray *wires; /* of char * */
    guint n_left_out;
} Listing;

/* A folder that is another one's wire name already ("INBOX" beside "Inbox") is left out. */
static void add_folder(Listing *listing, char *wire, const char *place)
{
    if (g_hash_table_contains(listing->tree->places, wire) ||
        listing->wires->len >= LIMIT_MAILBOXES) {
        listing->n_left_out++;
        g_free(wire);
        return;
    }
    g_hash_table_insert(listing->tree->places, g_strdup(wire), g_strdup(place));
    g_ptr_array_add(listing->wires, wire);
}

/* Its own mount, among others, may lie in the tree; to read it would be to wait for ourselves. */
static gboolean is_foreign(int fd, const char *name)
{
    struct stat above, st;
    struct statfs fs;
    autofd int place = -1;

    if (fstat(fd, &above) < 0 || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISDIR(st.st_mode))
        return TRUE;
    if (above.st_dev == st.st_dev)
        return FALSE;
    place = openat(fd, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    return place < 0 || fstatfs(place, &fs) < 0 || fs.f_type == FUSE_SUPER_MAGIC;
}

static gboolean is_own_dir(const char *name)
{
    return g_str_equal(name, "cur") || g_str_equal(name, "new") || g_str_equal(name, "tmp");
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whatever is wrong with one folder that is another's leaves the rest. */
static void list_below(Listing *listing, int fd, const char *wire, const char *place, guint depth)
{
    g_autoptr(GPtrArray) names = maildir_read_names(fd, DT_DIR, NULL);

    if (!names)
        return;
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        gboolean is_inbox = depth == 0 && g_ascii_strcasecmp(name, "INBOX") == 0;
        g_autofree char *below = NULL, *there = NULL;
        autofd int child = -1;

        if (name[0] == '.' || is_own_dir(name) || is_foreign(fd, name))
            continue;
        child = open_dir(fd, name, NULL);
        if (child < 0)
            continue;
        if (depth >= LIMIT_MAILBOX_DEPTH) {
            listing->n_left_out += maildir_is_maildir(child);
            continue;
        }
        below = g_strconcat(wire, *wire ? "/" : "", is_inbox ? "INBOX" : name, NULL);
        there = g_strconcat(place, *place ? "/" : "", name, NULL);
        if (maildir_is_maildir(child))
            add_folder(listing, g_strdup(below), there);
        list_below(listing, child, below, there, depth + 1);
    }
}

/* ".Name.Sub" as "Name/Sub"; NULL for what is no such name. */
static char *wire_of_plusplus(const char *name)
{
    g_auto(GStrv) path = NULL;

    if (name[0] != '.' || name[1] == '\0' || name[1] == '.')
        return NULL;
    path = imap_name_path(name + 1, '.', FALSE);
    for (char **each = path; *each; each++)
        if (!**each || strchr(*each, '/'))
            return NULL;
    return g_strjoinv("/", path);
}

static gboolean list_plusplus(Listing *listing, GError **error)
{
    g_autoptr(GPtrArray) names = maildir_read_names(listing->tree->fd, DT_DIR, error);

    if (!names)
        return FALSE;
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *wire = wire_of_plusplus(name);
        autofd int fd = wire && !is_foreign(listing->tree->fd, name)
                            ? open_dir(listing->tree->fd, name, NULL)
                            : -1;

        if (fd >= 0 && maildir_is_maildir(fd))
            add_folder(listing, g_steal_pointer(&wire), name);
    }
    return TRUE;
}

GPtrArray *maildir_tree_list(MaildirTree *tree, guint *ret_left_out, GError **error)
{
    Listing listing = {.tree = tree, .wires = g_ptr_array_new_with_free_func(g_free)};
    gboolean ok = TRUE;

    g_hash_table_remove_all(tree->places);
    tree->has_root = maildir_is_maildir(tree->fd);
    if (tree->has_root)
        add_folder(&listing, g_strdup("INBOX"), ".");
    if (tree->layout == MAILDIR_PLUSPLUS)
        ok = list_plusplus(&listing, error);
    else
        list_below(&listing, tree->fd, "", "", 0);
    if (!ok) {
        g_ptr_array_unref(listing.wires);
        return NULL;
    }
    g_ptr_array_sort(listing.wires, compare_names);
    if (ret_left_out)
        *ret_left_out = listing.n_left_out;
    return listing.wires;
}

/* -- Where a folder is ------------------------------------------------------------------------- */

static gboolean check_component(const MaildirTree *tree, const char *name, GError **error)
{
    if (!*name || strlen(name) > NAME_MAX)
        return mail_fail(error, MAIL_ERROR_INVALID, "the name of a folder has 1 to %d octets",
                         NAME_MAX);
    if (tree->layout == MAILDIR_PLUSPLUS)
        return !strchr(name, '.') ||
               mail_fail(error, MAIL_ERROR_INVALID,
                         "the folders of this Maildir keep '.' for their levels, so no name can "
                         "have it");
    if (name[0] == '.' || is_own_dir(name))
        return mail_fail(error, MAIL_ERROR_INVALID, "a Maildir can have no folder called '%s'",
                         name);
    return TRUE;
}

static char *place_of(const MaildirTree *tree, char **path, GError **error)
{
    GString *place = g_string_new(NULL);

    for (char **each = path; *each; each++) {
        g_autofree char *encoded =
            tree->layout == MAILDIR_PLUSPLUS && g_utf8_validate(*each, -1, NULL)
                ? imap_name_encode(*each)
                : g_strdup(*each);

        if (!check_component(tree, *each, error)) {
            g_string_free(place, TRUE);
            return NULL;
        }
        if (tree->layout == MAILDIR_PLUSPLUS)
            g_string_append_c(place, '.');
        else if (place->len > 0)
            g_string_append_c(place, '/');
        g_string_append(place, encoded);
    }
    return g_string_free(place, FALSE);
}

/* The folder above may be called otherwise than its wire name ("Inbox"). */
static char *place_below_known(MaildirTree *tree, const char *wire)
{
    const char *last = strrchr(wire, '/');
    g_autofree char *above = last ? g_strndup(wire, (gsize)(last - wire)) : NULL;
    const char *place = above ? g_hash_table_lookup(tree->places, above) : NULL;

    if (!place || tree->layout == MAILDIR_PLUSPLUS || g_str_equal(place, "."))
        return NULL;
    return g_strconcat(place, last, NULL);
}

char *maildir_tree_place(MaildirTree *tree, const char *wire, GError **error)
{
    g_auto(GStrv) path = g_strsplit(wire, "/", -1);
    const char *known = g_hash_table_lookup(tree->places, wire);
    gboolean is_inbox = g_str_equal(wire, "INBOX");
    g_autofree char *place = NULL, *below = NULL;

    if (known)
        return g_strdup(known);
    if (is_inbox && (tree->layout == MAILDIR_PLUSPLUS || tree->has_root))
        return g_strdup(".");
    place = *path || check_component(tree, "", error) ? place_of(tree, path, error) : NULL;
    below = place ? place_below_known(tree, wire) : NULL;
    if (place && tree->layout == MAILDIR_PLUSPLUS && strlen(place) > NAME_MAX) {
        mail_fail(error, MAIL_ERROR_INVALID, "the name of the folder is too long");
        return NULL;
    }
    return below ? g_steal_pointer(&below) : g_steal_pointer(&place);
}

/* -- Opening ----------------------------------------------------------------------------------- */

static MaildirLayout find_layout(MaildirTree *tree)
{
    g_autoptr(GPtrArray) dotted = NULL, plain = NULL;
    gboolean has_root = maildir_is_maildir(tree->fd);
    guint n_own = has_root, n_dotted, n_plain;

    tree->layout = MAILDIR_PLUSPLUS;
    dotted = maildir_tree_list(tree, NULL, NULL);
    tree->layout = MAILDIR_FS;
    plain = maildir_tree_list(tree, NULL, NULL);
    n_dotted = dotted ? dotted->len - n_own : 0;
    n_plain = plain ? plain->len - n_own : 0;
    if (has_root)
        return n_dotted > 0 || n_plain == 0 ? MAILDIR_PLUSPLUS : MAILDIR_FS;
    return n_dotted > 0 && n_plain == 0 ? MAILDIR_PLUSPLUS : MAILDIR_FS;
}

MaildirTree *maildir_tree_open(const char *path, gboolean creates, GError **error)
{
    MaildirTree *tree;
    int fd;

    if (creates && !io_make_dirs(path, error))
        return NULL;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        mail_fail_errno(error, errno, "cannot open the folder %s", path);
        return NULL;
    }
    tree = g_new0(MaildirTree, 1);
    tree->path = g_strdup(path);
    tree->fd = fd;
    tree->places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    tree->layout = find_layout(tree);
    return tree;
}

void maildir_tree_note_failure(MaildirTree *tree, gboolean *has_failed)
{
    tree->has_failed = has_failed;
}

void maildir_tree_free(MaildirTree *tree)
{
    if (!tree)
        return;
    io_close_auto(&tree->fd);
    g_hash_table_unref(tree->places);
    g_free(tree->path);
    g_free(tree);
}

MaildirLayout maildir_tree_layout(const MaildirTree *tree)
{
    return tree->layout;
}

const char *maildir_tree_path(const MaildirTree *tree)
{
    return tree->path;
}

int maildir_tree_fd(const MaildirTree *tree)
{
    return tree->fd;
}

gboolean maildir_tree_is_writable(const MaildirTree *tree)
{
    return faccessat(tree->fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
}
