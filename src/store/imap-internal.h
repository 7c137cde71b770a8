/* Between the files of the IMAP backend: a connection's thread and what it is busy with.
 *
 *   imap-backend.c     the main thread's side: jobs in, events out, start and stop
 *   imap-connection.c  a connection's thread: connecting, back-off, running jobs, watching
 *   imap-jobs.c        which jobs a connection takes, and how it gives them back
 *   imap-handler.c     data from the session to the job that wants it
 *   imap-sync.c        one mailbox: listing it, and what changed since
 *   imap-fetch.c       bodies
 *   imap-list.c        mailboxes, STATUS, quota
 *   imap-change.c      changes: APPEND, COPY and MOVE, STORE, and what they have in common
 *   imap-find.c        which message is this file?
 *   imap-expunge.c     messages removed for good
 *   imap-folder.c      CREATE, DELETE, RENAME
 *
 * All of it runs on connection threads but for the BackendOps in imap-backend.c.
 */
#pragma once

#include "client/imap-session.h"
#include "store/event-queue.h"

typedef struct ImapBackend ImapBackend;
typedef struct ImapConnection ImapConnection;

/* What a job wants of the data that comes while it runs; the others go to the watch. */
typedef struct ImapSync ImapSync;
typedef struct ImapFetchRun ImapFetchRun;
typedef struct ImapList ImapList;
typedef struct ImapChange ImapChange;

enum { IMAP_MAX_CONNECTIONS = 16 };

struct ImapBackend {
    /* Set once. */
    BackendParams params;
    EventQueue *events; /* to the main thread */
    JobQueue *queue;
    guint n_connections;
    ImapConnection *connections[IMAP_MAX_CONNECTIONS];

    /* Under the lock. */
    GMutex lock;
    gboolean is_stopping;
    gboolean is_online;
    guint n_allowed; /* connections that the server lets us have */
    Deadline relearn;
    char *watched; /* wire name, or NULL */
    GHashTable *counts;
    guint64 octets_in, octets_out;
    guint n_open;

    /* Atomic. */
    int retry_now; /* somebody asked for a connection: the back-off is over */
    int n_ended;   /* threads that are at their end */
    int n_refused; /* see SessionParams */
};

struct ImapConnection {
    /* Set once. */
    ImapBackend *backend;
    guint number; /* 0 watches */
    GThread *thread;
    Cancel *wake; /* a job has come, or the end */

    /* This thread's. */
    ImapSession *session; /* NULL when not connected */
    ImapSelected selected; /* of imap_session_selected() */
    gboolean is_notified;  /* NOTIFY is set */
    gboolean has_changed;  /* unasked data about the selected mailbox came */
    gboolean list_changed; /* ... about the list of mailboxes */
    GPtrArray *namespaces; /* prefixes of this session's NAMESPACE; NULL: not asked yet */
    guint n_failures;      /* to connect, in a row */
    Deadline retry;        /* not before */
    gint64 opened;         /* deadline_now() when the session was */
    ImapSync *sync;
    GPtrArray *fetches; /* of ImapFetchRun, in the order they were sent */
    ImapList *list;
    ImapChange *change;
    guint64 counted_in, counted_out; /* octets of this session that are in the sums */

    /* Under the backend's lock. */
    Cancel *cancel;  /* of the session, to give it up */
    GArray *running; /* ids of the jobs at work */
};

/* What connection @number does when @n_allowed may be open: how many of @ret_roles. */
enum { IMAP_MAX_ROLES = 4 };
guint imap_roles(guint number, guint n_allowed, JobRoles ret_roles[IMAP_MAX_ROLES]);

/* The thread. */
gpointer imap_connection_main(gpointer connection);

/* Hands @event to the main thread. */
void imap_post(ImapConnection *connection, Event *event);

/* As imap_session_send/run(), counting the command under its first word that is not UID. */
guint imap_send(ImapConnection *connection, ImapCommand *command, const char *name,
                GError **error);
gboolean imap_run(ImapConnection *connection, ImapCommand *command, const char *name,
                  GError **error);
void imap_count(ImapConnection *connection, const char *name);

/* Selects @wire read-only unless it is selected, in whichever way: who may write may read. */
gboolean imap_select(ImapConnection *connection, const char *wire, GError **error);
/* Selects it for writing in any case; connection->selected.is_readonly where the server gives it
 * for reading only. */
gboolean imap_select_to_write(ImapConnection *connection, const char *wire, GError **error);
/* Selects it in any case, with @known (may be NULL) by QRESYNC. */
gboolean imap_select_again(ImapConnection *connection, const char *wire, const ImapKnown *known,
                           GError **error);

/* The next job for this connection, or NULL.  @like: for the pipeline, one like that; NULL: any. */
Job *imap_take_job(ImapConnection *connection, const Job *like);
/* The roles have moved, or a job was put back: whoever may take it now shall look. */
void imap_wake_all(ImapBackend *backend);
/* @job (which is taken) goes back, as the first of its priority. */
void imap_put_back(ImapConnection *connection, Job *job);
/* @job (which is taken) is over. */
void imap_finish(ImapConnection *connection, Job *job, GError *error);

/* The connection is of no more use. */
gboolean imap_is_fatal(const GError *error);

const ConfigAccount *imap_config(const ImapConnection *connection);
Disk *imap_disk(const ImapConnection *connection);

/* -- Jobs: TRUE when done; an error otherwise, after which the caller finishes the job. -------- */

gboolean imap_sync_run(ImapConnection *connection, Job *job, GError **error);
/* Finishes @job, and others that it took for the pipeline, itself, unless it fails for the
 * connection: then what is unfinished is handed to @ret_unfinished. */
gboolean imap_fetch_run(ImapConnection *connection, Job *job, GPtrArray *ret_unfinished,
                        GError **error);
gboolean imap_list_run(ImapConnection *connection, Job *job, GError **error);
/* The kinds that change, and FIND.  What is known of the outcome is in job->change either way. */
gboolean imap_change_run(ImapConnection *connection, Job *job, GError **error);

/* -- Data for them, from the session's handler. ------------------------------------------------ */

extern const ImapHandler imap_handler; /* of each session; its user data is the ImapConnection */

void imap_sync_fetch(ImapSync *sync, const ImapFetch *fetch);
void imap_sync_vanished(ImapSync *sync, const UidSet *uids, gboolean earlier);
void imap_fetch_begin(ImapConnection *connection, guint32 uid, guint64 size);
void imap_fetch_data(ImapConnection *connection, const void *data, gsize length);
void imap_fetch_end(ImapConnection *connection, const ImapFetch *fetch);
void imap_list_broken(ImapList *list);
void imap_list_item(ImapList *list, const ImapListItem *item);
void imap_change_fetch(ImapChange *run, const ImapFetch *fetch);
void imap_change_body_begin(ImapChange *run);
void imap_change_body_data(ImapChange *run, const void *data, gsize length);
void imap_change_list_item(ImapChange *run, const ImapListItem *item);
/* STATUS goes out as an event, asked for or not. */
void imap_post_status(ImapConnection *connection, const ImapStatus *status);

/* -- Between the files of changes -------------------------------------------------------------- */

/* What the server says of a message that was asked about. */
typedef struct {
    guint32 uid;
    ImapFlags flags;
    char *keywords;
    gint64 date;
    guint64 size;
} ImapSeen;

/* One change at work. */
struct ImapChange {
    ImapConnection *connection;
    Job *job;
    JobChange *change;     /* of the job */
    const UidSet *asked;   /* messages that a FETCH is about; else NULL */
    GHashTable *seen;      /* what came of it: UID -> ImapSeen */
    guint64 n_removed;     /* messages that the server said are gone */
    GChecksum *checksum;   /* of the body that comes; else NULL */
    guint32 wanted;        /* ... and whose it is */
    guint64 n_hashed;      /* octets in it */
    gboolean has_body;     /* it came whole */
    gboolean has_children; /* DELETE: the server listed a mailbox below it */
};

/* The mailbox of the job is selected, for writing or at least for reading, by this session's view
 * as fresh as the newest UID that the change is about.  GONE when it has another UIDVALIDITY than
 * the job's, READONLY. */
gboolean imap_change_select(ImapChange *run, gboolean for_writing, GError **error);
/* FETCH of @items of @uids: run->seen holds those that are there. */
gboolean imap_change_look(ImapChange *run, const UidSet *uids, const char *items, GError **error);
/* The UIDs of the change's messages that are not done.  The caller owns it. */
UidSet *imap_change_uids(const ImapChange *run);

gboolean imap_change_find(ImapChange *run, GError **error);
gboolean imap_change_expunge(ImapChange *run, GError **error);
gboolean imap_change_mailbox(ImapChange *run, GError **error);
