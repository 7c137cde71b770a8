/* Messages that are less than they should be, or may be.
 *
 * The dot that ends a message is all that POP3 has.  Where what follows it does not prove that the
 * server meant it (client/pop3-session.h), the session ends, and the next one must not meet the same
 * message again at once.
 */
#include "store/pop3-internal.h"
#include "base/error.h"
#include "base/limits.h"

void pop3_note_damaged(Pop3Backend *backend, guint32 number, const GError *error)
{
    const Pop3Slot *slot = pop3_slot(backend, number);

    if (slot && slot->key && mail_error_is(error, MAIL_ERROR_DAMAGED))
        g_hash_table_replace(backend->damaged, g_strdup(slot->key), g_error_copy(error));
}

gboolean pop3_is_worth_fetching(const Pop3Backend *backend, const Pop3Slot *slot, GError **error)
{
    const GError *damage;

    if (slot->size > LIMIT_MESSAGE)
        return mail_fail(error, MAIL_ERROR_TOOBIG,
                         "the message has more than %llu bytes, which is what mailfs reads",
                         LIMIT_MESSAGE);
    damage = g_hash_table_lookup(backend->damaged, slot->key);
    if (!damage)
        return TRUE;
    g_propagate_error(error, g_error_copy(damage));
    return FALSE;
}
