/* `mailfs events`: copies `.mailfs/events`, one line a change, until the mount ends.
 *
 * Waiting without end is what this command is for; an interrupt ends it at any time.
 */
#include "base/error.h"
#include "base/io.h"
#include "cli/commands.h"
#include "cli/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <sysexits.h>
#include <unistd.h>

static gboolean copy(int fd, const char *dir, GError **error)
{
    char buffer[16 * 1024];
    ssize_t n;

    while ((n = read(fd, buffer, sizeof buffer)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mail_fail_errno(error, errno, "cannot read the events of %s", dir);
        if (!io_write_all(STDOUT_FILENO, buffer, (gsize)n, error))
            return FALSE;
    }
    return TRUE;
}

int cli_main_events(int argc, char **argv, const CliOptions *options)
{
    g_autoptr(GPtrArray) mounts = NULL;
    g_autoptr(GError) error = NULL;
    autofd int fd = -1;
    const CliMount *mount;

    if (!cli_parse(&argc, &argv, NULL, 0, 1, &error))
        return cli_usage("events", error);
    mount = cli_find_mount(argc > 1 ? argv[1] : NULL, NULL, &mounts, &error);
    if (!mount)
        return cli_fail(error);
    fd = cli_daemon_open(mount->dir, "events", O_RDONLY, &error);
    return fd >= 0 && copy(fd, mount->dir, &error) ? EX_OK : cli_fail(error);
}
