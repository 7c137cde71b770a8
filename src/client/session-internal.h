/* What an IMAP session and a POP3 session have in common: a connection, its states and its end.
 * Both structs begin with a Session; only they and login.c see it.
 */
#pragma once

#include "client/session.h"
#include "net/stream.h"

typedef enum {
    STATE_NEW,
    STATE_GREETING,  /* connected: the server speaks first */
    STATE_LOGIN,     /* greeted; nothing but capabilities is believed */
    STATE_READY,     /* authenticated; of IMAP: no mailbox */
    STATE_SELECTING, /* SELECT is in flight; this and the next two are IMAP's */
    STATE_SELECTED,
    STATE_IDLE, /* IDLE is in flight, over READY or SELECTED */
    STATE_QUIT, /* LOGOUT or QUIT is in flight */
    STATE_DEAD,
    N_STATES
} State;

enum { SESSION_BUFFER_SIZE = 64 * 1024 };

typedef struct Session Session;

typedef struct {
    const char *name;              /* "IMAP" */
    const char *scheme;            /* of URLs: "imap", and "imaps" */
    const char *start_tls;         /* the command's word */
    void (*forget)(Session *self); /* the connection is closed: what was due on it does not come */
} Protocol;

struct Session {
    const Protocol *protocol;

    /* set once */
    char *account, *name, *user, *auth; /* `user` is "" for none */
    Endpoint *endpoint;
    gboolean is_token;
    int *n_refused;
    Broker *broker;
    Cancel *cancel;
    gint64 patience_ms;
    char *buffer; /* SESSION_BUFFER_SIZE octets of input */

    /* for the connection */
    NetStream *stream;
    State state;
    GError *death; /* why it is dead */
    gboolean is_greeted;
    gboolean reads_single; /* what follows the answer that is due is TLS, or deflated */
    const char *mechanism;

    /* the "+" that is waited for, and what it said */
    gboolean awaits_continuation;
    char *continuation;

    /* counted over all connections */
    guint64 octets_in, octets_out; /* of those that are closed */
};

/* Copies @params. */
void session_init(Session *session, const Protocol *protocol, const SessionParams *params);
void session_clear(Session *session);

/* Back to NEW with everything of the connection forgotten. */
void session_reset(Session *session);

/* Asserts that the edge is legal, and traces it. */
void session_set_state(Session *session, State state);

/* FALSE, with the reason, for a session that is not connected. */
gboolean session_is_alive(const Session *session, GError **error);

/* Closes the connection for @cause, which it takes, and hands a copy out.  Always FALSE. */
gboolean session_die(Session *session, GError *cause, GError **error);

/* Octets on the wire so far. */
void session_octets(const Session *session, guint64 *ret_in, guint64 *ret_out);

/* -- Connecting -------------------------------------------------------------------------------- */

/* From NEW to GREETING. */
gboolean session_connect(Session *session, GError **error);

/* Until when the greeting, or TLS, must be there. */
Deadline session_connect_deadline(const Session *session);

/* STARTTLS or STLS: UNSUPPORTED unless it @is_offered.  @say gives the command, takes its answer,
 * and then forgets all that was heard in clear text.  Input is read octet by octet until that
 * answer is there, so that what follows it, which can only be an attack (CVE-2021-33515), is still
 * unread when net_stream_start_tls() looks. */
gboolean session_start_tls(Session *session, gboolean is_offered,
                           gboolean (*say)(Session *session, GError **error), GError **error);

/* TRUE where nobody on the way can listen or change a thing. */
gboolean session_is_protected(const Session *session);

/* -- Talking ----------------------------------------------------------------------------------- */

/* When an answer that is due is late. */
Deadline session_patience(const Session *session);

/* Into the stream's buffer; what @is_secret is not logged. */
gboolean session_write(Session *session, const void *data, gsize length, gboolean is_secret,
                       GError **error);
gboolean session_flush(Session *session, GError **error);

/* The server said "+", and @text. */
gboolean session_take_continuation(Session *session, const char *text, GError **error);

/* The error for input that is not the protocol's, as @problem says; of a greeting: there is no such
 * server.  Always FALSE. */
gboolean session_fail_input(const Session *session, const char *problem, GError **error);
gboolean session_fail_greeting(const Session *session, GError **error);
