/* Names of messages.  See message-name.h.
 *
 * A name is for a person who reads `ls`, types part of it and presses Tab, so it holds letters,
 * marks and digits of every script, symbols such as emoji, and of ASCII's punctuation what no
 * shell takes for its own.  Everything else separates words, and words are joined by '-'.
 *
 * The work is bounded before it is done: a slug takes in a few hundred octets of what a subject
 * decodes to, however long that is, and only those are normalised (GLib sorts runs of
 * combining marks in quadratic time).
 */
#include "mime/message-name.h"
#include "mime/header.h"
#include "base/limits.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

enum {
    SENDER_CHARACTERS = 24,
    SENDER_OCTETS = 72, /* 24 characters of three octets */
    SLUG_INPUT = 512,   /* octets of a slug before it is normalised and cut */
    MARKS_IN_A_ROW = 8, /* no script stacks more; "zalgo" text does */
    DATE_OCTETS = 15    /* "2026-05-13_2133" */
};

#define LATEST G_GINT64_CONSTANT(253402300799) /* the end of 9999 */

#define ZWNJ 0x200c
#define ZWJ 0x200d

/* -- Kinds of characters ----------------------------------------------------------------------- */

typedef enum {
    LETTER,      /* stands in a name */
    PUNCTUATION, /* stands in a name within a word, not at its edge */
    MARK,        /* stands in a name behind a letter */
    JOINER,      /* ZWNJ, ZWJ: stands between two letters */
    SEPARATOR,   /* ends a word */
    NOTHING      /* is left out: an apostrophe, a control */
} Kind;

static Kind kind_of_ascii(gunichar c)
{
    if (g_ascii_isalnum((char)c))
        return LETTER;
    switch (c) {
    case '+':
    case '%':
    case '@':
        return LETTER;
    case '_':
    case ',':
    case '.':
    case '=':
        return PUNCTUATION;
    case '\'': /* don't */
        return NOTHING;
    default:
        return g_ascii_iscntrl((char)c) && !g_ascii_isspace((char)c) ? NOTHING : SEPARATOR;
    }
}

/* Letters and symbols that show nothing: a name of them alone could not be seen. */
static gboolean is_hidden(gunichar c)
{
    return c == 0x115f || c == 0x1160 || c == 0x3164 || c == 0xffa0 || c == 0x2800 || c == 0xfffc ||
           c == 0xfffd;
}

static Kind kind_of(gunichar c)
{
    if (c < 0x80)
        return kind_of_ascii(c);
    if (c == ZWNJ || c == ZWJ)
        return JOINER;
    /* Quotes that stand within words: English, Hebrew. */
    if (c == 0x2018 || c == 0x2019 || c == 0x05f3 || c == 0x05f4)
        return NOTHING;
    if (is_hidden(c) || c == 0x85)
        return SEPARATOR;
    switch (g_unichar_type(c)) {
    case G_UNICODE_NON_SPACING_MARK:
    case G_UNICODE_SPACING_MARK:
    case G_UNICODE_ENCLOSING_MARK:
        return MARK;
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT: /* bidi controls, soft hyphens, byte order marks, tags */
        return NOTHING;
    case G_UNICODE_UNASSIGNED: /* emoji newer than this GLib; not U+FFFE and its like */
        return c >= 0x10000 && c < 0xe0000 && (c & 0xfffe) != 0xfffe ? LETTER : NOTHING;
    case G_UNICODE_MODIFIER_SYMBOL: /* skin tones, not accents without a letter */
        return c >= 0x10000 ? LETTER : SEPARATOR;
    case G_UNICODE_LOWERCASE_LETTER:
    case G_UNICODE_UPPERCASE_LETTER:
    case G_UNICODE_TITLECASE_LETTER:
    case G_UNICODE_MODIFIER_LETTER:
    case G_UNICODE_OTHER_LETTER:
    case G_UNICODE_DECIMAL_NUMBER:
    case G_UNICODE_LETTER_NUMBER:
    case G_UNICODE_OTHER_NUMBER:
    case G_UNICODE_CURRENCY_SYMBOL:
    case G_UNICODE_MATH_SYMBOL:
    case G_UNICODE_OTHER_SYMBOL:
        return LETTER;
    default: /* blanks, dashes, quotes, brackets, other punctuation, private use */
        return SEPARATOR;
    }
}

/* What must not be cut off the character before it. */
static gboolean is_extending(gunichar c)
{
    return kind_of(c) == JOINER || kind_of(c) == MARK || (c >= 0x1f3fb && c <= 0x1f3ff);
}

/* -- Slugs ------------------------------------------------------------------------------------- */

/* Takes punctuation and joiners off the end of @slug, and a '-'. */
static void trim_end(GString *slug)
{
    while (slug->len > 0) {
        const char *last = g_utf8_prev_char(slug->str + slug->len);
        gunichar c = g_utf8_get_char(last);

        if (c != '-' && kind_of(c) != PUNCTUATION && kind_of(c) != JOINER)
            return;
        g_string_truncate(slug, (gsize)(last - slug->str));
    }
}

/* What a slug in the making has at its end. */
typedef struct {
    GString *slug;
    gunichar last;        /* the last character, 0 at a word's start */
    gunichar joiner;      /* seen since, waits for the letter that needs it; 0 for none */
    guint n_marks;        /* in a row */
    gboolean is_word_due; /* a separator was seen: the next letter starts a word */
} Slug;

/* Between two ASCII letters a joiner is but a way to make two names look the same. */
static void slug_add_joiner(Slug *slug, gunichar next)
{
    if (slug->joiner && (slug->last >= 0x80 || next >= 0x80))
        g_string_append_unichar(slug->slug, slug->joiner);
    slug->joiner = 0;
}

static void slug_add_letter(Slug *slug, gunichar c)
{
    if (slug->is_word_due) {
        trim_end(slug->slug);
        if (slug->slug->len > 0)
            g_string_append_c(slug->slug, '-');
        slug->is_word_due = FALSE;
    }
    slug_add_joiner(slug, c);
    g_string_append_unichar(slug->slug, c);
    slug->last = c;
    slug->n_marks = 0;
}

static void slug_add(Slug *slug, gunichar c)
{
    switch (kind_of(c)) {
    case LETTER:
        slug_add_letter(slug, c);
        break;
    case PUNCTUATION:
        if (slug->last != 0)
            slug_add_letter(slug, c);
        break;
    case MARK:
        if (slug->last != 0 && kind_of(slug->last) == LETTER && slug->n_marks < MARKS_IN_A_ROW) {
            slug_add_joiner(slug, c); /* Bengali has them before a virama */
            g_string_append_unichar(slug->slug, c);
            slug->n_marks++;
        }
        break;
    case JOINER:
        if (slug->last != 0)
            slug->joiner = c;
        break;
    case SEPARATOR:
        slug->is_word_due = TRUE;
        slug->last = slug->joiner = 0;
        break;
    case NOTHING:
        break;
    }
}

/* The words of @text (valid UTF-8), joined by '-', in NFC; "" when it has none. */
static GString *make_slug(const char *text)
{
    Slug slug = {.slug = g_string_sized_new(64), .is_word_due = TRUE};
    g_autofree char *nfc = NULL;

    for (const char *p = text; *p && slug.slug->len < SLUG_INPUT; p = g_utf8_next_char(p))
        slug_add(&slug, g_utf8_get_char(p));
    trim_end(slug.slug);
    if (g_str_is_ascii(slug.slug->str))
        return slug.slug;
    nfc = g_utf8_normalize(slug.slug->str, (gssize)slug.slug->len, G_NORMALIZE_DEFAULT_COMPOSE);
    return g_string_assign(slug.slug, nfc);
}

/* The longest prefix of @slug within both limits that ends between two characters as a reader
 * sees them; where a word ends not far before that, the prefix ends there. */
static void cut(GString *slug, gsize max_octets, gsize max_characters)
{
    const char *p = slug->str, *end = p + slug->len;
    gsize n = 0, good = 0, word = 0, hard = 0;

    for (; p < end; p = g_utf8_next_char(p), n++) {
        gsize here = (gsize)(p - slug->str);
        gunichar c = g_utf8_get_char(p);

        if (here > max_octets || n > max_characters)
            break;
        hard = here;
        if (!is_extending(c))
            good = here;
        if (c == '-')
            word = here;
    }
    if (p == end && slug->len <= max_octets && n <= max_characters)
        return;
    /* One character all the way, by a hostile chain of joiners: cut it anyhow. */
    if (good == 0)
        good = hard;
    g_string_truncate(slug, word > good / 3 * 2 ? word : good);
    trim_end(slug);
}

/* -- The parts of a name ----------------------------------------------------------------------- */

/* The value of field @name, "" when it is not there. */
static char *get_field(const char *header, gsize length, const char *name, gsize *ret_length)
{
    char *value = header_get(header, length, name, ret_length);

    if (value)
        return value;
    *ret_length = 0;
    return g_strdup("");
}

/* TRUE where a program wrote the address into the name too. */
static gboolean is_address(const char *name)
{
    return strchr(name, '@') && !strchr(name, ' ');
}

/* The display name, unless it is empty or an address once more; then the local part. */
static GString *make_sender(const char *header, gsize length, const char *charset_fallback)
{
    gsize n;
    g_autofree char *value = get_field(header, length, "From", &n);
    g_autofree char *name = NULL, *address = NULL;
    GString *slug;
    char *at;

    header_decode_address(value, n, charset_fallback, &name, &address);
    slug = make_slug(is_address(name) ? "" : name);
    if (slug->len == 0) {
        g_string_free(slug, TRUE);
        at = strrchr(address, '@');
        if (at && at > address)
            *at = '\0';
        slug = make_slug(address);
    }
    /* '_' stands between the parts of a name: `cut -d_ -f3` is the sender. */
    for (char *p = slug->str; *p; p++)
        if (*p == '_')
            *p = '-';
    cut(slug, SENDER_OCTETS, SENDER_CHARACTERS);
    if (slug->len == 0)
        g_string_assign(slug, "no-sender");
    return slug;
}

static GString *make_subject(const char *header, gsize length, const char *charset_fallback,
                             gsize max_octets)
{
    gsize n;
    g_autofree char *value = get_field(header, length, "Subject", &n);
    g_autofree char *text = header_decode_text(value, n, charset_fallback);
    GString *slug = make_slug(text);

    cut(slug, max_octets, max_octets);
    if (slug->len == 0)
        g_string_assign(slug, "no-subject");
    return slug;
}

/* "2026-05-13_2133" in UTC, by the Gregorian calendar; @time is not before 1970. */
static void append_date(GString *out, gint64 time)
{
    gint64 days = time / 86400, minutes = time % 86400 / 60;
    /* Days since 0000-03-01, so that a leap day ends a year of 365.2425 days. */
    gint64 era = (days + 719468) / 146097, day = (days + 719468) % 146097;
    gint64 year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    gint64 month;

    day -= year * 365 + year / 4 - year / 100;
    month = (day * 5 + 2) / 153; /* 0 is March */
    day -= (month * 153 + 2) / 5;
    year += era * 400 + (month >= 10);
    month = month < 10 ? month + 3 : month - 9;
    g_string_append_printf(out, "%04d-%02d-%02d_%02d%02d", (int)year, (int)month, (int)day + 1,
                           (int)(minutes / 60), (int)(minutes % 60));
}

char *message_name_make(const char *header, gsize length, gint64 internal_date, guint32 uid,
                        const char *charset_fallback)
{
    char ending[sizeof ".4294967295.eml"];
    gsize n_ending = (gsize)snprintf(ending, sizeof ending, ".%u.eml", uid);
    GString *name = g_string_sized_new(LIMIT_NAME + 1);
    GString *sender = make_sender(header, length, charset_fallback);
    gsize taken = DATE_OCTETS + 1 + sender->len + 1 + n_ending;
    GString *subject = make_subject(header, length, charset_fallback, LIMIT_NAME - taken);
    char *exact;

    append_date(name, CLAMP(internal_date, 0, LATEST));
    g_string_append_c(name, '_');
    g_string_append_len(name, sender->str, (gssize)sender->len);
    g_string_append_c(name, '_');
    g_string_append_len(name, subject->str, (gssize)subject->len);
    g_string_append_len(name, ending, (gssize)n_ending);
    g_string_free(sender, TRUE);
    g_string_free(subject, TRUE);
    /* Exactly as long as it is: there are hundreds of thousands of them, kept for ever. */
    exact = g_strndup(name->str, name->len);
    g_string_free(name, TRUE);
    return exact;
}

char *message_name_from_uid(guint32 uid)
{
    return g_strdup_printf("%u.eml", uid);
}

/* Where the ending of @name starts: at ".UID.eml" or ".eml", or at its end. */
static gsize find_ending(const char *name)
{
    gsize length = strlen(name), ending, p;

    if (!g_str_has_suffix(name, ".eml"))
        return length;
    ending = p = length - 4;
    while (p > 0 && g_ascii_isdigit(name[p - 1]))
        p--;
    return p > 1 && p < ending && name[p - 1] == '.' ? p - 1 : ending;
}

char *message_name_with_suffix(const char *name, guint n)
{
    gsize ending = find_ending(name);

    return g_strdup_printf("%.*s-@%u%s", (int)ending, name, n, name + ending);
}
