/* SASLprep (RFC 4013): the one spelling of a user name or password, so that both sides hash the
 * same octets.
 *
 * Printable ASCII is its own preparation and takes the short way.  For the rest: mapping, NFKC
 * and the prohibited characters.  Two rules are left out because they only refuse and never
 * change a text: unassigned code points (GLib's Unicode is newer than the RFC's 3.2) and the
 * bidirectional check; a server that has them would not have taken such a password.
 */
#include "client/sasl-internal.h"

#include <string.h>

#include "base/error.h"

typedef struct {
    gunichar first, last;
} Range;

/* RFC 3454 table B.1: mapped to nothing. */
static const Range nothing[] = {
    {0x00ad, 0x00ad}, {0x034f, 0x034f}, {0x1806, 0x1806}, {0x180b, 0x180d},
    {0x200c, 0x200d}, {0x2060, 0x2060}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff},
};

/* Table C.1.2: mapped to U+0020. */
static const Range spaces[] = {
    {0x00a0, 0x00a0}, {0x1680, 0x1680}, {0x2000, 0x200b},
    {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000},
};

/* Tables C.2.1, C.2.2, C.3 and C.5 to C.9 (non-characters, C.4, are computed). */
static const Range prohibited[] = {
    {0x0000, 0x001f},   {0x007f, 0x009f},   {0x0340, 0x0341},    {0x06dd, 0x06dd},
    {0x070f, 0x070f},   {0x180e, 0x180e},   {0x200c, 0x200f},    {0x2028, 0x202e},
    {0x2060, 0x2063},   {0x206a, 0x206f},   {0x2ff0, 0x2ffb},    {0xd800, 0xf8ff},
    {0xfdd0, 0xfdef},   {0xfeff, 0xfeff},   {0xfff9, 0xfffd},    {0x1d173, 0x1d17a},
    {0xe0001, 0xe0001}, {0xe0020, 0xe007f}, {0xf0000, 0x10ffff},
};

static gboolean is_in(gunichar c, const Range *ranges, gsize n_ranges)
{
    for (gsize i = 0; i < n_ranges; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return TRUE;
    return FALSE;
}

static gboolean is_prohibited(gunichar c)
{
    return (c & 0xfffe) == 0xfffe || is_in(c, prohibited, G_N_ELEMENTS(prohibited));
}

static gboolean is_plain_ascii(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return FALSE;
    return TRUE;
}

static void wipe_and_free(char *text)
{
    if (text)
        secret_wipe(text, strlen(text));
    g_free(text);
}

char *sasl_prep(const char *text, const char *what, GError **error)
{
    gsize size = strlen(text) + 1;
    gboolean is_allowed = TRUE;
    char *mapped, *prepared;
    gsize at = 0;

    if (is_plain_ascii(text))
        return g_strdup(text);
    if (!g_utf8_validate(text, -1, NULL)) {
        mail_fail(error, MAIL_ERROR_INVALID, "the %s is not valid UTF-8", what);
        return NULL;
    }
    mapped = g_malloc(size); /* no mapping makes a text longer */
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (is_in(c, spaces, G_N_ELEMENTS(spaces)))
            mapped[at++] = ' ';
        else if (!is_in(c, nothing, G_N_ELEMENTS(nothing)))
            at += (gsize)g_unichar_to_utf8(c, mapped + at);
    }
    mapped[at] = '\0';
    prepared = g_utf8_normalize(mapped, -1, G_NORMALIZE_NFKC);
    wipe_and_free(mapped);
    for (const char *p = prepared; *p; p = g_utf8_next_char(p))
        is_allowed = is_allowed && !is_prohibited(g_utf8_get_char(p));
    if (is_allowed)
        return prepared;
    wipe_and_free(prepared);
    mail_fail(error, MAIL_ERROR_INVALID,
              "the %s has a character that SCRAM does not allow (RFC 4013), such as a control "
              "character",
              what);
    return NULL;
}
