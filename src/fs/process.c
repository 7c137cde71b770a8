/* /proc/PID/status, read as it is needed: by requests that were interrupted, and by those that
 * must know whether the process which opened a file is the one that closes it.  The number that
 * comes with a request is a thread's. */
#include "fs/process.h"

#include <string.h>

static char *read_status(pid_t tid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", tid);
    char *status = NULL;

    return g_file_get_contents(path, &status, NULL, NULL) ? status : NULL;
}

gboolean process_status_number(const char *status, const char *name, guint base,
                               guint64 *ret_number)
{
    gsize length = strlen(name);

    for (const char *line = status; line && *line; line = strchr(line, '\n')) {
        char *end;
        guint64 number;

        line += *line == '\n';
        if (strncmp(line, name, length) != 0 || line[length] != ':')
            continue;
        line += length + 1;
        line += strspn(line, " \t");
        number = g_ascii_strtoull(line, &end, base);
        if (end == line || !g_ascii_isxdigit(*line))
            return FALSE;
        *ret_number = number;
        return TRUE;
    }
    return FALSE;
}

pid_t process_of(pid_t tid)
{
    g_autofree char *status = read_status(tid);
    guint64 number;

    if (!status || !process_status_number(status, "Tgid", 10, &number) || number > G_MAXINT)
        return 0;
    return (pid_t)number;
}

gboolean process_is_dying(pid_t tid)
{
    enum { SIGKILL_BIT = 0x100 };
    g_autofree char *status = read_status(tid);
    guint64 pending;

    if (!status)
        return TRUE;
    return process_status_number(status, "SigPnd", 16, &pending) && (pending & SIGKILL_BIT) != 0;
}
