/* Files in staging/: made, opened and removed on the main thread, which waits for no disk, and made
 * durable on the disk's thread, to which the requests of stage.h go.
 *
 * Names are 16 hex digits and come from a counter that begins above every file and every row there
 * is, so that no row ever names octets that are not its own.
 */
#include "store/disk-internal.h"

#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAGE_DIGITS 16
#define COPY_SIZE (64 * 1024)

typedef struct {
    char text[STAGE_DIGITS + 1];
} StageName;

static StageName stage_name(guint64 number)
{
    StageName name;

    g_snprintf(name.text, sizeof name.text, "%0*" G_GINT64_MODIFIER "x", STAGE_DIGITS, number);
    return name;
}

/* -- The folder -------------------------------------------------------------------------------- */

static void add_number(const char *name, gpointer numbers)
{
    guint64 number;

    if (disk_parse_name(name, STAGE_DIGITS, &number) && number > 0 && number <= G_MAXINT64)
        g_array_append_val((GArray *)numbers, number);
}

GArray *stage_list(Disk *disk, GError **error)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(guint64));

    if (!disk_each_name(disk->staging_fd, add_number, numbers, error)) {
        g_prefix_error(error, "in %s/staging: ", disk->state_dir);
        return NULL;
    }
    g_array_sort(numbers, disk_compare_numbers);
    return g_steal_pointer(&numbers);
}

gboolean stage_open_folder(Disk *disk, GError **error)
{
    g_autoptr(GArray) numbers = NULL;

    if (mkdirat(disk->state_fd, "staging", 0700) < 0 && errno != EEXIST)
        return mail_fail_errno(error, errno, "cannot create %s/staging", disk->state_dir);
    disk->staging_fd = io_open_at(disk->state_fd, "staging", O_RDONLY | O_DIRECTORY, 0, error);
    if (disk->staging_fd < 0) {
        g_prefix_error(error, "in %s: ", disk->state_dir);
        return FALSE;
    }
    /* What is put there later is worth nothing without the folder's own name. */
    if (!stage_fsync(disk->state_fd, error))
        return FALSE;
    numbers = stage_list(disk, error);
    if (!numbers)
        return FALSE;
    disk->next_stage = numbers->len ? g_array_index(numbers, guint64, numbers->len - 1) + 1 : 1;
    disk->lost_dir = g_build_filename(disk->state_dir, "lost+found", NULL);
    return TRUE;
}

const char *stage_lost_dir(const Disk *disk)
{
    return disk->lost_dir;
}

/* -- One stage --------------------------------------------------------------------------------- */

int stage_new(Disk *disk, guint64 *ret_number, GError **error)
{
    guint64 number = atomic_fetch_add(&disk->next_stage, 1);
    int fd = io_open_at(disk->staging_fd, stage_name(number).text, O_RDWR | O_CREAT | O_EXCL, 0600,
                        error);

    if (fd < 0) {
        g_prefix_error(error, "in %s/staging: ", disk->state_dir);
        return -1;
    }
    *ret_number = number;
    return fd;
}

int stage_open(Disk *disk, guint64 number, GError **error)
{
    g_autoptr(GError) local = NULL;
    /* O_NONBLOCK: were it a pipe that somebody put there, open() would wait for ever. */
    autofd int fd =
        io_open_at(disk->staging_fd, stage_name(number).text, O_RDWR | O_NONBLOCK, 0, &local);
    struct stat st;

    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
        mail_fail(&local, MAIL_ERROR_CACHE, "%s is not a file", stage_name(number).text);
    if (!local)
        return steal_fd(&fd);
    g_propagate_prefixed_error(error, g_steal_pointer(&local), "in %s/staging: ", disk->state_dir);
    return -1;
}

gboolean stage_replace(Disk *disk, guint64 number, guint64 other, GError **error)
{
    if (renameat(disk->staging_fd, stage_name(number).text, disk->staging_fd,
                 stage_name(other).text) == 0)
        return TRUE;
    return mail_fail_errno(error, errno, "in %s/staging", disk->state_dir);
}

void stage_remove(Disk *disk, guint64 number)
{
    (void)unlinkat(disk->staging_fd, stage_name(number).text, 0);
}

gboolean stage_to_body(Disk *disk, guint64 number, guint16 mailbox, guint64 item)
{
    g_autoptr(GError) error = NULL;
    gboolean is_done = disk_body_take(disk, disk->staging_fd, stage_name(number).text, mailbox,
                                      item, &error);

    stage_remove(disk, number);
    if (!is_done)
        g_message("a message that was sent will be fetched again: %s", error->message);
    return is_done;
}

/* -- Durability, on the thread ----------------------------------------------------------------- */

gboolean stage_fsync(int fd, GError **error)
{
    int errnum = EIO;

    if (!FAULT_FAILS("fsync-stage")) {
        if (fsync(fd) == 0 || errno == EINVAL) /* a file system that syncs no folders */
            return TRUE;
        errnum = errno;
    }
    return mail_fail(error, MAIL_ERROR_CACHE,
                     "fsync failed: %s; what was written may not be on the disk: look at it "
                     "(dmesg), then unmount and mount again", g_strerror(errnum));
}

gboolean stage_make_durable(Disk *disk, int fd, GError **error)
{
    return stage_fsync(fd, error) && stage_fsync(disk->staging_fd, error);
}

gboolean stage_copy(int from, int to, GError **error)
{
    g_autofree char *buffer = g_malloc(COPY_SIZE);
    goffset offset = 0;
    gssize n;

    while ((n = io_pread_all(from, buffer, COPY_SIZE, offset, error)) > 0) {
        if (!io_write_all(to, buffer, (gsize)n, error))
            return FALSE;
        offset += n;
    }
    return n == 0;
}

/* -- Requests ---------------------------------------------------------------------------------- */

static int duplicate(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

void stage_keep_octets(Disk *disk)
{
    disk->keeps_octets = TRUE;
}

void stage_seal(Disk *disk, int fd, StageSealFunc func, gpointer user)
{
    disk_ask(disk, &(DiskRequest){
        .kind = REQUEST_SEAL, .fd = duplicate(fd), .seal = func, .user = user});
}

void stage_sync(Disk *disk, int fd, DiskDoneFunc func, gpointer user)
{
    disk_ask(disk, &(DiskRequest){
        .kind = REQUEST_SYNC, .fd = duplicate(fd), .done = func, .user = user});
}

void stage_lose(Disk *disk, int fd, const StageLost *lost, DiskDoneFunc func, gpointer user)
{
    disk_ask(disk, &(DiskRequest){.kind = REQUEST_LOSE,
                                  .fd = duplicate(fd),
                                  .lost = {g_strdup(lost->folder), g_strdup(lost->name),
                                           g_strdup(lost->reason)},
                                  .done = func,
                                  .user = user});
}
