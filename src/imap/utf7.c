/* UTF-16 in a base64 of its own ("," for "/", no padding) between "&" and "-", strictly: for each
 * name there is one encoding, and any other is refused, so that decoding stays reversible.
 * See utf7.h.
 */
#include "imap/utf7.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int digit_value(char c)
{
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static gboolean is_direct(gunichar c)
{
    return c >= 0x20 && c <= 0x7e;
}

/* One UTF-16 unit; @high keeps a surrogate that waits for its second half. */
static gboolean add_unit(GString *out, guint16 unit, guint16 *high)
{
    if (*high) {
        if (unit < 0xdc00 || unit > 0xdfff)
            return FALSE;
        g_string_append_unichar(out, 0x10000u + ((*high - 0xd800u) << 10) + (unit - 0xdc00u));
        *high = 0;
        return TRUE;
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
        *high = unit;
        return TRUE;
    }
    if ((unit >= 0xdc00 && unit <= 0xdfff) || unit == 0 || is_direct(unit))
        return FALSE;
    g_string_append_unichar(out, unit);
    return TRUE;
}

/* What stands between "&" and "-", at least one digit.  *p is left on the "-". */
static gboolean decode_shift(const char **p, const char *end, GString *out)
{
    guint32 bits = 0;
    guint n_bits = 0;
    guint16 high = 0;

    for (; *p < end && **p != '-'; (*p)++) {
        int value = digit_value(**p);

        if (value < 0)
            return FALSE;
        bits = (bits << 6 | (guint)value) & 0x3fffff;
        n_bits += 6;
        if (n_bits >= 16) {
            n_bits -= 16;
            if (!add_unit(out, (guint16)(bits >> n_bits), &high))
                return FALSE;
        }
    }
    /* Not closed, half a character, or bits left over that are not the padding. */
    return *p < end && !high && n_bits < 6 && (bits & ((1u << n_bits) - 1)) == 0;
}

char *imap_utf7_decode(const char *wire, gsize length)
{
    GString *out = g_string_sized_new(length + 1);
    const char *p = wire, *end = wire + length;
    gboolean was_shift = FALSE; /* "&...-&...-": two shifts that should be one */
    gboolean ok = TRUE;

    for (; ok && p < end; p++) {
        if (*p != '&') {
            ok = is_direct((guchar)*p);
            g_string_append_c(out, *p);
            was_shift = FALSE;
        } else if (p + 1 < end && p[1] == '-') {
            g_string_append_c(out, '&');
            p++;
            was_shift = FALSE;
        } else {
            p++;
            ok = !was_shift && decode_shift(&p, end, out);
            was_shift = TRUE;
        }
    }
    return g_string_free(out, !ok);
}

static void encode_unit(GString *out, guint32 *bits, guint *n_bits, guint16 unit)
{
    *bits = *bits << 16 | unit;
    *n_bits += 16;
    while (*n_bits >= 6) {
        *n_bits -= 6;
        g_string_append_c(out, digits[*bits >> *n_bits & 0x3f]);
    }
}

/* A run of characters that cannot stand for themselves; returns where it ends. */
static const char *encode_shift(const char *p, GString *out)
{
    guint32 bits = 0;
    guint n_bits = 0;

    g_string_append_c(out, '&');
    for (; *p && !is_direct((guchar)*p); p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (c >= 0x10000) {
            encode_unit(out, &bits, &n_bits, (guint16)(0xd800 + ((c - 0x10000) >> 10)));
            encode_unit(out, &bits, &n_bits, (guint16)(0xdc00 + ((c - 0x10000) & 0x3ff)));
        } else {
            encode_unit(out, &bits, &n_bits, (guint16)c);
        }
    }
    if (n_bits > 0)
        g_string_append_c(out, digits[bits << (6 - n_bits) & 0x3f]);
    g_string_append_c(out, '-');
    return p;
}

char *imap_utf7_encode(const char *text)
{
    GString *out = g_string_sized_new(strlen(text) + 8);
    const char *p = text;

    while (*p) {
        if (*p == '&') {
            g_string_append(out, "&-");
            p++;
        } else if (is_direct((guchar)*p)) {
            g_string_append_c(out, *p++);
        } else {
            p = encode_shift(p, out);
        }
    }
    return g_string_free(out, FALSE);
}
