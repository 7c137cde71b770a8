/* Mailbox names between the wire and the floors above: split at the delimiter, decoded. */
#pragma once

#include <glib.h>

/* The components of a wire name, decoded from modified UTF-7 unless @is_utf8 (UTF8=ACCEPT is in
 * force).  A component that does not decode stays as it is.  @delimiter '\0': one component.
 * The caller owns it. */
char **imap_name_path(const char *wire, char delimiter, gboolean is_utf8);

/* The wire form of one component.  The caller owns it. */
char *imap_name_encode(const char *component);
