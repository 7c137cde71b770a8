/* What other programs do, by inotify(7).
 *
 * cur/ and new/ of the folders in use are watched for files, PATH and the folders themselves for
 * folders.  The kernel queues what we do ourselves before the call returns, so by the time the
 * queue is read, all names that we touched are known and left out.  Whatever cannot be watched is
 * found by the poll.
 */
#include "store/maildir-worker-internal.h"
#include "store/maildir-internal.h"
#include "base/io.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
    MAX_WATCHES = 1024, /* of a user's, which are 8192 on small machines */
    READ_SIZE = 16 * 1024,
};

#define FILE_EVENTS (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR)
#define FOLDER_EVENTS (FILE_EVENTS | IN_DELETE_SELF | IN_MOVE_SELF)

void maildir_worker_note_own(MaildirWorker *worker, const char *name)
{
    if (worker->inotify_fd >= 0)
        g_hash_table_add(worker->own, g_strdup(name));
}

/* By its descriptor, so that no symlink leads elsewhere. */
static gboolean add_watch(MaildirWorker *worker, int fd, const char *wire, guint32 events)
{
    char path[32];
    int wd;

    if (g_hash_table_size(worker->watches) >= MAX_WATCHES)
        return FALSE;
    g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    wd = inotify_add_watch(worker->inotify_fd, path, events);
    if (wd < 0)
        return FALSE;
    g_hash_table_replace(worker->watches, GINT_TO_POINTER(wd), g_strdup(wire));
    return TRUE;
}

gboolean maildir_worker_is_watched(const MaildirWorker *worker, const char *wire)
{
    return g_hash_table_contains(worker->watched, wire);
}

void maildir_worker_watch(MaildirWorker *worker, const MaildirFolder *folder)
{
    const char *wire = folder ? folder->wire : "";

    if (maildir_worker_watch_fd(worker) < 0 || g_hash_table_contains(worker->watched, wire))
        return;
    if (!folder) {
        if (add_watch(worker, maildir_tree_fd(worker->tree), "", FOLDER_EVENTS))
            g_hash_table_add(worker->watched, g_strdup(""));
        return;
    }
    if (!add_watch(worker, folder->cur, wire, FILE_EVENTS) ||
        !add_watch(worker, folder->new, wire, FILE_EVENTS))
        return;
    g_hash_table_add(worker->watched, g_strdup(wire));
    if (maildir_tree_layout(worker->tree) == MAILDIR_FS)
        (void)add_watch(worker, folder->fd, "", FOLDER_EVENTS);
}


void maildir_worker_unwatch(MaildirWorker *worker, const char *wire)
{
    GHashTableIter iter;
    gpointer wd, watched;

    if (!*wire || !g_hash_table_remove(worker->watched, wire))
        return;
    g_hash_table_iter_init(&iter, worker->watches);
    while (g_hash_table_iter_next(&iter, &wd, &watched))
        if (g_str_equal(watched, wire)) {
            (void)inotify_rm_watch(worker->inotify_fd, GPOINTER_TO_INT(wd));
            g_hash_table_iter_remove(&iter);
        }
}

int maildir_worker_watch_fd(MaildirWorker *worker)
{
    if (worker->inotify_fd < 0 && worker->tree)
        worker->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return worker->inotify_fd;
}

/* -- Reading ----------------------------------------------------------------------------------- */

static void take_all(MaildirWorker *worker, GHashTable *changed)
{
    GHashTableIter iter;
    gpointer wire;

    g_hash_table_iter_init(&iter, worker->watched);
    while (g_hash_table_iter_next(&iter, &wire, NULL))
        g_hash_table_add(changed, g_strdup(wire));
    g_hash_table_add(changed, g_strdup(""));
}

static void take_event(MaildirWorker *worker, const struct inotify_event *event,
                       GHashTable *changed)
{
    gpointer wd = GINT_TO_POINTER(event->wd);
    const char *wire = g_hash_table_lookup(worker->watches, wd);
    gboolean is_folder = (event->mask & IN_ISDIR) != 0;

    if (event->mask & IN_Q_OVERFLOW) {
        take_all(worker, changed);
        return;
    }
    if (!wire)
        return;
    if (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) {
        /* The folder is gone, or has another name: the list says, and then it is watched anew. */
        g_hash_table_add(changed, g_strdup(""));
        if (*wire)
            g_hash_table_remove(worker->watched, wire);
        if (event->mask & IN_IGNORED)
            g_hash_table_remove(worker->watches, wd);
        return;
    }
    if (event->len == 0 || g_hash_table_contains(worker->own, event->name))
        return;
    if (*wire ? !is_folder && event->name[0] != '.' : is_folder)
        g_hash_table_add(changed, g_strdup(wire));
}

gboolean maildir_worker_has_news(const MaildirWorker *worker)
{
    return worker->list_changed;
}

static void read_events(MaildirWorker *worker, GHashTable *changed)
{
    union {
        struct inotify_event event;
        char octets[READ_SIZE];
    } buffer;
    gssize n;

    while ((n = read(worker->inotify_fd, buffer.octets, sizeof buffer.octets)) > 0)
        for (gssize at = 0; at < n;) {
            const struct inotify_event *event = (const void *)(buffer.octets + at);

            take_event(worker, event, changed);
            at += (gssize)(sizeof *event + event->len);
        }
}

static void post_changed(MaildirWorker *worker, const char *wire)
{
    Event *event = event_new(EVENT_CHANGED, NULL);

    event->wire = g_strdup(wire);
    maildir_worker_post(worker, event);
}

void maildir_worker_watch_look(MaildirWorker *worker)
{
    g_autoptr(GHashTable) changed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer wire;

    if (worker->inotify_fd < 0)
        return;
    read_events(worker, changed);
    g_hash_table_remove_all(worker->own);
    worker->list_changed = g_hash_table_remove(changed, "") || worker->list_changed;
    g_hash_table_iter_init(&iter, changed);
    while (g_hash_table_iter_next(&iter, &wire, NULL)) {
        MaildirState *state = g_hash_table_lookup(worker->states, wire);

        if (state)
            state->stood = 0;
        post_changed(worker, wire);
    }
}

void maildir_worker_watch_read(MaildirWorker *worker)
{
    maildir_worker_watch_look(worker);
    if (worker->list_changed)
        post_changed(worker, "");
    worker->list_changed = FALSE;
}
