/* Small things on text that several floors need. */
#pragma once

#include <glib.h>

/* Bytes of a peer made fit for a log line or a terminal: valid UTF-8, controls and bidi controls
 * escaped as \xNN, at most @max_length bytes ("..." at the cut).  The caller owns it. */
char *text_printable(const char *bytes, gsize length, gsize max_length);

/* TRUE for the characters that reorder text (U+061C, U+200E, U+200F, U+202A-202E,
 * U+2066-2069): never shown from a peer, for they make one name look like another. */
gboolean text_is_bidi_control(gunichar c);

/* TRUE for what can be a keyword of a message: an atom (RFC 9051 section 9, flag-keyword). */
gboolean text_is_keyword(const char *text);

/* A decimal number of 1 to 20 digits and nothing else, at most @max.  FALSE otherwise: no sign,
 * no blanks, no overflow. */
gboolean text_parse_number(const char *text, gsize length, guint64 max, guint64 *ret_number);
