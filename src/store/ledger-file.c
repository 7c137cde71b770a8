/* The ledger's file.
 *
 *     mailfs-ledger 1 UIDVALIDITY CHECK
 *     CHECK A UID FLAGS DATE FIRST-SEEN KEY     an entry; without a key the line ends in a blank
 *     CHECK K UID KEY                           one more key
 *     CHECK D KEY                               a key less
 *     CHECK F UID FLAGS KEYWORDS                flags and all keywords
 *     CHECK S UID SIZE LIKENESS                 octets, as a server claims; a header's hash, or 0
 *     CHECK R UID                               an entry less
 *     CHECK O ORIGIN                            whose the keys are
 *     CHECK N UIDNEXT                           UIDs below are given, whatever else is known
 *
 * CHECK is the CRC-32 of the rest of the line, in eight hexadecimal digits.  A line is good when
 * its check is right and it makes sense after those before it.  Behind the last good line, what is
 * there is the rest of a write that a crash cut off: it is overwritten.  Between good lines it is
 * damage, and the file is written anew without it.  Either way the damaged octets may have been
 * entries whose UIDs somebody has heard of, so as many UIDs are passed over as they have room for.
 */
#include "store/ledger-internal.h"
#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC "mailfs-ledger "

enum {
    VERSION = 1,
    CHECK_DIGITS = 8,
    READ_SIZE = 64 * 1024,
    SHORTEST_ENTRY = 20, /* octets of the shortest line that gives a UID */
    WORTH_COMPACTING = 1000, /* lines of the past */
};

/* -- Lines ------------------------------------------------------------------------------------- */

static guint32 check_of(const char *text, gsize length)
{
    return (guint32)crc32(crc32(0, NULL, 0), (const Bytef *)text, (uInt)length);
}

/* Puts the check before, and the line end behind, what @out has from @start on. */
static void finish_line(GString *out, gsize start)
{
    char check[CHECK_DIGITS + 2];

    g_snprintf(check, sizeof check, "%08x ", check_of(out->str + start, out->len - start));
    g_string_insert_len(out, (gssize)start, check, CHECK_DIGITS + 1);
    g_string_append_c(out, '\n');
}

void ledger_write(Ledger *ledger, const char *format, ...)
{
    gsize start = ledger->pending->len;
    va_list arguments;

    va_start(arguments, format);
    g_string_append_vprintf(ledger->pending, format, arguments);
    va_end(arguments);
    finish_line(ledger->pending, start);
    ledger->n_lines++;
}

void ledger_write_entry(Ledger *ledger, GString *out, const LedgerItem *item)
{
    const LedgerEntry *entry = &item->entry;
    gsize start = out->len;

    g_string_append_printf(out, "A %u %u %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s", entry->uid,
                           entry->flags, entry->date, entry->first_seen,
                           item->keys ? (const char *)item->keys->data : "");
    finish_line(out, start);
    ledger->n_lines++;
    if (entry->keywords) {
        start = out->len;
        g_string_append_printf(out, "F %u %u %s", entry->uid, entry->flags, entry->keywords);
        finish_line(out, start);
        ledger->n_lines++;
    }
    if (entry->size || entry->likeness) {
        start = out->len;
        g_string_append_printf(out, "S %u %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, entry->uid,
                               entry->size, entry->likeness);
        finish_line(out, start);
        ledger->n_lines++;
    }
}

/* Decimal digits and a blank (or the line's end); moves @p behind them. */
static gboolean take_number(const char **p, guint64 max, guint64 *ret_number)
{
    guint64 number = 0;
    const char *start = *p;

    for (; g_ascii_isdigit(**p); (*p)++) {
        if (number > (max - (guint64)(**p - '0')) / 10)
            return FALSE;
        number = number * 10 + (guint64)(**p - '0');
    }
    if (*p == start || (**p != ' ' && **p != '\0') || number > max)
        return FALSE;
    *p += **p == ' ';
    *ret_number = number;
    return TRUE;
}

static gboolean take_time(const char **p, gint64 *ret_time)
{
    gboolean is_negative = **p == '-';
    guint64 number;

    *p += is_negative;
    if (!take_number(p, G_MAXINT64, &number))
        return FALSE;
    *ret_time = is_negative ? -(gint64)number : (gint64)number;
    return TRUE;
}

static gboolean take_uid(const char **p, guint32 *ret_uid)
{
    guint64 number;

    if (!take_number(p, MESSAGE_UID_PENDING, &number) || number == 0)
        return FALSE;
    *ret_uid = (guint32)number;
    return TRUE;
}

static gboolean take_flags(const char **p, guint16 *ret_flags)
{
    guint64 number;

    if (!take_number(p, G_MAXUINT16, &number))
        return FALSE;
    *ret_flags = (guint16)number;
    return TRUE;
}

static gboolean is_key(const char *key)
{
    return *key && strlen(key) <= LEDGER_MAX_KEY && !strchr(key, '\r');
}

static gboolean apply_entry(Ledger *ledger, const char *p)
{
    LedgerEntry entry = {0};

    return take_uid(&p, &entry.uid) && take_flags(&p, &entry.flags) &&
           take_time(&p, &entry.date) && take_time(&p, &entry.first_seen) &&
           (!*p || is_key(p)) && ledger_put(ledger, &entry, p);
}

/* Before there was a likeness the line ended with the size. */
static gboolean apply_claims(Ledger *ledger, const char *p)
{
    guint32 uid;
    guint64 size, likeness = 0;

    return take_uid(&p, &uid) && take_number(&p, G_MAXINT64, &size) &&
           (!*p || take_number(&p, G_MAXUINT64, &likeness)) &&
           ledger_put_claims(ledger, uid, size, likeness);
}

/* What the line says, without its check.  FALSE when it makes no sense. */
static gboolean apply(Ledger *ledger, const char *line)
{
    const char *p = line + 2;
    guint32 uid;
    guint16 flags;

    if (!line[0] || line[1] != ' ')
        return FALSE;
    switch (line[0]) {
    case 'A':
        return apply_entry(ledger, p);
    case 'K':
        return take_uid(&p, &uid) && is_key(p) && ledger_put_key(ledger, uid, p);
    case 'D':
        ledger_drop_key(ledger, p);
        return TRUE;
    case 'F':
        return take_uid(&p, &uid) && take_flags(&p, &flags) &&
               strlen(p) <= LEDGER_MAX_KEYWORDS && ledger_put_flags(ledger, uid, flags, p);
    case 'S':
        return apply_claims(ledger, p);
    case 'O':
        ledger_put_origin(ledger, p);
        return TRUE;
    case 'R':
        return take_uid(&p, &uid) && ledger_drop(ledger, uid);
    case 'N':
        if (!take_uid(&p, &uid) || uid < ledger->uidnext)
            return FALSE;
        ledger->uidnext = uid;
        return TRUE;
    default:
        return FALSE; /* later versions have another first line */
    }
}

/* @line has @length octets, and a NUL where its end was. */
static gboolean apply_line(Ledger *ledger, const char *line, gsize length)
{
    char check[CHECK_DIGITS + 1];

    if (length < CHECK_DIGITS + 2 || memchr(line, '\0', length) || line[CHECK_DIGITS] != ' ')
        return FALSE;
    g_snprintf(check, sizeof check, "%08x",
               check_of(line + CHECK_DIGITS + 1, length - CHECK_DIGITS - 1));
    return memcmp(check, line, CHECK_DIGITS) == 0 && apply(ledger, line + CHECK_DIGITS + 1);
}

/* -- The first line ---------------------------------------------------------------------------- */

static void write_first(const Ledger *ledger, GString *out)
{
    gsize start = out->len;

    g_string_append_printf(out, MAGIC "%d %u", VERSION, ledger->uidvalidity);
    g_string_append_printf(out, " %08x\n", check_of(out->str + start, out->len - start));
}

typedef enum { FIRST_GOOD, FIRST_DAMAGED, FIRST_NEWER } FirstLine;

static FirstLine read_first(Ledger *ledger, const char *line, gsize length)
{
    const char *p = line;
    guint64 version, uidvalidity;
    char check[CHECK_DIGITS + 1];

    if (!g_str_has_prefix(line, MAGIC) || memchr(line, '\0', length))
        return FIRST_DAMAGED;
    p += strlen(MAGIC);
    if (!take_number(&p, G_MAXUINT16, &version) || version == 0)
        return FIRST_DAMAGED;
    if (version > VERSION)
        return FIRST_NEWER;
    if (!take_number(&p, G_MAXUINT32, &uidvalidity) || uidvalidity == 0)
        return FIRST_DAMAGED;
    g_snprintf(check, sizeof check, "%08x", check_of(line, (gsize)(p - line) - 1));
    if (!g_str_equal(check, p))
        return FIRST_DAMAGED;
    ledger->uidvalidity = (guint32)uidvalidity;
    return FIRST_GOOD;
}

/* -- Reading ----------------------------------------------------------------------------------- */

typedef struct {
    int fd;
    GByteArray *buffer; /* what was read and is not used yet */
    gsize used;
    goffset offset;     /* of the file, where the buffer ends */
    gboolean is_at_end;
} Reader;

static gboolean fill(Reader *reader, GError **error)
{
    guint had;
    gssize n;

    g_byte_array_remove_range(reader->buffer, 0, (guint)reader->used);
    reader->used = 0;
    had = reader->buffer->len;
    g_byte_array_set_size(reader->buffer, had + READ_SIZE);
    n = io_pread_all(reader->fd, reader->buffer->data + had, READ_SIZE, reader->offset, error);
    g_byte_array_set_size(reader->buffer, had + (guint)MAX(n, 0));
    if (n < 0)
        return FALSE;
    reader->offset += n;
    reader->is_at_end = n < READ_SIZE;
    return TRUE;
}

/* The next line, its end made a NUL, borrowed until the next call; NULL at the end, where a rest
 * without a line end counts as none.  What is longer than any line comes in pieces, none of which
 * is good. */
static char *next_line(Reader *reader, gsize *ret_length, GError **error)
{
    while (TRUE) {
        char *start = (char *)reader->buffer->data + reader->used;
        gsize length = reader->buffer->len - reader->used;
        char *end = length ? memchr(start, '\n', length) : NULL;

        if (!end && length > LEDGER_MAX_LINE)
            end = start + LEDGER_MAX_LINE;
        if (end) {
            *end = '\0';
            *ret_length = (gsize)(end - start);
            reader->used += *ret_length + 1;
            return start;
        }
        if (reader->is_at_end || !fill(reader, error))
            return NULL;
    }
}

static goffset position(const Reader *reader)
{
    return reader->offset - (goffset)(reader->buffer->len - reader->used);
}

typedef struct {
    FirstLine first;
    goffset n_bad;  /* octets in lines that are not good, and behind them */
    goffset n_amid; /* ... of these, those that have a good line behind them */
} Found;

static gboolean read_lines(Ledger *ledger, Reader *reader, Found *ret_found, GError **error)
{
    g_autoptr(GError) failure = NULL;
    gsize length;
    char *line = next_line(reader, &length, &failure);

    *ret_found = (Found){.first = FIRST_DAMAGED};
    if (line)
        ret_found->first = read_first(ledger, line, length);
    ledger->end = position(reader);
    while (ret_found->first == FIRST_GOOD && (line = next_line(reader, &length, &failure))) {
        if (apply_line(ledger, line, length)) {
            ledger->n_lines++;
            ret_found->n_amid = ret_found->n_bad;
            ledger->end = position(reader);
        } else {
            ret_found->n_bad += (goffset)length + 1;
        }
    }
    ret_found->n_bad += (goffset)(reader->buffer->len - reader->used);
    if (!failure)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static gboolean read_all(Ledger *ledger, Found *ret_found, GError **error)
{
    Reader reader = {.fd = ledger->fd, .buffer = g_byte_array_new()};
    gboolean ok = read_lines(ledger, &reader, ret_found, error);

    g_byte_array_unref(reader.buffer);
    return ok;
}

/* -- Writing ----------------------------------------------------------------------------------- */

static gboolean write_out(int fd, GString *out, gsize at_least, goffset *offset, GError **error)
{
    if (out->len < at_least)
        return TRUE;
    if (!io_pwrite_all(fd, out->str, out->len, *offset, error))
        return FALSE;
    *offset += (goffset)out->len;
    g_string_truncate(out, 0);
    return TRUE;
}

static gboolean write_items(Ledger *ledger, int fd, goffset *offset, GError **error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    GTreeNode *node;

    write_first(ledger, out);
    if (ledger->origin) {
        gsize start = out->len;

        g_string_append_printf(out, "O %s", ledger->origin);
        finish_line(out, start);
        ledger->n_lines++;
    }
    for (node = g_tree_node_first(ledger->by_uid); node; node = g_tree_node_next(node)) {
        const LedgerItem *item = g_tree_node_value(node);

        ledger_write_entry(ledger, out, item);
        for (const GSList *key = item->keys ? item->keys->next : NULL; key; key = key->next) {
            gsize start = out->len;

            g_string_append_printf(out, "K %u %s", item->entry.uid, (const char *)key->data);
            finish_line(out, start);
            ledger->n_lines++;
        }
        if (!write_out(fd, out, READ_SIZE, offset, error))
            return FALSE;
    }
    return write_out(fd, out, 0, offset, error);
}

static gboolean write_anew(Ledger *ledger, int fd, goffset *offset, GError **error)
{
    g_autoptr(GString) last = g_string_new(NULL);

    ledger->n_lines = 1;
    g_string_append_printf(last, "N %u", ledger->uidnext);
    finish_line(last, 0);
    return write_items(ledger, fd, offset, error) && write_out(fd, last, 0, offset, error);
}

/* All that is in memory, in a file of its own, in the place of the old one. */
static gboolean compact(Ledger *ledger, GError **error)
{
    g_autofree char *temporary = g_strconcat(ledger->name, ".tmp", NULL);
    guint n_lines = ledger->n_lines;
    goffset end = 0;
    autofd int fd = io_open_at(ledger->dir_fd, temporary, O_RDWR | O_CREAT | O_TRUNC, 0600, error);

    if (fd < 0)
        return FALSE;
    if (!write_anew(ledger, fd, &end, error) || !io_fsync(fd, error) ||
        !io_rename_at(ledger->dir_fd, temporary, ledger->name, error)) {
        ledger->n_lines = n_lines;
        (void)unlinkat(ledger->dir_fd, temporary, 0);
        return FALSE;
    }
    io_close_auto(&ledger->fd);
    ledger->fd = steal_fd(&fd);
    ledger->end = end;
    g_string_truncate(ledger->pending, 0);
    return io_fsync(ledger->dir_fd, error);
}

static gboolean is_worth_compacting(const Ledger *ledger)
{
    guint n_dead = ledger->n_lines - MIN(ledger->n_live, ledger->n_lines);

    return n_dead > WORTH_COMPACTING && n_dead > ledger->n_live;
}

gboolean ledger_flush(Ledger *ledger, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (ledger->is_broken)
        return mail_fail(error, MAIL_ERROR_CACHE,
                         "the disk has failed to keep the numbers of messages; restart mailfs "
                         "when it is well again");
    if (ledger->pending->len == 0)
        return TRUE;
    if (!io_pwrite_all(ledger->fd, ledger->pending->str, ledger->pending->len, ledger->end,
                       error)) {
        g_prefix_error(error, "the numbers of messages cannot be kept: ");
        return FALSE;
    }
    if (fdatasync(ledger->fd) < 0) {
        ledger->is_broken = TRUE;
        return mail_fail_errno(error, errno, "the numbers of messages cannot be kept");
    }
    ledger->end += (goffset)ledger->pending->len;
    g_string_truncate(ledger->pending, 0);
    if (is_worth_compacting(ledger) && !compact(ledger, &failure))
        g_message("the ledger %s could not be written anew: %s", ledger->name, failure->message);
    return TRUE;
}

/* -- Opening ----------------------------------------------------------------------------------- */

static guint32 new_uidvalidity(guint32 but)
{
    guint32 number;

    do
        number = g_random_int();
    while (number == 0 || number == but);
    return number;
}

static gboolean begin_anew(Ledger *ledger, GError **error)
{
    ledger->uidvalidity = new_uidvalidity(ledger->uidvalidity);
    ledger->uidnext = 1;
    return compact(ledger, error);
}

static void set_aside(Ledger *ledger)
{
    g_autofree char *aside = g_strconcat(ledger->name, ".damaged", NULL);

    g_warning("the ledger %s cannot be read; it is kept as %s, and its mailbox is listed anew",
              ledger->name, aside);
    (void)io_rename_at(ledger->dir_fd, ledger->name, aside, NULL);
    io_close_auto(&ledger->fd);
    ledger->fd = -1;
}

/* After damage: the numbers that it may have held are passed over. */
static gboolean repair(Ledger *ledger, const Found *found, GError **error)
{
    guint64 n_lost = (guint64)found->n_bad / SHORTEST_ENTRY + 1;

    g_message("the ledger %s: %" G_GOFFSET_FORMAT " damaged octets are left out", ledger->name,
              found->n_bad);
    ledger->uidnext = (guint32)MIN(ledger->uidnext + n_lost, MESSAGE_UID_PENDING);
    if (found->n_amid > 0)
        return compact(ledger, error);
    ledger_write(ledger, "N %u", ledger->uidnext);
    if (!ledger_flush(ledger, error))
        return FALSE;
    if (ftruncate(ledger->fd, ledger->end) < 0)
        return mail_fail_errno(error, errno, "cannot shorten the ledger %s", ledger->name);
    return io_fsync(ledger->fd, error);
}

static gboolean load(Ledger *ledger, GError **error)
{
    Found found;
    struct stat st;

    if (fstat(ledger->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return mail_fail(error, MAIL_ERROR_CACHE, "the ledger %s is not a file", ledger->name);
    if (!read_all(ledger, &found, error))
        return FALSE;
    if (found.first == FIRST_NEWER)
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "the ledger %s was written by a later version of mailfs, which this one "
                         "cannot read", ledger->name);
    if (found.first == FIRST_DAMAGED) {
        set_aside(ledger);
        return begin_anew(ledger, error);
    }
    if (found.n_bad > 0)
        return repair(ledger, &found, error);
    return st.st_nlink <= 1 || compact(ledger, error);
}

Ledger *ledger_open(int dir_fd, const char *name, GError **error)
{
    g_autoptr(Ledger) ledger = ledger_new();
    g_autoptr(GError) failure = NULL;
    gboolean ok;

    ledger->name = g_strdup(name);
    ledger->dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
    ledger->fd = io_open_at(dir_fd, name, O_RDWR | O_NONBLOCK, 0, &failure);
    if (ledger->fd >= 0)
        ok = load(ledger, error);
    else if (mail_error_is(failure, MAIL_ERROR_GONE))
        ok = begin_anew(ledger, error);
    else
        ok = FALSE;
    if (ok)
        return g_steal_pointer(&ledger);
    if (failure && ledger->fd < 0 && error && !*error)
        g_propagate_error(error, g_steal_pointer(&failure));
    return NULL;
}

/* -- Names ------------------------------------------------------------------------------------- */

char *ledger_name(const char *wire)
{
    enum { DIGITS = 32 }; /* of SHA-256: two mailboxes never share them */
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, wire, -1);

    return g_strdup_printf("%.*s.ledger", DIGITS, hash);
}

gboolean ledger_link(int dir_fd, const char *from, const char *to, GError **error)
{
    if (!ledger_remove(dir_fd, to, error))
        return FALSE;
    if (linkat(dir_fd, from, dir_fd, to, 0) < 0)
        return errno == ENOENT || mail_fail_errno(error, errno, "cannot keep the ledger %s", to);
    return io_fsync(dir_fd, error);
}

gboolean ledger_remove(int dir_fd, const char *name, GError **error)
{
    if (unlinkat(dir_fd, name, 0) < 0)
        return errno == ENOENT ||
               mail_fail_errno(error, errno, "cannot remove the ledger %s", name);
    return io_fsync(dir_fd, error);
}
