/* Bodies: literals streamed from the server into files of the cache.
 *
 * One UID a command for somebody who waits, sets of UIDs for read-ahead, up to three commands in
 * flight.  A reader may have the octets as they come (EVENT_BODY_BEGIN hands out the file's
 * descriptor), but a body counts as whole, and is moved into its place, only when the literal
 * was complete and the tagged OK came.
 */
#include "store/imap-internal.h"
#include "base/error.h"
#include "base/limits.h"
#include "store/body-event.h"

enum {
    COMMANDS_IN_FLIGHT = 3,
    PROGRESS_OCTETS = 256 * 1024, /* how often a waiting reader is told, */
    PROGRESS_USEC = 1000 * 1000,  /* and at least after this, so that a slow link shows life */
};

/* One body that was asked for. */
typedef struct {
    FetchItem item;
    BodyFile *file;
    GError *error; /* local: the disk is full */
    guint64 size;
    guint64 told;   /* octets that the main thread knows of */
    gint64 told_at; /* deadline_now() */
    gboolean is_complete;
    gboolean is_nil;
} Wanted;

/* One command in flight. */
struct ImapFetchRun {
    Job *job;
    guint command;
    GPtrArray *wanted; /* of Wanted */
    Wanted *current;   /* whose literal is coming */
    guint next;        /* where the next UID is likely to be found */
};

static void wanted_free(gpointer data)
{
    Wanted *wanted = data;

    body_file_free(wanted->file);
    g_clear_error(&wanted->error);
    g_free(wanted);
}

static void run_free(ImapFetchRun *run)
{
    g_ptr_array_unref(run->wanted);
    g_free(run);
}

/* -- Data from the session --------------------------------------------------------------------- */

static Wanted *find_in(ImapFetchRun *run, guint32 uid)
{
    /* Answers come in the order of the UIDs, nearly always. */
    for (guint i = 0; i < run->wanted->len; i++) {
        guint at = (run->next + i) % run->wanted->len;
        Wanted *wanted = g_ptr_array_index(run->wanted, at);

        if (wanted->item.uid == uid && !wanted->is_complete) {
            run->next = at + 1;
            return wanted;
        }
    }
    return NULL;
}

static Wanted *find(ImapConnection *connection, guint32 uid, ImapFetchRun **ret_run)
{
    for (guint i = 0; i < connection->fetches->len; i++) {
        ImapFetchRun *run = g_ptr_array_index(connection->fetches, i);
        Wanted *wanted = NULL;

        if (uid != 0)
            wanted = find_in(run, uid);
        else if (i == 0 && run->wanted->len == 1)
            wanted = g_ptr_array_index(run->wanted, 0); /* the only one it can be */
        if (wanted) {
            *ret_run = run;
            return wanted;
        }
    }
    return NULL;
}

static ImapFetchRun *current_run(ImapConnection *connection)
{
    for (guint i = 0; i < connection->fetches->len; i++) {
        ImapFetchRun *run = g_ptr_array_index(connection->fetches, i);

        if (run->current)
            return run;
    }
    return NULL;
}

void imap_fetch_begin(ImapConnection *connection, guint32 uid, guint64 size)
{
    ImapFetchRun *run;
    Wanted *wanted = find(connection, uid, &run);
    Event *event;

    if (!wanted || wanted->file || wanted->error)
        return; /* nobody asked for it, or it came before: its octets are let go */
    wanted->size = size;
    wanted->told_at = deadline_now();
    run->current = wanted;
    wanted->file = body_file_new(imap_disk(connection), &wanted->error);
    if (!wanted->file)
        return;
    event = body_event_begin(run->job, &wanted->item, size, wanted->file, &wanted->error);
    if (event)
        imap_post(connection, event);
}

void imap_fetch_data(ImapConnection *connection, const void *data, gsize length)
{
    ImapFetchRun *run = current_run(connection);
    Wanted *wanted = run ? run->current : NULL;
    guint64 have;

    if (!wanted || wanted->error ||
        !body_file_append(wanted->file, data, length, &wanted->error))
        return;
    have = body_file_length(wanted->file);
    if (have - wanted->told >= PROGRESS_OCTETS || have == wanted->size ||
        deadline_now() - wanted->told_at >= PROGRESS_USEC) {
        wanted->told = have;
        wanted->told_at = deadline_now();
        imap_post(connection, body_event_data(run->job, &wanted->item, have));
    }
}

void imap_fetch_end(ImapConnection *connection, const ImapFetch *fetch)
{
    ImapFetchRun *run = current_run(connection);
    Wanted *wanted;

    if (!run && fetch->uid && fetch->body_is_nil) {
        wanted = find(connection, fetch->uid, &run);
        if (wanted)
            wanted->is_nil = TRUE;
        return;
    }
    if (!run)
        return;
    wanted = g_steal_pointer(&run->current);
    if (fetch->uid && fetch->uid != wanted->item.uid) {
        /* The UID came after the literal and is another one: what arrived is not what was
         * asked for. */
        mail_fail(&wanted->error, MAIL_ERROR_PROTOCOL,
                  "the server sent message %u instead of %u", fetch->uid, wanted->item.uid);
        return;
    }
    wanted->is_complete = fetch->body_length == wanted->size;
    if (wanted->size == 0 && wanted->file)
        imap_post(connection, body_event_data(run->job, &wanted->item, 0));
}

/* -- Commands ---------------------------------------------------------------------------------- */

static ImapFetchRun *send_fetch(ImapConnection *connection, Job *job, GError **error)
{
    ImapFetchRun *run = g_new0(ImapFetchRun, 1);
    g_autofree char *set = uid_set_format(job->uids);
    ImapCommand *command = imap_command_new("UID FETCH");

    imap_command_raw(imap_command_raw(command, set), "(UID BODY.PEEK[])");
    run->job = job;
    run->wanted = g_ptr_array_new_with_free_func(wanted_free);
    for (guint i = 0; i < job->items->len; i++) {
        Wanted *wanted = g_new0(Wanted, 1);

        wanted->item = g_array_index(job->items, FetchItem, i);
        g_ptr_array_add(run->wanted, wanted);
    }
    run->command = imap_send(connection, command, "FETCH", error);
    if (run->command == 0) {
        run_free(run);
        return NULL;
    }
    return run;
}

static void fail_body(ImapConnection *connection, const ImapFetchRun *run, const Wanted *wanted,
                      const GError *error)
{
    imap_post(connection, body_event_failed(run->job, &wanted->item, error));
}

/* After the tagged OK: into place, or the reason why not. */
static void settle(ImapConnection *connection, ImapFetchRun *run, Wanted *wanted)
{
    g_autoptr(GError) error = NULL;
    Event *event;

    if (wanted->error) {
        fail_body(connection, run, wanted, wanted->error);
        return;
    }
    if (wanted->is_nil) {
        /* Listed, but not to be had: gone since, or damaged on the server. */
        mail_fail(&error, MAIL_ERROR_GONE, "the server gives no text for message %u of %s",
                  wanted->item.uid, run->job->wire);
        fail_body(connection, run, wanted, error);
        return;
    }
    if (!wanted->is_complete) {
        mail_fail(&error, MAIL_ERROR_GONE, "message %u is no longer in %s", wanted->item.uid,
                  run->job->wire);
        fail_body(connection, run, wanted, error);
        connection->has_changed = TRUE;
        return;
    }
    event = body_event_whole(run->job, &wanted->item, wanted->file, &error);
    if (event)
        imap_post(connection, event);
    else
        fail_body(connection, run, wanted, error);
}

static void settle_all(ImapConnection *connection, ImapFetchRun *run, const GError *refused)
{
    for (guint i = 0; i < run->wanted->len; i++) {
        Wanted *wanted = g_ptr_array_index(run->wanted, i);

        if (refused && !wanted->is_complete)
            fail_body(connection, run, wanted, refused);
        else
            settle(connection, run, wanted);
    }
}

/* The connection is gone.  Readers of half a body are told by its failure, and the job is tried
 * again by whoever gets it. */
static void abandon(ImapConnection *connection, GPtrArray *ret_unfinished, const GError *error)
{
    while (connection->fetches->len > 0) {
        ImapFetchRun *run = g_ptr_array_steal_index(connection->fetches, 0);

        if (run->job->n_tries > 0)
            settle_all(connection, run, error);
        g_ptr_array_add(ret_unfinished, run->job);
        run_free(run);
    }
}

/* Whether what was selected is what the job is about.  The mailbox may have been deleted under
 * this connection and made anew; and a session need not know of messages that came after its
 * SELECT (RFC 3501, 7.3.1: EXISTS is told when a command allows it), Dovecot's and Courier's do
 * not. */
static gboolean is_selected_for(const ImapConnection *connection, const Job *job)
{
    const FetchItem *last = &g_array_index(job->items, FetchItem, job->items->len - 1);

    return connection->selected.uidvalidity == job->uidvalidity &&
           last->uid < connection->selected.uidnext;
}

/* A server that gives no UIDNEXT with SELECT (Courier) is asked for its newest UID, or nobody could
 * say of which messages the session knows. */
static gboolean learn_uidnext(ImapConnection *connection, GError **error)
{
    g_autoptr(GError) refused = NULL;
    g_autoptr(UidSet) newest = NULL;

    if (connection->selected.uidnext || imap_session_exists(connection->session) == 0)
        return TRUE;
    imap_count(connection, "SEARCH");
    newest = imap_session_search(connection->session, "*", &refused);
    if (newest && !uid_set_is_empty(newest) && uid_set_max(newest) < G_MAXUINT32)
        connection->selected.uidnext = uid_set_max(newest) + 1;
    if (newest || !imap_is_fatal(refused))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&refused));
    return FALSE;
}

static gboolean select_for(ImapConnection *connection, const Job *job, GError **error)
{
    const char *selected = imap_session_selected(connection->session);
    gboolean was_selected = selected && g_str_equal(selected, job->wire);

    if (!(was_selected && is_selected_for(connection, job)) &&
        !imap_select_again(connection, job->wire, NULL, error))
        return FALSE;
    if (connection->selected.uidvalidity != job->uidvalidity) {
        connection->has_changed = TRUE;
        return mail_fail(error, MAIL_ERROR_GONE,
                         "%s was made anew on the server; its messages have other numbers now",
                         job->wire);
    }
    return learn_uidnext(connection, error);
}

static void refuse(ImapConnection *connection, Job *job, GError *error)
{
    for (guint i = 0; i < job->items->len; i++) {
        const FetchItem *item = &g_array_index(job->items, FetchItem, i);

        imap_post(connection, body_event_failed(job, item, error));
    }
    imap_finish(connection, job, error);
}

/* Keeps the pipeline full with what the queue has of the same kind. */
static gboolean fill(ImapConnection *connection, Job *job, GError **error)
{
    while (connection->fetches->len < COMMANDS_IN_FLIGHT) {
        Job *next = imap_take_job(connection, job);
        ImapFetchRun *run;

        if (!next)
            return TRUE;
        if (!is_selected_for(connection, next)) {
            imap_put_back(connection, next);
            return TRUE;
        }
        run = send_fetch(connection, next, error);
        if (!run) {
            imap_finish(connection, next, *error);
            return FALSE;
        }
        g_ptr_array_add(connection->fetches, run);
    }
    return TRUE;
}

gboolean imap_fetch_run(ImapConnection *connection, Job *job, GPtrArray *ret_unfinished,
                        GError **error)
{
    g_autoptr(GError) failure = NULL;
    gboolean is_alone = job->priority == JOB_INTERACTIVE; /* @job may be gone before the end */
    ImapFetchRun *first;

    if (!select_for(connection, job, &failure)) {
        if (imap_is_fatal(failure))
            g_ptr_array_add(ret_unfinished, job);
        else
            refuse(connection, job, failure);
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    first = send_fetch(connection, job, error);
    if (!first) {
        g_ptr_array_add(ret_unfinished, job);
        return FALSE;
    }
    g_ptr_array_add(connection->fetches, first);
    while (connection->fetches->len > 0) {
        ImapFetchRun *run = g_ptr_array_index(connection->fetches, 0);
        g_autoptr(GError) refused = NULL;

        if ((!is_alone && !fill(connection, run->job, &failure)) ||
            (!imap_session_wait(connection->session, run->command, NULL, &refused) &&
             imap_is_fatal(refused))) {
            if (!failure)
                failure = g_steal_pointer(&refused);
            abandon(connection, ret_unfinished, failure);
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
        g_ptr_array_steal_index(connection->fetches, 0);
        settle_all(connection, run, refused);
        imap_finish(connection, run->job, NULL);
        run_free(run);
    }
    return TRUE;
}
