/* Telling the kernel what it may no longer believe.
 *
 * Entries and attributes are cached by the kernel for a day, so every change must be announced.
 * An announcement can block for as long as a request on the same directory is unanswered, and
 * one that is sent from the thread that would have to answer hangs for ever (measured).  So
 * a thread of its own sends them, from a queue that forgets duplicates, holds no lock while it
 * sends, and skips a directory while a LOOKUP there is unanswered.
 *
 * State first: the model has the change before it is announced.
 *
 * A process that is killed while an announcement waits for one of its requests cannot end, for its
 * thread waits on.  So that thread has a table of descriptors of its own, with nothing in it but
 * /dev/fuse: locks, connections and the supervisor's channel go with the others, and the supervisor
 * ends the request.
 */
#pragma once

#include <glib.h>

struct fuse_session;
typedef struct Notifier Notifier;

/* Starts the thread, whose first act is a stat() of @mountpoint: it begins to announce when
 * requests are being answered. */
Notifier *notifier_new(struct fuse_session *session, const char *mountpoint);

/* The thread may be in the middle of an announcement that ends only when a request has been
 * answered: so stop, go on answering until it has ended, then free. */
void notifier_stop(Notifier *notifier);
gboolean notifier_is_ended(const Notifier *notifier);
void notifier_free(Notifier *notifier); /* NULL is fine */

/* The entry @name of the directory is not what it was: added, removed, or another. */
void notifier_entry(Notifier *notifier, guint64 directory, const char *name);
/* The attributes of an inode changed (never its octets: bodies do not change). */
void notifier_inode(Notifier *notifier, guint64 inode);

/* Between the two, announcements for the directory wait.  TRUE: one is being sent at this moment,
 * and so waits in the kernel for the lock that the request holds. */
gboolean notifier_hold(Notifier *notifier, guint64 directory);
void notifier_release(Notifier *notifier, guint64 directory);

/* What is queued for the entry is not needed: the kernel learns the same from an answer. */
void notifier_drop_entry(Notifier *notifier, guint64 directory, const char *name);
