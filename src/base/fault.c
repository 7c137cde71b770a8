/* Reads the environment at each passing: nothing here is fast, and nothing of it is in a release.
 * The end is _exit(), which runs no handler and flushes nothing, as a kill would. */
#include "base/fault.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAULT_EXIT 86

static int log_fd = -1;

__attribute__((constructor)) static void open_log(void)
{
    const char *path = getenv("MAILFS_FAULT_LOG");

    if (path && *path)
        log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void note(const char *name)
{
    char line[128];
    int length = snprintf(line, sizeof line, "fault: %s\n", name);

    if (log_fd >= 0 && length > 0 && write(log_fd, line, (size_t)length) < 0)
        _exit(FAULT_EXIT); /* a fault that nobody hears of proves nothing */
}

/* What the environment says behind @name (":3", "=error" or ""); NULL when it asks for another. */
static const char *asked_for(const char *name)
{
    const char *asked = getenv("MAILFS_FAULT");
    size_t length = strlen(name);

    if (!asked || strncmp(asked, name, length) != 0 || !strchr(":=", asked[length]))
        return NULL;
    return asked + length; /* strchr() finds the end, too */
}

void fault_pass(const char *name)
{
    static atomic_ulong n_passed;
    const char *how = asked_for(name);
    unsigned long n;

    if (!how || *how == '=')
        return;
    n = *how == ':' ? strtoul(how + 1, NULL, 10) : 1;
    if (atomic_fetch_add(&n_passed, 1) + 1 != n)
        return;
    note(name);
    _exit(FAULT_EXIT);
}

gboolean fault_fails(const char *name)
{
    const char *how = asked_for(name);

    if (!how || strcmp(how, "=error") != 0)
        return FALSE;
    note(name);
    return TRUE;
}
