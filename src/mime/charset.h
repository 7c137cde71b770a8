/* Charsets of mail: a label from a message, and octets to UTF-8.
 *
 * The label is hostile, so it never reaches iconv_open(3): it is looked up in a table of the
 * charsets that mail really uses, and the table's own word is what iconv sees.  No "//TRANSLIT",
 * no path, no converter that nobody needs.  Where programs write one charset and mean its
 * superset (gb2312 for GBK, ks_c_5601-1987 for CP949, iso-8859-1 for windows-1252), the superset
 * is read, as browsers do.
 */
#pragma once

#include <glib.h>

typedef struct Charset Charset;

/* The charset that @label names, in any case and with the aliases mail uses; a language after
 * '*' (RFC 2231 section 5) is passed over.  NULL when it is not known.  Static: equal charsets
 * are equal pointers. */
const Charset *charset_find(const char *label, gsize length);

/* What raw 8-bit text is read as when it is not UTF-8: @label, or Latin-1 where that is NULL or
 * not known.  Never NULL; static. */
const Charset *charset_fallback(const char *label);

/* Appends @octets, read as @charset, to @out as valid UTF-8 without NUL; what the charset does
 * not define becomes U+FFFD.  Text in us-ascii or of unknown charset that has 8-bit octets
 * is read as charset_append_raw() does, with @fallback.  FALSE, and nothing appended, when this
 * system has no converter for @charset. */
gboolean charset_append(GString *out, const Charset *charset, const char *octets, gsize length,
                        const Charset *fallback);

/* Appends octets that say nothing of their charset: as UTF-8 where they are valid (or nearly: a
 * damaged character among whole ones becomes U+FFFD), otherwise as @fallback.  NUL is left
 * out. */
void charset_append_raw(GString *out, const char *octets, gsize length, const Charset *fallback);
