/* Under which UIDs new messages are stored: the arguments of the response codes APPENDUID and
 * COPYUID (RFC 4315 section 3, RFC 6851 section 4.3, RFC 8508 section 4.3).
 *
 * What is wrong here binds a file to somebody else's message.  So nothing is guessed: a list that
 * leaves any doubt counts as if it had not come, and the message is looked for instead.
 */
#pragma once

#include <glib.h>

/* 0 where nothing was said. */
typedef struct {
    guint32 uidvalidity;
    guint32 uid;
} ImapAppended;

typedef struct {
    guint32 from, to;
} ImapCopyPair;

/* "38505 3955" of APPENDUID.  NULL as @args and all that is no such pair is FALSE. */
gboolean imap_uidplus_appended(const char *args, ImapAppended *ret_appended);

/* "432432 42:69 1202:1229" of COPYUID: the members of both sets in the order in which they are
 * named.  Returns an array of ImapCopyPair, by `from`, which the caller owns; NULL for one that
 * makes no sense: a missing set (Exchange), lengths that differ, a range that descends (it is not
 * clear which end was copied first), a UID named twice, more than LIMIT_MESSAGES. */
GArray *imap_uidplus_copied(const char *args, guint32 *ret_uidvalidity);
