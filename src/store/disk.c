/* The disk: opening and closing it, and what the main thread asks of it. */
#include "store/disk-internal.h"

#include "base/deadline.h"
#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* -- What the main thread calls ---------------------------------------------------------------- */

void disk_submit(Disk *disk, DiskBatch *batch, DiskDoneFunc done, gpointer user)
{
    if (!done && disk_batch_is_empty(batch)) {
        disk_batch_free(batch);
        return;
    }
    disk_batch_note_items(batch, disk->next_items);
    disk_ask(disk, &(DiskRequest){
        .kind = REQUEST_BATCH, .batch = batch, .done = done, .user = user});
}

void disk_load_messages(Disk *disk, guint16 mailbox, DiskLoadFunc func, gpointer user)
{
    disk_ask(disk, &(DiskRequest){
        .kind = REQUEST_LOAD, .mailbox = mailbox, .load = func, .user = user});
}

void disk_recall(Disk *disk, guint16 mailbox, guint32 uidvalidity, const UidSet *uids,
                 DiskLoadFunc func, gpointer user)
{
    disk_ask(disk, &(DiskRequest){.kind = REQUEST_RECALL,
                                  .mailbox = mailbox,
                                  .uidvalidity = uidvalidity,
                                  .uids = uid_set_copy(uids),
                                  .load = func,
                                  .user = user});
}

void disk_verify_body(Disk *disk, guint16 mailbox, guint64 item, DiskVerifyFunc func,
                      gpointer user)
{
    disk_ask(disk, &(DiskRequest){.kind = REQUEST_VERIFY,
                                  .mailbox = mailbox,
                                  .item = item,
                                  .verify = func,
                                  .user = user});
}

void disk_choose_victims(Disk *disk, guint64 bytes, DiskVictimsFunc func, gpointer user)
{
    disk_ask(disk, &(DiskRequest){
        .kind = REQUEST_VICTIMS, .item = bytes, .victims = func, .user = user});
}

void disk_find_twin(Disk *disk, guint64 size, const guint8 *sha256, DiskTwinFunc func,
                    gpointer user)
{
    DiskRequest request = {.kind = REQUEST_TWIN, .item = size, .twin = func, .user = user};

    memcpy(request.sha256, sha256, DISK_SHA256);
    disk_ask(disk, &request);
}

const char *disk_warning(const Disk *disk)
{
    return disk->warning;
}

gboolean disk_was_unclean(const Disk *disk)
{
    return disk->was_unclean;
}

const char *disk_failure(const Disk *disk)
{
    return disk->failure;
}

guint64 disk_body_bytes(const Disk *disk)
{
    return disk->body_bytes;
}

guint64 disk_next_item(Disk *disk, guint16 mailbox)
{
    const guint64 *next = g_hash_table_lookup(disk->next_items, GUINT_TO_POINTER(mailbox));

    return next ? *next : 1;
}

/* -- Opening and closing ----------------------------------------------------------------------- */

/* A process that was killed holds its locks until the last of its threads has left the kernel,
 * which one that waits for the disk does not do at once; and it may be started again by then. */
enum { LOCK_PATIENCE_MS = 2000, LOCK_RETRY_US = 20000 };

static gboolean take_lock(int fd)
{
    Deadline deadline = deadline_in_ms(LOCK_PATIENCE_MS);

    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || deadline_passed(deadline))
            return FALSE;
        g_usleep(LOCK_RETRY_US);
    }
    return TRUE;
}

/* Opens the folder and takes its lock, which lasts as long as the descriptor. */
static gboolean open_dir(const char *path, char **dir, int *fd, int *lock, GError **error)
{
    *fd = io_open_dir(path, error);
    if (*fd < 0)
        return FALSE;
    /* Canonical, for SQLite is told to refuse symlinks, and /home may well be one. */
    *dir = realpath(path, NULL);
    if (!*dir)
        return mail_fail_errno(error, errno, "cannot find %s", path);
    *lock = io_open_at(*fd, "lock", O_RDWR | O_CREAT, 0600, error);
    if (*lock < 0) {
        g_prefix_error(error, "in %s: ", path);
        return FALSE;
    }
    if (take_lock(*lock))
        return TRUE;
    if (errno == EWOULDBLOCK)
        return mail_fail(error, MAIL_ERROR_BUSY,
                         "another mailfs is using %s; end it with: mailfs umount", path);
    return mail_fail_errno(error, errno, "cannot lock %s/lock", path);
}

static Disk *disk_new(void)
{
    Disk *disk = g_new0(Disk, 1);

    disk->cache_fd = disk->state_fd = disk->bodies_fd = disk->staging_fd = -1;
    disk->cache_lock = disk->state_lock = -1;
    disk->unswept = g_array_new(FALSE, FALSE, sizeof(guint16));
    disk->holes = g_hash_table_new(NULL, NULL);
    disk->fresh = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    disk->next_items = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    g_queue_init(&disk->requests);
    pthread_mutex_init(&disk->lock, NULL);
    pthread_mutex_init(&disk->bodies_lock, NULL);
    pthread_cond_init(&disk->wake, NULL);
    disk->answers = disk_answers_new(disk);
    return disk;
}

static void disk_free(Disk *disk)
{
    disk_answers_free(disk->answers);
    disk_db_close(&disk->index);
    disk_db_close(&disk->state);
    pthread_cond_destroy(&disk->wake);
    pthread_mutex_destroy(&disk->bodies_lock);
    pthread_mutex_destroy(&disk->lock);
    g_array_unref(disk->unswept);
    g_hash_table_unref(disk->next_items);
    g_hash_table_unref(disk->fresh);
    g_hash_table_unref(disk->holes);
    io_close_auto(&disk->bodies_fd);
    io_close_auto(&disk->staging_fd);
    io_close_auto(&disk->cache_fd);
    io_close_auto(&disk->state_fd);
    io_close_auto(&disk->cache_lock); /* last: from here on another may open */
    io_close_auto(&disk->state_lock);
    g_free(disk->failure);
    g_free(disk->warning);
    g_free(disk->lost_dir);
    free(disk->cache_dir); /* realpath()'s */
    free(disk->state_dir);
    g_free(disk);
}

Disk *disk_open(const char *cache_dir, const char *state_dir, GError **error)
{
    Disk *disk = disk_new();

    if (!open_dir(cache_dir, &disk->cache_dir, &disk->cache_fd, &disk->cache_lock, error) ||
        !open_dir(state_dir, &disk->state_dir, &disk->state_fd, &disk->state_lock, error) ||
        !disk_body_open_folder(disk, error) || !stage_open_folder(disk, error) ||
        !disk_schema_open(disk, error) || !disk_read_next_items(disk, error) ||
        !disk_journal_read_numbers(disk, error)) {
        disk_free(disk);
        return NULL;
    }
    disk->body_bytes = disk_read_body_total(disk);
    return disk;
}

static gboolean mark_clean(Disk *disk, GError **error)
{
    gboolean is_swept = disk->sweep == SWEEP_DONE && disk->unswept->len == 0 &&
                        g_hash_table_size(disk->holes) == 0;

    return disk_schema_mark_clean(disk, is_swept, error);
}

void disk_close(Disk *disk)
{
    g_autoptr(GError) error = NULL;

    if (!disk)
        return;
    disk_end_thread(disk);
    if (!mark_clean(disk, &error))
        g_message("the cache will be checked at the next start: %s", error->message);
    disk_free(disk);
}
