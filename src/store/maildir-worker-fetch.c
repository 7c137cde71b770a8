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
};

static Event *body_event(const Job *job, guint64 item, EventKind kind, guint64 size)
{
    Event *event = event_new(kind, job);

    event->item = item;
    event->size = size;
    return event;
}

static gboolean post_begin(MaildirWorker *worker, const Job *job, const FetchItem *item,
                           const BodyFile *body, guint64 size, GError **error)
{
    Event *event = body_event(job, item->item, EVENT_BODY_BEGIN, size);

    event->fd = fcntl(body_file_fd(body), F_DUPFD_CLOEXEC, 3);
    if (event->fd < 0) {
        mail_fail_errno(error, errno, "no descriptor for a body");
        event_free(event);
        return FALSE;
    }
    maildir_worker_post(worker, event);
    return TRUE;
}

static gboolean copy_octets(MaildirWorker *worker, const Job *job, const FetchItem *item,
                            BodyFile *body, int fd, guint64 size, GError **error)
{
    g_autofree char *chunk = g_malloc(CHUNK_SIZE);
    Event *event;

    do {
        guint64 done = body_file_length(body);
        gssize n = io_pread_all(fd, chunk, (gsize)MIN(size - done, CHUNK_SIZE), (goffset)done,
                                error);

        if (n < 0 || (n > 0 && !body_file_append(body, chunk, (gsize)n, error)))
            return FALSE;
        if (n == 0 && done < size)
            return mail_fail(error, MAIL_ERROR_PROTOCOL,
                             "message %u of %s became shorter while it was read", item->uid,
                             job->wire);
        event = body_event(job, item->item, EVENT_BODY_DATA, size);
        event->received = done + (guint64)n;
        maildir_worker_post(worker, event);
    } while (body_file_length(body) < size);
    return TRUE;
}

static gboolean fetch_from(MaildirWorker *worker, const Job *job, const FetchItem *item, int fd,
                           guint64 size, GError **error)
{
    g_autoptr(BodyFile) body = body_file_new(worker->params.disk, error);
    Event *event;

    if (!body || !post_begin(worker, job, item, body, size, error) ||
        !copy_octets(worker, job, item, body, fd, size, error))
        return FALSE;
    event = body_event(job, item->item, EVENT_BODY_WHOLE, size);
    if (!body_file_commit(body, job->mailbox, item->item, event->sha256, error)) {
        event_free(event);
        return FALSE;
    }
    maildir_worker_post(worker, event);
    return TRUE;
}

static gboolean fetch_one(MaildirWorker *worker, const Job *job, const FetchItem *item,
                          GError **error)
{
    guint64 size;
    autofd int fd = maildir_worker_open_message(worker, job->wire, item->uid, &size, error);

    return fd >= 0 && fetch_from(worker, job, item, fd, size, error);
}

static void fail_body(MaildirWorker *worker, const Job *job, const FetchItem *item,
                      const GError *error)
{
    Event *event = body_event(job, item->item, EVENT_BODY_FAILED, 0);

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
