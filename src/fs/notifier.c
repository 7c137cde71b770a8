/* The notifier's thread and queue.  See notifier.h. */
#include <fuse_lowlevel.h>

#include "fs/notifier.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    guint64 inode; /* the directory of an entry, or the inode itself */
    char name[];   /* "" for an inode */
} Note;

struct Notifier {
    struct fuse_session *session;
    char *mountpoint;
    GThread *thread;
    GMutex lock;
    GCond changed;
    GQueue queue;      /* of Note */
    GHashTable *known; /* the same notes, to find duplicates */
    GHashTable *held;  /* inode -> count */
    guint64 sending;   /* the directory whose entry is being announced now, or 0 */
    gboolean is_stopping;
    int is_ended; /* atomic */
};

static guint note_hash(gconstpointer key)
{
    const Note *note = key;

    return g_str_hash(note->name) ^ (guint)note->inode ^ (guint)(note->inode >> 32);
}

static gboolean note_equal(gconstpointer a, gconstpointer b)
{
    const Note *x = a, *y = b;

    return x->inode == y->inode && strcmp(x->name, y->name) == 0;
}

static void send_note(Notifier *notifier, const Note *note)
{
    /* -ENOENT only says that the kernel did not know it anyway. */
    if (*note->name)
        (void)fuse_lowlevel_notify_inval_entry(notifier->session, note->inode, note->name,
                                               strlen(note->name));
    else
        (void)fuse_lowlevel_notify_inval_inode(notifier->session, note->inode, -1, 0);
}

static Note *take(Notifier *notifier)
{
    for (GList *link = notifier->queue.head; link; link = link->next) {
        Note *note = link->data;

        if (g_hash_table_contains(notifier->held, &note->inode))
            continue;
        g_queue_delete_link(&notifier->queue, link);
        g_hash_table_remove(notifier->known, note);
        return note;
    }
    return NULL;
}

/* Without it (before Linux 5.9) the thread shares what the others have. */
static void keep_only(unsigned fd)
{
    unsigned first = STDERR_FILENO + 1;

    if (close_range(fd + 1, ~0U, CLOSE_RANGE_UNSHARE) == 0 && fd > first)
        (void)close_range(first, fd - 1, 0);
}

/* The kernel makes the root with no permissions at all and asks for its attributes at the first
 * use.  An announcement that comes between makes it drop the answer as outdated, and the user is
 * refused (EACCES) what is his own.  So the attributes are there before anything is announced. */
static void load_root(const Notifier *notifier)
{
    struct stat st;

    (void)stat(notifier->mountpoint, &st); /* gone already: nobody is there to be refused */
}

static gpointer run(gpointer data)
{
    Notifier *notifier = data;

    keep_only((unsigned)fuse_session_fd(notifier->session));
    load_root(notifier);
    g_mutex_lock(&notifier->lock);
    while (!notifier->is_stopping) {
        g_autofree Note *note = take(notifier);

        if (!note) {
            g_cond_wait(&notifier->changed, &notifier->lock);
            continue;
        }
        notifier->sending = *note->name ? note->inode : 0;
        g_mutex_unlock(&notifier->lock);
        send_note(notifier, note);
        g_mutex_lock(&notifier->lock);
        notifier->sending = 0;
    }
    g_mutex_unlock(&notifier->lock);
    g_atomic_int_set(&notifier->is_ended, 1);
    return NULL;
}

Notifier *notifier_new(struct fuse_session *session, const char *mountpoint)
{
    Notifier *notifier = g_new0(Notifier, 1);

    notifier->session = session;
    notifier->mountpoint = g_strdup(mountpoint);
    g_mutex_init(&notifier->lock);
    g_cond_init(&notifier->changed);
    g_queue_init(&notifier->queue);
    notifier->known = g_hash_table_new(note_hash, note_equal);
    notifier->held = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    notifier->thread = g_thread_new("notifier", run, notifier);
    return notifier;
}

void notifier_stop(Notifier *notifier)
{
    g_mutex_lock(&notifier->lock);
    notifier->is_stopping = TRUE;
    g_cond_signal(&notifier->changed);
    g_mutex_unlock(&notifier->lock);
}

gboolean notifier_is_ended(const Notifier *notifier)
{
    return g_atomic_int_get(&notifier->is_ended);
}

void notifier_free(Notifier *notifier)
{
    if (!notifier)
        return;
    g_assert(notifier_is_ended(notifier));
    g_thread_join(notifier->thread);
    g_queue_clear_full(&notifier->queue, g_free);
    g_hash_table_unref(notifier->known);
    g_hash_table_unref(notifier->held);
    g_mutex_clear(&notifier->lock);
    g_cond_clear(&notifier->changed);
    g_free(notifier->mountpoint);
    g_free(notifier);
}

static void push(Notifier *notifier, guint64 inode, const char *name)
{
    gsize length = strlen(name) + 1;
    Note *note = g_malloc(sizeof *note + length);

    note->inode = inode;
    memcpy(note->name, name, length);
    g_mutex_lock(&notifier->lock);
    if (g_hash_table_contains(notifier->known, note)) {
        g_free(note);
    } else {
        g_hash_table_add(notifier->known, note);
        g_queue_push_tail(&notifier->queue, note);
        g_cond_signal(&notifier->changed);
    }
    g_mutex_unlock(&notifier->lock);
}

void notifier_entry(Notifier *notifier, guint64 directory, const char *name)
{
    push(notifier, directory, name);
}

void notifier_inode(Notifier *notifier, guint64 inode)
{
    push(notifier, inode, "");
}

void notifier_drop_entry(Notifier *notifier, guint64 directory, const char *name)
{
    gsize length = strlen(name) + 1;
    g_autofree Note *wanted = g_malloc(sizeof *wanted + length);
    Note *note;

    wanted->inode = directory;
    memcpy(wanted->name, name, length);
    g_mutex_lock(&notifier->lock);
    note = g_hash_table_lookup(notifier->known, wanted);
    if (note) {
        g_hash_table_remove(notifier->known, note);
        g_queue_remove(&notifier->queue, note);
        g_free(note);
    }
    g_mutex_unlock(&notifier->lock);
}

gboolean notifier_hold(Notifier *notifier, guint64 directory)
{
    gboolean is_sending;
    guint n;

    g_mutex_lock(&notifier->lock);
    n = GPOINTER_TO_UINT(g_hash_table_lookup(notifier->held, &directory));
    g_hash_table_insert(notifier->held, g_memdup2(&directory, sizeof directory),
                        GUINT_TO_POINTER(n + 1));
    is_sending = notifier->sending == directory;
    g_mutex_unlock(&notifier->lock);
    return is_sending;
}

void notifier_release(Notifier *notifier, guint64 directory)
{
    guint n;

    g_mutex_lock(&notifier->lock);
    n = GPOINTER_TO_UINT(g_hash_table_lookup(notifier->held, &directory));
    if (n > 1)
        g_hash_table_insert(notifier->held, g_memdup2(&directory, sizeof directory),
                            GUINT_TO_POINTER(n - 1));
    else
        g_hash_table_remove(notifier->held, &directory);
    g_cond_signal(&notifier->changed);
    g_mutex_unlock(&notifier->lock);
}
