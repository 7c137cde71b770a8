/* Modified UTF-7 (RFC 3501 section 5.1.3) for mailbox names. */
#pragma once

#include <glib.h>

/* NULL when @wire is not valid modified UTF-7 (bad base64, lone surrogate, an encoded printable
 * ASCII character, a superfluous shift, 8-bit octets).  The caller owns it; it may hold NUL only
 * if @wire encoded U+0000, which is refused too. */
char *imap_utf7_decode(const char *wire, gsize length);

/* @text must be valid UTF-8.  The caller owns it. */
char *imap_utf7_encode(const char *text);
