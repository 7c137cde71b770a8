/* The line with which an mbox file begins each message (RFC 4155):
 *
 *   From alice@example.org Mon Jan  1 10:00:00 2024
 *
 * It belongs to the file's format and not to the message.  git format-patch and procmail's formail
 * write it before a single message too, and so does whoever copies one out of an mbox.
 *
 * Pure: octets in, facts out.
 */
#pragma once

#include <glib.h>

/* Length, with its line end, of the envelope line that @octets begin with; 0: they begin with none.
 * Any line will do that begins with "From " and is no header field ("From : a@b", RFC 5322 section
 * 4.5), for the first line of a file is nothing else.  It has to be whole. */
gsize mbox_envelope_length(const guint8 *octets, gsize length);

enum { MBOX_LINE = 512 }; /* of a line so much is looked at: an address, and 40 octets of a date */

/* Looks for further envelope lines in what follows the first, in pieces of any size.  All zero at
 * first. */
typedef struct {
    gboolean was_empty; /* the line before this one */
    guint length;       /* of this line until now */
    char line[MBOX_LINE + 1];
} MboxScan;

/* TRUE: another message begins in these octets.  Text that begins with "From " is frequent in mail,
 * so the line has to follow an empty one and to have a date as asctime(3) writes it. */
gboolean mbox_scan(MboxScan *scan, const guint8 *octets, gsize length);
