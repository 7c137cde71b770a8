/* Bodies and those who wait for them.  See body.h. */
#include "store/body.h"
#include "base/deadline.h"

#include <unistd.h>

struct Body {
    grefcount refs;
    guint16 mailbox;
    guint64 item;
    BodyState state;
    int fd;
    guint64 size, received;
    gint64 last_progress;
    GError *error;
    GList *waits; /* of BodyWait */
};

struct BodyWait {
    Body *body; /* a reference */
    guint64 n_octets;
    BodyFunc func;
    gpointer user;
    guint source; /* its call is due */
};

Body *body_new(guint16 mailbox, guint64 item)
{
    Body *body = g_new0(Body, 1);

    g_ref_count_init(&body->refs);
    body->mailbox = mailbox;
    body->item = item;
    body->fd = -1;
    body->last_progress = deadline_now();
    return body;
}

Body *body_new_whole(guint16 mailbox, guint64 item, int fd, guint64 size)
{
    Body *body = body_new(mailbox, item);

    body->fd = fd;
    body->size = body->received = size;
    body->state = BODY_WHOLE;
    return body;
}

Body *body_ref(Body *body)
{
    g_ref_count_inc(&body->refs);
    return body;
}

void body_unref(Body *body)
{
    if (!body || !g_ref_count_dec(&body->refs))
        return;
    g_assert(body->waits == NULL); /* each holds a reference */
    if (body->fd >= 0)
        (void)close(body->fd);
    g_clear_error(&body->error);
    g_free(body);
}

BodyState body_state(const Body *body)
{
    return body->state;
}

const GError *body_error(const Body *body)
{
    return body->error;
}

guint64 body_size(const Body *body)
{
    return body->size;
}

guint64 body_received(const Body *body)
{
    return body->received;
}

int body_fd(const Body *body)
{
    return body->fd;
}

gboolean body_is_awaited(const Body *body)
{
    return body->waits != NULL;
}

gint64 body_last_progress(const Body *body)
{
    return body->last_progress;
}

guint16 body_mailbox(const Body *body)
{
    return body->mailbox;
}

guint64 body_item(const Body *body)
{
    return body->item;
}

static void wait_free(BodyWait *wait)
{
    wait->body->waits = g_list_remove(wait->body->waits, wait);
    body_unref(wait->body);
    g_free(wait);
}

static gboolean call(gpointer user)
{
    BodyWait *wait = user;
    g_autoptr(Body) body = body_ref(wait->body);
    BodyFunc func = wait->func;
    gpointer data = wait->user;

    wait_free(wait);
    func(body, data);
    return G_SOURCE_REMOVE;
}

static gboolean is_served(const Body *body, guint64 n_octets)
{
    return body->state == BODY_FAILED || body->state == BODY_WHOLE ||
           (body->state == BODY_COMING && body->received >= MIN(n_octets, body->size));
}

static void wake(Body *body)
{
    for (GList *link = body->waits; link; link = link->next) {
        BodyWait *wait = link->data;

        if (wait->source == 0 && is_served(body, wait->n_octets))
            wait->source = g_idle_add_full(G_PRIORITY_DEFAULT, call, wait, NULL);
    }
}

BodyWait *body_wait(Body *body, guint64 n_octets, BodyFunc func, gpointer user)
{
    BodyWait *wait = g_new0(BodyWait, 1);

    wait->body = body_ref(body);
    wait->n_octets = n_octets;
    wait->func = func;
    wait->user = user;
    body->waits = g_list_append(body->waits, wait);
    wake(body);
    return wait;
}

void body_wait_cancel(BodyWait *wait)
{
    if (wait->source)
        g_source_remove(wait->source);
    wait_free(wait);
}

void body_begin(Body *body, int fd, guint64 size)
{
    if (body->fd >= 0)
        (void)close(body->fd);
    body->fd = fd;
    body->size = size;
    body->received = 0;
    body->state = BODY_COMING;
    body->last_progress = deadline_now();
    wake(body);
}

void body_progress(Body *body, guint64 received)
{
    body->last_progress = deadline_now();
    if (body->state != BODY_COMING)
        return; /* it may come without its size being known before its end */
    body->received = received;
    if (received >= body->size)
        body->state = BODY_WHOLE;
    wake(body);
}

void body_fail(Body *body, const GError *error)
{
    if (body->state == BODY_WHOLE || body->state == BODY_FAILED)
        return; /* who has all octets needs nothing more */
    body->state = BODY_FAILED;
    body->error = g_error_copy(error);
    wake(body);
}
