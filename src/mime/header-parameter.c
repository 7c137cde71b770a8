/* A parameter of a structured field: Content-Type's name, Content-Disposition's filename.  See
 * header.h.
 *
 * RFC 2231 writes a long or non-ASCII value as sections, "filename*0*=utf-8''%D8%B3" and so on,
 * in any order.  Their octets are put together before they are read as the charset, for a
 * section may end within a character.  A value in sections wins over a plain one, which is there
 * for older programs.
 */
#include "mime/header.h"
#include "mime/charset.h"
#include "mime/encoded-word.h"
#include "mime/internal.h"
#include "base/limits.h"

#include <string.h>

typedef struct {
    const char *p; /* NULL: this section was not seen */
    gsize length;
    gboolean is_quoted;
    gboolean is_extended; /* percent-encoded */
} Section;

typedef struct {
    Section plain;
    Section sections[LIMIT_PARAMETER_SECTIONS];
    const char *p, *end;
    EncodedWordScanner words;
} Parameters;

/* The value at @p, and @p moved behind it. */
static Section take_value(Parameters *parameters)
{
    const char *p = parameters->p, *end = parameters->end, *close;
    Section value = {0};
    EncodedWord word;

    while (p < end && header_is_blank(*p))
        p++;
    value.p = p;
    if (p < end && *p == '"' && (close = header_find_quote(p, end))) {
        value.is_quoted = TRUE;
        value.p = p + 1;
        value.length = (gsize)(close - value.p);
        parameters->p = close + 1;
        return value;
    }
    /* Blanks end a token, but file names are written with blanks and without quotes. */
    while (p < end && *p != ';')
        p = encoded_word_at(&parameters->words, p, &word) ? word.end : p + 1;
    parameters->p = p;
    while (p > value.p && header_is_blank(p[-1]))
        p--;
    value.length = (gsize)(p - value.p);
    return value;
}

/* Where the value whose attribute is the @length octets at @attribute is kept: NULL when it is
 * another parameter, or a section too many. */
static Section *find_place(Parameters *parameters, const char *name, const char *attribute,
                           gsize length)
{
    gsize n = strlen(name);
    guint number = 0;
    Section *place;

    while (length > 0 && header_is_blank(attribute[length - 1]))
        length--;
    if (length < n || g_ascii_strncasecmp(attribute, name, n) != 0)
        return NULL;
    if (length == n)
        return &parameters->plain;
    if (attribute[n++] != '*')
        return NULL;
    for (; n < length && g_ascii_isdigit(attribute[n]); n++) {
        number = number * 10 + (guint)(attribute[n] - '0');
        if (number >= LIMIT_PARAMETER_SECTIONS)
            return NULL;
    }
    place = &parameters->sections[number];
    if (place->p)
        return NULL;
    /* "name*" is extended, "name*0" is not, "name*0*" is. */
    place->is_extended = attribute[length - 1] == '*';
    return n == length || (n == length - 1 && place->is_extended) ? place : NULL;
}

/* Reads all parameters and keeps those called @name. */
static void scan(Parameters *parameters, const char *name)
{
    const char *end = parameters->end;

    while (parameters->p < end) {
        const char *p = parameters->p, *attribute;
        Section *place, value;

        while (p < end && (*p == ';' || header_is_blank(*p)))
            p++;
        for (attribute = p; p < end && *p != ';' && *p != '='; p++)
            ;
        parameters->p = p;
        if (p == end || *p == ';')
            continue;
        place = find_place(parameters, name, attribute, (gsize)(p - attribute));
        parameters->p++;
        value = take_value(parameters);
        if (place && !place->p) {
            value.is_extended = place->is_extended;
            *place = value;
        }
    }
}

/* The octets of @section, decoded: "%XX" where it is extended; within quotes only '\\' and '\"'
 * are escapes, for mail programs write paths with single backslashes. */
static void append_section(GString *out, const Section *section)
{
    const char *p = section->p, *end = p + section->length;

    for (; p < end; p++) {
        if (section->is_extended && *p == '%' && end - p > 2 && g_ascii_isxdigit(p[1]) &&
            g_ascii_isxdigit(p[2])) {
            g_string_append_c(out,
                              (char)(g_ascii_xdigit_value(p[1]) << 4 | g_ascii_xdigit_value(p[2])));
            p += 2;
            continue;
        }
        if (section->is_quoted && *p == '\\' && end - p > 1 && (p[1] == '\\' || p[1] == '"'))
            p++;
        g_string_append_c(out, *p);
    }
}

/* Takes "charset'language'" off the first section.  NULL when it is not there or not known. */
static const Charset *take_charset(Section *first)
{
    const char *quote = memchr(first->p, '\'', first->length), *second, *label = first->p;

    if (!quote)
        return NULL;
    second = memchr(quote + 1, '\'', first->length - (gsize)(quote + 1 - label));
    if (!second)
        return NULL;
    first->length -= (gsize)(second + 1 - label);
    first->p = second + 1;
    return charset_find(label, (gsize)(quote - label));
}

static char *join_sections(Parameters *parameters, const char *fallback_label)
{
    g_autoptr(GString) octets = g_string_new(NULL);
    const Charset *charset = NULL, *fallback = charset_fallback(fallback_label);
    Section *section = parameters->sections;
    GString *text;

    if (section->is_extended)
        charset = take_charset(section);
    for (guint i = 0; i < LIMIT_PARAMETER_SECTIONS && section[i].p; i++)
        append_section(octets, &section[i]);
    if (!charset)
        return header_decode_text(octets->str, octets->len, fallback_label);
    text = g_string_new(NULL);
    if (!charset_append(text, charset, octets->str, octets->len, fallback))
        charset_append_raw(text, octets->str, octets->len, fallback);
    return g_string_free(text, FALSE);
}

char *header_decode_parameter(const char *value, gsize length, const char *parameter,
                              const char *charset_fallback)
{
    Parameters parameters = {.p = value, .end = value + length};
    g_autoptr(GString) octets = NULL;

    encoded_word_scanner_init(&parameters.words, value, length);
    /* The value itself, "attachment" or "text/plain", is before the first ';'. */
    take_value(&parameters);
    scan(&parameters, parameter);
    if (parameters.sections[0].p)
        return join_sections(&parameters, charset_fallback);
    if (!parameters.plain.p)
        return NULL;
    octets = g_string_new(NULL);
    append_section(octets, &parameters.plain);
    return header_decode_text(octets->str, octets->len, charset_fallback);
}
