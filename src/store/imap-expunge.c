/* Messages removed for good.
 *
 * Two things must not happen: that another message goes than the one that was meant, and that
 * another client's goes with it.  So the UIDs are looked at first, and only what still has the
 * date and the size that the one who asked saw is marked \Deleted (servers have given old UIDs to
 * new messages).  With UIDPLUS exactly these are expunged.  Without it there is only the bare
 * EXPUNGE, which takes whatever carries \Deleted: it is sent right behind a SEARCH that showed
 * nobody else's there (but what we marked before, and could not remove then, goes along), and
 * otherwise not at all; then ours stay marked, and are to be hidden here.
 * CLOSE, which expunges in silence, is never sent.
 */
#include "store/imap-internal.h"
#include "base/error.h"
#include "client/imap-change.h"

static gboolean is_same(const ChangeMessage *message, const ImapSeen *seen)
{
    return (message->date == 0 || message->date == seen->date) &&
           (message->size == 0 || message->size == seen->size);
}

static void set_done(ImapChange *run, const UidSet *uids)
{
    for (guint i = 0; i < run->change->messages->len; i++) {
        ChangeMessage *message = &g_array_index(run->change->messages, ChangeMessage, i);

        if (uid_set_contains(uids, message->uid))
            message->is_done = TRUE;
    }
}

/* Of the messages that are not done: those that have gone are; those that are what they were are
 * returned; the others are left alone. */
static UidSet *sort_out(ImapChange *run, UidSet **ret_marked_before)
{
    UidSet *ours = uid_set_new();

    *ret_marked_before = uid_set_new();
    for (guint i = 0; i < run->change->messages->len; i++) {
        ChangeMessage *message = &g_array_index(run->change->messages, ChangeMessage, i);
        const ImapSeen *seen = g_hash_table_lookup(run->seen, GUINT_TO_POINTER(message->uid));

        if (!seen)
            message->is_done = TRUE;
        if (!seen || !is_same(message, seen)) {
            run->connection->has_changed = TRUE;
            continue;
        }
        uid_set_add(ours, message->uid);
        if (seen->flags & IMAP_FLAG_DELETED)
            uid_set_add(*ret_marked_before, message->uid);
    }
    return ours;
}

static gboolean fail_strangers(const ImapChange *run, GError **error)
{
    const GArray *messages = run->change->messages;

    return mail_fail(error, MAIL_ERROR_GONE,
                     messages->len == 1
                         ? "another message has number %u in %s now; nothing was deleted"
                         : "another message has a number from %u on in %s now; nothing was "
                           "deleted",
                     g_array_index(messages, ChangeMessage, 0).uid, run->job->wire);
}

/* There was nothing to expunge: all have gone by themselves, or are others now. */
static gboolean conclude(const ImapChange *run, GError **error)
{
    guint n_messages = run->change->messages->len;
    g_autoptr(UidSet) left = imap_change_uids(run);

    return n_messages == 0 || uid_set_count(left) < n_messages || fail_strangers(run, error);
}

static gboolean store_deleted(ImapChange *run, const UidSet *uids, gboolean is_removal,
                              GError **error)
{
    const ImapStore store = {.is_removal = is_removal, .flags = IMAP_FLAG_DELETED};

    if (uid_set_is_empty(uids))
        return TRUE;
    run->change->was_sent = TRUE;
    imap_count(run->connection, "STORE");
    return imap_session_store(run->connection->session, uids, &store, NULL, error);
}

/* Looks, and marks what is to go. */
static gboolean mark(ImapChange *run, UidSet **ret_ours, UidSet **ret_marked_before,
                     GError **error)
{
    g_autoptr(UidSet) uids = imap_change_uids(run), before = NULL, ours = NULL;

    if (!imap_change_look(run, uids, "(UID FLAGS INTERNALDATE RFC822.SIZE)", error))
        return FALSE;
    ours = sort_out(run, &before);
    if (!store_deleted(run, ours, FALSE, error))
        return FALSE;
    *ret_ours = g_steal_pointer(&ours);
    *ret_marked_before = g_steal_pointer(&before);
    return TRUE;
}

/* As mark(), once more where it is refused because some went in between. */
static gboolean mark_those_left(ImapChange *run, UidSet **ret_ours, UidSet **ret_marked_before,
                                GError **error)
{
    g_autoptr(GError) refused = NULL;

    if (mark(run, ret_ours, ret_marked_before, &refused))
        return TRUE;
    if (mail_error_is(refused, MAIL_ERROR_GONE))
        return imap_run(run->connection, imap_command_new("NOOP"), "NOOP", error) &&
               mark(run, ret_ours, ret_marked_before, error);
    g_propagate_error(error, g_steal_pointer(&refused));
    return FALSE;
}

/* The server refused to expunge: what we marked is as it was before, for somebody else's EXPUNGE
 * would take it. */
static gboolean unmark(ImapChange *run, const UidSet *ours, const UidSet *marked_before,
                       GError *refused, GError **error)
{
    g_autoptr(UidSet) marked = uid_set_minus(ours, marked_before);

    if (!imap_is_fatal(refused))
        (void)store_deleted(run, marked, TRUE, NULL);
    g_propagate_error(error, refused);
    return FALSE;
}

/* Others' marks are there as well: ours stay, to be hidden.  But "what is not done is to be hidden"
 * would be said of strangers, too. */
static gboolean leave_marked(ImapChange *run, const UidSet *ours, GError **error)
{
    g_autoptr(UidSet) left = imap_change_uids(run);

    if (uid_set_count(left) > uid_set_count(ours))
        return fail_strangers(run, error);
    run->change->is_hidden = TRUE;
    return TRUE;
}

/* Without UIDPLUS. */
static gboolean expunge_if_alone(ImapChange *run, const UidSet *ours, GError **error)
{
    ImapSession *session = run->connection->session;
    g_autoptr(UidSet) marked = NULL, strangers = NULL, others = NULL;

    imap_count(run->connection, "SEARCH");
    marked = imap_session_search(session, "DELETED", error);
    if (!marked)
        return FALSE;
    strangers = uid_set_minus(marked, ours);
    others = run->change->others ? uid_set_minus(strangers, run->change->others)
                                 : uid_set_copy(strangers);
    /* None at all is not what a server says that we just told to mark some. */
    if (uid_set_is_empty(marked) || !uid_set_is_empty(others))
        return leave_marked(run, ours, error);
    imap_count(run->connection, "EXPUNGE");
    if (!imap_session_expunge_all(session, error))
        return FALSE;
    set_done(run, ours);
    return TRUE;
}

static gboolean expunge_uids(ImapChange *run, const UidSet *ours, GError **error)
{
    imap_count(run->connection, "EXPUNGE");
    if (!imap_session_uid_expunge(run->connection->session, ours, error))
        return FALSE;
    set_done(run, ours);
    return TRUE;
}

gboolean imap_change_expunge(ImapChange *run, GError **error)
{
    g_autoptr(UidSet) ours = NULL, marked_before = NULL;
    g_autoptr(GError) refused = NULL;
    gboolean ok;

    if (!imap_change_select(run, TRUE, error) ||
        !mark_those_left(run, &ours, &marked_before, error))
        return FALSE;
    if (uid_set_is_empty(ours))
        return conclude(run, error);
    ok = imap_session_has(run->connection->session, IMAP_CAP_UIDPLUS)
             ? expunge_uids(run, ours, &refused)
             : expunge_if_alone(run, ours, &refused);
    return ok || unmark(run, ours, marked_before, g_steal_pointer(&refused), error);
}
