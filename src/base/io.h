/* File descriptors that close themselves, and each system call wrapped once with a GError.
 *
 * Bodies of functions then read straight down: one call, one early return.  Every wrapper
 * retries EINTR and handles short reads and writes.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* Use as:  autofd int fd = io_open(...);   and   return steal_fd(&fd);  */
void io_close_auto(int *fd);
#define autofd __attribute__((cleanup(io_close_auto)))

static inline int steal_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* openat(2) below @dir_fd (or AT_FDCWD), always with O_CLOEXEC | O_NOFOLLOW.  -1 on failure. */
int io_open_at(int dir_fd, const char *name, int flags, mode_t mode, GError **error);

/* Creates the directory @path, and those above it, with 0700 where they are missing; each is
 * durable when it returns.  One that cannot be made durable is removed again, so that the next
 * attempt does not take it for one that is. */
gboolean io_make_dirs(const char *path, GError **error);

/* Opens the directory @path, creating it as io_make_dirs() does.  Refuses a directory that
 * belongs to somebody else or that others may write to.  -1 on failure. */
int io_open_dir(const char *path, GError **error);

gboolean io_write_all(int fd, const void *data, gsize length, GError **error);
gboolean io_pwrite_all(int fd, const void *data, gsize length, goffset offset, GError **error);

/* Reads up to @length bytes at @offset; fewer only at the end of the file.  -1 on failure. */
gssize io_pread_all(int fd, void *data, gsize length, goffset offset, GError **error);

/* The whole of a small file, at most @limit bytes (TOOBIG beyond), NUL-terminated for comfort.
 * The caller owns it. */
GBytes *io_read_file(int dir_fd, const char *name, gsize limit, GError **error);

gboolean io_fsync(int fd, GError **error);

gboolean io_rename_at(int dir_fd, const char *from, const char *to, GError **error);
