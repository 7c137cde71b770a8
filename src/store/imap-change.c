/* Changes: what a connection does when it writes.
 *
 * All changes of an account run on one connection, one after another in the order in which they
 * were asked for: the interactive one, which bulk reads never enter (with fewer connections the
 * roles move together, see imap_roles()).  That order is what a person expects of `cp a b; rm a`,
 * and no two changes can cross on the server.  While an upload is long, a read that somebody waits
 * for is taken by the last connection instead.
 *
 * A mailbox is selected for writing only when a change needs it, and then stays selected: reads are
 * served by it as well.  Before messages are touched, the session's view must be as new as the
 * newest UID of the change, for a server says nothing of a message that the session has not been
 * told of, and that would look as if it were gone.
 *
 * Nothing is tried twice after the connection failed: was_sent says whether the change may have
 * happened, and the journal decides.  An answer of NO is another matter.  Where a server refuses
 * a set of messages because some of them have gone ([EXPUNGEISSUED], RFC 5530), it has done
 * nothing, and is asked once more for those that are left.
 */
#include "store/imap-internal.h"
#include "base/error.h"
#include "base/limits.h"
#include "client/imap-change.h"

#include <string.h>

enum {
    CHUNK_UIDS = 1000,
    SET_OCTETS = LIMIT_IMAP_COMMAND - 200, /* of a command line; the rest are the words */
    SYSTEM_FLAGS = IMAP_FLAG_SEEN | IMAP_FLAG_ANSWERED | IMAP_FLAG_FLAGGED | IMAP_FLAG_DELETED |
                   IMAP_FLAG_DRAFT,
};

/* -- Data from the session --------------------------------------------------------------------- */

static void seen_free(gpointer data)
{
    ImapSeen *seen = data;

    g_free(seen->keywords);
    g_free(seen);
}

static void take_seen(ImapChange *run, const ImapFetch *fetch)
{
    ImapSeen *seen = g_hash_table_lookup(run->seen, GUINT_TO_POINTER(fetch->uid));

    if (!seen) {
        seen = g_new0(ImapSeen, 1);
        seen->uid = fetch->uid;
        g_hash_table_insert(run->seen, GUINT_TO_POINTER(fetch->uid), seen);
    }
    /* A server may say it in pieces. */
    if (fetch->items & IMAP_FETCH_FLAGS) {
        seen->flags = fetch->flags;
        g_free(seen->keywords);
        seen->keywords = fetch->keywords && *fetch->keywords ? g_strdup(fetch->keywords) : NULL;
    }
    if (fetch->items & IMAP_FETCH_DATE)
        seen->date = fetch->date;
    if (fetch->items & IMAP_FETCH_SIZE)
        seen->size = fetch->size;
}

void imap_change_fetch(ImapChange *run, const ImapFetch *fetch)
{
    if (run->asked && uid_set_contains(run->asked, fetch->uid))
        take_seen(run, fetch);
    else if (fetch->items & IMAP_FETCH_BODY)
        run->has_body = run->checksum && !fetch->body_is_nil &&
                        (fetch->uid == 0 || fetch->uid == run->wanted) &&
                        fetch->body_length == run->n_hashed;
    else if (fetch->items & IMAP_FETCH_FLAGS) /* a mere MODSEQ is the echo of our STORE */
        run->connection->has_changed = TRUE;
}

void imap_change_body_begin(ImapChange *run)
{
    run->n_hashed = 0;
    if (run->checksum)
        g_checksum_reset(run->checksum);
}

void imap_change_body_data(ImapChange *run, const void *data, gsize length)
{
    run->n_hashed += length;
    if (run->checksum)
        g_checksum_update(run->checksum, data, (gssize)length);
}

/* -- What changes have in common --------------------------------------------------------------- */

UidSet *imap_change_uids(const ImapChange *run)
{
    UidSet *uids = uid_set_new();

    for (guint i = 0; run->change->messages && i < run->change->messages->len; i++) {
        const ChangeMessage *message = &g_array_index(run->change->messages, ChangeMessage, i);

        if (!message->is_done)
            uid_set_add(uids, message->uid);
    }
    return uids;
}

static gboolean is_selected_for(const ImapChange *run, gboolean for_writing)
{
    const ImapConnection *connection = run->connection;
    const ImapSelected *selected = &connection->selected;
    const char *wire = imap_session_selected(connection->session);
    g_autoptr(UidSet) uids = imap_change_uids(run);

    return g_strcmp0(wire, run->job->wire) == 0 && !(for_writing && selected->is_readonly) &&
           (run->job->uidvalidity == 0 || run->job->uidvalidity == selected->uidvalidity) &&
           MAX(uid_set_max(uids), MAX(run->change->replaces, run->change->heir_of)) <
               selected->uidnext;
}

gboolean imap_change_select(ImapChange *run, gboolean for_writing, GError **error)
{
    ImapConnection *connection = run->connection;
    const Job *job = run->job;
    gboolean ok = is_selected_for(run, for_writing) ||
                  (for_writing ? imap_select_to_write(connection, job->wire, error)
                               : imap_select_again(connection, job->wire, NULL, error));

    if (!ok)
        return FALSE;
    if (job->uidvalidity && connection->selected.uidvalidity != job->uidvalidity) {
        connection->has_changed = TRUE;
        return mail_fail(error, MAIL_ERROR_GONE,
                         "%s was made anew on the server; its messages have other numbers now",
                         job->wire);
    }
    if (for_writing && connection->selected.is_readonly)
        return mail_fail(error, MAIL_ERROR_READONLY, "the server gives %s for reading only",
                         job->wire);
    return TRUE;
}

gboolean imap_change_look(ImapChange *run, const UidSet *uids, const char *items, GError **error)
{
    g_autoptr(UidSet) rest = uid_set_copy(uids);
    gboolean ok = TRUE;

    g_hash_table_remove_all(run->seen);
    run->asked = uids;
    while (ok && !uid_set_is_empty(rest)) {
        g_autofree char *set = uid_set_take(rest, SET_OCTETS, CHUNK_UIDS);
        ImapCommand *command = imap_command_new("UID FETCH");

        imap_command_raw(imap_command_raw(command, set), items);
        ok = imap_run(run->connection, command, "FETCH", error);
    }
    run->asked = NULL;
    return ok;
}

/* As imap_change_look(), after the session was told who has gone. */
static gboolean look_afresh(ImapChange *run, const UidSet *uids, GError **error)
{
    return imap_run(run->connection, imap_command_new("NOOP"), "NOOP", error) &&
           imap_change_look(run, uids, "(UID FLAGS)", error);
}

static UidSet *seen_uids(const ImapChange *run)
{
    g_autoptr(GList) keys = g_hash_table_get_keys(run->seen);
    UidSet *uids = uid_set_new();

    for (const GList *key = keys; key; key = key->next)
        uid_set_add(uids, GPOINTER_TO_UINT(key->data));
    return uids;
}

/* One command about messages. */
typedef gboolean (*Deed)(ImapChange *run, const UidSet *uids, GError **error);

/* Does it to all messages that are not done; where it is refused because some have gone, once more
 * to the rest. */
static gboolean do_to_all(ImapChange *run, Deed deed, GError **error)
{
    g_autoptr(UidSet) uids = imap_change_uids(run);
    g_autoptr(UidSet) there = NULL, pending = NULL;
    g_autoptr(GError) refused = NULL;

    if (deed(run, uids, &refused))
        return TRUE;
    if (mail_error_is(refused, MAIL_ERROR_GONE)) {
        pending = imap_change_uids(run);
        if (!look_afresh(run, pending, error))
            return FALSE;
        there = seen_uids(run);
        if (!uid_set_is_empty(there) && uid_set_count(there) < uid_set_count(pending))
            return deed(run, there, error);
    }
    g_propagate_error(error, g_steal_pointer(&refused));
    return FALSE;
}

/* A lower bound for the UIDs that will come into @wire.  A server with UIDPLUS says them itself, so
 * that it is asked only where it has none. */
static gboolean learn_uidnext(ImapChange *run, const char *wire, GError **error)
{
    ImapConnection *connection = run->connection;
    const char *selected = imap_session_selected(connection->session);
    g_autoptr(GError) refused = NULL;
    ImapStatus status = {0};

    if (g_strcmp0(selected, wire) == 0 && connection->selected.uidnext) {
        run->change->uidnext_then = connection->selected.uidnext;
        run->change->uidvalidity = connection->selected.uidvalidity;
        return TRUE;
    }
    if (imap_session_has(connection->session, IMAP_CAP_UIDPLUS))
        return TRUE;
    imap_count(connection, "STATUS");
    if (imap_session_status(connection->session, wire, &status, &refused)) {
        if (status.items & IMAP_STATUS_UIDNEXT)
            run->change->uidnext_then = status.uidnext;
        if (status.items & IMAP_STATUS_UIDVALIDITY)
            run->change->uidvalidity = status.uidvalidity;
        return TRUE;
    }
    if (!imap_is_fatal(refused) && !mail_error_is(refused, MAIL_ERROR_GONE))
        return TRUE; /* it may take messages all the same */
    g_propagate_error(error, g_steal_pointer(&refused));
    return FALSE;
}

/* -- APPEND ------------------------------------------------------------------------------------ */

static void on_progress(guint64 n_sent, gpointer user)
{
    ImapChange *run = user;
    Event *event = event_new(EVENT_SENT, run->job);

    event->received = n_sent;
    event->size = run->change->size;
    imap_post(run->connection, event);
}

/* Another client may have changed the old message's flags since the last sync, and the new version
 * is to have them.  Where the server does not tell, those that we know have to do.  A session that
 * had the mailbox open must hear the news first. */
static gboolean inherit_flags(ImapChange *run, gboolean is_replace, GError **error)
{
    JobChange *change = run->change;
    g_autoptr(UidSet) uids = uid_set_new();
    g_autoptr(GError) refused = NULL;
    /* SELECT in any case: Courier refuses an APPEND to a mailbox that EXAMINE has opened. */
    gboolean was_selected = is_selected_for(run, TRUE);
    gboolean is_open = imap_change_select(run, TRUE, &refused);
    const ImapSeen *seen;
    gboolean ok;

    uid_set_add(uids, change->heir_of);
    ok = is_open && (was_selected ? look_afresh(run, uids, &refused)
                                  : imap_change_look(run, uids, "(UID FLAGS)", &refused));
    if (!ok && (imap_is_fatal(refused) || (is_replace && !is_open))) {
        g_propagate_error(error, g_steal_pointer(&refused));
        return FALSE;
    }
    seen = ok ? g_hash_table_lookup(run->seen, GUINT_TO_POINTER(change->heir_of)) : NULL;
    if (seen) {
        change->flags = (guint16)(seen->flags & (SYSTEM_FLAGS & ~IMAP_FLAG_DELETED));
        g_free(change->keywords);
        change->keywords = g_strdup(seen->keywords);
    }
    return TRUE;
}

static gboolean append(ImapChange *run, GError **error)
{
    ImapSession *session = run->connection->session;
    JobChange *change = run->change;
    gboolean replaces = change->replaces && imap_session_has(session, IMAP_CAP_REPLACE);
    ImapAppended appended = {0};
    ImapAppend what = {
        .mailbox = run->job->wire,
        .date = change->date,
        .fd = change->fd,
        .size = change->size,
        .replaces = replaces ? change->replaces : 0,
        .progress = on_progress,
        .user = run,
    };

    if (change->heir_of ? !inherit_flags(run, replaces, error)
                        : replaces && !imap_change_select(run, TRUE, error))
        return FALSE;
    if (!learn_uidnext(run, run->job->wire, error))
        return FALSE;
    what.flags = change->flags & SYSTEM_FLAGS;
    what.keywords = change->keywords;
    change->tried_replace = replaces;
    imap_count(run->connection, replaces ? "REPLACE" : "APPEND");
    if (!imap_session_append(session, &what, &appended, &change->was_sent, error))
        return FALSE;
    change->did_replace = replaces;
    change->uid = appended.uid;
    if (appended.uidvalidity)
        change->uidvalidity = appended.uidvalidity;
    return TRUE;
}

/* -- COPY and MOVE ----------------------------------------------------------------------------- */

static void take_copied(ImapChange *run, const ImapCopied *copied)
{
    g_autoptr(GHashTable) to = g_hash_table_new(NULL, NULL);

    if (copied->uidvalidity == 0)
        return;
    run->change->uidvalidity = copied->uidvalidity;
    for (guint i = 0; i < copied->pairs->len; i++) {
        const ImapCopyPair *pair = &g_array_index(copied->pairs, ImapCopyPair, i);

        g_hash_table_insert(to, GUINT_TO_POINTER(pair->from), GUINT_TO_POINTER(pair->to));
    }
    for (guint i = 0; i < run->change->messages->len; i++) {
        ChangeMessage *message = &g_array_index(run->change->messages, ChangeMessage, i);
        gpointer uid = g_hash_table_lookup(to, GUINT_TO_POINTER(message->uid));

        if (!uid)
            continue;
        message->target_uid = GPOINTER_TO_UINT(uid);
        message->is_done = TRUE;
    }
}

/* The server said OK, but not of which messages.  Those that are still there were there to be
 * copied; those that have gone have been moved, if the command removed any. */
static gboolean infer_copied(ImapChange *run, const UidSet *uids, gboolean did_remove,
                             GError **error)
{
    if (!look_afresh(run, uids, error))
        return FALSE;
    for (guint i = 0; i < run->change->messages->len; i++) {
        ChangeMessage *message = &g_array_index(run->change->messages, ChangeMessage, i);
        gboolean is_there = g_hash_table_contains(run->seen, GUINT_TO_POINTER(message->uid));

        if (uid_set_contains(uids, message->uid))
            message->is_done = run->change->did_move ? did_remove && !is_there : is_there;
    }
    return TRUE;
}

static gboolean copy_set(ImapChange *run, const UidSet *uids, GError **error)
{
    ImapSession *session = run->connection->session;
    JobChange *change = run->change;
    gboolean is_move = change->is_move && imap_session_has(session, IMAP_CAP_MOVE);
    guint64 n_removed = run->n_removed;
    ImapCopied copied = {0};
    gboolean ok, is_told;

    change->was_sent = TRUE;
    change->did_move = is_move;
    imap_count(run->connection, is_move ? "MOVE" : "COPY");
    ok = imap_session_copy(session, uids, change->target, is_move, &copied, error);
    is_told = copied.uidvalidity != 0;
    take_copied(run, &copied);
    imap_copied_clear(&copied);
    return ok && (is_told || infer_copied(run, uids, run->n_removed > n_removed, error));
}

static gboolean copy(ImapChange *run, GError **error)
{
    return imap_change_select(run, run->change->is_move, error) &&
           learn_uidnext(run, run->change->target, error) && do_to_all(run, copy_set, error);
}

/* -- STORE ------------------------------------------------------------------------------------- */

static gboolean store_one(ImapChange *run, const UidSet *uids, const ImapStore *store,
                          GError **error)
{
    if (!store->flags && !store->keywords)
        return TRUE;
    run->change->was_sent = TRUE;
    imap_count(run->connection, "STORE");
    return imap_session_store(run->connection->session, uids, store, NULL, error);
}

static gboolean store_set(ImapChange *run, const UidSet *uids, GError **error)
{
    const JobChange *change = run->change;
    ImapStore addition = {.flags = change->flags & SYSTEM_FLAGS, .keywords = change->keywords};
    ImapStore removal = {.is_removal = TRUE,
                         .flags = change->flags_removed & SYSTEM_FLAGS,
                         .keywords = change->keywords_removed};

    return store_one(run, uids, &addition, error) && store_one(run, uids, &removal, error);
}

static gboolean change_flags(ImapChange *run, GError **error)
{
    if (!imap_change_select(run, TRUE, error) || !do_to_all(run, store_set, error))
        return FALSE;
    /* Of one that has gone there is nothing left to do. */
    for (guint i = 0; i < run->change->messages->len; i++)
        g_array_index(run->change->messages, ChangeMessage, i).is_done = TRUE;
    return TRUE;
}

/* -- All of them ------------------------------------------------------------------------------- */

static gboolean carry_out(ImapChange *run, GError **error)
{
    switch (run->job->kind) {
    case JOB_APPEND:
        return append(run, error);
    case JOB_FIND:
        return imap_change_find(run, error);
    case JOB_COPY:
        return copy(run, error);
    case JOB_FLAGS:
        return change_flags(run, error);
    case JOB_EXPUNGE:
        return imap_change_expunge(run, error);
    case JOB_MAILBOX:
        return imap_change_mailbox(run, error);
    case JOB_LIST:
    case JOB_SYNC:
    case JOB_FETCH:
        break;
    }
    g_assert_not_reached();
}

/* What we removed ourselves is no news; whatever else went is. */
static void report_removed(const ImapChange *run)
{
    const JobChange *change = run->change;
    guint64 n_own = change->did_replace;

    for (guint i = 0; change->messages && i < change->messages->len; i++)
        n_own += (change->did_move || run->job->kind == JOB_EXPUNGE) &&
                 g_array_index(change->messages, ChangeMessage, i).is_done;
    if (run->n_removed > n_own)
        run->connection->has_changed = TRUE;
}

gboolean imap_change_run(ImapConnection *connection, Job *job, GError **error)
{
    ImapChange run = {.connection = connection, .job = job, .change = job->change};
    gboolean ok;

    run.seen = g_hash_table_new_full(NULL, NULL, NULL, seen_free);
    connection->change = &run;
    ok = carry_out(&run, error);
    connection->change = NULL;
    report_removed(&run);
    g_hash_table_unref(run.seen);
    return ok;
}
