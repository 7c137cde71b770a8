/* Messages that are less than they should be, or may be.
 *
 * The dot that ends a message is all that POP3 has.  Where what follows it proves that the server
 * meant it (client/pop3-session.h), LIST's size is left to compare with: it is a claim, and many
 * count what RETR does not send.  So a message that is far shorter is read as it came, and nothing
 * but rm takes it off the server.
 */
#include "store/pop3-internal.h"
#include "base/error.h"
#include "base/io.h"
#include "base/limits.h"

enum { SLACK = 1024, PIECE = 64 * 1024 }; /* SLACK: some header lines, but not most of a message */

/* What LIST may have counted more than there is: a dot for each line that begins with one, as they
 * were on the wire, and a CR for each line that ends in LF alone. */
static guint64 count_uncounted(int fd, guint64 size)
{
    g_autofree char *piece = g_malloc(PIECE);
    guint64 n = 0;
    char before = '\n';
    gboolean is_start = TRUE;

    for (guint64 at = 0; at < size;) {
        gssize length = io_pread_all(fd, piece, (gsize)MIN(size - at, PIECE), (goffset)at,
                                      NULL);

        if (length <= 0)
            return n;
        for (gssize i = 0; i < length; i++) {
            n += (is_start && piece[i] == '.') || (piece[i] == '\n' && before != '\r');
            is_start = piece[i] == '\n';
            before = piece[i];
        }
        at += (guint64)length;
    }
    return n;
}

gboolean pop3_is_whole(int fd, guint64 size, guint64 claim, GError **error)
{
    guint64 slack = MIN(claim / 4, SLACK);

    if (size + slack >= claim || size + slack + count_uncounted(fd, size) >= claim)
        return TRUE;
    return mail_fail(error, MAIL_ERROR_DAMAGED,
                     "the server says that the message has %" G_GUINT64_FORMAT " bytes, and sent %"
                     G_GUINT64_FORMAT ": it can be read, copied and removed, but mailfs does not "
                     "move it or take it off the server", claim, size);
}

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
