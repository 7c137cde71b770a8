/* The octets of one message: here already, on their way, or not to be had.
 *
 * Made by the store when somebody opens a message; shared by all who have it open; lives on the
 * main thread.  The connection thread writes the file, this object knows how far it got.  Who
 * needs octets that have not come waits with body_wait().
 */
#pragma once

#include <glib.h>

typedef struct Body Body;
typedef struct BodyWait BodyWait;

typedef enum {
    BODY_ASKED,  /* nothing has come yet */
    BODY_COMING, /* the size is known, octets come */
    BODY_WHOLE,  /* all octets can be read; the connection may still owe its tagged OK */
    BODY_FAILED,
} BodyState;

Body *body_ref(Body *body);
void body_unref(Body *body); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Body, body_unref)

BodyState body_state(const Body *body);
const GError *body_error(const Body *body); /* when failed */
guint64 body_size(const Body *body);        /* once coming */
guint64 body_received(const Body *body);
int body_fd(const Body *body);              /* once coming; borrowed, for pread() */
gboolean body_is_awaited(const Body *body);  /* somebody waits for it */
gint64 body_last_progress(const Body *body); /* a Deadline's clock */

/* Calls @func once, on the main loop, when @n_octets have come (or all, if fewer), 0 meaning
 * "when the size is known", or when it failed.  Always later, never from within the call. */
typedef void (*BodyFunc)(Body *body, gpointer user);
BodyWait *body_wait(Body *body, guint64 n_octets, BodyFunc func, gpointer user);
void body_wait_cancel(BodyWait *wait);

/* -- For the store ----------------------------------------------------------------------------- */

Body *body_new(guint16 mailbox, guint64 item);
Body *body_new_whole(guint16 mailbox, guint64 item, int fd, guint64 size); /* takes @fd */
guint16 body_mailbox(const Body *body);
guint64 body_item(const Body *body);
void body_begin(Body *body, int fd, guint64 size); /* takes @fd; again after a lost connection */
void body_progress(Body *body, guint64 received);
void body_fail(Body *body, const GError *error);
