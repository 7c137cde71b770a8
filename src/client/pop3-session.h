/* One conversation with a POP3 server (RFC 1939 and the extensions of src/README.md), as
 * straight-line blocking code for one thread.
 *
 * A session connects, logs in and then carries commands, several in flight where the server has
 * PIPELINING.  A server locks the mailbox (its "maildrop") for as long as a session lasts, and many
 * show new mail to the next session only: sessions are short.  Message numbers hold within one
 * session; only unique-ids (UIDL) tell a message from one session to the next.  Messages
 * stream to the handler: they never sit in memory whole.
 *
 * Every function that talks may fail with a connection error (mail_error_is_connection());
 * the session is dead then and only good for pop3_session_free(); so with DAMAGED.  An -ERR answer
 * is an error as well, but the session lives on; its code follows RFC 2449 and RFC 3206: AUTH is
 * AUTH; IN-USE, LOGIN-DELAY and SYS/TEMP are BUSY; SYS/PERM is DENIED; without a code the words
 * decide (GONE for a message that is no longer there, UNSUPPORTED for a command that is unknown,
 * BUSY for a lock), otherwise DENIED.  The message holds the server's text.
 */
#pragma once

#include <glib.h>

#include "client/session.h"
#include "pop3/response.h"

typedef struct Pop3Session Pop3Session;

/* -- What the server says ---------------------------------------------------------------------- */

/* Called on the session's thread, from within the functions below; each may be NULL.  None may
 * call back into the session.
 *
 * For each RETR and TOP that succeeds: begin(), data() any number of times, end() with no error.
 * Only then the message is whole (of TOP: the part that was asked for).  One that the server
 * refuses: end() alone, with the error.  The same for DELE: end() alone.  When the connection
 * breaks, there is no end(), and the function that was called fails.  Of pop3_session_retrieve()
 * end() comes once the message's end is proved. */
typedef struct {
    void (*begin)(gpointer user, guint32 number);
    void (*data)(gpointer user, const void *data, gsize length);
    void (*end)(gpointer user, guint32 number, const GError *error);
} Pop3Handler;

/* -- Life -------------------------------------------------------------------------------------- */

/* Copies @params; borrows the handler (may be NULL) and its user data. */
Pop3Session *pop3_session_new(const SessionParams *params, const Pop3Handler *handler,
                              gpointer user);

/* NULL is fine.  Closes without QUIT: what was marked by DELE stays on the server. */
void pop3_session_free(Pop3Session *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pop3Session, pop3_session_free)

/* From nothing to the TRANSACTION state: connection (or tunnel), TLS from the first octet or by
 * STLS, greeting, CAPA (a server need not have it), AUTH by the strongest mechanism that
 * @auth allows; USER and PASS where the way is protected and @auth is "auto", "plain" or
 * "login" with nothing fitting advertised; APOP for "apop" alone; CAPA again.  A tunnel may
 * lead to a server that has let us in already, with or without a greeting.
 *
 * A refused secret is asked for once more with @stale.  AUTH when it is refused again; LOCKED when
 * the broker says so; INVALID where a login is wanted and there is no user; BUSY when the maildrop
 * is in use, when it is too early to log in again (LOGIN-DELAY), or when the server is not ready
 * (SYS/TEMP, most greetings with -ERR); PROTOCOL ("is no POP3 server") for another greeting. */
gboolean pop3_session_open(Pop3Session *session, GError **error);

/* After BUSY: another session has the maildrop, so that it may be free soon. */
gboolean pop3_session_is_in_use(const Pop3Session *session);

/* QUIT.  TRUE only when +OK came: what DELE marked is removed then.  FALSE with -ERR's error ("some
 * deleted messages not removed"), or a connection error: what was removed nobody knows before
 * the next session's UIDL.  The session is closed in any case.  Without a DELE before it nothing
 * depends on the answer, and a second is waited for it at most. */
gboolean pop3_session_quit(Pop3Session *session, GError **error);

/* Another time than LIMIT_PROGRESS_SECONDS to wait for an octet while an answer is due. */
void pop3_session_set_patience(Pop3Session *session, gint64 milliseconds);

/* -- The maildrop ------------------------------------------------------------------------------ */

gboolean pop3_session_stat(Pop3Session *session, guint32 *ret_n_messages, guint64 *ret_octets,
                           GError **error);

typedef struct {
    guint32 number;
    guint64 size;    /* as LIST has it, often wrong by a little; 0: it has none */
    const char *uid; /* as UIDL has it; any octets but controls, up to LIMIT_POP3_UNIQUE_ID of them.
                      * NULL: none, or two that differ, or none that can be used */
    gboolean is_listed; /* LIST has it */
} Pop3Message;

typedef struct {
    guint32 n_messages;  /* as STAT counts them */
    guint64 octets;
    guint32 n_listed;    /* as LIST has them */
    gboolean has_uids;   /* the server knows UIDL */
    GArray *messages;    /* of Pop3Message, by number, each number once; nothing is said of how
                          * their uids differ */
    GStringChunk *uids;
} Pop3Maildrop;

void pop3_maildrop_free(Pop3Maildrop *maildrop); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pop3Maildrop, pop3_maildrop_free)

/* STAT, LIST and UIDL in one flight.  UIDL is tried even if CAPA does not list it.  Messages that
 * are marked by DELE in this session are not listed.  A message may be in one list and not in the
 * other.  The caller owns it.  TOOBIG, and the session is dead, beyond LIMIT_MESSAGES. */
Pop3Maildrop *pop3_session_list(Pop3Session *session, GError **error);

/* -- Messages ---------------------------------------------------------------------------------- */

typedef enum { POP3_RETR, POP3_TOP, POP3_DELE } Pop3Task;

/* Puts a command in flight; its answer comes to the handler, in the order of the commands, from
 * within this or any later call.  @n_lines: of the body, for TOP.  Up to 32 RETR or 128 others may
 * be outstanding with PIPELINING, one without: one more waits until there is room.  What is in
 * flight can only be given up by ending the session. */
gboolean pop3_session_send(Pop3Session *session, Pop3Task task, guint32 number, guint32 n_lines,
                           GError **error);

/* RETR of @message, and behind it a question that who wrote the message cannot have answered in it:
 * UIDL of the same message, which must give its uid again; LIST without one, and its size; NOOP
 * without either.  A server that leaves a dot alone on its line ends the message too early, and
 * what follows looks like other answers: then the session is dead with DAMAGED, and there is no
 * end().  @message is as pop3_session_list() gave it; its uid is borrowed until the answer came.
 * Up to 16 may be outstanding with PIPELINING. */
gboolean pop3_session_retrieve(Pop3Session *session, const Pop3Message *message, GError **error);

/* The message of which the session could not be sure when it died with DAMAGED; or 0. */
guint32 pop3_session_unproved(const Pop3Session *session);

/* Waits for all that is in flight. */
gboolean pop3_session_finish(Pop3Session *session, GError **error);

/* Both in one, for many messages. */
gboolean pop3_session_retr(Pop3Session *session, const guint32 *numbers, guint n, GError **error);
gboolean pop3_session_top(Pop3Session *session, const guint32 *numbers, guint n, guint32 n_lines,
                          GError **error);
gboolean pop3_session_dele(Pop3Session *session, const guint32 *numbers, guint n, GError **error);

/* Unmarks what DELE marked. */
gboolean pop3_session_rset(Pop3Session *session, GError **error);
gboolean pop3_session_noop(Pop3Session *session, GError **error);

/* -- Facts for `check` and status -------------------------------------------------------------- */

/* As listed after the login; FALSE for all where the server has no CAPA.  TOP and UIDL may work
 * all the same. */
gboolean pop3_session_has(const Pop3Session *session, Pop3Cap cap);
const char *pop3_session_capabilities(const Pop3Session *session); /* printable; "" for none */
const char *pop3_session_implementation(const Pop3Session *session); /* printable, or NULL */

/* Seconds that must lie between two logins; 0: the server sets none. */
guint32 pop3_session_login_delay(const Pop3Session *session);

/* FALSE where it does not say.  *ret_days: how long a message stays on the server after it was
 * retrieved; 0: not at all; POP3_EXPIRE_NEVER. */
gboolean pop3_session_expire(const Pop3Session *session, guint32 *ret_days);

const char *pop3_session_mechanism(const Pop3Session *session); /* "SCRAM-SHA-256", "USER" */
struct NetStream *pop3_session_stream(Pop3Session *session);    /* borrowed; NULL when closed */

/* Octets on the wire, and commands, so far. */
void pop3_session_octets(const Pop3Session *session, guint64 *ret_in, guint64 *ret_out);
guint64 pop3_session_commands(const Pop3Session *session);
