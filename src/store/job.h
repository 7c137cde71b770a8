/* What the main thread asks of a backend, and what comes back.
 *
 * A Job has exactly one owner: the main thread until it is submitted, then the backend, then the
 * main thread again when it comes back with EVENT_DONE.  Everything that is learned on the way
 * travels as Events, each handed over whole; nothing is shared, so nothing is locked.
 */
#pragma once

#include <glib.h>

#include "base/cancel.h"
#include "base/uid-set.h"
#include "model/message.h"
#include "store/disk.h"

/* -- Jobs -------------------------------------------------------------------------------------- */

typedef enum {
    JOB_LIST,  /* the mailboxes, their STATUS, the quota */
    JOB_SYNC,  /* one mailbox: what changed since `known`, or all of it */
    JOB_FETCH, /* bodies */
    /* Changes; all carry a JobChange.  None is ever tried twice by the backend: whether it is
     * safe to say it again is for the journal to decide. */
    JOB_APPEND,  /* a file becomes a message */
    JOB_FIND,    /* which message is that file, if any */
    JOB_COPY,    /* messages to another mailbox: COPY, or MOVE */
    JOB_FLAGS,   /* STORE */
    JOB_EXPUNGE, /* messages are removed for good */
    JOB_MAILBOX, /* CREATE, DELETE, RENAME */
} JobKind;

/* Earlier ones go first; a connection takes only what its roles allow (backend.h). */
typedef enum {
    JOB_INTERACTIVE, /* somebody waits in read(2) */
    JOB_WAITED,      /* somebody waits in opendir(2), or a server event is to be shown */
    JOB_BULK,        /* read-ahead for somebody who reads on */
    JOB_BACKGROUND,  /* polls and the prefetch policy */
    JOB_N_PRIORITIES
} JobPriority;

typedef struct {
    guint64 item;
    guint32 uid;
} FetchItem;

/* What the model knew of a mailbox when its sync was asked for. */
typedef struct {
    guint32 uidvalidity; /* 0: nothing is known, list it all */
    guint32 uidnext;
    guint64 highestmodseq;
    UidSet *uids;
    guint32 n_messages;
    gboolean compare_all; /* the daily comparison of every UID, whatever QRESYNC says */
    gboolean all_flags;   /* without CONDSTORE: all flags, not only the newest 1000 */
    gboolean want_names;  /* names=full: fetch headers */
    gboolean is_asked;    /* by store_ask() */
    GArray *cached;       /* of FetchItem: whose bodies are in the cache; NULL unless the backend
                           * removes later (backend.h) */
} SyncKnown;

/* A message that a change is about, with what the one who asked knew of it: before anything is
 * destroyed for good, date and size are compared with what the server says of the UID now. */
typedef struct {
    guint32 uid;
    gint64 date;  /* 0: not compared */
    guint64 size; /* 0: not compared */
    guint32 target_uid; /* COPY, answered: its UID over there; 0 where nobody said */
    gboolean is_done;   /* answered */
    guint64 item;       /* COPY: whose body may be in the cache */
} ChangeMessage;

typedef enum { MAILBOX_CREATE, MAILBOX_DELETE, MAILBOX_RENAME } MailboxVerb;

/* What a change asks for, and what came of it.  Owned by its job. */
typedef struct {
    /* APPEND and FIND: the octets. */
    int fd;         /* owned; from offset 0 */
    guint64 size;
    guint8 sha256[32];
    char *message_id; /* "<a@b>", or NULL */
    gint64 date;      /* INTERNALDATE, Unix time */
    guint16 flags;    /* APPEND: to be given; answered: those that were.  FLAGS: to be added */
    char *keywords;   /* as flags; blank-separated, or NULL */
    guint32 replaces; /* APPEND: by REPLACE where the server has it, or 0 */
    guint32 heir_of;  /* APPEND: the flags that this UID has by then go before flags; or 0 */
    guint32 uidnext;  /* FIND: only this UID and later ones */
    UidSet *others;   /* FIND: but not these, which are known to be others.  EXPUNGE: these, too,
                       * were marked by us before, and may go.  Owned, or NULL */

    GArray *messages; /* of ChangeMessage, by UID: COPY, FLAGS, EXPUNGE */
    char *target;     /* COPY: wire name of the other mailbox.  RENAME: the new name.  EXPUNGE where
                       * the backend removes later: the Trash for what is here alone, which may
                       * have to be made; NULL: that goes for good, too */
    guint32 target_uidvalidity; /* COPY: of the target as it was known; 0: any */
    gboolean is_move; /* COPY: UID MOVE where the server has it; otherwise it only copies, and
                       * did_move says so.  EXPUNGE: the end of that: they are over there, so that
                       * a backend which has a Trash of its own need put nothing into it */
    guint16 flags_removed;  /* FLAGS */
    char *keywords_removed; /* FLAGS */
    MailboxVerb verb;
    char *special_use; /* CREATE: "\Trash", or NULL */

    /* Answered, also when the job failed. */
    gboolean was_sent;    /* something that cannot be taken back may have reached the server */
    gboolean tried_replace; /* APPEND: it was a REPLACE */
    gboolean did_replace; /* APPEND: the old message is gone as well */
    gboolean did_move;    /* COPY: the source is gone as well */
    gboolean is_hidden;   /* EXPUNGE: could not be removed without taking others' mail; what is
                           * not done carries \Deleted now and is to be hidden here */
    guint32 uidvalidity;  /* APPEND, FIND: of the mailbox; COPY: of the target; 0: nobody said */
    guint32 uid;          /* APPEND, FIND: 0: nobody said, not found */
    guint32 uidnext_then; /* APPEND, COPY: UIDNEXT of the (target) mailbox before the command, by
                           * what the backend happened to know; 0: unknown */
    guint64 n_octets;     /* FIND: the size that the server holds under uid */
} JobChange;

typedef struct Job {
    JobKind kind;
    JobPriority priority;
    guint64 id;      /* names the job in events */
    gint64 since;    /* when it was made; a Deadline's clock */
    guint16 mailbox; /* SYNC, FETCH */
    char *wire;      /* its name on the server */
    guint32 uidvalidity; /* FETCH: of the UIDs; another one now is GONE */
    SyncKnown known; /* SYNC */
    GArray *items;   /* FETCH: of FetchItem, in UID order */
    UidSet *uids;    /* FETCH: what to ask for; ranges may run over UIDs that do not exist */
    gboolean with_quota;  /* LIST */
    GPtrArray *status_of; /* LIST: wire names to ask STATUS of, where LIST cannot give it */
    JobChange *change;    /* the kinds that change; else NULL */
    guint n_tries;
} Job;

Job *job_new(JobKind kind, JobPriority priority); /* with a change, for the kinds that have one */
void job_free(Job *job); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Job, job_free)

/* -- Events ------------------------------------------------------------------------------------ */

typedef enum {
    EVENT_DONE,     /* job, error */
    EVENT_LINK,     /* the connection's state: link, error */
    EVENT_MAILBOXES, /* LIST: array of ListedMailbox; the last says is_whole */
    EVENT_STATUS,   /* of one mailbox, asked for or not */
    EVENT_QUOTA,
    EVENT_CHANGED,  /* something happened in `wire` ("" for the list of mailboxes): sync it */
    EVENT_SYNC_BEGIN, /* SYNC, once, before the others of its job */
    EVENT_MESSAGES, /* SYNC: new messages, at most EVENT_MAX_MESSAGES */
    EVENT_FLAGS,    /* SYNC: array of FlagChange */
    EVENT_VANISHED, /* SYNC: uids */
    EVENT_SYNC_STATE, /* SYNC, once, last: what to remember */
    EVENT_BODY_BEGIN, /* FETCH: the literal begins */
    EVENT_BODY_DATA,  /* FETCH: `received` octets are in the file now */
    EVENT_BODY_WHOLE, /* FETCH: in place in the cache, after the tagged OK */
    EVENT_BODY_FAILED, /* FETCH: error; GONE when the server has it no more */
    EVENT_SENT, /* APPEND: `received` octets have gone out */
    EVENT_OWED, /* n_messages removals are noted, and still to be carried out */
} EventKind;

/* Bulk results are applied in slices: 100,000 messages in one go kept the main loop busy for
 * 189 ms (measured), 256 for half a millisecond. */
enum { EVENT_MAX_MESSAGES = 256 };

typedef enum { LINK_CONNECTING, LINK_ONLINE, LINK_OFFLINE, LINK_LOCKED, LINK_REFUSED } LinkState;

typedef struct {
    char *wire;
    char **path; /* decoded components */
    char delimiter;
    guint32 list_flags; /* ImapListFlags */
    gboolean is_container;
    gboolean is_readonly; /* by MYRIGHTS */
} ListedMailbox;

void listed_mailbox_clear(ListedMailbox *mailbox);

typedef struct {
    guint32 uid;
    guint16 flags;
    char *keywords; /* GRefString or NULL, owned */
} FlagChange;

typedef struct Event {
    EventKind kind;
    guint64 job; /* id, or 0 */
    guint16 mailbox;
    char *wire;
    Job *done;     /* DONE: handed back */
    GError *error; /* DONE, LINK, BODY_FAILED */

    LinkState link;
    char *server;     /* LINK: what ID said */
    char *mechanism;  /* LINK */

    GArray *mailboxes; /* of ListedMailbox */
    gboolean is_list;  /* MAILBOXES: by LIST, not MYRIGHTS of one */
    gboolean is_whole; /* MAILBOXES: this was all of them; LINK: NOTIFY is set */

    guint32 uidvalidity, uidnext, n_messages, n_unseen; /* STATUS, SYNC_* */
    guint64 highestmodseq;
    guint status_items; /* ImapStatusItems: which of these are there */
    gboolean is_reset;  /* SYNC_BEGIN: all that was known is void */
    gboolean is_readonly;
    gboolean compared; /* SYNC_STATE: all UIDs were compared */
    guint32 n_expected; /* SYNC_BEGIN: new messages that will come, for progress */

    GPtrArray *messages; /* of Message, owned until stolen */
    GArray *flags;       /* of FlagChange */
    UidSet *uids;

    guint64 item;     /* BODY_* */
    guint64 size, received;
    int fd;           /* BODY_BEGIN: readable copy, owned; else -1 */
    guint8 sha256[32];

    guint64 used, limit; /* QUOTA, bytes */
} Event;

Event *event_new(EventKind kind, const Job *job); /* @job may be NULL */
/* MESSAGES and FLAGS with a slice that was gathered: the event takes the array, and the next slice
 * begins with an empty one in its place.  NULL when it is empty. */
Event *event_take_messages(const Job *job, GPtrArray **messages);
Event *event_take_flags(const Job *job, GArray **flags);
void flag_changes_free(GArray *flags); /* with their keywords */
void event_free(Event *event);                    /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Event, event_free)

/* -- The queue --------------------------------------------------------------------------------- */

typedef struct JobQueue JobQueue;

/* Which jobs a connection may take: a mask of 1 << JobPriority and 1 << (8 + JobKind). */
typedef guint JobRoles;
#define JOB_ROLE(priority, kind) (1u << (priority) | 1u << (8 + (kind)))

JobQueue *job_queue_new(void);
void job_queue_free(JobQueue *queue);

void job_queue_push(JobQueue *queue, Job *job);
void job_queue_push_front(JobQueue *queue, Job *job); /* one that is tried again */

/* The most urgent job that @roles may take, or NULL at once.  With @match, only one of that kind,
 * mailbox and priority (so that a connection can keep its pipeline full without a SELECT). */
Job *job_queue_take(JobQueue *queue, const JobRoles *roles, guint n_roles, const Job *match);

/* Takes out everything, to be failed. */
GPtrArray *job_queue_drain(JobQueue *queue);
/* Takes out the job @id if no connection has it yet. */
Job *job_queue_remove(JobQueue *queue, guint64 id);
