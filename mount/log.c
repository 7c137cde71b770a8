/* GLib calls one writer function for the life of the process; it looks at where the messages go
 * at the moment.  Each message is one write(2), so that two processes share a file in peace.
 *
 * The state is the process's, as GLib's log is.  It is set while there is one thread.
 */
#include "mount/log.h"
#include "base/error.h"
#include "base/io.h"

#include <fcntl.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

typedef enum { TO_STDERR, TO_SYSLOG, TO_FILE } Target;

static struct {
    Target target;
    int verbosity;
    int fd; /* TO_FILE */
    gboolean has_journal; /* standard error is read by journald, which takes "<4>" for warnings */
} state;

static int syslog_priority(GLogLevelFlags level)
{
    if (level & G_LOG_LEVEL_ERROR)
        return LOG_CRIT;
    if (level & G_LOG_LEVEL_CRITICAL)
        return LOG_ERR;
    if (level & G_LOG_LEVEL_WARNING)
        return LOG_WARNING;
    if (level & G_LOG_LEVEL_MESSAGE)
        return LOG_NOTICE;
    return level & G_LOG_LEVEL_INFO ? LOG_INFO : LOG_DEBUG;
}

static gboolean is_wanted(GLogLevelFlags level, const char *domain)
{
    if (state.verbosity == 0 && (level & G_LOG_LEVEL_INFO))
        return !g_log_writer_default_would_drop(level, domain);
    if (state.verbosity < 2 && (level & G_LOG_LEVEL_DEBUG))
        return !g_log_writer_default_would_drop(level, domain);
    return TRUE;
}

static void write_line(const char *domain, const char *text, int priority)
{
    g_autofree char *line = NULL;

    if (state.target == TO_FILE) {
        g_autoptr(GDateTime) now = g_date_time_new_now_local();
        g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%f%z");

        line = g_strdup_printf("%s %d %s: %s\n", time, (int)getpid(), domain, text);
    } else if (state.has_journal) {
        line = g_strdup_printf("<%d>%s: %s\n", priority, domain, text);
    } else {
        line = g_strdup_printf("mailfs: %s: %s\n", domain, text);
    }
    (void)io_write_all(state.target == TO_FILE ? state.fd : STDERR_FILENO, line, strlen(line),
                       NULL);
}

static GLogWriterOutput write_message(GLogLevelFlags level, const GLogField *fields,
                                      gsize n_fields, gpointer user)
{
    const char *domain = "glib", *text = "";

    for (gsize i = 0; i < n_fields; i++) {
        if (fields[i].length >= 0)
            continue; /* not a string */
        if (strcmp(fields[i].key, "GLIB_DOMAIN") == 0)
            domain = fields[i].value;
        else if (strcmp(fields[i].key, "MESSAGE") == 0)
            text = fields[i].value;
    }
    if (!is_wanted(level, domain))
        return G_LOG_WRITER_HANDLED;
    if (state.target == TO_SYSLOG)
        syslog(syslog_priority(level), "%s: %s", domain, text);
    else
        write_line(domain, text, syslog_priority(level));
    return G_LOG_WRITER_HANDLED;
}

void log_init(int verbosity)
{
    state.verbosity = verbosity;
    state.has_journal = g_getenv("JOURNAL_STREAM") != NULL && !isatty(STDERR_FILENO);
    g_log_set_writer_func(write_message, NULL, NULL);
}

void log_set_verbosity(int verbosity)
{
    state.verbosity = verbosity;
}

void log_to_syslog(void)
{
    openlog("mailfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
    state.target = TO_SYSLOG;
}

gboolean log_to_file(const char *path, GError **error)
{
    autofd int fd = io_open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0600,
                               error);

    if (fd < 0)
        return FALSE;
    state.fd = steal_fd(&fd);
    state.target = TO_FILE;
    return TRUE;
}

int log_fd(void)
{
    return state.target == TO_FILE ? state.fd : -1;
}
