/* Text from peers, made harmless.  See text.h. */
#include "base/text.h"

#include <string.h>

gboolean text_is_bidi_control(gunichar c)
{
    return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

char *text_printable(const char *bytes, gsize length, gsize max_length)
{
    GString *out = g_string_sized_new(MIN(length, max_length) + 4);
    const char *p = bytes, *end = bytes + length;

    while (p < end) {
        gunichar c = g_utf8_get_char_validated(p, end - p);
        gsize before = out->len;

        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append_printf(out, "\\x%02x", (guchar)*p++);
        } else {
            const char *next = g_utf8_next_char(p);

            if (c < 0x20 || (c >= 0x7f && c < 0xa0) || text_is_bidi_control(c))
                for (; p < next; p++)
                    g_string_append_printf(out, "\\x%02x", (guchar)*p);
            else
                g_string_append_len(out, p, next - p);
            p = next;
        }
        if (out->len > max_length) {
            g_string_truncate(out, before);
            g_string_append(out, "...");
            break;
        }
    }
    return g_string_free(out, FALSE);
}

gboolean text_is_keyword(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((guchar)*p <= 0x20 || (guchar)*p >= 0x7f || strchr("(){%*\"\\]", *p))
            return FALSE;
    return *text != '\0';
}

gboolean text_parse_number(const char *text, gsize length, guint64 max, guint64 *ret_number)
{
    guint64 value = 0;

    if (length == 0 || length > 20)
        return FALSE;
    for (gsize i = 0; i < length; i++) {
        guint64 digit = (guint64)(text[i] - '0');

        if (!g_ascii_isdigit(text[i]) || value > (max - digit) / 10)
            return FALSE;
        value = value * 10 + digit;
    }
    if (value > max)
        return FALSE;
    *ret_number = value;
    return TRUE;
}
