/* Finding fields, and their unstructured text.  See header.h; addresses and parameters have a
 * file each.
 *
 * Text is decoded in two steps.  The octets of adjacent encoded-words in one charset are
 * gathered first and read as that charset together: programs cut long subjects at any octet, so
 * that half of a character stands in one word and half in the next.
 */
#include "mime/header.h"
#include "mime/encoded-word.h"
#include "mime/internal.h"
#include "base/limits.h"

#include <string.h>

gboolean header_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

const char *header_skip_comment(const char *p, const char *end)
{
    guint depth = 0;

    for (; p < end; p++) {
        if (*p == '\\' && end - p > 1)
            p++;
        else if (*p == '(')
            depth++;
        else if (*p == ')' && --depth == 0)
            return p + 1;
    }
    return end;
}

const char *header_find_quote(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\' && end - p > 1)
            p++;
    return p < end ? p : NULL;
}

/* Behind the end of the line at @p. */
static const char *next_line(const char *p, const char *end)
{
    const char *newline = memchr(p, '\n', (gsize)(end - p));

    return newline ? newline + 1 : end;
}

/* Where the value of the field at @p starts if it is called @name, otherwise NULL. */
static const char *match_name(const char *p, const char *end, const char *name)
{
    gsize n = strlen(name);

    if ((gsize)(end - p) <= n || g_ascii_strncasecmp(p, name, n) != 0)
        return NULL;
    for (p += n; p < end && (*p == ' ' || *p == '\t'); p++)
        ;
    return p < end && *p == ':' ? p + 1 : NULL;
}

/* The value from @p to @end without its line ends and the blanks around it.  The blank that a
 * line was folded at stays (RFC 5322 section 2.2.3). */
static char *unfold(const char *p, const char *end, gsize *ret_length)
{
    GString *value = g_string_sized_new((gsize)(end - p));

    while (p < end && header_is_blank(*p))
        p++;
    while (p < end && header_is_blank(end[-1]))
        end--;
    while (p < end) {
        const char *next = next_line(p, end), *stop = next;

        if (stop[-1] == '\n')
            stop--;
        if (stop > p && stop < next && stop[-1] == '\r')
            stop--;
        g_string_append_len(value, p, stop - p);
        p = next;
    }
    if (ret_length)
        *ret_length = value->len;
    return g_string_free(value, FALSE);
}

char *header_get(const char *header, gsize length, const char *name, gsize *ret_length)
{
    const char *p = header, *end = header + MIN(length, LIMIT_HEADER);

    /* An mbox's separator, as some stores leave it in. */
    if (end - p > 5 && (memcmp(p, "From ", 5) == 0 || memcmp(p, ">From", 5) == 0))
        p = next_line(p, end);
    while (p < end && *p != '\n' && !(*p == '\r' && end - p > 1 && p[1] == '\n')) {
        const char *value = match_name(p, end, name), *next = next_line(p, end);

        while (next < end && (*next == ' ' || *next == '\t'))
            next = next_line(next, end);
        if (value)
            return unfold(value, next, ret_length);
        p = next;
    }
    return NULL;
}

/* -- Text -------------------------------------------------------------------------------------- */

static gboolean is_all_blank(const char *p, const char *end)
{
    while (p < end && header_is_blank(*p))
        p++;
    return p == end;
}

/* Encoded-words in one charset that stand beside each other. */
typedef struct {
    const Charset *charset; /* NULL: no words are gathered */
    GString *octets;
    const char *start; /* of the first word, */
    const char *end;   /* behind the last: as they were written */
} Run;

static void run_flush(Run *run, GString *out, const Charset *fallback)
{
    if (run->charset &&
        !charset_append(out, run->charset, run->octets->str, run->octets->len, fallback))
        charset_append_raw(out, run->start, (gsize)(run->end - run->start), fallback);
    run->charset = NULL;
    g_string_truncate(run->octets, 0);
}

char *header_decode_text(const char *value, gsize length, const char *fallback_label)
{
    const Charset *fallback = charset_fallback(fallback_label);
    const char *p = value, *end = value + length;
    GString *out = g_string_sized_new(length + 1);
    Run run = {.octets = g_string_new(NULL)};
    EncodedWordScanner scanner;
    EncodedWord word;

    encoded_word_scanner_init(&scanner, value, length);
    while (encoded_word_next(&scanner, p, &word)) {
        gboolean is_adjacent = p > value && is_all_blank(p, word.start);

        if (!is_adjacent || run.charset != word.charset)
            run_flush(&run, out, fallback);
        if (!is_adjacent)
            charset_append_raw(out, p, (gsize)(word.start - p), fallback);
        if (!run.charset)
            run.start = word.start;
        run.charset = word.charset;
        run.end = p = word.end;
        encoded_word_append(run.octets, &word);
    }
    run_flush(&run, out, fallback);
    charset_append_raw(out, p, (gsize)(end - p), fallback);
    g_string_free(run.octets, TRUE);
    return g_string_free(out, FALSE);
}

/* -- Message-ID -------------------------------------------------------------------------------- */

char *header_message_id(const char *header, gsize length)
{
    gsize n = 0;
    g_autofree char *value = header_get(header, length, "Message-ID", &n);
    const char *p = value, *end = p ? p + n : NULL;
    g_autoptr(GString) id = g_string_new("<");
    gboolean is_open = FALSE;

    while (p < end && *p != '>') {
        if (*p == '(' && !is_open) {
            p = header_skip_comment(p, end);
            continue;
        }
        if (*p == '<') {
            is_open = TRUE;
            g_string_truncate(id, 1);
        } else if (!header_is_blank(*p)) {
            g_string_append_c(id, *p);
        }
        p++;
    }
    g_string_append_c(id, '>');
    /* RFC 5322 section 2.1.1: no line is longer than 998, and an id cannot be folded. */
    if (id->len <= 2 || id->len > LIMIT_MESSAGE_ID)
        return g_strdup("");
    return header_decode_text(id->str, id->len, NULL);
}
