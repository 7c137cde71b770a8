/* Names of mailboxes as names of directories, and back.
 *
 * A mailbox's identity is its wire name; what is shown is one component of its decoded path
 * with whatever a directory cannot hold escaped as %XX.  Reversible and injective: two
 * mailboxes never share a name, and a name tells its mailbox.
 */
#pragma once

#include <glib.h>

/* The directory's name for one decoded component (UTF-8, or raw octets where the wire name
 * could not be decoded).  Escaped: '/', NUL, C0 and C1 controls, DEL, bidi controls, '%', octets
 * that are no UTF-8, and the first '.' of ".", ".." and ".mailfs".  At the top of an account
 * (@is_top), "INBOX" in any case is shown as INBOX.  An empty component is "%".
 * Over LIMIT_NAME octets: cut at a character, then '%' and 16 hex digits of its hash.
 * The caller owns it. */
char *mailbox_name_show(const char *component, gsize length, gboolean is_top);

/* The component that @name shows: for mkdir and lookups of names not known yet.  INVALID for
 * every name that mailbox_name_show() would not give: a '%' that is not followed by two hex
 * digits, an escape or a character that is written otherwise here ("inbox" at the top), a hashed
 * (cut) name, and NUL, which no mailbox can have in its name.  The caller owns it. */
char *mailbox_name_parse(const char *name, gboolean is_top, GError **error);
