/* Which message is this file?  Asked when an upload's answer was lost.
 *
 * The answer is proof or nothing: a message is the file's when its octets have the file's SHA-256.
 * What may be read for that is bounded, so the likely ones come first: those with the file's
 * Message-ID, then whatever has arrived since, and of these the ones nearest in size (RFC822.SIZE
 * is a claim, and some servers guess), the newest first.  Bodies are hashed as they come and never
 * kept.
 */
#include "store/imap-internal.h"
#include "base/error.h"
#include "base/limits.h"

#include <string.h>

enum {
    /* Messages whose size is asked for, the newest: while one upload was in doubt, fewer came. */
    MAX_LISTED = 1000,
    /* Bodies that are read.  The one that is looked for is nearly always the first; a server that
     * reports wrong sizes may have it behind some others. */
    MAX_BODIES = 16,
};

typedef struct {
    guint32 uid;
    guint64 distance; /* from the file's size */
} Candidate;

static int compare_candidates(gconstpointer a, gconstpointer b)
{
    const Candidate *x = a, *y = b;

    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return x->uid > y->uid ? -1 : x->uid < y->uid;
}

/* Those of run->seen, the likeliest first. */
static GArray *candidates(const ImapChange *run)
{
    GArray *array = g_array_new(FALSE, FALSE, sizeof(Candidate));
    guint64 size = run->change->size;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, run->seen);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const ImapSeen *seen = value;
        Candidate candidate = {
            seen->uid, seen->size > size ? seen->size - size : size - seen->size};
        const UidSet *others = run->change->others;

        if (!others || !uid_set_contains(others, seen->uid))
            g_array_append_val(array, candidate);
    }
    g_array_sort(array, compare_candidates);
    return array;
}

/* Reads the message @uid; TRUE in @ret_equal when it is the file. */
static gboolean compare_body(ImapChange *run, guint32 uid, gboolean *ret_equal, GError **error)
{
    g_autofree char *items = g_strdup_printf("%u (UID BODY.PEEK[])", uid);
    ImapCommand *command = imap_command_raw(imap_command_new("UID FETCH"), items);
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autoptr(GError) refused = NULL;
    guint8 sha256[32];
    gsize length = sizeof sha256;
    gboolean ok;

    run->checksum = checksum;
    run->wanted = uid;
    run->has_body = FALSE;
    ok = imap_run(run->connection, command, "FETCH", &refused);
    run->checksum = NULL;
    *ret_equal = FALSE;
    if (!ok && imap_is_fatal(refused)) {
        g_propagate_error(error, g_steal_pointer(&refused));
        return FALSE;
    }
    if (ok && run->has_body) {
        g_checksum_get_digest(checksum, sha256, &length);
        *ret_equal = memcmp(sha256, run->change->sha256, sizeof sha256) == 0;
    }
    return TRUE; /* one that the server cannot give is not the one */
}

/* Looks among @uids, and takes what was read off @bodies_left. */
static gboolean look_among(ImapChange *run, const UidSet *uids, guint *bodies_left,
                           GError **error)
{
    g_autoptr(GArray) array = NULL;

    if (!imap_change_look(run, uids, "(UID RFC822.SIZE)", error))
        return FALSE;
    array = candidates(run);
    for (guint i = 0; i < array->len && *bodies_left > 0; i++, --*bodies_left) {
        guint32 uid = g_array_index(array, Candidate, i).uid;
        gboolean is_equal;

        if (!compare_body(run, uid, &is_equal, error))
            return FALSE;
        if (is_equal) {
            run->change->uid = uid;
            run->change->n_octets = run->n_hashed;
            return TRUE;
        }
    }
    return TRUE;
}

/* SEARCH for @key among UIDs from @from on, without those below that "n:*" gives as well; the
 * newest MAX_LISTED of them.  NULL on error. */
static UidSet *search(ImapChange *run, guint32 from, const char *key, GError **error)
{
    g_autofree char *criteria = g_strdup_printf("UID %u:*%s", from, key);
    g_autoptr(UidSet) found = NULL;
    UidSet *newest;
    guint n = MAX_LISTED;

    imap_count(run->connection, "SEARCH");
    found = imap_session_search(run->connection->session, criteria, error);
    if (!found)
        return NULL;
    newest = uid_set_new();
    for (guint i = uid_set_n_ranges(found); i > 0 && n > 0; i--) {
        UidRange range = uid_set_range(found, i - 1);

        if (range.high < from)
            break;
        range.low = MAX(range.low, from);
        if (range.high - range.low >= n)
            range.low = range.high - n + 1;
        n -= range.high - range.low + 1;
        uid_set_add_range(newest, range.low, range.high);
    }
    return newest;
}

/* " HEADER Message-ID ..." or NULL where it cannot be said in a SEARCH. */
static char *message_id_key(const char *id)
{
    g_autoptr(GString) key = g_string_new(" HEADER Message-ID \"");

    if (!id || !*id)
        return NULL;
    for (const char *p = id; *p; p++) {
        if (*p < 0x20 || *p > 0x7e)
            return NULL;
        if (*p == '"' || *p == '\\')
            g_string_append_c(key, '\\');
        g_string_append_c(key, *p);
    }
    g_string_append_c(key, '"');
    if (key->len > LIMIT_IMAP_COMMAND - 100)
        return NULL;
    return g_strdup(key->str);
}

/* By Message-ID.  A search that is refused, or finds nothing, proves nothing. */
static gboolean find_by_id(ImapChange *run, guint32 from, guint *bodies_left, GError **error)
{
    g_autofree char *key = message_id_key(run->change->message_id);
    g_autoptr(GError) refused = NULL;
    g_autoptr(UidSet) uids = NULL;

    if (!key)
        return TRUE;
    uids = search(run, from, key, &refused);
    if (!uids && !imap_is_fatal(refused))
        return TRUE;
    if (!uids) {
        g_propagate_error(error, g_steal_pointer(&refused));
        return FALSE;
    }
    return look_among(run, uids, bodies_left, error);
}

gboolean imap_change_find(ImapChange *run, GError **error)
{
    ImapConnection *connection = run->connection;
    JobChange *change = run->change;
    const Job *job = run->job;
    g_autoptr(UidSet) uids = NULL;
    guint bodies_left = MAX_BODIES;
    guint32 from = MAX(change->uidnext, 1);

    /* In any case, for what has just come in. */
    if (!imap_select_again(connection, job->wire, NULL, error))
        return FALSE;
    change->uidvalidity = connection->selected.uidvalidity;
    if (job->uidvalidity && change->uidvalidity != job->uidvalidity) {
        connection->has_changed = TRUE;
        from = 1; /* the numbers that we know say nothing any more */
    }
    if (imap_session_exists(connection->session) == 0)
        return TRUE;
    if (!find_by_id(run, from, &bodies_left, error))
        return FALSE;
    if (change->uid || bodies_left == 0)
        return TRUE;
    uids = search(run, from, "", error);
    return uids && look_among(run, uids, &bodies_left, error);
}
