/* Envelope lines of mbox files.  See mbox.h.
 *
 * Not every program that writes mbox quotes lines of the text that begin with "From ", so a date is
 * what tells the two apart; git mailsplit and mutt go by it as well.
 */
#include "mime/mbox.h"

#include <string.h>

#define ENVELOPE "From "

gsize mbox_envelope_length(const guint8 *octets, gsize length)
{
    const gsize word = strlen(ENVELOPE);
    const guint8 *end = length > word ? memchr(octets, '\n', length) : NULL;
    gsize i = word;

    if (!end || memcmp(octets, ENVELOPE, word) != 0)
        return 0;
    while (octets[i] == ' ' || octets[i] == '\t')
        i++;
    return octets[i] == ':' ? 0 : (gsize)(end - octets) + 1;
}

/* -- The date ---------------------------------------------------------------------------------- */

/* One of the names, three letters each, in @names. */
static gboolean is_name(const char *word, const char *names)
{
    const char *found = strlen(word) == 3 ? strstr(names, word) : NULL;

    return found && (found - names) % 3 == 0;
}

/* @word fits @pattern, in which '9' is a digit and all else itself. */
static gboolean fits(const char *word, const char *pattern)
{
    for (; *pattern; word++, pattern++)
        if (*pattern == '9' ? !g_ascii_isdigit(*word) : *word != *pattern)
            return FALSE;
    return *word == '\0';
}

static gboolean is_time(const char *word)
{
    return fits(word, "99:99") || fits(word, "99:99:99");
}

static gboolean has_year(char **words)
{
    for (; *words; words++)
        if (fits(*words, "9999"))
            return TRUE;
    return FALSE;
}

/* "Mon Jan  1 10:00:00 2024", perhaps with a time zone before the year, or more after it. */
static gboolean is_date(char **words)
{
    return g_strv_length(words) >= 5 && is_name(words[0], "MonTueWedThuFriSatSun") &&
           is_name(words[1], "JanFebMarAprMayJunJulAugSepOctNovDec") &&
           (fits(words[2], "9") || fits(words[2], "99")) && is_time(words[3]) &&
           has_year(words + 4);
}

/* Takes the empty words out that several blanks leave. */
static char **split_words(const char *line)
{
    char **words = g_strsplit_set(line, " \t\r", -1);
    guint n = 0;

    for (guint i = 0; words[i]; i++) {
        if (*words[i])
            words[n++] = words[i];
        else
            g_free(words[i]);
    }
    words[n] = NULL;
    return words;
}

static gboolean is_envelope(const char *line)
{
    g_auto(GStrv) words = NULL;

    if (!g_str_has_prefix(line, ENVELOPE))
        return FALSE;
    words = split_words(line);
    /* The address comes before it, of one word or, wrongly, of several; or there is none. */
    for (char **word = words + 1; *word; word++)
        if (is_date(word))
            return TRUE;
    return FALSE;
}

/* -- Scanning ---------------------------------------------------------------------------------- */

static gboolean end_line(MboxScan *scan)
{
    gboolean is_empty = scan->length == 0 || (scan->length == 1 && scan->line[0] == '\r');
    gboolean is_found;

    scan->line[scan->length] = '\0';
    is_found = scan->was_empty && is_envelope(scan->line);
    scan->was_empty = is_empty;
    scan->length = 0;
    return is_found;
}

gboolean mbox_scan(MboxScan *scan, const guint8 *octets, gsize length)
{
    gboolean is_found = FALSE;

    for (gsize i = 0; i < length; i++) {
        if (octets[i] == '\n')
            is_found = end_line(scan) || is_found;
        else if (scan->length < MBOX_LINE)
            scan->line[scan->length++] = (char)octets[i];
    }
    return is_found;
}
