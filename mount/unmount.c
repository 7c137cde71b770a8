/* mountinfo, and fusermount3 or umount2(2).  See unmount.h.
 *
 * fusermount3 is a setuid program and does its own checks; it is given the absolute path and
 * nothing from the environment matters to it.
 */
#include "mount/unmount.h"
#include "mount/program.h"

#include "base/error.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum {
    MAX_MOUNTINFO = 16 * 1024 * 1024, /* the kernel's limit is 100,000 mounts */
    UNMOUNT_SECONDS = 30,
};

void mount_entry_free(MountEntry *entry)
{
    if (!entry)
        return;
    g_free(entry->device);
    g_free(entry->dir);
    g_free(entry->type);
    g_free(entry->source);
    g_free(entry);
}

/* Undoes the kernel's \040 for blanks, tabs, newlines, '#' and backslashes, in place. */
static void unescape(char *text)
{
    char *out = text;

    for (const char *p = text; *p; out++) {
        if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
            p[3] >= '0' && p[3] <= '7') {
            *out = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
            p += 4;
        } else {
            *out = *p++;
        }
    }
    *out = '\0';
}

/* "user_id=1000" among the options of the super block. */
static void read_user(MountEntry *entry, const char *options)
{
    g_auto(GStrv) words = g_strsplit(options, ",", -1);
    guint64 user;

    for (guint i = 0; words[i]; i++) {
        const char *value = words[i] + strlen("user_id=");

        if (!g_str_has_prefix(words[i], "user_id=") ||
            !text_parse_number(value, strlen(value), G_MAXUINT32 - 1, &user))
            continue;
        entry->has_user = TRUE;
        entry->user = (uid_t)user;
    }
}

/* "36 35 98:0 /root /mnt rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue":
 * there are any number of fields before the lone hyphen. */
static MountEntry *parse_line(const char *line)
{
    enum { ID = 0, DEVICE = 2, DIR = 4, OPTIONAL = 6 };
    g_auto(GStrv) fields = g_strsplit(line, " ", -1);
    guint n = g_strv_length(fields), hyphen = OPTIONAL;
    MountEntry *entry;
    guint64 id;

    while (hyphen < n && strcmp(fields[hyphen], "-") != 0)
        hyphen++;
    if (hyphen + 3 >= n ||
        !text_parse_number(fields[ID], strlen(fields[ID]), G_MAXUINT64, &id))
        return NULL;
    entry = g_new0(MountEntry, 1);
    entry->id = id;
    entry->device = g_strdup(fields[DEVICE]);
    entry->dir = g_strdup(fields[DIR]);
    entry->type = g_strdup(fields[hyphen + 1]);
    entry->source = g_strdup(fields[hyphen + 2]);
    unescape(entry->dir);
    unescape(entry->source);
    read_user(entry, fields[hyphen + 3]);
    return entry;
}

MountEntry *mount_entry_parse(const char *mountinfo, const char *dir)
{
    g_auto(GStrv) lines = g_strsplit(mountinfo, "\n", -1);
    g_autoptr(MountEntry) found = NULL;

    for (guint i = 0; lines[i]; i++) {
        g_autoptr(MountEntry) entry = parse_line(lines[i]);

        /* Mounts on top come later in the list. */
        if (entry && strcmp(entry->dir, dir) == 0) {
            mount_entry_free(found);
            found = g_steal_pointer(&entry);
        }
    }
    return g_steal_pointer(&found);
}

/* Not io_read_file(): mountinfo is no regular file, and reading it at an offset is slow. */
static GString *read_mountinfo(void)
{
    autofd int fd = io_open_at(AT_FDCWD, "/proc/self/mountinfo", O_RDONLY, 0, NULL);
    GString *text = g_string_new(NULL);
    char bytes[4096];

    while (fd >= 0 && text->len < MAX_MOUNTINFO) {
        ssize_t n = read(fd, bytes, sizeof bytes);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        g_string_append_len(text, bytes, n);
    }
    return text;
}

MountEntry *mount_entry_find(const char *dir)
{
    GString *text = read_mountinfo();
    MountEntry *entry = mount_entry_parse(text->str, dir);

    g_string_free(text, TRUE);
    return entry;
}

gboolean mount_entry_is_ours(const MountEntry *entry)
{
    return g_str_has_prefix(entry->type, "fuse") &&
           (strcmp(entry->type, "fuse.mailfs") == 0 || strcmp(entry->source, "mailfs") == 0 ||
            g_str_has_prefix(entry->source, "mailfs#")) &&
           entry->has_user && entry->user == geteuid();
}

static gboolean unmount_as_root(const char *dir, int flags, GError **error)
{
    if (umount2(dir, UMOUNT_NOFOLLOW | flags) == 0)
        return TRUE;
    if (errno == EBUSY)
        return mail_fail(error, MAIL_ERROR_BUSY, "%s is in use; close what is open there and try "
                         "again", dir);
    return mail_fail_errno(error, errno, "cannot unmount %s", dir);
}

static gboolean unmount_as_user(const char *dir, const char *flags, GError **error)
{
    const char *argv[] = {"fusermount3", flags, "--", dir, NULL};
    g_autoptr(GError) reason = NULL;
    g_autoptr(Program) program = program_start("fusermount3", argv, deadline_in(UNMOUNT_SECONDS),
                                               error);

    if (!program)
        return FALSE;
    program_wait(program);
    if (program_succeeded(program, MAIL_ERROR_CACHE, &reason))
        return TRUE;
    /* Its exit code is 1 for everything; only its words tell. */
    if (strstr(reason->message, "busy"))
        return mail_fail(error, MAIL_ERROR_BUSY, "%s is in use; close what is open there and try "
                         "again", dir);
    return mail_fail(error,
                     strstr(reason->message, "ermitted") ? MAIL_ERROR_DENIED : MAIL_ERROR_CACHE,
                     "cannot unmount %s: %s", dir, reason->message);
}

gboolean unmount(const char *dir, GError **error)
{
    return geteuid() == 0 ? unmount_as_root(dir, 0, error) : unmount_as_user(dir, "-u", error);
}

gboolean unmount_lazily(const char *dir, GError **error)
{
    return geteuid() == 0 ? unmount_as_root(dir, MNT_DETACH, error)
                          : unmount_as_user(dir, "-uz", error);
}
