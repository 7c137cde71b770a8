/* FETCH: messages copied into the cache, as if they came from a server.
 *
 * What is read, evicted and kept is then the same for all kinds of accounts, and a reader goes on
 * reading a message that another program removes.
 */
#include "store/maildir-worker-internal.h"
#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>

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

static Event *body_event(const Fetch *fetch, EventKind kind)
{
    Event *event = event_new(kind, fetch->job);

    event->item = fetch->item->item;
    event->size = fetch->size;
    return event;
}

static gboolean post_begin(const Fetch *fetch, GError **error)
{
    Event *event = body_event(fetch, EVENT_BODY_BEGIN);

    event->fd = fcntl(body_file_fd(fetch->body), F_DUPFD_CLOEXEC, 3);
    if (event->fd < 0) {
        mail_fail_errno(error, errno, "no descriptor for a body");
        event_free(event);
        return FALSE;
    }
    maildir_worker_post(fetch->worker, event);
    return TRUE;
}

static gboolean copy_octets(const Fetch *fetch, GError **error)
{
    g_autofree char *chunk = g_malloc(CHUNK_SIZE);
    Event *event;

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
        event = body_event(fetch, EVENT_BODY_DATA);
        event->received = done + (guint64)n;
        maildir_worker_post(fetch->worker, event);
    } while (body_file_length(fetch->body) < fetch->size);
    return TRUE;
}

static gboolean put_in_place(const Fetch *fetch, GError **error)
{
    Event *event = body_event(fetch, EVENT_BODY_WHOLE);

    if (!body_file_commit(fetch->body, fetch->job->mailbox, fetch->item->item, event->sha256,
                          error)) {
        event_free(event);
        return FALSE;
    }
    maildir_worker_post(fetch->worker, event);
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
    return body && post_begin(&fetch, error) && copy_octets(&fetch, error) &&
           put_in_place(&fetch, error);
}

static void fail_body(MaildirWorker *worker, const Job *job, const FetchItem *item,
                      const GError *error)
{
    const Fetch fetch = {.worker = worker, .job = job, .item = item};
    Event *event = body_event(&fetch, EVENT_BODY_FAILED);

    event->error = g_error_copy(error);
    maildir_worker_post(worker, event);
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
            fail_body(worker, job, item, refused);
        else if (!fetch_one(worker, job, item, &failure))
            fail_body(worker, job, item, failure);
    }
    if (is_there)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&refused));
    return FALSE;
}
