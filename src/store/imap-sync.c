/* Bringing one mailbox up to date: the first listing, and what changed since.
 *
 * Three ways, by what the server can do (design: QRESYNC, then CONDSTORE, then comparison), each
 * ending in the same check: the messages we then know must be as many as the server says there
 * are.  If not, all UIDs are compared.  Nothing is taken for deleted because a reply left it
 * out: only VANISHED within reason, or a whole and consistent list of UIDs, removes a message.
 *
 * What is known may hold messages that no sync has listed: our own uploads and copies, whose UIDs
 * the server told (UIDPLUS).  They are those from known.uidnext on, and there may be others'
 * messages between them.  They count as known, but are listed with the new ones, and where this
 * session's view of the mailbox is older than they are, nothing is concluded from their absence.
 *
 * Metadata comes in chunks of up to 1000 UIDs, three in flight, and goes to the main thread in
 * slices.  ENVELOPE and BODYSTRUCTURE are never asked for: they are what servers get wrong.
 */
#include "store/imap-internal.h"
#include "base/error.h"
#include "base/limits.h"
#include "mime/header.h"
#include "mime/message-name.h"

#include <string.h>

enum {
    CHUNK_UIDS = 1000,
    CHUNKS_IN_FLIGHT = 3,
    SET_OCTETS = LIMIT_IMAP_COMMAND - 200, /* of a command line; the rest are the words */
    NEWEST_FLAGS = 1000, /* refreshed at each poll of a server without CONDSTORE */
    /* A VANISHED of more than this is confirmed by SEARCH first: servers have sent 26,183 UIDs
     * that were all there. */
    VANISHED_ALWAYS = 5,
    VANISHED_PERCENT = 20,
};

struct ImapSync {
    ImapConnection *connection;
    Job *job;
    gboolean is_listing; /* FETCH replies with sizes are new messages */
    UidSet *settled;     /* known from an earlier listing */
    UidSet *learnt;      /* known otherwise */
    UidSet *vanished;    /* reported, not yet believed */
    UidSet *unknown;     /* UIDs that were mentioned and no sync has listed */
    UidSet *listed;      /* UIDs whose metadata came */
    GPtrArray *messages; /* next slice */
    GArray *flags;       /* next slice */
    char *fetch_items;
    guint32 agreed; /* EXISTS when the count was found right */
    gboolean began;
};

static void sync_clear(ImapSync *sync)
{
    uid_set_free(sync->settled);
    uid_set_free(sync->learnt);
    uid_set_free(sync->vanished);
    uid_set_free(sync->unknown);
    uid_set_free(sync->listed);
    g_ptr_array_unref(sync->messages);
    flag_changes_free(sync->flags);
    g_free(sync->fetch_items);
    sync->connection->sync = NULL;
}

/* -- Slices for the main thread ---------------------------------------------------------------- */

static void flush_messages(ImapSync *sync)
{
    Event *event = event_take_messages(sync->job, &sync->messages);

    if (event)
        imap_post(sync->connection, event);
}

static void flush_flags(ImapSync *sync)
{
    if (sync->flags->len == 0)
        return;
    flush_messages(sync);
    imap_post(sync->connection, event_take_flags(sync->job, &sync->flags));
}

static void post_vanished(ImapSync *sync, const UidSet *uids)
{
    Event *event;

    if (uid_set_is_empty(uids))
        return;
    event = event_new(EVENT_VANISHED, sync->job);
    event->uids = uid_set_copy(uids);
    imap_post(sync->connection, event);
}

static void post_begin(ImapSync *sync, gboolean is_reset, guint64 n_expected)
{
    const ImapSelected *selected = &sync->connection->selected;
    Event *event;

    if (sync->began)
        return;
    event = event_new(EVENT_SYNC_BEGIN, sync->job);
    event->uidvalidity = selected->uidvalidity;
    event->is_readonly = selected->is_readonly;
    event->is_reset = is_reset;
    event->n_messages = selected->exists;
    event->n_expected = (guint32)MIN(n_expected, G_MAXUINT32);
    sync->began = TRUE;
    imap_post(sync->connection, event);
}

static void post_state(ImapSync *sync, gboolean compared)
{
    const ImapSelected *selected = &sync->connection->selected;
    Event *event = event_new(EVENT_SYNC_STATE, sync->job);
    /* What was learnt otherwise says nothing of the UIDs below it. */
    guint32 highest = MAX(uid_set_max(sync->settled), uid_set_max(sync->listed));

    event->uidvalidity = selected->uidvalidity;
    event->uidnext = MAX(MAX(selected->uidnext, sync->job->known.uidnext), highest + 1);
    event->highestmodseq = selected->highestmodseq;
    event->n_messages = imap_session_exists(sync->connection->session);
    event->compared = compared;
    imap_post(sync->connection, event);
}

/* -- Data from the session --------------------------------------------------------------------- */

G_STATIC_ASSERT((int)IMAP_FLAG_SEEN == (int)MESSAGE_SEEN);
G_STATIC_ASSERT((int)IMAP_FLAG_ANSWERED == (int)MESSAGE_ANSWERED);
G_STATIC_ASSERT((int)IMAP_FLAG_FLAGGED == (int)MESSAGE_FLAGGED);
G_STATIC_ASSERT((int)IMAP_FLAG_DELETED == (int)MESSAGE_DELETED);
G_STATIC_ASSERT((int)IMAP_FLAG_DRAFT == (int)MESSAGE_DRAFT);

static Message *make_message(const ImapSync *sync, const ImapFetch *fetch)
{
    const ConfigAccount *config = imap_config(sync->connection);
    Message *message = message_new();

    message->uid = fetch->uid;
    message->flags = (guint16)fetch->flags;
    message_set_keywords(message, fetch->keywords);
    /* No message is empty: a server that says 0 does not know.  Its header is the least that it
     * can be, until the body is seen. */
    message->size = fetch->size ? fetch->size : MAX(fetch->header_length, 1);
    message->date = fetch->date;
    /* EMAILID (RFC 8474) is the server's own word on which messages are the same; Message-ID is
     * the next best. */
    message->fingerprint = message_fingerprint(fetch->email_id);
    if (sync->job->known.want_names && fetch->items & IMAP_FETCH_HEADER) {
        g_autofree char *id = header_message_id(fetch->header, fetch->header_length);

        if (!message->fingerprint)
            message->fingerprint = message_fingerprint(id);
        message->name = message_name_make(fetch->header, fetch->header_length, fetch->date,
                                          fetch->uid, config->charset_fallback);
    } else {
        message->name = message_name_from_uid(fetch->uid);
    }
    return message;
}

static void add_flags(ImapSync *sync, const ImapFetch *fetch)
{
    FlagChange change = {.uid = fetch->uid, .flags = (guint16)fetch->flags};

    if (fetch->keywords && *fetch->keywords)
        change.keywords = g_ref_string_new_intern(fetch->keywords);
    g_array_append_val(sync->flags, change);
    if (sync->flags->len >= EVENT_MAX_MESSAGES && sync->began)
        flush_flags(sync);
}

void imap_sync_fetch(ImapSync *sync, const ImapFetch *fetch)
{
    gboolean is_whole = (fetch->items & (IMAP_FETCH_SIZE | IMAP_FETCH_FLAGS)) ==
                        (IMAP_FETCH_SIZE | IMAP_FETCH_FLAGS);

    if (fetch->uid == 0) {
        sync->connection->has_changed = TRUE;
    } else if (sync->is_listing && is_whole) {
        /* A server may repeat itself (flags changed while it answered). */
        if (uid_set_contains(sync->listed, fetch->uid)) {
            add_flags(sync, fetch);
            return;
        }
        uid_set_add(sync->listed, fetch->uid);
        g_ptr_array_add(sync->messages, make_message(sync, fetch));
        if (sync->messages->len >= EVENT_MAX_MESSAGES)
            flush_messages(sync);
    } else if (uid_set_contains(sync->settled, fetch->uid) ||
               uid_set_contains(sync->listed, fetch->uid)) {
        if (fetch->items & IMAP_FETCH_FLAGS)
            add_flags(sync, fetch);
    } else {
        uid_set_add(sync->unknown, fetch->uid);
    }
}

void imap_sync_vanished(ImapSync *sync, const UidSet *uids, gboolean earlier)
{
    /* Never expanded, whatever the server wrote: only what we know is kept of it. */
    g_autoptr(UidSet) kept = uid_set_minus(sync->job->known.uids, uids);
    g_autoptr(UidSet) gone = uid_set_minus(sync->job->known.uids, kept);

    uid_set_add_set(sync->vanished, gone);
    uid_set_remove_set(sync->unknown, uids);
    if (!earlier)
        sync->connection->has_changed = TRUE;
}

/* Of what was learnt, the messages that the session's view need not hold yet: it ends before them,
 * and they are not in @there. */
static UidSet *beyond_view(const ImapSync *sync, const UidSet *there)
{
    guint32 uidnext = sync->connection->selected.uidnext;
    UidSet *unseen = uid_set_minus(sync->learnt, there);
    g_autoptr(UidSet) within = uid_set_new();

    if (uidnext != 1)
        uid_set_add_range(within, 1, uidnext ? uidnext - 1 : G_MAXUINT32);
    uid_set_remove_set(unseen, within);
    uid_set_remove_set(unseen, sync->vanished);
    return unseen;
}

/* Tells what was listed before from what was learnt since. */
static void split_known(ImapSync *sync)
{
    const SyncKnown *known = &sync->job->known;
    g_autoptr(UidSet) since = uid_set_new();

    if (known->uidnext)
        uid_set_add_range(since, known->uidnext, G_MAXUINT32);
    uid_set_free(sync->settled);
    uid_set_free(sync->learnt);
    sync->settled = uid_set_minus(known->uids, since);
    sync->learnt = uid_set_minus(known->uids, sync->settled);
}

/* -- Listing ----------------------------------------------------------------------------------- */

/* The metadata of @uids (consumed), chunk by chunk, CHUNKS_IN_FLIGHT at a time. */
static gboolean list_messages(ImapSync *sync, UidSet *uids, GError **error)
{
    ImapConnection *connection = sync->connection;
    guint in_flight[CHUNKS_IN_FLIGHT], n = 0;

    sync->is_listing = TRUE;
    while (!uid_set_is_empty(uids) || n > 0) {
        while (n < CHUNKS_IN_FLIGHT && !uid_set_is_empty(uids)) {
            g_autofree char *set = uid_set_take(uids, SET_OCTETS, CHUNK_UIDS);
            ImapCommand *command = imap_command_new("UID FETCH");

            imap_command_raw(imap_command_raw(command, set), sync->fetch_items);
            in_flight[n] = imap_send(connection, command, "FETCH", error);
            if (in_flight[n++] == 0)
                return FALSE;
        }
        if (!imap_session_wait(connection->session, in_flight[0], NULL, error))
            return FALSE;
        memmove(in_flight, in_flight + 1, --n * sizeof *in_flight);
    }
    sync->is_listing = FALSE;
    flush_messages(sync);
    return TRUE;
}

static gboolean agrees(ImapSync *sync, const UidSet *uids)
{
    sync->agreed = imap_session_exists(sync->connection->session);
    return uid_set_count(uids) == sync->agreed;
}

/* Every UID of the mailbox by one command, checked against EXISTS.  NULL with BUSY when the
 * server contradicts itself: then nothing is concluded from it. */
static UidSet *server_uids(ImapSync *sync, GError **error)
{
    ImapConnection *connection = sync->connection;
    g_autoptr(UidSet) uids = NULL;

    imap_count(connection, "SEARCH");
    uids = imap_session_search(connection->session, "ALL", error);
    if (!uids)
        return NULL;
    if (agrees(sync, uids))
        return g_steal_pointer(&uids);
    /* Some servers send an ESEARCH without ALL, or forget what came meanwhile: ask in another
     * way.  Every reply lands in known or unknown. */
    if (!imap_run(connection, imap_command_new("NOOP"), "NOOP", error))
        return NULL;
    imap_count(connection, "SEARCH");
    uid_set_free(uids);
    uids = imap_session_search(connection->session, "1:*", error);
    if (!uids)
        return NULL;
    if (agrees(sync, uids))
        return g_steal_pointer(&uids);
    mail_fail(error, MAIL_ERROR_BUSY,
              "the server lists %" G_GUINT64_FORMAT " messages in %s but counts %u; "
              "it will be asked again",
              uid_set_count(uids), sync->job->wire,
              imap_session_exists(connection->session));
    return NULL;
}

/* The comparison of everything: what is here and not there has gone, what is there and not here
 * is new. */
static gboolean compare(ImapSync *sync, GError **error)
{
    g_autoptr(UidSet) there = server_uids(sync, error);
    g_autoptr(UidSet) gone = NULL, unseen = NULL;
    g_autoptr(UidSet) new = NULL;

    if (!there)
        return FALSE;
    gone = uid_set_minus(sync->job->known.uids, there);
    unseen = beyond_view(sync, there);
    uid_set_remove_set(gone, unseen);
    new = uid_set_minus(there, sync->settled);
    uid_set_remove_set(new, sync->listed);
    post_begin(sync, FALSE, uid_set_count(new));
    post_vanished(sync, gone);
    if (!list_messages(sync, new, error))
        return FALSE;
    flush_flags(sync);
    post_state(sync, TRUE);
    return TRUE;
}

/* The first listing, or a new one after UIDVALIDITY changed. */
static gboolean list_all(ImapSync *sync, GError **error)
{
    ImapConnection *connection = sync->connection;
    g_autoptr(UidSet) there = NULL;

    uid_set_free(sync->job->known.uids);
    sync->job->known.uids = uid_set_new();
    sync->job->known.uidnext = 0;
    split_known(sync);
    g_array_set_size(sync->flags, 0);
    if (imap_session_exists(connection->session) == 0) {
        post_begin(sync, TRUE, 0);
        post_state(sync, TRUE);
        return TRUE;
    }
    there = server_uids(sync, error);
    if (!there)
        return FALSE;
    post_begin(sync, TRUE, uid_set_count(there));
    if (!list_messages(sync, there, error))
        return FALSE;
    flush_flags(sync);
    post_state(sync, TRUE);
    if (imap_session_has(connection->session, IMAP_CAP_ACL)) {
        ImapCommand *command = imap_command_new("MYRIGHTS");
        g_autoptr(GError) refused = NULL;

        imap_command_mailbox(command, sync->job->wire);
        if (!imap_run(connection, command, "MYRIGHTS", &refused) &&
            mail_error_is_connection(refused)) {
            g_propagate_error(error, g_steal_pointer(&refused));
            return FALSE;
        }
    }
    return TRUE;
}

/* -- What changed ------------------------------------------------------------------------------ */

/* TRUE when VANISHED is small enough to be believed without a second question. */
static gboolean is_plausible(const ImapSync *sync)
{
    guint64 gone = uid_set_count(sync->vanished);
    guint64 known = uid_set_count(sync->job->known.uids);

    return gone <= VANISHED_ALWAYS || gone * 100 <= known * VANISHED_PERCENT;
}

/* After the changes came: new messages, the count, the end. */
static gboolean conclude(ImapSync *sync, GError **error)
{
    ImapConnection *connection = sync->connection;
    const SyncKnown *known = &sync->job->known;
    g_autoptr(UidSet) new = uid_set_copy(sync->unknown);
    g_autoptr(UidSet) unseen = beyond_view(sync, sync->unknown);
    g_autoptr(UidSet) expected = uid_set_copy(known->uids);

    uid_set_add_set(new, sync->learnt);
    uid_set_remove_set(new, sync->vanished);
    uid_set_remove_set(new, unseen);
    uid_set_add_set(expected, new);
    uid_set_remove_set(expected, sync->vanished);
    uid_set_remove_set(expected, unseen);
    if (known->compare_all || !is_plausible(sync) ||
        uid_set_count(expected) != imap_session_exists(connection->session))
        return compare(sync, error);
    sync->agreed = imap_session_exists(connection->session);
    post_begin(sync, FALSE, uid_set_count(new));
    post_vanished(sync, sync->vanished);
    if (!list_messages(sync, new, error))
        return FALSE;
    flush_flags(sync);
    post_state(sync, FALSE);
    return TRUE;
}

/* FETCH of flags over what is known (and what is new) with a modifier; new UIDs fall out of it as
 * unknown ones. */
static gboolean fetch_flags(ImapSync *sync, const char *set, const char *modifier, GError **error)
{
    ImapCommand *command = imap_command_new("UID FETCH");

    imap_command_raw(imap_command_raw(command, set), "(UID FLAGS)");
    if (modifier)
        imap_command_raw(command, modifier);
    return imap_run(sync->connection, command, "FETCH", error);
}

static gboolean changes_by_condstore(ImapSync *sync, GError **error)
{
    const SyncKnown *known = &sync->job->known;
    const ImapSelected *selected = &sync->connection->selected;
    g_autofree char *modifier = NULL;
    gboolean qresync = imap_session_enabled(sync->connection->session, IMAP_CAP_QRESYNC);

    if (selected->highestmodseq == known->highestmodseq &&
        selected->uidnext == known->uidnext)
        return TRUE; /* the count is checked in any case */
    modifier = g_strdup_printf("(CHANGEDSINCE %" G_GUINT64_FORMAT "%s)", known->highestmodseq,
                               qresync ? " VANISHED" : "");
    return fetch_flags(sync, "1:*", modifier, error);
}

/* The newest @n of the known UIDs as a set. */
static char *newest(const UidSet *uids, guint64 n)
{
    g_autoptr(UidSet) set = uid_set_new();

    for (guint i = uid_set_n_ranges(uids); i > 0 && n > 0; i--) {
        UidRange range = uid_set_range(uids, i - 1);
        guint64 length = (guint64)range.high - range.low + 1;

        if (length > n)
            range.low = range.high - (guint32)n + 1;
        uid_set_add_range(set, range.low, range.high);
        n -= MIN(n, length);
    }
    /* A mailbox with so many gaps that they do not fit in one command gives its newest ones. */
    while (TRUE) {
        g_autofree char *text = uid_set_format(set);
        g_autoptr(UidSet) oldest = uid_set_new();

        if (strlen(text) <= SET_OCTETS)
            return g_steal_pointer(&text);
        uid_set_add_range(oldest, uid_set_range(set, 0).low, uid_set_range(set, 0).high);
        uid_set_remove_set(set, oldest);
    }
}

static gboolean changes_by_comparison(ImapSync *sync, GError **error)
{
    const SyncKnown *known = &sync->job->known;
    const ImapSelected *selected = &sync->connection->selected;
    guint32 next = MAX(known->uidnext, uid_set_max(sync->settled) + 1);

    if (!uid_set_is_empty(known->uids)) {
        g_autofree char *set =
            known->all_flags ? g_strdup_printf("1:%u", uid_set_max(known->uids))
                             : newest(known->uids, NEWEST_FLAGS);

        if (!fetch_flags(sync, set, NULL, error))
            return FALSE;
    }
    /* "n:*" gives the last message even if its UID is below n; it is known then. */
    if (selected->exists > 0 && (selected->uidnext == 0 || selected->uidnext > next)) {
        g_autofree char *set = g_strdup_printf("%u:*", next);

        return fetch_flags(sync, set, NULL, error);
    }
    return TRUE;
}

/* SELECT, in the way that gives the changes at once where the server can (QRESYNC).  When the
 * mailbox is selected already, its own changes since come with NOOP. */
static gboolean select_mailbox(ImapSync *sync, gboolean *ret_has_changes, GError **error)
{
    ImapConnection *connection = sync->connection;
    const SyncKnown *known = &sync->job->known;
    ImapKnown resync = {known->uidvalidity, known->highestmodseq};
    gboolean can_resync = imap_session_enabled(connection->session, IMAP_CAP_QRESYNC) &&
                          known->uidvalidity && known->highestmodseq;

    *ret_has_changes = FALSE;
    if (can_resync) {
        *ret_has_changes = TRUE;
        return imap_select_again(connection, sync->job->wire, &resync, error);
    }
    /* Of a mailbox that is selected already, a second SELECT is the one sure way to fresh UIDNEXT
     * and HIGHESTMODSEQ. */
    return imap_select_again(connection, sync->job->wire, NULL, error);
}

static gboolean synchronise(ImapSync *sync, GError **error)
{
    ImapConnection *connection = sync->connection;
    const SyncKnown *known = &sync->job->known;
    gboolean has_changes;

    if (!select_mailbox(sync, &has_changes, error))
        return FALSE;
    if (connection->selected.exists > LIMIT_MESSAGES)
        return mail_fail(error, MAIL_ERROR_TOOBIG,
                         "%s has %u messages; mailfs shows mailboxes of up to %u",
                         sync->job->wire, connection->selected.exists, LIMIT_MESSAGES);
    if (connection->selected.uidvalidity == 0)
        return mail_fail(error, MAIL_ERROR_PROTOCOL,
                         "the server gives %s no UIDVALIDITY, so its messages have no identity",
                         sync->job->wire);
    if (known->uidvalidity == 0 || known->uidvalidity != connection->selected.uidvalidity)
        return list_all(sync, error);
    if (has_changes)
        return conclude(sync, error);
    if (imap_session_has(connection->session, IMAP_CAP_CONDSTORE) && known->highestmodseq &&
        connection->selected.highestmodseq) {
        if (!changes_by_condstore(sync, error))
            return FALSE;
    } else if (!changes_by_comparison(sync, error)) {
        return FALSE;
    }
    return conclude(sync, error);
}

gboolean imap_sync_run(ImapConnection *connection, Job *job, GError **error)
{
    ImapSync sync = {.connection = connection, .job = job};
    gboolean ok;

    split_known(&sync);
    sync.vanished = uid_set_new();
    sync.unknown = uid_set_new();
    sync.listed = uid_set_new();
    sync.messages = g_ptr_array_new_with_free_func((GDestroyNotify)message_free);
    sync.flags = g_array_new(FALSE, FALSE, sizeof(FlagChange));
    sync.fetch_items = g_strdup_printf(
        "(UID FLAGS RFC822.SIZE INTERNALDATE%s%s)",
        imap_session_has(connection->session, IMAP_CAP_OBJECTID) ? " EMAILID" : "",
        job->known.want_names ? " BODY.PEEK[HEADER.FIELDS (DATE FROM SUBJECT MESSAGE-ID)]" : "");
    connection->sync = &sync;
    ok = synchronise(&sync, error);
    /* What came while the new ones were fetched, the server will not say again. */
    if (ok && imap_session_exists(connection->session) != sync.agreed)
        connection->has_changed = TRUE;
    sync_clear(&sync);
    return ok;
}
