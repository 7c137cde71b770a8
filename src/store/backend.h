/* The seam between what mailfs shows and the protocol that it comes from.
 *
 * Nothing above knows which protocol an account speaks, except through what its backend says it
 * can do.  All members are called on the main thread and return at once; answers are events.
 */
#pragma once

#include <glib.h>

#include "base/broker.h"
#include "config/config.h"
#include "store/job.h"

typedef struct Backend Backend;

/* Called on the main context; takes the event. */
typedef void (*BackendEventFunc)(Event *event, gpointer user);

typedef struct {
    const ConfigAccount *config; /* borrowed, as the others, for the backend's life */
    Broker *broker;
    Disk *disk; /* for body files only */
    const char *state_dir; /* of the account: what a backend itself must remember */
    const char *wirelog_dir; /* or NULL */
    BackendEventFunc event;
    gpointer user;
} BackendParams;

typedef struct {
    /* Starts connecting, and goes on trying until stop().  Never blocks. */
    Backend *(*start)(const BackendParams *params);

    /* Ends all connections and threads; jobs come back no more, and no event is delivered after
     * it returns.  Blocks until the threads are gone: they are woken, so for milliseconds. */
    void (*stop)(Backend *backend);

    /* Takes the job.  It comes back with EVENT_DONE; FETCH first says for each item whether it
     * is whole or failed.  Reads are tried again once on a fresh connection. */
    void (*submit)(Backend *backend, Job *job);

    /* Nobody waits for this job any more: taken out if no connection has begun it (no event
     * follows then, TRUE is returned), left alone otherwise. */
    gboolean (*withdraw)(Backend *backend, guint64 job);

    /* The job got no octet for too long: its connection is given up (its other jobs are tried
     * again on a new one). */
    void (*give_up)(Backend *backend, guint64 job);

    /* Connects now instead of at the end of the back-off, also after refused credentials. */
    void (*reconnect)(Backend *backend);

    /* Which mailbox the watching connection should select when it is idle. */
    void (*watch)(Backend *backend, const char *wire);

    /* The wire form of one path component. */
    char *(*encode)(const char *component);
    /* The decoded components of a wire name; the caller owns them. */
    char **(*path)(const char *wire, char delimiter);

    /* Counters since the start: GHashTable of command name -> GUINT_TO_POINTER(count).  The
     * caller owns the table. */
    GHashTable *(*traffic)(Backend *backend, guint64 *ret_octets_in, guint64 *ret_octets_out,
                           guint *ret_n_connections);

    /* Where messages are kept as the octets that were given; otherwise they are sent, and come
     * back, with every line ending in CRLF. */
    gboolean keeps_octets;

    /* Jobs are taken whatever the link's state is: there are mailboxes that need no connection, and
     * jobs that do need one fail at once with why there is none. */
    gboolean works_offline;

    guint max_connections; /* 0: as connections= says */

    /* TRUE for mailboxes whose messages are removed by EXPUNGE alone, which notes it and is carried
     * out later (EVENT_OWED): the backend itself puts into Trash what is here, for with a MOVE all
     * that is removed would have to be fetched first.  NULL: there are none. */
    gboolean (*removes_later)(const char *wire);
    /* How many removals are noted in @state_dir, of an account that was not started; whose lock the
     * caller has.  0 where that cannot be read.  NULL: there are none. */
    guint (*owed)(const char *state_dir);
    /* Gives them up, but for those that are being carried out; their messages are shown again.
     * @backend NULL: as above; otherwise it happens soon, and EVENT_OWED tells. */
    gboolean (*give_up_owed)(Backend *backend, const char *state_dir, GError **error);
} BackendOps;

extern const BackendOps imap_backend_ops;
extern const BackendOps maildir_backend_ops;
extern const BackendOps pop3_backend_ops;
