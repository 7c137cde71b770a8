/* Flags of messages (RFC 9051 section 2.3.2): the system's by name and as bits, and keywords. */
#pragma once

#include <glib.h>

typedef enum {
    IMAP_FLAG_SEEN = 1 << 0,
    IMAP_FLAG_ANSWERED = 1 << 1,
    IMAP_FLAG_FLAGGED = 1 << 2,
    IMAP_FLAG_DELETED = 1 << 3,
    IMAP_FLAG_DRAFT = 1 << 4,
} ImapFlags;

/* The bit of "\Seen" in any case; 0 for others: \Recent and what is still to be invented. */
ImapFlags imap_flag_from_name(const char *name);

/* TRUE if each of the blank-separated @keywords (may be NULL) is one that may be sent. */
gboolean imap_are_keywords(const char *keywords);

/* "(\Seen $Forwarded)", or "()": @flags and those of the blank-separated @keywords (may be NULL)
 * that are atoms and have room in @max_octets.  The caller owns it. */
char *imap_flags_format(ImapFlags flags, const char *keywords, gsize max_octets);
