/* The first mailbox of an address list.  See header.h.
 *
 * RFC 5322's grammar is the smaller half of what From fields hold: names with an unquoted comma,
 * a quote that never closes, an address without brackets, encoded-words within quotes.  So this
 * is no parser of that grammar.  One pass over the octets sorts them into three heaps: the
 * phrase, the last comment, and what stood between '<' and '>'; then the heaps are looked at.
 */
#include "mime/header.h"
#include "mime/encoded-word.h"
#include "mime/internal.h"

#include <string.h>

typedef struct {
    const char *p, *end;
    EncodedWordScanner words;
    gboolean no_quote; /* no '"' ahead is ever closed */
    GString *phrase;   /* what stood outside brackets and comments, quotes taken off */
    GString *comment;
    GString *address; /* between '<' and '>', or "quoted"@domain */
    gboolean has_brackets;
    gboolean has_at; /* an '@' in the phrase, outside quotes */
    gsize comma;     /* where the first ',' is in the phrase, 0 for nowhere */
} Mailbox;

static gboolean is_empty(const GString *heap)
{
    for (gsize i = 0; i < heap->len; i++)
        if (!header_is_blank(heap->str[i]))
            return FALSE;
    return TRUE;
}

/* @p and @length without the blanks around. */
static void trim(const char **p, gsize *length)
{
    while (*length > 0 && header_is_blank(**p))
        (*p)++, (*length)--;
    while (*length > 0 && header_is_blank((*p)[*length - 1]))
        (*length)--;
}

/* The text from @p to @end without its backslashes. */
static void append_unescaped(GString *out, const char *p, const char *end)
{
    for (; p < end; p++) {
        if (*p == '\\' && end - p > 1)
            p++;
        g_string_append_c(out, *p);
    }
}

/* "john doe"@example.org: an address, with its quotes. */
static void take_quoted_local_part(Mailbox *mailbox, const char *close)
{
    const char *p = close + 1;

    while (p < mailbox->end && !header_is_blank(*p) && !strchr(",;<>(", *p))
        p++;
    g_string_append_len(mailbox->address, mailbox->p, p - mailbox->p);
    mailbox->has_at = TRUE;
    mailbox->p = p;
}

static void take_quoted(Mailbox *mailbox)
{
    const char *close = mailbox->no_quote ? NULL : header_find_quote(mailbox->p, mailbox->end);

    if (close && mailbox->end - close > 1 && close[1] == '@' && mailbox->address->len == 0) {
        take_quoted_local_part(mailbox, close);
    } else if (close) {
        append_unescaped(mailbox->phrase, mailbox->p + 1, close);
        mailbox->p = close + 1;
    } else {
        mailbox->no_quote = TRUE;
        mailbox->p++;
    }
}

static void take_comment(Mailbox *mailbox)
{
    const char *after = header_skip_comment(mailbox->p, mailbox->end);
    const char *close = after[-1] == ')' ? after - 1 : after;

    if (close > mailbox->p + 1) {
        g_string_truncate(mailbox->comment, 0);
        append_unescaped(mailbox->comment, mailbox->p + 1, close);
    }
    g_string_append_c(mailbox->phrase, ' ');
    mailbox->p = after;
}

/* What is between '<' and '>': without blanks, comments, and the route before "user@host" that
 * RFC 5322 section 4.4 calls obsolete. */
static void take_brackets(Mailbox *mailbox)
{
    const char *p = mailbox->p + 1;

    g_string_truncate(mailbox->address, 0);
    while (p < mailbox->end && *p != '>') {
        if (*p == '(') {
            p = header_skip_comment(p, mailbox->end);
            continue;
        }
        if (*p == ':' && mailbox->address->len > 0 && mailbox->address->str[0] == '@')
            g_string_truncate(mailbox->address, 0);
        else if (*p != '<' && !header_is_blank(*p))
            g_string_append_c(mailbox->address, *p);
        p++;
    }
    mailbox->has_brackets = TRUE;
    mailbox->p = MIN(p + 1, mailbox->end);
}

/* One octet that may be a delimiter.  FALSE when the first mailbox ends here. */
static gboolean take_octet(Mailbox *mailbox)
{
    char c = *mailbox->p++;

    switch (c) {
    case ':': /* the end of a group's name */
        g_string_truncate(mailbox->phrase, 0);
        mailbox->comma = 0;
        mailbox->has_at = FALSE;
        return TRUE;
    case ';':
        return is_empty(mailbox->phrase);
    case ',': /* "Smith, Alice <alice@example.org>" is one mailbox, whatever the RFC says */
        if (mailbox->has_at)
            return FALSE;
        if (is_empty(mailbox->phrase))
            return TRUE;
        if (mailbox->comma == 0)
            mailbox->comma = mailbox->phrase->len;
        break;
    case '@':
        if (mailbox->comma > 0) { /* "root, alice@example.org" are two */
            g_string_truncate(mailbox->phrase, mailbox->comma);
            return FALSE;
        }
        mailbox->has_at = TRUE;
        break;
    case '\\':
        if (mailbox->p < mailbox->end)
            c = *mailbox->p++;
        break;
    default:
        break;
    }
    g_string_append_c(mailbox->phrase, c);
    return TRUE;
}

/* Sorts the octets into the heaps. */
static void scan(Mailbox *mailbox)
{
    EncodedWord word;

    while (mailbox->p < mailbox->end && !mailbox->has_brackets) {
        if (encoded_word_at(&mailbox->words, mailbox->p, &word)) {
            g_string_append_len(mailbox->phrase, word.start, word.end - word.start);
            mailbox->p = word.end;
        } else if (*mailbox->p == '"') {
            take_quoted(mailbox);
        } else if (*mailbox->p == '(') {
            take_comment(mailbox);
        } else if (*mailbox->p == '<') {
            take_brackets(mailbox);
        } else if (!take_octet(mailbox)) {
            return;
        }
    }
}

/* No brackets: the address is the word with an '@', or the only word; the rest is the name. */
static void split_phrase(Mailbox *mailbox)
{
    GString *phrase = mailbox->phrase;
    const char *p, *start, *end, *at;
    gsize length;

    if (mailbox->comma > 0)
        g_string_truncate(phrase, mailbox->comma);
    p = phrase->str, length = phrase->len;
    trim(&p, &length);
    start = p, end = p + length;
    at = memchr(p, '@', length);
    if (at) {
        for (start = at; start > p && !header_is_blank(start[-1]); start--)
            ;
        for (end = at; end < p + length && !header_is_blank(*end); end++)
            ;
    } else {
        for (; p < end; p++)
            if (header_is_blank(*p))
                return;
    }
    g_string_append_len(mailbox->address, start, end - start);
    g_string_erase(phrase, start - phrase->str, end - start);
}

/* Decoded, without blanks around and with single ones within: names are folded and quoted in
 * pieces. */
static char *decode(const GString *octets, const char *fallback)
{
    char *text = header_decode_text(octets->str, octets->len, fallback), *to = text;

    for (const char *p = text; *p; p++)
        if (!header_is_blank(*p))
            *to++ = *p;
        else if (to > text && to[-1] != ' ')
            *to++ = ' ';
    if (to > text && to[-1] == ' ')
        to--;
    *to = '\0';
    return text;
}

void header_decode_address(const char *value, gsize length, const char *charset_fallback,
                           char **ret_name, char **ret_address)
{
    g_autoptr(GString) phrase = g_string_new(NULL), comment = g_string_new(NULL);
    g_autoptr(GString) address = g_string_new(NULL);
    Mailbox mailbox = {.p = value,
                       .end = value + length,
                       .phrase = phrase,
                       .comment = comment,
                       .address = address};

    encoded_word_scanner_init(&mailbox.words, value, length);
    scan(&mailbox);
    if (address->len == 0 && !mailbox.has_brackets)
        split_phrase(&mailbox);
    /* "alice at example.org (Alice)": a phrase with an '@' taken out is no name. */
    if (is_empty(phrase) || (address->len == 0 && !is_empty(comment)))
        *ret_name = decode(comment, charset_fallback);
    else
        *ret_name = decode(phrase, charset_fallback);
    *ret_address = decode(address, charset_fallback);
}
