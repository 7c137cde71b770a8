/* Header fields of RFC 5322, decoded by RFC 2047 and RFC 2231, from hostile octets.
 *
 * Pure functions over bytes.  Whatever comes in, what goes out is valid UTF-8 without NUL; what
 * cannot be decoded stays as it was written.  Charsets go through iconv; Python's `email` is the
 * oracle in the tests.
 */
#pragma once

#include <glib.h>

/* The first field called @name (any case) in @header: its raw value, unfolded, without the line
 * end; NULL when it is not there.  Tolerates bare LF, a missing empty line, a leading
 * "From " or ">From " line, blanks before the colon.  The caller owns it. */
char *header_get(const char *header, gsize length, const char *name, gsize *ret_length);

/* Unstructured text (Subject): encoded-words decoded, adjacent ones joined (also when a
 * multi-byte character was cut between two); a word in a charset that is not known stays as it
 * was written, an octet that its charset does not define becomes U+FFFD.  Raw 8-bit is read as
 * UTF-8 where it is valid and as @charset_fallback (NULL: Latin-1) otherwise.  Latin-1 is read as
 * windows-1252, as all mail programs do.  Controls and line ends that were encoded come out: the
 * text is not yet fit for a terminal.  The caller owns it. */
char *header_decode_text(const char *value, gsize length, const char *charset_fallback);

/* The first mailbox of an address list (From): display name and address, both decoded, either
 * may be "".  Handles groups, comments, quoted strings, missing brackets.  Without a display
 * name, the comment after the address is the name, as it was before RFC 822.  The caller owns
 * both. */
void header_decode_address(const char *value, gsize length, const char *charset_fallback,
                           char **ret_name, char **ret_address);

/* A parameter of a structured field (filename of Content-Disposition) with RFC 2231
 * continuations and charsets, or encoded-words as mail programs wrongly write them.  NULL when
 * it is not there.  The caller owns it. */
char *header_decode_parameter(const char *value, gsize length, const char *parameter,
                              const char *charset_fallback);

/* "<id@host>" of a Message-ID field without blanks or comments, "" when there is none or it is
 * longer than LIMIT_MESSAGE_ID.  The caller owns it. */
char *header_message_id(const char *header, gsize length);
