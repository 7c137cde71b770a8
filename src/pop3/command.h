/* Building one POP3 command (RFC 1939 section 3, RFC 2449 section 4) so that its argument cannot
 * end it early.
 */
#pragma once

#include <glib.h>

/* The line, with CRLF: @words are the program's own ("RETR 5", "USER"), @argument (NULL: none)
 * comes from elsewhere and is put behind a blank as it is, for POP3 has no quoting.  The caller
 * owns it; its octets are wiped when the last reference goes.  NULL when it cannot be expressed: a
 * CR, LF or NUL in the argument, or nothing in it (INVALID), or a line of more than
 * LIMIT_POP3_COMMAND octets (TOOBIG). */
GBytes *pop3_command_new(const char *words, const char *argument, gsize length, GError **error);
