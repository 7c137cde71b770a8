/* One conversation with an IMAP server (RFC 3501, RFC 9051 and the extensions of
 * src/README.md), as straight-line blocking code for one thread.
 *
 * A session connects, authenticates and then carries commands, several in flight.  Data that
 * the server sends, asked for or not, is given to the handler as it comes, already typed; the
 * tagged answer is what imap_session_wait() waits for.  Bodies stream: they never sit in memory
 * whole.
 *
 * Every function that talks may fail with a connection error (mail_error_is_connection());
 * the session is dead then and only good for imap_session_free().  A NO or BAD answer is an
 * error as well, but the session lives on; its code follows RFC 5530 (see
 * imap_session_wait()).  "No progress" means LIMIT_PROGRESS_SECONDS without an octet while an
 * answer is due.
 */
#pragma once

#include <glib.h>

#include "base/uid-set.h"
#include "client/session.h"
#include "imap/command.h"
#include "imap/response.h"

typedef struct ImapSession ImapSession;

/* -- What the server can do -------------------------------------------------------------------- */

/* As listed after login, and what ENABLED confirmed. */
gboolean imap_session_has(const ImapSession *session, ImapCap cap);
gboolean imap_session_enabled(const ImapSession *session, ImapCap cap); /* ENABLED said so */
const char *imap_session_capabilities(const ImapSession *session);      /* the server's line */
const char *imap_session_server_id(const ImapSession *session); /* "Dovecot" by ID, or NULL */

/* -- What the server says ---------------------------------------------------------------------- */

/* Called on the session's thread, from within the functions below; each may be NULL.  None may
 * call back into the session. */
typedef struct {
    /* BODY[] of a message begins: @uid is 0 if the server has not said it yet, @size is its
     * literal's.  Then body_data() until @size octets came, then fetch() with
     * IMAP_FETCH_BODY. */
    void (*body_begin)(gpointer user, guint32 uid, guint64 size);
    void (*body_data)(gpointer user, const void *data, gsize length);
    void (*fetch)(gpointer user, const ImapFetch *fetch);
    void (*exists)(gpointer user, guint32 n_messages);
    void (*expunge)(gpointer user, guint32 seq);
    void (*vanished)(gpointer user, const UidSet *uids, gboolean earlier);
    void (*list)(gpointer user, const ImapListItem *item); /* NULL: a line without sense */
    void (*status)(gpointer user, const ImapStatus *status);
    /* SEARCH and ESEARCH (ALL) results are collected by the session: imap_session_search(). */
    void (*quota)(gpointer user, const char *root, guint64 used_kib, guint64 limit_kib);
    void (*my_rights)(gpointer user, const char *mailbox, const char *rights);
    void (*namespace_prefix)(gpointer user, const char *prefix, char delimiter); /* personal */
    void (*alert)(gpointer user, const char *text); /* [ALERT], made printable */
} ImapHandler;

/* -- Life -------------------------------------------------------------------------------------- */

/* Copies @params; borrows the handler and its user data. */
ImapSession *imap_session_new(const SessionParams *params, const ImapHandler *handler,
                              gpointer user);
void imap_session_free(ImapSession *session); /* NULL is fine; no LOGOUT */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImapSession, imap_session_free)

/* From nothing to authenticated: connection (or tunnel), TLS, greeting, AUTHENTICATE (LOGIN only
 * where no mechanism is advertised and the way is protected), CAPABILITY and ID in one flight,
 * COMPRESS, ENABLE (CONDSTORE, QRESYNC; UTF8=ACCEPT for UTF8=ONLY).  A refused secret is asked for
 * once more with @stale.  AUTH when it is refused again; LOCKED when the broker says so; INVALID
 * where a login is wanted and there is no user; PROTOCOL ("is no IMAP server") for another
 * greeting; BUSY for too many connections ([LIMIT], "Too many", a BYE right after the greeting). */
gboolean imap_session_open(ImapSession *session, GError **error);

/* LOGOUT, waiting a second at most.  Never fails; the session is closed after it. */
void imap_session_logout(ImapSession *session);

/* Another time than LIMIT_PROGRESS_SECONDS to wait for an octet while an answer is due. */
void imap_session_set_patience(ImapSession *session, gint64 milliseconds);

/* Another time than LIMIT_IDLE_SECONDS after which IDLE is renewed: shorter where something on the
 * way forgets connections that are silent. */
void imap_session_set_idle(ImapSession *session, gint64 milliseconds);

/* -- Commands ---------------------------------------------------------------------------------- */

/* The tagged answer.  Clear with imap_result_clear(). */
typedef struct {
    ImapCond cond;
    char *code; /* response code's atom, upper-case ("APPENDUID"), or NULL */
    char *code_args; /* the rest of the code, verbatim, or NULL */
    char *text;      /* made printable */
} ImapResult;

void imap_result_clear(ImapResult *result);

/* Puts a command in flight; takes @command.  Returns its number, or 0 on a connection error and for
 * a command that cannot be written (INVALID, TOOBIG).  Up to 32 may be outstanding: one more waits
 * until one of them is answered.  A command with a synchronising literal, or of more than 4 KiB, is
 * a barrier: it waits for all before it, and for its continuations, before this returns. */
guint imap_session_send(ImapSession *session, ImapCommand *command, GError **error);

/* Waits for the answer to command @number, handing data to the handler meanwhile.  NO and BAD
 * become errors by RFC 5530: NONEXISTENT, TRYCREATE and EXPUNGEISSUED GONE; NOPERM and CANNOT
 * DENIED; OVERQUOTA QUOTA; TOOBIG TOOBIG; ALREADYEXISTS EXISTS; HASCHILDREN NOTEMPTY; INUSE,
 * LIMIT, UNAVAILABLE and THROTTLED BUSY; AUTHENTICATIONFAILED and EXPIRED AUTH; READ-ONLY
 * READONLY; UNKNOWN-CTE, BADCHARSET and every BAD UNSUPPORTED; otherwise DENIED.  The message
 * holds the server's text.  @ret_result may be NULL; it is set for OK only.  The COPYUID of
 * UID MOVE, which comes before the answer, is found in it. */
gboolean imap_session_wait(ImapSession *session, guint number, ImapResult *ret_result,
                           GError **error);

/* send and wait in one. */
gboolean imap_session_run(ImapSession *session, ImapCommand *command, ImapResult *ret_result,
                          GError **error);

/* TRUE once the answer to @number is there, without waiting. */
gboolean imap_session_is_done(const ImapSession *session, guint number);

/* UID SEARCH @criteria, by RETURN (ALL) with ESEARCH.  The caller owns the set. */
UidSet *imap_session_search(ImapSession *session, const char *criteria, GError **error);

/* -- The selected mailbox ---------------------------------------------------------------------- */

typedef struct {
    guint32 exists;
    guint32 uidvalidity; /* 0: the server gave none, or one that makes no sense */
    guint32 uidnext;     /* 0: not given */
    guint64 highestmodseq; /* 0: NOMODSEQ or no CONDSTORE */
    gboolean is_readonly;
    gboolean no_new_keywords; /* PERMANENTFLAGS without \* */
    char mailbox_id[128];     /* OBJECTID, or "" */
} ImapSelected;

/* What was known, for QRESYNC (RFC 7162 section 3.2.5). */
typedef struct {
    guint32 uidvalidity;
    guint64 highestmodseq;
} ImapKnown;

/* SELECT (EXAMINE if @examine) of a wire name.  With @known, and QRESYNC enabled, the changes
 * since come to the handler as vanished (earlier) and fetch before this returns.  Data bound to
 * the mailbox before ([CLOSED]) never reaches the handler after body of this call began. */
gboolean imap_session_select(ImapSession *session, const char *mailbox, gboolean examine,
                             const ImapKnown *known, ImapSelected *ret_selected, GError **error);

/* Wire name of the selected mailbox, or NULL; its EXISTS as the server last said. */
const char *imap_session_selected(const ImapSession *session);
guint32 imap_session_exists(const ImapSession *session);

/* UNSELECT, or EXAMINE of nothing by its fallback.  Never CLOSE, which expunges. */
gboolean imap_session_unselect(ImapSession *session, GError **error);

typedef enum {
    IMAP_WATCH_CHANGED, /* the handler was called */
    IMAP_WATCH_WOKEN,
    IMAP_WATCH_TIMEOUT,
    IMAP_WATCH_FAILED,
} ImapWatch;

/* Waits for unasked data, of other mailboxes too where imap_session_notify() was called: in IDLE
 * (RFC 2177), or just reading where the server has none.  Ends with the first event (what follows
 * within 20 ms is taken along), when @wake is raised, or at the deadline; IDLE is ended and its
 * tagged OK seen before it returns. */
ImapWatch imap_session_watch(ImapSession *session, Cancel *wake, Deadline deadline,
                             GError **error);

/* NOTIFY SET for the selected mailbox and all personal ones.  UNSUPPORTED without it; the server's
 * error if it refuses. */
gboolean imap_session_notify(ImapSession *session, GError **error);

/* -- Facts for `check` and status -------------------------------------------------------------- */

const char *imap_session_mechanism(const ImapSession *session); /* "SCRAM-SHA-256" */
struct NetStream *imap_session_stream(ImapSession *session);    /* borrowed; NULL when closed */

/* Octets on the wire so far, before DEFLATE is undone, over all connections. */
void imap_session_octets(const ImapSession *session, guint64 *ret_in, guint64 *ret_out);
