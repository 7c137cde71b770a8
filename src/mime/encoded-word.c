/* Finds and opens encoded-words.  See encoded-word.h.
 *
 * The one trap is time: "=?" opens a word and "?=" ends it, so that a field full of the first
 * without the second would be searched to its end again and again.  The scanner keeps the last
 * "?=" it found, and no search starts before it.
 */
#include "mime/encoded-word.h"
#include "base/limits.h"

#include <string.h>

enum { MAX_CHARSET = 64 };

void encoded_word_scanner_init(EncodedWordScanner *scanner, const char *octets, gsize length)
{
    scanner->end = octets + length;
    scanner->close = NULL;
    scanner->n_left = LIMIT_ENCODED_WORDS;
}

static const char *find_pair(const char *p, const char *end, const char *pair)
{
    const char *found = p < end ? memmem(p, (gsize)(end - p), pair, 2) : NULL;

    return found ? found : end;
}

/* The first "?=" at or after @p, the end of the field when there is none. */
static const char *find_close(EncodedWordScanner *scanner, const char *p)
{
    if (!scanner->close || scanner->close < p)
        scanner->close = find_pair(p, scanner->end, "?=");
    return scanner->close;
}

gboolean encoded_word_at(EncodedWordScanner *scanner, const char *p, EncodedWord *ret_word)
{
    const char *end = scanner->end, *question;
    EncodedWord word = {.start = p};

    if (scanner->n_left == 0 || end - p < 8 || p[0] != '=' || p[1] != '?')
        return FALSE;
    p += 2;
    question = memchr(p, '?', (gsize)MIN(end - p, MAX_CHARSET + 1));
    if (!question || end - question < 5 || question[2] != '?')
        return FALSE;
    if (!memchr("bBqQ", question[1], 4))
        return FALSE;
    word.charset = charset_find(p, (gsize)(question - p));
    if (!word.charset)
        return FALSE;
    word.is_base64 = g_ascii_tolower(question[1]) == 'b';
    word.text = question + 3;
    word.end = find_close(scanner, word.text);
    /* A word that opens within this one: this one was never closed. */
    if (word.end == end || find_pair(word.text, word.end, "=?") != word.end)
        return FALSE;
    word.n_text = (gsize)(word.end - word.text);
    word.end += 2;
    scanner->n_left--;
    *ret_word = word;
    return TRUE;
}

gboolean encoded_word_next(EncodedWordScanner *scanner, const char *p, EncodedWord *ret_word)
{
    for (; (p = find_pair(p, scanner->end, "=?")) < scanner->end; p++)
        if (encoded_word_at(scanner, p, ret_word))
            return TRUE;
    return FALSE;
}

/* -- What is in a word ------------------------------------------------------------------------- */

/* "Q": '_' is a blank, "=XX" an octet; a '=' that is neither stays. */
static void append_q(GString *out, const char *text, gsize length)
{
    for (gsize i = 0; i < length; i++) {
        if (text[i] == '=' && length - i > 2 && g_ascii_isxdigit(text[i + 1]) &&
            g_ascii_isxdigit(text[i + 2])) {
            g_string_append_c(out, (char)(g_ascii_xdigit_value(text[i + 1]) << 4 |
                                          g_ascii_xdigit_value(text[i + 2])));
            i += 2;
        } else {
            g_string_append_c(out, text[i] == '_' ? ' ' : text[i]);
        }
    }
}

static int base64_value(char c)
{
    if (g_ascii_isupper(c))
        return c - 'A';
    if (g_ascii_islower(c))
        return c - 'a' + 26;
    if (g_ascii_isdigit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* "B": octets outside the alphabet are passed over, padding may be missing, and what follows
 * padding starts anew, for there are programs that encode in pieces and join them. */
static void append_b(GString *out, const char *text, gsize length)
{
    guint32 bits = 0;
    guint n_bits = 0;

    for (gsize i = 0; i < length; i++) {
        int value = base64_value(text[i]);

        if (text[i] == '=') {
            n_bits = 0;
        } else if (value >= 0) {
            bits = bits << 6 | (guint32)value;
            n_bits += 6;
        }
        if (n_bits >= 8) {
            n_bits -= 8;
            g_string_append_c(out, (char)(bits >> n_bits & 0xff));
        }
    }
}

void encoded_word_append(GString *out, const EncodedWord *word)
{
    if (word->is_base64)
        append_b(out, word->text, word->n_text);
    else
        append_q(out, word->text, word->n_text);
}
