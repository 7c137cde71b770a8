/* FETCH: messages copied into the cache, as if they came from a server.
 *
 * What is read, evicted and kept is then the same for all kinds of accounts, and a reader goes on
 * reading a message that another program removes.
 */
#include "store/maildir-worker-internal.h"
#include "base/error.h"
#include "base/io.h"
#include "store/body-event.h"

enum {
    CHUNK_SIZE = 256 * 1024, /* as often is a waiting reader told */
    PAUSE_MESSAGES = 16,
};

/* One body on its way. */
typedef struct {
    MaildirWorker *worker;
    const Job *job;
    const FetchItem *item;
    int fd; /* the message's file */
    guint64 size;
    BodyFile *body;
} Fetch;

/* @event NULL: it could not be made. */
static gboolean post(const Fetch *fetch, Event *event)
{
    if (event)
        maildir_worker_post(fetch->worker, event);
    return event != NULL;
}

static gboolean copy_octets(const Fetch *fetch, GError **error)
{
    g_autofree char *chunk = g_malloc(CHUNK_SIZE);

    do {
        guint64 done = body_file_length(fetch->body);
        gssize n = io_pread_all(fetch->fd, chunk, (gsize)MIN(fetch->size - done, CHUNK_SIZE),
                                (goffset)done, error);

        if (n < 0 || (n > 0 && !body_file_append(fetch->body, chunk, (gsize)n, error)))
            return FALSE;
        if (n == 0 && done < fetch->size)
            return mail_fail(error, MAIL_ERROR_PROTOCOL,
                             "message %u of %s became shorter while it was read",
                             fetch->item->uid, fetch->job->wire);
        post(fetch, body_event_data(fetch->job, fetch->item, done + (guint64)n));
    } while (body_file_length(fetch->body) < fetch->size);
    return TRUE;
}

static gboolean fetch_one(MaildirWorker *worker, const Job *job, const FetchItem *item,
                          GError **error)
{
    Fetch fetch = {.worker = worker, .job = job, .item = item};
    autofd int fd =
        maildir_worker_open_message(worker, job->wire, item->uid, &fetch.size, error);
    g_autoptr(BodyFile) body = fd < 0 ? NULL : body_file_new(worker->params.disk, error);

    fetch.fd = fd;
    fetch.body = body;
    return body && post(&fetch, body_event_begin(job, item, fetch.size, body, error)) &&
           copy_octets(&fetch, error) && post(&fetch, body_event_whole(job, item, body, error));
}

gboolean maildir_worker_fetch(MaildirWorker *worker, Job *job, GError **error)
{
    g_autoptr(GError) refused = NULL;
    MaildirState *state;
    MaildirFolder *folder =
        maildir_worker_enter(worker, job->wire, job->uidvalidity, &state, &refused);
    gboolean is_there = folder != NULL;

    maildir_folder_free(folder);
    for (guint i = 0; i < job->items->len; i++) {
        const FetchItem *item = &g_array_index(job->items, FetchItem, i);
        g_autoptr(GError) failure = NULL;

        if (is_there && i % PAUSE_MESSAGES == PAUSE_MESSAGES - 1)
            is_there = maildir_worker_pause(worker, job, &refused);
        if (!is_there)
            maildir_worker_post(worker, body_event_failed(job, item, refused));
        else if (!fetch_one(worker, job, item, &failure))
            maildir_worker_post(worker, body_event_failed(job, item, failure));
    }
    if (is_there)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&refused));
    return FALSE;
}
