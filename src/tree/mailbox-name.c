/* Names of mailboxes.  See mailbox-name.h.
 *
 * Escapes are upper-case hex, and only what must be escaped is; so a component has exactly one
 * name, and mailbox_name_parse() refuses every name that mailbox_name_show() would not give.
 * Otherwise "a" and "%61" were two names of one mailbox, and the second would vanish as soon as
 * it was made.
 *
 * A hashed name ends in '%' and 16 lower-case digits.  The rare component whose plain name would
 * look like that is hashed too.
 */
#include "tree/mailbox-name.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

enum {
    HASH_DIGITS = 16,
    LONGEST_UNIT = 9, /* an escaped bidi control: "%E2%80%AE" */
    LONGEST_CUT = LIMIT_NAME - 1 - HASH_DIGITS,
    SHORTEST_HASHED = LONGEST_CUT - LONGEST_UNIT + 1 + 1 + HASH_DIGITS
};

/* TRUE for characters that a directory cannot hold, or that nobody should have to see in one. */
static gboolean is_escaped(gunichar c)
{
    return c < 0x20 || c == '/' || c == '%' || (c >= 0x7f && c < 0xa0) || text_is_bidi_control(c);
}

static gboolean equals(const char *octets, gsize length, const char *word)
{
    return length == strlen(word) && memcmp(octets, word, length) == 0;
}

/* Appends the first character of @p, or its first octet where it is no UTF-8, as it is shown.
 * Returns where the next one is. */
static const char *append_unit(GString *out, const char *p, const char *end)
{
    gunichar c = *p == '\0' ? 0 : g_utf8_get_char_validated(p, end - p);
    gboolean is_valid = c != (gunichar)-1 && c != (gunichar)-2;
    const char *next = is_valid ? g_utf8_next_char(p) : p + 1;

    if (is_valid && !is_escaped(c))
        g_string_append_len(out, p, next - p);
    else
        for (; p < next; p++)
            g_string_append_printf(out, "%%%02X", (guchar)*p);
    return next;
}

static gboolean is_lower_hex(const char *p, gsize n)
{
    for (gsize i = 0; i < n; i++)
        if (!g_ascii_isdigit(p[i]) && !(p[i] >= 'a' && p[i] <= 'f'))
            return FALSE;
    return TRUE;
}

static gboolean looks_hashed(const char *name, gsize length)
{
    const char *hash = name + length - HASH_DIGITS;

    return length >= SHORTEST_HASHED && hash[-1] == '%' && is_lower_hex(hash, HASH_DIGITS);
}

/* @name cut to @cut octets, and the hash of the component it stands for. */
static void make_hashed(GString *name, gsize cut, const char *component, gsize length)
{
    g_autofree char *hash =
        g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)component, length);

    g_string_truncate(name, cut);
    g_string_append_c(name, '%');
    g_string_append_len(name, hash, HASH_DIGITS);
}

char *mailbox_name_show(const char *component, gsize length, gboolean is_top)
{
    const char *p = component, *end = component + length;
    GString *name;
    gsize cut = 0;

    if (length == 0)
        return g_strdup("%");
    if (is_top && length == 5 && g_ascii_strncasecmp(component, "INBOX", 5) == 0)
        return g_strdup("INBOX");
    name = g_string_sized_new(MIN(length, LIMIT_NAME) + LONGEST_UNIT);
    if (equals(component, length, ".") || equals(component, length, "..") ||
        equals(component, length, ".mailfs")) {
        g_string_append(name, "%2E");
        p++;
    }
    while (p < end && name->len <= LIMIT_NAME) {
        p = append_unit(name, p, end);
        if (name->len <= LONGEST_CUT)
            cut = name->len;
    }
    if (name->len > LIMIT_NAME || looks_hashed(name->str, name->len))
        make_hashed(name, cut, component, length);
    return g_string_free(name, FALSE);
}

/* The octets that @name's escapes stand for; NULL for a '%' without two hex digits. */
static GString *unescape(const char *name)
{
    g_autoptr(GString) octets = g_string_new(NULL);

    if (strcmp(name, "%") == 0)
        return g_steal_pointer(&octets);
    for (const char *p = name; *p; p++) {
        if (*p != '%') {
            g_string_append_c(octets, *p);
            continue;
        }
        if (!g_ascii_isxdigit(p[1]) || !g_ascii_isxdigit(p[2]))
            return NULL;
        g_string_append_c(octets,
                          (char)(g_ascii_xdigit_value(p[1]) << 4 | g_ascii_xdigit_value(p[2])));
        p += 2;
    }
    return g_steal_pointer(&octets);
}

char *mailbox_name_parse(const char *name, gboolean is_top, GError **error)
{
    gsize length = strlen(name);
    g_autofree char *printable = text_printable(name, length, LIMIT_NAME);
    g_autofree char *shown = NULL;
    g_autoptr(GString) octets = NULL;

    if (length > LIMIT_NAME || looks_hashed(name, length)) {
        mail_fail(error, MAIL_ERROR_INVALID,
                  "\"%s\" is too long for a new mailbox: use at most %d octets", printable,
                  LIMIT_NAME);
        return NULL;
    }
    octets = unescape(name);
    if (!octets || memchr(octets->str, '\0', octets->len)) {
        mail_fail(error, MAIL_ERROR_INVALID,
                  "\"%s\" cannot name a mailbox: write a percent sign as %%25", printable);
        return NULL;
    }
    shown = mailbox_name_show(octets->str, octets->len, is_top);
    if (strcmp(shown, name) != 0) {
        mail_fail(error, MAIL_ERROR_INVALID, "the mailbox \"%s\" is called \"%s\" here", printable,
                  shown);
        return NULL;
    }
    return g_string_free(g_steal_pointer(&octets), FALSE);
}
