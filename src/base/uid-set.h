/* A set of UIDs (RFC 9051 section 9, sequence-set), kept as ascending ranges.
 *
 * A mailbox of 100,000 messages is a handful of ranges; nothing here ever expands one.  The
 * value 0 is no UID and is never a member.
 */
#pragma once

#include <glib.h>

typedef struct {
    guint32 low;  /* 1 or more */
    guint32 high; /* inclusive, low or more */
} UidRange;

typedef struct UidSet UidSet;

UidSet *uid_set_new(void);
UidSet *uid_set_copy(const UidSet *set);
void uid_set_free(UidSet *set); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UidSet, uid_set_free)

void uid_set_add(UidSet *set, guint32 uid); /* 0 is ignored; appending in order is O(1) */
void uid_set_add_range(UidSet *set, guint32 low, guint32 high); /* in either order */
void uid_set_add_set(UidSet *set, const UidSet *other);
void uid_set_remove(UidSet *set, guint32 uid);
void uid_set_remove_set(UidSet *set, const UidSet *other);
void uid_set_clear(UidSet *set);

gboolean uid_set_contains(const UidSet *set, guint32 uid);
gboolean uid_set_is_empty(const UidSet *set);
guint64 uid_set_count(const UidSet *set);
guint32 uid_set_max(const UidSet *set); /* 0 when empty */

guint uid_set_n_ranges(const UidSet *set);
UidRange uid_set_range(const UidSet *set, guint i);

/* The members of @a that are not in @b.  The caller owns it. */
UidSet *uid_set_minus(const UidSet *a, const UidSet *b);

/* Parses "1:5,7,9:12" (no '*'), ranges in either order and sets in any order, as servers send
 * them.  NULL when it is not a set of numbers from 1 to 2^32-1. */
UidSet *uid_set_parse(const char *text, gsize length);

/* The wire form, ascending.  uid_set_format() gives all of it; the other stops before
 * @max_octets or after @max_uids UIDs (0 = no limit), removes what it wrote from @set, and is
 * called again until the set is empty.  The caller owns the string. */
char *uid_set_format(const UidSet *set);
char *uid_set_take(UidSet *set, gsize max_octets, guint max_uids);
