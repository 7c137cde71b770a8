/* One folder of a Maildir tree, and its messages as files.
 *
 * Nothing is ever written where another program might read it half: octets go to tmp/, are synced,
 * and appear by one rename.  Where a message goes from folder to folder it is linked, so that at
 * each moment it is whole in at least one of them.
 */
#include "store/maildir-internal.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COPY_SIZE = 64 * 1024,
    HEADER_STEP = 8 * 1024, /* most headers are shorter */
    STALE_SECONDS = 36 * 3600, /* what lies in tmp/ longer was given up (the specification) */
    FRESH_SECONDS = 2,      /* the coarsest clock of a file system (FAT) */
};

/* -- Opening ----------------------------------------------------------------------------------- */

static int open_part(int fd, const char *name, GError **error)
{
    return io_open_at(fd, name, O_RDONLY | O_DIRECTORY, 0, error);
}

MaildirFolder *maildir_folder_open(MaildirTree *tree, const char *wire, GError **error)
{
    g_autofree char *place = maildir_tree_place(tree, wire, error);
    g_autoptr(MaildirFolder) folder = NULL;

    if (!place)
        return NULL;
    folder = g_new0(MaildirFolder, 1);
    folder->wire = g_strdup(wire);
    folder->has_failed = tree->has_failed;
    folder->cur = folder->new = folder->tmp = -1;
    folder->fd = maildir_open_place(tree->fd, place, error);
    if (folder->fd >= 0)
        folder->cur = open_part(folder->fd, "cur", error);
    if (folder->cur >= 0)
        folder->new = open_part(folder->fd, "new", error);
    if (folder->new >= 0)
        return g_steal_pointer(&folder);
    g_prefix_error(error, "the folder %s: ", wire);
    return NULL;
}

void maildir_folder_free(MaildirFolder *folder)
{
    if (!folder)
        return;
    io_close_auto(&folder->fd);
    io_close_auto(&folder->cur);
    io_close_auto(&folder->new);
    io_close_auto(&folder->tmp);
    g_free(folder->wire);
    g_free(folder);
}

gboolean maildir_folder_is_writable(const MaildirFolder *folder)
{
    return faccessat(folder->cur, ".", W_OK | X_OK, AT_EACCESS) == 0 &&
           faccessat(folder->new, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

static gboolean open_tmp(MaildirFolder *folder, GError **error)
{
    if (folder->tmp >= 0)
        return TRUE;
    if (mkdirat(folder->fd, "tmp", 0700) < 0 && errno != EEXIST)
        return mail_fail_errno(error, errno, "cannot create tmp/ in %s", folder->wire);
    folder->tmp = open_part(folder->fd, "tmp", error);
    return folder->tmp >= 0;
}

static int part_of(const MaildirFolder *folder, const MaildirFile *file)
{
    return file->is_new ? folder->new : folder->cur;
}

static void note_changed(MaildirFolder *folder, gboolean is_new)
{
    if (is_new)
        folder->is_new_changed = TRUE;
    else
        folder->is_cur_changed = TRUE;
}

/* -- Reading ----------------------------------------------------------------------------------- */

static guint64 mix(guint64 hash, guint64 value)
{
    for (guint i = 0; i < 8; i++) { /* FNV-1a */
        hash ^= (value >> (8 * i)) & 0xff;
        hash *= G_GUINT64_CONSTANT(0x100000001b3);
    }
    return hash;
}

gboolean maildir_folder_stamp(const MaildirFolder *folder, guint64 *ret_stamp,
                              gboolean *ret_is_fresh, GError **error)
{
    const int parts[] = {folder->new, folder->cur};
    guint64 hash = G_GUINT64_CONSTANT(0xcbf29ce484222325);
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    struct stat st;

    *ret_is_fresh = FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
        if (fstat(parts[i], &st) < 0)
            return mail_fail_errno(error, errno, "cannot look at %s", folder->wire);
        if (st.st_nlink == 0)
            return mail_fail(error, MAIL_ERROR_GONE, "the folder %s is gone", folder->wire);
        hash = mix(hash, (guint64)st.st_mtim.tv_sec);
        hash = mix(hash, (guint64)st.st_mtim.tv_nsec);
        hash = mix(hash, (guint64)st.st_ino);
        *ret_is_fresh = *ret_is_fresh || now - st.st_mtim.tv_sec < FRESH_SECONDS;
    }
    /* A positive number in every database, and even: odd ones are no stamps. */
    *ret_stamp = (hash & (guint64)(G_MAXINT64 - 1)) | 2;
    return TRUE;
}

static gboolean scan_part(const MaildirFolder *folder, gboolean is_new, GHashTable *files,
                          GError **error)
{
    g_autoptr(GPtrArray) names =
        maildir_read_names(is_new ? folder->new : folder->cur, DT_REG, error);

    if (!names)
        return FALSE;
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        MaildirFile *file = maildir_file_parse(name, is_new);
        char *base = file ? maildir_file_base(name) : NULL;
        const MaildirFile *other = base ? g_hash_table_lookup(files, base) : NULL;

        /* Two files of one base: one that was seen while it was renamed, or a copy that somebody
         * made.  What is in cur/ is later than what is in new/. */
        if (file && (!other || other->is_new)) {
            g_hash_table_replace(files, base, file);
        } else {
            g_free(base);
            maildir_file_free(file);
        }
    }
    return TRUE;
}

/* new/ is read first, for files move from there to cur/ and not back. */
GHashTable *maildir_folder_scan(MaildirFolder *folder, GError **error)
{
    g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                                        (GDestroyNotify)maildir_file_free);

    if (!scan_part(folder, TRUE, files, error) || !scan_part(folder, FALSE, files, error))
        return NULL;
    return g_steal_pointer(&files);
}

int maildir_folder_open_file(const MaildirFolder *folder, const MaildirFile *file,
                             guint64 *ret_size, gint64 *ret_date, GError **error)
{
    /* O_NONBLOCK: were it a pipe, open() would wait for ever. */
    autofd int fd = io_open_at(part_of(folder, file), file->name, O_RDONLY | O_NONBLOCK, 0, error);
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        mail_fail(error, MAIL_ERROR_DENIED, "%s in %s is not a file", file->name, folder->wire);
        return -1;
    }
    if (ret_size)
        *ret_size = (guint64)st.st_size;
    if (ret_date)
        *ret_date = st.st_mtim.tv_sec;
    return steal_fd(&fd);
}

static gboolean has_empty_line(const char *text, gsize length)
{
    for (const char *p = text; p && (p = memchr(p, '\n', length - (gsize)(p - text))); p++) {
        gsize left = length - (gsize)(p - text);

        if ((left >= 2 && p[1] == '\n') || (left >= 3 && p[1] == '\r' && p[2] == '\n'))
            return TRUE;
        if (left == 1)
            break;
    }
    return FALSE;
}

GBytes *maildir_folder_read_header(const MaildirFolder *folder, const MaildirFile *file,
                                   guint64 *ret_size, gint64 *ret_date, GError **error)
{
    autofd int fd = maildir_folder_open_file(folder, file, ret_size, ret_date, error);
    g_autoptr(GByteArray) header = g_byte_array_new();
    gssize n = HEADER_STEP;

    if (fd < 0)
        return NULL;
    while (n == HEADER_STEP && header->len < LIMIT_HEADER &&
           !has_empty_line((const char *)header->data, header->len)) {
        guint had = header->len;

        g_byte_array_set_size(header, had + HEADER_STEP);
        n = io_pread_all(fd, header->data + had, HEADER_STEP, had, error);
        if (n < 0)
            return NULL;
        g_byte_array_set_size(header, had + (guint)n);
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&header));
}

void maildir_tidy(int fd)
{
    autofd int tmp = maildir_open_place(fd, "tmp", NULL);
    g_autoptr(GPtrArray) names = tmp < 0 ? NULL : maildir_read_names(tmp, DT_REG, NULL);
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    struct stat st;

    for (guint i = 0; names && i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (fstatat(tmp, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            now - st.st_mtim.tv_sec > STALE_SECONDS)
            (void)unlinkat(tmp, name, 0);
    }
}

void maildir_folder_tidy(MaildirFolder *folder)
{
    maildir_tidy(folder->fd);
}

/* -- Delivering -------------------------------------------------------------------------------- */

static gboolean copy_octets(int from, guint64 size, int to, GError **error)
{
    g_autofree char *chunk = g_malloc(COPY_SIZE);
    guint64 done = 0;

    while (done < size) {
        gssize n = io_pread_all(from, chunk, (gsize)MIN(size - done, COPY_SIZE), (goffset)done,
                                error);

        if (n < 0 || (n > 0 && !io_write_all(to, chunk, (gsize)n, error)))
            return FALSE;
        if (n == 0)
            return mail_fail(error, MAIL_ERROR_CACHE, "a message is shorter than it was");
        done += (guint64)n;
    }
    return TRUE;
}

/* Whole and synced in tmp/; -1 on failure. */
static int write_tmp(MaildirFolder *folder, const char *name, const MaildirDelivery *delivery,
                     GError **error)
{
    autofd int fd = io_open_at(folder->tmp, name, O_WRONLY | O_CREAT | O_EXCL, 0600, error);

    if (fd < 0)
        return -1;
    if (copy_octets(delivery->fd, delivery->size, fd, error) &&
        maildir_fsync(fd, folder->has_failed, error))
        return steal_fd(&fd);
    (void)unlinkat(folder->tmp, name, 0);
    return -1;
}

/* Out of tmp/ only: whoever tidies that up goes by the date, and an old one there is of a delivery
 * that was given up.  No fsync of its own, for the folder's follows; and the ledger has the date,
 * too. */
static void set_date(int fd, gint64 date)
{
    const struct timespec times[] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = date}};

    (void)futimens(fd, times);
}

MaildirFile *maildir_folder_put(MaildirFolder *folder, const MaildirDelivery *delivery,
                                GError **error)
{
    g_autofree char *base = delivery->base ? g_strdup(delivery->base) : maildir_file_unique();
    g_autofree char *name = NULL;
    gboolean is_new = delivery->flags == 0 && !delivery->is_passed;
    autofd int fd = open_tmp(folder, error) ? write_tmp(folder, base, delivery, error) : -1;

    if (fd < 0) {
        g_prefix_error(error, "cannot deliver into %s: ", folder->wire);
        return NULL;
    }
    name = is_new ? g_strdup(base)
                  : maildir_file_rename(base, delivery->flags, delivery->is_passed);
    FAULT("maildir-written");
    if (!maildir_rename(folder->tmp, base, is_new ? folder->new : folder->cur, name)) {
        mail_fail_errno(error, errno, "cannot deliver into %s", folder->wire);
        (void)unlinkat(folder->tmp, base, 0);
        return NULL;
    }
    set_date(fd, delivery->date);
    note_changed(folder, is_new);
    return maildir_file_parse(name, is_new);
}

static MaildirFile *copy_by_octets(MaildirFolder *from, const MaildirFile *file,
                                   MaildirFolder *to, GError **error)
{
    MaildirDelivery delivery = {.flags = file->flags, .is_passed = file->is_passed};
    autofd int fd = maildir_folder_open_file(from, file, &delivery.size, &delivery.date, error);

    if (fd < 0)
        return NULL;
    delivery.fd = fd;
    return maildir_folder_put(to, &delivery, error);
}

MaildirFile *maildir_folder_copy(MaildirFolder *from, const MaildirFile *file, MaildirFolder *to,
                                 GError **error)
{
    g_autofree char *base = maildir_file_unique();
    const char *info = strchr(file->name, ':');
    g_autofree char *name = g_strconcat(base, info, NULL);
    struct stat st;

    if (fstatat(part_of(from, file), file->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        mail_fail_errno(error, errno, "cannot copy a message of %s", from->wire);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        mail_fail(error, MAIL_ERROR_DENIED, "%s in %s is not a file", file->name, from->wire);
        return NULL;
    }
    if (linkat(part_of(from, file), file->name, part_of(to, file), name, 0) < 0)
        return copy_by_octets(from, file, to, error);
    note_changed(to, file->is_new);
    return maildir_file_parse(name, file->is_new);
}

/* -- Changing ---------------------------------------------------------------------------------- */

gboolean maildir_folder_set_flags(MaildirFolder *folder, MaildirFile *file, guint16 flags,
                                  gboolean is_passed, GError **error)
{
    g_autofree char *name = NULL;

    if (file->flags == flags && file->is_passed == is_passed)
        return TRUE;
    name = maildir_file_rename(file->name, flags, is_passed);
    if (!maildir_rename(part_of(folder, file), file->name, folder->cur, name))
        return mail_fail_errno(error, errno, "cannot change the flags of a message in %s",
                               folder->wire);
    note_changed(folder, file->is_new);
    note_changed(folder, FALSE);
    g_free(file->name);
    file->name = g_steal_pointer(&name);
    file->is_new = FALSE;
    file->flags = flags;
    file->is_passed = is_passed;
    return TRUE;
}

gboolean maildir_folder_remove(MaildirFolder *folder, const MaildirFile *file, GError **error)
{
    if (unlinkat(part_of(folder, file), file->name, 0) < 0)
        return mail_fail_errno(error, errno, "cannot remove a message of %s", folder->wire);
    note_changed(folder, file->is_new);
    return TRUE;
}

gboolean maildir_folder_flush(MaildirFolder *folder, GError **error)
{
    if (folder->is_new_changed && !maildir_fsync(folder->new, folder->has_failed, error))
        return FALSE;
    folder->is_new_changed = FALSE;
    if (folder->is_cur_changed && !maildir_fsync(folder->cur, folder->has_failed, error))
        return FALSE;
    folder->is_cur_changed = FALSE;
    return TRUE;
}
