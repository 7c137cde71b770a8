/* The wire log: what went over one connection, a line each with its time and side.
 *
 *     12:00:00.123456 C: x1 AUTHENTICATE PLAIN *
 *     12:00:00.160021 S: * 4 FETCH (UID 7 BODY[] {2000}
 *     12:00:00.160302 S: From: ...\r\n[1936 octets not shown] FLAGS (\Seen))
 *
 * It is written above TLS and DEFLATE, so it shows the protocol itself.  Octets that are not
 * printable ASCII are escaped: a log is read on terminals, and a server must not be able to draw
 * on them.  What is masked never gets here but as "*".  Literals (RFC 9051 section 4.3) are mail:
 * a line that ends in {N} is followed by N octets, of which only the first are shown.  In POP3 the
 * session says what is mail.
 */
#include "net/internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/text.h"

/* One direction. */
typedef struct {
    char letter;
    GString *line;        /* escaped, not yet written */
    guint64 literal_left; /* octets of a literal that are still to come */
    guint64 n_shown;      /* of that literal, or of mail */
    guint64 n_hidden;
    gboolean in_mail;
} Side;

struct NetWirelog {
    int fd;
    Side client, server;
};

static int directory = -1;

void net_wirelog_set_directory(const char *path)
{
    g_autoptr(GError) error = NULL;

    if (directory >= 0)
        (void)close(steal_fd(&directory));
    if (path)
        directory = io_open_dir(path, &error);
    if (error)
        g_warning("no wire log: %s", error->message);
}

static void emit(NetWirelog *log, Side *side)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now, "%H:%M:%S");
    g_autofree char *line = g_strdup_printf(
        "%s.%06d %c: %s\n", time, g_date_time_get_microsecond(now), side->letter, side->line->str);

    (void)io_write_all(log->fd, line, strlen(line), NULL); /* a full disk stops no mail */
    g_string_truncate(side->line, 0);
}

static void append_count(Side *side)
{
    if (side->n_hidden > 0)
        g_string_append_printf(side->line, "[%" G_GUINT64_FORMAT " octets not shown]",
                               side->n_hidden);
}

static void end_mail(NetWirelog *log, Side *side)
{
    append_count(side);
    side->in_mail = FALSE;
    if (side->line->len > 0)
        emit(log, side);
}

NetWirelog *net_wirelog_open(const char *name)
{
    g_autoptr(GDateTime) now = NULL;
    g_autofree char *safe = g_strdup_printf("%s.log", name);
    g_autoptr(GError) error = NULL;
    g_autofree char *date = NULL;
    NetWirelog *log;
    int fd;

    if (directory < 0)
        return NULL;
    g_strdelimit(safe, "/", '_');
    if (*safe == '.')
        *safe = '_';
    fd = io_open_at(directory, safe, O_WRONLY | O_CREAT | O_APPEND, 0600, &error);
    if (fd < 0 || fchmod(fd, 0600) < 0) {
        g_warning("no wire log: %s", error ? error->message : "not our file");
        if (fd >= 0)
            (void)close(fd);
        return NULL;
    }
    log = g_new0(NetWirelog, 1);
    log->fd = fd;
    log->client = (Side){.letter = 'C', .line = g_string_new(NULL)};
    log->server = (Side){.letter = 'S', .line = g_string_new(NULL)};
    now = g_date_time_new_now_local();
    date = g_date_time_format(now, "%Y-%m-%d %H:%M:%S %z");
    g_string_append_printf(log->client.line, "-- connection opened on %s", date);
    emit(log, &log->client);
    return log;
}

void net_wirelog_free(NetWirelog *log)
{
    if (!log)
        return;
    if (log->client.line->len > 0)
        emit(log, &log->client);
    if (log->server.in_mail)
        end_mail(log, &log->server);
    if (log->server.line->len > 0)
        emit(log, &log->server);
    g_string_free(log->client.line, TRUE);
    g_string_free(log->server.line, TRUE);
    (void)close(log->fd);
    g_free(log);
}

static void append_escaped(NetWirelog *log, Side *side, const guint8 *data, gsize length)
{
    for (gsize i = 0; i < length; i++) {
        if (data[i] == '\r')
            g_string_append(side->line, "\\r");
        else if (data[i] == '\n')
            g_string_append(side->line, "\\n");
        else if (data[i] < 0x20 || data[i] >= 0x7f)
            g_string_append_printf(side->line, "\\x%02x", data[i]);
        else
            g_string_append_c(side->line, (char)data[i]);
        if (side->line->len >= LIMIT_WIRELOG_LINE)
            emit(log, side);
    }
}

/* The first octets of a literal or of mail; the others are counted. */
static void append_some(NetWirelog *log, Side *side, const guint8 *data, gsize length)
{
    gsize n_show = (gsize)MIN(length, LIMIT_WIRELOG_LITERAL - side->n_shown);

    append_escaped(log, side, data, n_show);
    side->n_shown += n_show;
    side->n_hidden += length - n_show;
}

/* Some of a literal: the count that belongs to it. */
static gsize take_literal(NetWirelog *log, Side *side, const guint8 *data, gsize length)
{
    gsize n = (gsize)MIN(length, side->literal_left);

    append_some(log, side, data, n);
    side->literal_left -= n;
    if (side->literal_left == 0)
        append_count(side);
    return n;
}

/* Does the line announce a literal: {N}, {N+} or {N-} at its end? */
static guint64 announced(const GString *line)
{
    const char *open = strrchr(line->str, '{');
    gsize digits = open ? strspn(open + 1, "0123456789") : 0;
    guint64 n = 0;
    const char *rest;

    if (!open)
        return 0;
    rest = open + 1 + digits;
    if (*rest == '+' || *rest == '-')
        rest++;
    if (!g_str_equal(rest, "}") || !text_parse_number(open + 1, digits, G_MAXUINT64, &n))
        return 0;
    return n;
}

static void end_line(NetWirelog *log, Side *side)
{
    if (g_str_has_suffix(side->line->str, "\\r"))
        g_string_truncate(side->line, side->line->len - 2);
    side->literal_left = announced(side->line);
    side->n_shown = side->n_hidden = 0;
    emit(log, side);
}

static void record(NetWirelog *log, Side *side, const guint8 *data, gsize length)
{
    if (side->in_mail && length > 0)
        end_mail(log, side);
    while (length > 0) {
        const guint8 *newline;
        gsize n;

        if (side->literal_left > 0) {
            n = take_literal(log, side, data, length);
        } else {
            newline = memchr(data, '\n', length);
            n = newline ? (gsize)(newline - data) : length;
            append_escaped(log, side, data, n);
            if (newline) {
                end_line(log, side);
                n++;
            }
        }
        data += n;
        length -= n;
    }
}

void net_wirelog_in(NetWirelog *log, const void *data, gsize length)
{
    if (log)
        record(log, &log->server, data, length);
}

void net_wirelog_mail(NetWirelog *log, const void *data, gsize length)
{
    Side *side;

    if (!log)
        return;
    side = &log->server;
    if (!side->in_mail)
        side->n_shown = side->n_hidden = side->literal_left = 0;
    side->in_mail = TRUE;
    append_some(log, side, data, length);
}

void net_wirelog_out(NetWirelog *log, const void *data, gsize length, gboolean is_masked)
{
    Side *side;

    if (!log || length == 0)
        return;
    side = &log->client;
    if (!is_masked) {
        record(log, side, data, length);
        return;
    }
    side->literal_left -= MIN(side->literal_left, length);
    if (!g_str_has_suffix(side->line->str, "*"))
        g_string_append_c(side->line, '*');
    if (((const char *)data)[length - 1] == '\n' && side->literal_left == 0)
        emit(log, side);
}

void net_wirelog_note(NetWirelog *log, const char *text)
{
    if (!log)
        return;
    g_string_append_printf(log->client.line, "-- %s", text);
    emit(log, &log->client);
}
