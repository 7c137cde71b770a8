/* Encoded-words: "=?charset?encoding?text?=" of RFC 2047, as they are found in the wild.
 *
 * A scanner walks over the octets of one field and tells where its encoded-words are; it takes
 * linear time over all calls, whatever the octets are.  What RFC 2047 forbids and mail has is
 * read: no blank around a word, words within quotes, blanks and raw 8-bit octets in its text,
 * any length, missing padding.
 */
#pragma once

#include "mime/charset.h"

typedef struct {
    const char *start;      /* at "=?" */
    const char *end;        /* behind "?=" */
    const Charset *charset; /* never NULL: a word of unknown charset is no word */
    gboolean is_base64;     /* "B", otherwise "Q" */
    const char *text;
    gsize n_text;
} EncodedWord;

typedef struct {
    const char *end;   /* of the field */
    const char *close; /* the last "?=" looked up, NULL before the first */
    guint n_left;      /* words that may still be found: LIMIT_ENCODED_WORDS */
} EncodedWordScanner;

/* The octets belong to the caller and stay where they are. */
void encoded_word_scanner_init(EncodedWordScanner *scanner, const char *octets, gsize length);

/* TRUE when an encoded-word starts at @p, which must not go back between calls. */
gboolean encoded_word_at(EncodedWordScanner *scanner, const char *p, EncodedWord *ret_word);

/* The first encoded-word at or after @p; FALSE when there is none. */
gboolean encoded_word_next(EncodedWordScanner *scanner, const char *p, EncodedWord *ret_word);

/* Appends the octets of @word, not yet read as its charset, to @out. */
void encoded_word_append(GString *out, const EncodedWord *word);
