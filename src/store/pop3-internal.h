/* Between the files of the POP3 backend:
 *
 *   pop3-backend.c     jobs in, events out, start and stop
 *   pop3-thread.c      the thread that talks to the server: jobs, and what is due
 *   pop3-connection.c  its sessions, one short one after another
 *   pop3-list.c        the list of the maildrop, in each session
 *   pop3-inbox.c       which message of the maildrop is which of the INBOX
 *   pop3-doubt.c       whether a unique-id still means the message that it meant
 *   pop3-local.c       what jobs about the INBOX can do without the server
 *   pop3-sync.c        SYNC of the INBOX
 *   pop3-keep.c        what stays when the server lists it no more, or is taken off it
 *   pop3-fetch.c       RETR: for readers, for the cache, for local folders
 *   pop3-damage.c      messages that are less than they should be
 *   pop3-trouble.c     what went wrong with single messages: for the log, and when to try again
 *
 * The account is two things in one.  Its folders, INBOX as well, are Maildirs below
 * XDG_DATA_HOME, served by a Maildir backend of our own on a thread of its own; and the messages of
 * the server's maildrop are in INBOX, too.  What ties them together is the INBOX's ledger, where
 * a message is known by keys:
 *
 *   f:BASE  it is here, as a file of INBOX's Maildir    u:UIDL  it is in the maildrop
 *   d:UIDL  it is to be removed there (DELE)            v:UIDL  it was there, and is gone
 *   x:HASH  it is in the maildrop, and has no UIDL of its own (x:anew-UID: it was, and its UIDL is
 *           another one's now)
 *
 * A message that has f:, u: or x: is shown.  Removing one turns u: into d: and flushes the ledger;
 * from then on it is promised.  The DELE follows in the next session, and its end is believed when
 * QUIT was answered, or when the next UIDL does not list it.  Taking one off the server puts a file
 * beside it, first.
 */
#pragma once

#include "store/maildir-backend.h"
#include "base/deadline.h"
#include "client/pop3-session.h"

#define POP3_INBOX "INBOX"
#define POP3_HERE "u:"
#define POP3_OWED "d:"
#define POP3_GONE "v:"
#define POP3_VAGUE "x:"

/* One message of the maildrop, in this session. */
typedef struct {
    guint32 number;
    guint32 uid;   /* 0: not in the ledger yet */
    guint64 size;  /* LIST's claim */
    guint64 likeness; /* pop3_likeness(); 0: the header was not looked at */
    char *key;     /* owned */
} Pop3Slot;

/* Who takes what RETR, TOP and DELE give. */
typedef struct Pop3Sink Pop3Sink;
struct Pop3Sink {
    void (*begin)(Pop3Sink *sink, guint32 number);
    void (*data)(Pop3Sink *sink, const void *data, gsize length);
    void (*end)(Pop3Sink *sink, guint32 number, const GError *error);
};

typedef enum {
    POP3_NOT_REMOVED, /* DELE was refused */
    POP3_NOT_TAKEN,   /* could not be stored, to be taken off the server */
    POP3_NOT_KEPT,    /* could not be stored, and is not on the server any more */
    POP3_NOT_SHOWN,   /* no header came, or it gets no UID */
    POP3_NOT_GIVEN,   /* the server gives neither a header nor the whole */
    POP3_N_TROUBLES
} Pop3Trouble;

typedef struct {
    guint n;       /* messages */
    GError *error; /* of the first */
    char *said;    /* the last time; or NULL */
} Pop3Noted;

typedef struct {
    /* Set once. */
    BackendParams params;
    Backend *local; /* the Maildir backend */
    JobQueue *queue;
    Cancel *wake; /* a job has come, or the end */
    GThread *thread;
    int n_refused; /* SessionParams */

    /* The thread's: the session. */
    Pop3Session *session; /* or NULL */
    Pop3Sink *sink;
    GPtrArray *slots;     /* of Pop3Slot, by number */
    GHashTable *by_uid;   /* UID -> Pop3Slot */
    gboolean was_synced;  /* a SYNC has used the session's list */
    Deadline opened, linger, next_poll;
    guint64 counted_in, counted_out;

    /* The thread's: when the next one may be. */
    LinkState link;
    GError *failure;     /* why there is none; or NULL */
    Deadline retry;      /* not before, after a failure */
    Deadline next_login; /* LOGIN-DELAY */
    Deadline owed_retry; /* for removals that a session did not carry out */
    Deadline owed_until; /* new ones are gathered no longer than this; 0: there are none */
    guint n_owed_tries;
    guint32 login_delay;
    guint n_failures;
    Deadline tried;          /* when the last session began */
    gboolean is_in_use;      /* that is why there is none */
    gboolean has_logged_in;  /* in this run */
    guint n_refusals;        /* since then */
    gboolean has_top, has_no_top; /* what is known of the server's TOP */
    gboolean takes_singly; /* pop3-keep=: a session broke when several messages were asked for */
    gboolean said_vague; /* the log has the sentence about UIDLs */
    Pop3Noted noted[POP3_N_TROUBLES];
    GHashTable *damaged; /* key -> GError: messages that nobody should fetch but a reader */
    GHashTable *refused; /* key -> how often the server did not give the message */
    GHashTable *setbacks; /* UID -> what pop3-trouble.c knows of it */
    UidSet *missing;     /* too many to believe it: not listed the last time */
    guint n_odd;         /* lists in a row that contradict themselves */
    GPtrArray *vague;    /* the slots of the last list, where none had a UIDL; or NULL */

    /* With the worker entered. */
    UidSet *fresh;  /* removals that were noted since the last list */
    UidSet *doomed; /* ... and are not durable yet */

    /* Under the lock. */
    GMutex lock;
    gboolean is_stopping;
    Cancel *cancel; /* of the session, or NULL */
    guint64 running; /* id of the job at work, or 0 */
    GError *away;    /* the failure, while another session is tried; or NULL */
    GHashTable *counts;
    guint64 octets_in, octets_out;

    /* Atomic. */
    int n_owed;
    int retry_now;
    int is_open; /* a session that may be told QUIT */
    int owed_is_new; /* since the thread looked */
    int gives_up; /* what is owed */
} Pop3Backend;

/* -- pop3-thread.c ----------------------------------------------------------------------------- */

gpointer pop3_thread_main(gpointer backend);

/* -- pop3-connection.c ------------------------------------------------------------------------- */

gboolean pop3_is_stopping(Pop3Backend *backend);
void pop3_count(Pop3Backend *backend, const char *command, guint n);

/* A session with a list of the maildrop: the one that is open, or another; what is new in its list
 * is told, but not @for_sync, which is about to look.  OFFLINE, AUTH, LOCKED at once while it is
 * not time to try again; LOGIN-DELAY is waited for a little, and else it is BUSY. */
gboolean pop3_connect(Pop3Backend *backend, gboolean for_sync, GError **error);
/* DELE of what is owed, QUIT. */
void pop3_disconnect(Pop3Backend *backend);
/* As pop3_connect(); while another session has the maildrop, who waits for @job waits for that to
 * end. */
gboolean pop3_connect_for(Pop3Backend *backend, const Job *job, gboolean fresh, GError **error);
/* Somebody wants a maildrop that was in use: it is tried again soon. */
void pop3_retry_soon(Pop3Backend *backend);
/* The session is broken, for @error: it is closed without QUIT. */
void pop3_drop_session(Pop3Backend *backend, const GError *error);

/* Sends @task for @numbers, and gives what comes to @sink.  FALSE: the session is broken; with
 * DAMAGED by the first RETR that was not answered. */
gboolean pop3_transfer(Pop3Backend *backend, Pop3Task task, const GArray *numbers, Pop3Sink *sink,
                       GError **error);

gboolean pop3_has_owed(Pop3Backend *backend);

/* -- pop3-list.c ------------------------------------------------------------------------------- */

void pop3_slot_free(gpointer slot);
Pop3Slot *pop3_slot(const Pop3Backend *backend, guint32 number); /* or NULL */

/* Lists the maildrop of the session that was opened, and finds each message in the ledger. TRUE in
 * *ret_has_news as by pop3_inbox_match(). */
gboolean pop3_list(Pop3Backend *backend, gboolean *ret_has_news, GError **error);

/* -- pop3-inbox.c: with the worker entered ----------------------------------------------------- */

Ledger *pop3_inbox(MaildirWorker *worker, GError **error);
/* A server has been listed: without it the ledger tells what there is. */
gboolean pop3_inbox_has_heard(const Ledger *ledger);
gboolean pop3_inbox_shows(const Ledger *ledger, guint32 uid);
/* The key becomes one with another prefix. */
void pop3_inbox_turn(Ledger *ledger, guint32 uid, const char *from, const char *to);
/* The key is no more; nor is an entry without any. */
void pop3_inbox_forget(Ledger *ledger, guint32 uid, const char *prefix);
/* The message of the slot's unique-id, as a key with another prefix, or NULL. */
const LedgerEntry *pop3_inbox_find(const Ledger *ledger, const Pop3Slot *slot, const char *prefix);
/* The message is to be removed from the server, if it is there.  READONLY for one without a UIDL.
 * To be made durable by pop3_inbox_promise(), then pop3_owe(). */
gboolean pop3_inbox_doom(Pop3Backend *backend, Ledger *ledger, guint32 uid, GError **error);
/* READONLY, for one without a UIDL that is to be moved.  Always FALSE. */
gboolean pop3_inbox_refuse_move(GError **error);
/* Flushes; if that fails, what was doomed since the last call is not. */
gboolean pop3_inbox_promise(Pop3Backend *backend, Ledger *ledger, GError **error);
guint pop3_inbox_count_owed(const Ledger *ledger);
/* Nothing is to be removed any more; the next list shows what is there.  To be flushed. */
void pop3_inbox_spare_all(Ledger *ledger);
/* Does so, if somebody has asked for it. */
void pop3_inbox_give_up(Pop3Backend *backend, Ledger *ledger);
/* Tells what is owed, and wakes the thread. */
void pop3_owe(Pop3Backend *backend);

/* Finds each slot's message in the ledger.  What is owed and not listed is settled.  TRUE in
 * *ret_has_news when there are messages that the ledger does not have, or the other way round. */
gboolean pop3_inbox_match(Pop3Backend *backend, Ledger *ledger, gboolean *ret_has_news,
                          GError **error);
/* DELE of @uids was answered by QUIT. */
void pop3_inbox_settle(Pop3Backend *backend, Ledger *ledger, const UidSet *uids);

/* -- pop3-doubt.c ------------------------------------------------------------------------------ */

/* Of a header, or what begins with one: the same for what seems to be the same message; never 0. */
guint64 pop3_likeness(const char *header, gsize length);
gboolean pop3_fits(const LedgerEntry *entry, const Pop3Slot *slot);
/* Gives those slots a likeness that need one.  FALSE: the session is broken. */
gboolean pop3_look(Pop3Backend *backend, GError **error);
/* Before the slots are matched: takes unique-ids away from messages that they do not mean any more,
 * and drops the removals of these.  With the worker entered. */
void pop3_doubt(Pop3Backend *backend, Ledger *ledger);

/* -- pop3-local.c ------------------------------------------------------------------------------ */

/* A MaildirBackendRunFunc. */
gboolean pop3_local_run(MaildirWorker *worker, Job *job, gboolean *ret_is_passed_on,
                        gpointer backend, GError **error);

/* -- pop3-backend.c ---------------------------------------------------------------------------- */

/* Takes the job, for the thread that talks to the server.  While that thread only tries whether the
 * server is there again, which may take long, what needs one is answered at once; a SYNC can do
 * without. */
void pop3_pass_on(Pop3Backend *backend, Job *job);
/* Why nobody need wait for the server, or NULL: as just said.  The caller owns it. */
GError *pop3_away(Pop3Backend *backend);

/* -- pop3-sync.c ------------------------------------------------------------------------------- */

typedef struct {
    Pop3Backend *backend;
    Job *job;
    GHashTable *items; /* UID -> item, of what is in the cache */
    gboolean has_server;
    GQueue events;     /* of the files */
    gboolean is_reset;
    guint32 uidvalidity;
    UidSet *there;
    GPtrArray *wanted; /* of Pop3Slot, borrowed: to be told */
    UidSet *unseen;    /* without the server: to be told by what the ledger knows */
} Pop3Sync;

gboolean pop3_sync(Pop3Backend *backend, Job *job, GError **error);

/* -- pop3-keep.c ------------------------------------------------------------------------------- */

/* What the session does not list; with the worker entered. */
gboolean pop3_settle_unlisted(const Pop3Sync *sync, MaildirWorker *worker, GError **error);
/* pop3-keep=: stores what has been there for long enough, and owes the server its removal. */
gboolean pop3_take_off(Pop3Sync *sync, GError **error);

/* -- pop3-fetch.c ------------------------------------------------------------------------------ */

gboolean pop3_fetch(Pop3Backend *backend, Job *job, GError **error);
/* What pop3_local_run() could not do of a COPY from INBOX. */
gboolean pop3_copy(Pop3Backend *backend, Job *job, GError **error);

/* RETR of each of @numbers into a file of its own; @func gets each, whole, or why not.  FALSE: the
 * session broke, and the rest are not there. */
typedef void (*Pop3WholeFunc)(guint32 number, BodyFile *file, const GError *error, gpointer user);
gboolean pop3_retrieve(Pop3Backend *backend, const GArray *numbers, Pop3WholeFunc func,
                       gpointer user, GError **error);

/* The message's octets become a file of INBOX's Maildir, and it is to be removed from the server.
 * DAMAGED for what is not whole; GONE for what was removed since it was asked for, which is not
 * to come back.  With the worker entered. */
gboolean pop3_take(Pop3Backend *backend, MaildirWorker *worker, guint32 uid, int fd, guint64 size,
                   GError **error);

/* -- pop3-damage.c ----------------------------------------------------------------------------- */

/* FALSE, with DAMAGED, when the @size octets in @fd are far less than @claim, LIST's; 0 is none. */
gboolean pop3_is_whole(int fd, guint64 size, guint64 claim, GError **error);
/* Remembers message @number, if @error is DAMAGED. */
void pop3_note_damaged(Pop3Backend *backend, guint32 number, const GError *error);
/* FALSE, with the reason, for what is not to be fetched unless somebody reads it: it would be
 * again and again. */
gboolean pop3_is_worth_fetching(const Pop3Backend *backend, const Pop3Slot *slot, GError **error);

/* -- pop3-trouble.c: the POP3 thread's --------------------------------------------------------- */

/* One more message, and why. */
void pop3_note(Pop3Backend *backend, Pop3Trouble trouble, const GError *error);
/* One line in the log for those that were noted since the last call, unless that said the same. */
void pop3_say(Pop3Backend *backend, Pop3Trouble trouble);

/* Whether pop3-keep= is to fetch a message: it never failed, it did and may be tried again, or it
 * is to be left alone for a while. */
typedef enum { POP3_TURN_FIRST, POP3_TURN_AGAIN, POP3_TURN_LATER } Pop3Turn;
Pop3Turn pop3_turn(const Pop3Backend *backend, guint32 uid);
/* It failed, by itself and not for want of room here; noted as POP3_NOT_TAKEN the first time. */
void pop3_set_back(Pop3Backend *backend, guint32 uid, const GError *error);
void pop3_setback_over(Pop3Backend *backend, guint32 uid);

/* The server has not given the message.  FALSE when that is our own disk's fault. */
gboolean pop3_note_refused(Pop3Backend *backend, const Pop3Slot *slot, const GError *error);
/* So often that it is no passing trouble. */
gboolean pop3_is_refused(const Pop3Backend *backend, const Pop3Slot *slot);

void pop3_troubles_init(Pop3Backend *backend);
void pop3_troubles_clear(Pop3Backend *backend);
