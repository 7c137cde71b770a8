/* Reads what is asked for at each passing: nothing here is fast, and nothing of it is in a release.
 * The end is _exit(), which runs no handler and flushes nothing, as a kill would. */
#include "base/fault.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAULT_EXIT 86
#define MAX_ASKED 128

static int log_fd = -1, asked_fd = -1;

/* Of all threads. */
G_LOCK_DEFINE_STATIC(asked);
static char last_asked[MAX_ASKED];
static unsigned long n_passed;

__attribute__((constructor)) static void open_files(void)
{
    const char *log = getenv("MAILFS_FAULT_LOG"), *asked = getenv("MAILFS_FAULT");

    if (log && *log)
        log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (asked && *asked == '@')
        asked_fd = open(asked + 1, O_RDONLY | O_CLOEXEC);
}

static void note(const char *what, const char *name)
{
    char line[MAX_ASKED];
    int length = snprintf(line, sizeof line, "%s: %s\n", what, name);

    if (log_fd >= 0 && length > 0 && write(log_fd, line, (size_t)length) < 0)
        _exit(FAULT_EXIT); /* a fault that nobody hears of proves nothing */
}

static void read_asked(char asked[MAX_ASKED])
{
    const char *value = getenv("MAILFS_FAULT");
    ssize_t n;

    if (asked_fd < 0) {
        snprintf(asked, MAX_ASKED, "%s", value ? value : "");
        return;
    }
    n = pread(asked_fd, asked, MAX_ASKED - 1, 0);
    asked[MAX(n, 0)] = '\0';
    asked[strcspn(asked, "\n")] = '\0';
}

/* What is asked behind @name (":3", "=error" or ""); NULL when it asks for another. */
static const char *asked_for(const char *asked, const char *name)
{
    size_t length = strlen(name);

    if (strncmp(asked, name, length) != 0 || !strchr(":=", asked[length]))
        return NULL;
    return asked + length; /* strchr() finds the end, too */
}

/* How often @name was passed since this was asked for, this time included; 0 if it is not asked. */
static unsigned long count(const char *asked, const char *name)
{
    unsigned long n = 0;

    G_LOCK(asked);
    if (strcmp(asked, last_asked) != 0) {
        n_passed = 0;
        memcpy(last_asked, asked, MAX_ASKED);
    }
    if (asked_for(asked, name))
        n = ++n_passed;
    G_UNLOCK(asked);
    return n;
}

/* A thread that waits is the fault. */
static void hold(const char *name, char asked[MAX_ASKED])
{
    char first[MAX_ASKED];

    memcpy(first, asked, MAX_ASKED);
    note("fault", name);
    while (strcmp(first, asked) == 0) {
        usleep(2000);
        read_asked(asked);
    }
}

void fault_pass(const char *name)
{
    char asked[MAX_ASKED];
    unsigned long n, wanted = 1;
    const char *how;

    read_asked(asked);
    n = count(asked, name);
    how = asked_for(asked, name);
    if (strcmp(asked, "list") == 0)
        note("pass", name);
    if (how && strcmp(how, "=hold") == 0)
        hold(name, asked);
    if (!how || *how == '=')
        return;
    if (*how == ':')
        wanted = strtoul(how + 1, NULL, 10);
    if (n != wanted)
        return;
    note("fault", name);
    _exit(FAULT_EXIT);
}

gboolean fault_fails(const char *name)
{
    char asked[MAX_ASKED];
    const char *how;

    read_asked(asked);
    how = asked_for(asked, name);
    if (!how || strcmp(how, "=error") != 0)
        return FALSE;
    note("fault", name);
    return TRUE;
}
