/* Which message of a mailbox is the copy of which, where no COPYUID said so.
 *
 * A copy has the size of its original, in general its INTERNALDATE, and its Message-ID.  It has a
 * UID that was still to be given when the command was sent.  With an equal Message-ID this is as
 * good as proof; without one it is a guess, good enough for a name, not for a removal.
 */
#pragma once

#include "model/mailbox.h"
#include "store/journal.h"

typedef struct {
    const Mailbox *target;
    guint32 uidnext;     /* copies have this UID or a later one */
    gboolean with_guess; /* size and date are enough, where only one message has them */
    GHashTable *taken;   /* UIDs that are others' copies */
} ChangeMatch;

void change_match_init(ChangeMatch *match, const Mailbox *target, guint32 uidnext);
void change_match_clear(ChangeMatch *match);

/* The UID of the copy of @original (NULL: only @entry is known of it), or 0.  It is taken then. */
guint32 change_match_find(ChangeMatch *match, const JournalMessage *entry,
                          const Message *original);
