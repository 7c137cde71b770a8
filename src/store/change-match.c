/* Comparing rows, in the order of UIDs: a server gives them to copies in the order of the
 * originals, so that of two that are alike the first is the first's.
 */
#include "store/change-match.h"

typedef enum { NO, PERHAPS, YES } Likeness;

void change_match_init(ChangeMatch *match, const Mailbox *target, guint32 uidnext)
{
    *match = (ChangeMatch){.target = target, .uidnext = uidnext};
    match->taken = g_hash_table_new(g_direct_hash, g_direct_equal);
}

void change_match_clear(ChangeMatch *match)
{
    g_clear_pointer(&match->taken, g_hash_table_unref);
}

static Likeness compare(const Message *message, const JournalMessage *entry,
                        const Message *original)
{
    guint64 size = original ? original->size : entry->size;
    guint64 fingerprint = original ? original->fingerprint : 0;

    if (message->size != size)
        return NO;
    if (fingerprint && message->fingerprint)
        return fingerprint == message->fingerprint ? YES : NO;
    return message->date == entry->date ? PERHAPS : NO;
}

guint32 change_match_find(ChangeMatch *match, const JournalMessage *entry,
                          const Message *original)
{
    const Mailbox *target = match->target;
    guint32 guess = 0;
    guint n_guesses = 0;

    for (guint i = mailbox_lower_bound(target, match->uidnext); i < mailbox_n_messages(target);
         i++) {
        const Message *message = mailbox_nth(target, i);
        Likeness likeness = compare(message, entry, original);

        if (g_hash_table_contains(match->taken, GUINT_TO_POINTER(message->uid)))
            continue;
        if (likeness == YES) {
            g_hash_table_add(match->taken, GUINT_TO_POINTER(message->uid));
            return message->uid;
        }
        if (likeness == PERHAPS) {
            guess = message->uid;
            n_guesses++;
        }
    }
    if (!match->with_guess || n_guesses != 1)
        return 0;
    g_hash_table_add(match->taken, GUINT_TO_POINTER(guess));
    return guess;
}
