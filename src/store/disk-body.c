/* Bodies as files: bodies/MMMM/IIIIIIIII below the cache folder, mailbox and item in hex.
 *
 * A body comes in under a temporary name beside the folders and is renamed into place when it is
 * whole; one that is replaced or removed stays readable for whoever has it open.  Nothing is
 * synced: after an unclean end length and SHA-256 tell which files to believe.
 *
 * Names are made of numbers alone, and every path is walked one component at a time from an open
 * folder with O_NOFOLLOW, which refuses a planted symlink as openat2()'s RESOLVE_NO_SYMLINKS
 * would, on every kernel.
 *
 * A file comes before its row, for a row without a file would be a lie.  In between it looks
 * like a stray one; Disk.fresh remembers it until its row is written.
 */
#include "store/disk-internal.h"

#include "base/error.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_DIGITS 4
#define BODY_DIGITS 9
#define READ_SIZE (64 * 1024)

typedef struct {
    char text[20]; /* the longest is a temporary one: 't' and 16 digits */
} Name;

struct BodyFile {
    Disk *disk;
    int fd;
    Name name;               /* temporary */
    _Atomic guint64 length;  /* other threads follow it while one writes */
    GChecksum *sha256;
    gboolean is_committed;
};

/* -- Names ------------------------------------------------------------------------------------- */

static Name folder_name(guint16 mailbox)
{
    Name name;

    g_snprintf(name.text, sizeof name.text, "%0*x", FOLDER_DIGITS, mailbox);
    return name;
}

static Name body_name(guint64 item)
{
    Name name;

    g_snprintf(name.text, sizeof name.text, "%0*" G_GINT64_MODIFIER "x", BODY_DIGITS, item);
    return name;
}

gboolean disk_parse_name(const char *name, gsize n_digits, guint64 *ret_number)
{
    if (strlen(name) != n_digits || strspn(name, "0123456789abcdef") != n_digits)
        return FALSE;
    *ret_number = g_ascii_strtoull(name, NULL, 16);
    return TRUE;
}

/* -- Folders ----------------------------------------------------------------------------------- */

static int open_folder(Disk *disk, guint16 mailbox, GError **error)
{
    return io_open_at(disk->bodies_fd, folder_name(mailbox).text, O_RDONLY | O_DIRECTORY, 0, error);
}

/* As open_folder(), for a body that is about to be put there. */
static int make_folder(Disk *disk, guint16 mailbox, GError **error)
{
    if (mkdirat(disk->bodies_fd, folder_name(mailbox).text, 0700) < 0 && errno != EEXIST) {
        mail_fail_errno(error, errno, "cannot create a folder in %s/bodies", disk->cache_dir);
        return -1;
    }
    return open_folder(disk, mailbox, error);
}

gboolean disk_each_name(int fd, void (*func)(const char *name, gpointer user), gpointer user,
                        GError **error)
{
    autofd int own = io_open_at(fd, ".", O_RDONLY | O_DIRECTORY, 0, error);
    DIR *folder = own < 0 ? NULL : fdopendir(own);
    const struct dirent *entry;
    int failure;

    if (own < 0)
        return FALSE;
    if (!folder)
        return mail_fail_errno(error, errno, "cannot read a folder");
    (void)steal_fd(&own);
    for (errno = 0; (entry = readdir(folder)); errno = 0)
        func(entry->d_name, user);
    failure = errno;
    closedir(folder);
    return failure == 0 || mail_fail_errno(error, failure, "cannot read a folder");
}

static void remove_temporary(const char *name, gpointer user)
{
    const Disk *disk = user;
    guint64 number;

    if (name[0] == 't' && disk_parse_name(name + 1, 16, &number))
        (void)unlinkat(disk->bodies_fd, name, 0);
}

gboolean disk_body_open_folder(Disk *disk, GError **error)
{
    if (mkdirat(disk->cache_fd, "bodies", 0700) < 0 && errno != EEXIST)
        return mail_fail_errno(error, errno, "cannot create %s/bodies", disk->cache_dir);
    disk->bodies_fd = io_open_at(disk->cache_fd, "bodies", O_RDONLY | O_DIRECTORY, 0, error);
    if (disk->bodies_fd < 0) {
        g_prefix_error(error, "in %s: ", disk->cache_dir);
        return FALSE;
    }
    return disk_each_name(disk->bodies_fd, remove_temporary, disk, error);
}

/* -- Fresh bodies ------------------------------------------------------------------------------ */

static gint64 fresh_key(guint16 mailbox, guint64 item)
{
    return (gint64)((guint64)mailbox << 36 | item);
}

static void add_fresh(Disk *disk, guint16 mailbox, guint64 item)
{
    gint64 key = fresh_key(mailbox, item);

    g_hash_table_add(disk->fresh, g_memdup2(&key, sizeof key));
}

void disk_body_forget_fresh(Disk *disk, const GArray *known)
{
    pthread_mutex_lock(&disk->bodies_lock);
    for (guint i = 0; i < known->len; i++) {
        const DiskBodyKey *body = &g_array_index(known, DiskBodyKey, i);
        gint64 key = fresh_key(body->mailbox, body->item);

        g_hash_table_remove(disk->fresh, &key);
    }
    pthread_mutex_unlock(&disk->bodies_lock);
}

void disk_body_remove_stray(Disk *disk, guint16 mailbox, guint64 item)
{
    autofd int folder = open_folder(disk, mailbox, NULL);
    gint64 key = fresh_key(mailbox, item);

    if (folder < 0)
        return;
    pthread_mutex_lock(&disk->bodies_lock);
    if (!g_hash_table_contains(disk->fresh, &key))
        (void)unlinkat(folder, body_name(item).text, 0);
    pthread_mutex_unlock(&disk->bodies_lock);
}

void disk_body_remove_folder(Disk *disk, guint16 mailbox)
{
    /* Under the lock, so that it does not go between a commit's mkdir and its rename. */
    pthread_mutex_lock(&disk->bodies_lock);
    (void)unlinkat(disk->bodies_fd, folder_name(mailbox).text, AT_REMOVEDIR);
    pthread_mutex_unlock(&disk->bodies_lock);
}

/* -- A body on its way in ---------------------------------------------------------------------- */

BodyFile *body_file_new(Disk *disk, GError **error)
{
    static _Atomic guint64 counter; /* no name comes twice, and old ones went at the start */
    g_autoptr(BodyFile) file = g_new0(BodyFile, 1);

    file->disk = disk;
    file->sha256 = g_checksum_new(G_CHECKSUM_SHA256);
    g_snprintf(file->name.text, sizeof file->name.text, "t%016" G_GINT64_MODIFIER "x",
               atomic_fetch_add(&counter, 1));
    file->fd = io_open_at(disk->bodies_fd, file->name.text, O_RDWR | O_CREAT | O_EXCL, 0600, error);
    if (file->fd < 0) {
        g_prefix_error(error, "in %s/bodies: ", disk->cache_dir);
        return NULL;
    }
    return g_steal_pointer(&file);
}

gboolean body_file_append(BodyFile *file, const void *data, gsize length, GError **error)
{
    guint64 offset = atomic_load(&file->length);

    g_assert(!file->is_committed);
    /* At the offset, so that a write that failed half-way may be tried again. */
    if (!io_pwrite_all(file->fd, data, length, (goffset)offset, error)) {
        g_prefix_error(error, "cannot keep a message in %s/bodies: ", file->disk->cache_dir);
        return FALSE;
    }
    g_checksum_update(file->sha256, data, (gssize)length);
    atomic_store(&file->length, offset + length);
    return TRUE;
}

guint64 body_file_length(const BodyFile *file)
{
    return atomic_load(&file->length);
}

int body_file_fd(const BodyFile *file)
{
    return file->fd;
}

/* With bodies_lock held. */
static gboolean move_into_place(BodyFile *file, guint16 mailbox, guint64 item, GError **error)
{
    Disk *disk = file->disk;
    autofd int folder = make_folder(disk, mailbox, error);

    if (folder < 0)
        return FALSE;
    if (renameat(disk->bodies_fd, file->name.text, folder, body_name(item).text) < 0)
        return mail_fail_errno(error, errno, "cannot keep a message in %s/bodies",
                               disk->cache_dir);
    add_fresh(disk, mailbox, item);
    return TRUE;
}

gboolean body_file_commit(BodyFile *file, guint16 mailbox, guint64 item, guint8 *ret_sha256,
                          GError **error)
{
    gsize length = DISK_SHA256;

    g_assert(!file->is_committed && mailbox > 0 && item > 0 && item <= DISK_MAX_ITEM);
    pthread_mutex_lock(&file->disk->bodies_lock);
    file->is_committed = move_into_place(file, mailbox, item, error);
    pthread_mutex_unlock(&file->disk->bodies_lock);
    if (file->is_committed)
        g_checksum_get_digest(file->sha256, ret_sha256, &length);
    return file->is_committed;
}

void body_file_free(BodyFile *file)
{
    if (!file)
        return;
    if (file->fd >= 0 && !file->is_committed)
        (void)unlinkat(file->disk->bodies_fd, file->name.text, 0);
    io_close_auto(&file->fd);
    g_checksum_free(file->sha256);
    g_free(file);
}

/* -- Bodies that come from elsewhere ----------------------------------------------------------- */

static gboolean link_body(const DiskBodyMove *move, int from, int to)
{
    Name old = body_name(move->item), new = body_name(move->to_item);

    (void)unlinkat(to, new.text, 0); /* linkat() replaces nothing */
    return linkat(from, old.text, to, new.text, 0) == 0;
}

static gboolean rename_body(const DiskBodyMove *move, int from, int to)
{
    Name old = body_name(move->item), new = body_name(move->to_item);

    if (renameat(from, old.text, to, new.text) < 0)
        return FALSE;
    /* Were both links to one file (a copy that was kept), rename(2) did nothing. */
    (void)unlinkat(from, old.text, 0);
    return TRUE;
}

gboolean disk_move_body(Disk *disk, const DiskBodyMove *move)
{
    autofd int from = open_folder(disk, move->mailbox, NULL), to = -1;
    gint64 old = fresh_key(move->mailbox, move->item);
    gboolean is_done;

    g_assert(move->mailbox != move->to_mailbox || move->item != move->to_item);
    if (from < 0)
        return FALSE;
    pthread_mutex_lock(&disk->bodies_lock);
    to = make_folder(disk, move->to_mailbox, NULL);
    is_done = to >= 0 &&
              (move->keeps ? link_body(move, from, to) : rename_body(move, from, to));
    if (is_done)
        add_fresh(disk, move->to_mailbox, move->to_item);
    if (is_done && !move->keeps)
        g_hash_table_remove(disk->fresh, &old);
    pthread_mutex_unlock(&disk->bodies_lock);
    return is_done;
}

/* With bodies_lock held.  A rename, where both are on one file system. */
static gboolean rename_into_place(Disk *disk, int dir_fd, const char *name, guint16 mailbox,
                                  guint64 item)
{
    autofd int folder = make_folder(disk, mailbox, NULL);

    if (folder < 0 || renameat(dir_fd, name, folder, body_name(item).text) < 0)
        return FALSE;
    add_fresh(disk, mailbox, item);
    return TRUE;
}

/* By way of a temporary file; who moves a body knows its hash, and none is taken. */
static gboolean copy_into_place(Disk *disk, int dir_fd, const char *name, guint16 mailbox,
                                guint64 item, GError **error)
{
    autofd int from = io_open_at(dir_fd, name, O_RDONLY | O_NONBLOCK, 0, error);
    g_autoptr(BodyFile) file = from < 0 ? NULL : body_file_new(disk, error);

    if (!file || !stage_copy(from, file->fd, error))
        return FALSE;
    pthread_mutex_lock(&disk->bodies_lock);
    file->is_committed = move_into_place(file, mailbox, item, error);
    pthread_mutex_unlock(&disk->bodies_lock);
    return file->is_committed;
}

gboolean disk_body_take(Disk *disk, int dir_fd, const char *name, guint16 mailbox, guint64 item,
                        GError **error)
{
    gboolean is_done;

    g_assert(mailbox > 0 && item > 0 && item <= DISK_MAX_ITEM);
    pthread_mutex_lock(&disk->bodies_lock);
    is_done = rename_into_place(disk, dir_fd, name, mailbox, item);
    pthread_mutex_unlock(&disk->bodies_lock);
    return is_done || copy_into_place(disk, dir_fd, name, mailbox, item, error);
}

/* -- Bodies that are there --------------------------------------------------------------------- */

int disk_open_body(Disk *disk, guint16 mailbox, guint64 item, GError **error)
{
    g_autoptr(GError) local = NULL;
    autofd int folder = open_folder(disk, mailbox, &local);
    autofd int fd = -1;
    struct stat st;

    /* O_NONBLOCK: were it a pipe that somebody put there, open() would wait for ever. */
    if (folder >= 0)
        fd = io_open_at(folder, body_name(item).text, O_RDONLY | O_NONBLOCK, 0, &local);
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
        mail_fail(&local, MAIL_ERROR_CACHE, "%s is not a file", body_name(item).text);
    if (!local)
        return steal_fd(&fd);
    if (mail_error_is(local, MAIL_ERROR_GONE))
        mail_fail(error, MAIL_ERROR_GONE, "the message is not in the cache");
    else
        g_propagate_prefixed_error(error, g_steal_pointer(&local), "in %s/bodies: ",
                                   disk->cache_dir);
    return -1;
}

void disk_remove_body(Disk *disk, guint16 mailbox, guint64 item)
{
    autofd int folder = open_folder(disk, mailbox, NULL);
    gint64 key = fresh_key(mailbox, item);

    if (folder < 0)
        return;
    pthread_mutex_lock(&disk->bodies_lock);
    (void)unlinkat(folder, body_name(item).text, 0);
    g_hash_table_remove(disk->fresh, &key);
    pthread_mutex_unlock(&disk->bodies_lock);
}

static gboolean hash_file(int fd, guint64 size, guint8 *ret_sha256)
{
    g_autoptr(GChecksum) sha256 = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree guint8 *buffer = g_malloc(READ_SIZE);
    gsize length = DISK_SHA256;

    for (guint64 offset = 0; offset < size;) {
        gssize n = io_pread_all(fd, buffer, READ_SIZE, (goffset)offset, NULL);

        if (n <= 0)
            return FALSE;
        g_checksum_update(sha256, buffer, n);
        offset += (guint64)n;
    }
    g_checksum_get_digest(sha256, ret_sha256, &length);
    return TRUE;
}

static gboolean is_good(int fd, const DiskVictim *body, const guint8 *sha256)
{
    guint8 found[DISK_SHA256];
    struct stat st;

    return fstat(fd, &st) == 0 && (guint64)st.st_size == body->size &&
           hash_file(fd, body->size, found) && memcmp(found, sha256, DISK_SHA256) == 0;
}

gboolean disk_body_is_good(Disk *disk, const DiskVictim *body, const guint8 *sha256)
{
    autofd int fd = disk_open_body(disk, body->mailbox, body->item, NULL);

    return fd >= 0 && is_good(fd, body, sha256);
}

static gboolean ask_row(Disk *disk, guint16 mailbox, guint64 item, DiskRow *row, GError **error)
{
    pthread_mutex_init(&row->lock, NULL);
    pthread_cond_init(&row->wake, NULL);
    disk_ask(disk, &(DiskRequest){
        .kind = REQUEST_ROW, .mailbox = mailbox, .item = item, .row = row});
    pthread_mutex_lock(&row->lock);
    while (!row->is_answered)
        pthread_cond_wait(&row->wake, &row->lock);
    pthread_mutex_unlock(&row->lock);
    pthread_mutex_destroy(&row->lock);
    pthread_cond_destroy(&row->wake);
    if (row->error)
        g_propagate_error(error, row->error);
    return row->is_found;
}

int disk_open_sound_body(Disk *disk, guint16 mailbox, guint64 item, GError **error)
{
    autofd int fd = disk_open_body(disk, mailbox, item, error);
    DiskRow row = {0};

    if (fd < 0 || !ask_row(disk, mailbox, item, &row, error))
        return -1;
    if (is_good(fd, &row.body, row.sha256))
        return steal_fd(&fd);
    mail_fail(error, MAIL_ERROR_GONE, "what the cache has of the message is damaged");
    return -1;
}

/* -- Listing, for the sweep -------------------------------------------------------------------- */

static void add_item(const char *name, gpointer user)
{
    guint64 item;

    if (disk_parse_name(name, BODY_DIGITS, &item))
        g_array_append_val((GArray *)user, item);
}

int disk_compare_numbers(gconstpointer a, gconstpointer b)
{
    guint64 first = *(const guint64 *)a, second = *(const guint64 *)b;

    return (first > second) - (first < second);
}

GArray *disk_body_list(Disk *disk, guint16 mailbox, GError **error)
{
    g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(guint64));
    g_autoptr(GError) local = NULL;
    autofd int folder = open_folder(disk, mailbox, &local);

    if (folder < 0 && mail_error_is(local, MAIL_ERROR_GONE))
        return g_steal_pointer(&items);
    if (folder < 0 || !disk_each_name(folder, add_item, items, &local)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    g_array_sort(items, disk_compare_numbers);
    return g_steal_pointer(&items);
}

static void add_number(const char *name, gpointer user)
{
    guint64 number;

    if (disk_parse_name(name, FOLDER_DIGITS, &number) && number > 0)
        g_hash_table_add(user, GUINT_TO_POINTER((guint)number));
}

gboolean disk_body_list_mailboxes(Disk *disk, GHashTable *numbers, GError **error)
{
    return disk_each_name(disk->bodies_fd, add_number, numbers, error);
}
