/* What the files of the POP3 session share, and nobody else sees.
 *
 *     pop3-session.c   life, reading; what all sessions have in common is in session-internal.h
 *     pop3-send.c      commands on their way, and their answers
 *     pop3-refusal.c   what an -ERR means
 *     pop3-login.c     from nothing to the TRANSACTION state
 *     pop3-maildrop.c  STAT, LIST, UIDL
 */
#pragma once

#include "client/pop3-session.h"
#include "client/session-internal.h"
#include "pop3/command.h"
#include "pop3/parser.h"

/* A reply.  Outlives the command's time in flight: whoever waits for it waits until it is done or
 * the session is dead. */
typedef struct {
    gboolean is_done; /* and all that comes with it was taken */
    gboolean ok;
    char *code; /* "IN-USE", or NULL */
    char *text; /* printable */
} Pop3Result;

void pop3_result_clear(Pop3Result *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pop3Result, pop3_result_clear)

/* One line of what comes with a reply.  An error is the connection's end. */
typedef gboolean Pop3TakeLine(Pop3Session *session, gpointer into, const char *line, gsize length,
                              GError **error);

/* A command whose answer is due.  Answers come in the order of commands. */
typedef struct {
    Pop3Expect expects;      /* with a +OK */
    Pop3TakeLine *take_line; /* of POP3_EXPECT_LINES */
    gpointer into;
    Pop3Result *result; /* where somebody waits; NULL: a task, whose answer goes to the handler */
    Pop3Task task;
    guint32 number;
    guint64 n_octets;    /* of the message so far */
    gboolean needs_proof; /* that it ends where it seems to: the next command */
    gboolean is_proof;
    const char *uid; /* of is_proof: what the answer must say, borrowed; NULL and 0 for nothing */
    guint64 size;
} InFlight;

enum {
    MAX_RETR_IN_FLIGHT = 32,
    MAX_IN_FLIGHT = 128, /* 12 octets each: less than any socket's buffer, so nobody is stuck */
};

struct Pop3Session {
    Session base;

    /* set once */
    const Pop3Handler *handler;
    gpointer handler_data;

    /* for the connection */
    Pop3Parser *parser;
    GQueue in_flight;    /* of InFlight */
    gboolean has_unsent; /* in the stream's buffer */
    gboolean knows_capa;
    Pop3Capabilities caps;
    char *timestamp;        /* for APOP, or NULL */
    Pop3Result auth_result; /* of AUTH */
    guint32 unproved;       /* the message that seems to have ended; or 0 */
    guint n_marked;         /* DELEs that may have been carried out */
    gboolean is_in_use;     /* the login was refused for that */

    guint64 n_commands; /* over all connections */
};

/* -- pop3-session.c ---------------------------------------------------------------------------- */

/* Back to NEW with everything of the connection forgotten. */
void pop3_session_reset(Pop3Session *session);

/* Sends what is buffered, reads once, up to the deadline, and carries out what came. */
gboolean pop3_session_pump(Pop3Session *session, Deadline deadline, GError **error);

/* -- pop3-send.c ------------------------------------------------------------------------------- */

/* Expects an answer to what was sent otherwise, or to nothing: the greeting. */
void pop3_session_expect(Pop3Session *session, const InFlight *command);

/* Puts @line (NULL: it could not be made, as @error says) in flight, which it takes.  Of a line
 * with a secret the first @n_shown octets may be logged; otherwise it is G_MAXSIZE.  The line may
 * not have gone out before the next pump. */
gboolean pop3_session_put(Pop3Session *session, const InFlight *command, GBytes *line,
                          gsize n_shown, GError **error);

/* Sends octets outside of any command: the responses of AUTH. */
gboolean pop3_session_send_line(Pop3Session *session, const char *line, gboolean is_secret,
                                GError **error);

/* Waits until @result is there. */
gboolean pop3_session_await(Pop3Session *session, const Pop3Result *result, Deadline deadline,
                            GError **error);

/* put and await, of words that the program wrote; -ERR is a result, not an error. */
gboolean pop3_session_ask(Pop3Session *session, const char *words, Pop3Result *ret_result,
                          GError **error);

/* Waits for "+" or for @result.  *ret_text is what "+" said (the caller owns it), or NULL if it
 * was the result. */
gboolean pop3_session_await_continuation(Pop3Session *session, const Pop3Result *result,
                                         char **ret_text, GError **error);

/* The error of a session that is out of step, for a dot within a message.  Always FALSE. */
gboolean pop3_session_lose_step(GError **error);

/* Carry out what the parser gives.  An error is the connection's end. */
gboolean pop3_session_take_reply(Pop3Session *session, GError **error);
gboolean pop3_session_take_line(Pop3Session *session, GError **error);
gboolean pop3_session_take_chunk(Pop3Session *session, GError **error);
gboolean pop3_session_take_end(Pop3Session *session, GError **error);

/* -- pop3-refusal.c ---------------------------------------------------------------------------- */

/* The error that an -ERR stands for.  Always FALSE. */
gboolean pop3_session_refused(const char *code, const char *text, GError **error);

/* The same of a login, or of the greeting. */
typedef enum {
    POP3_REFUSAL_PLAIN,  /* it says nothing, or that the credentials are wrong, and has no code */
    POP3_REFUSAL_IN_USE, /* another session has the maildrop */
    POP3_REFUSAL_OTHER
} Pop3Refusal;

Pop3Refusal pop3_session_refused_login(const char *code, const char *text, GError **error);
