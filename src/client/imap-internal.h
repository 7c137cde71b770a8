/* What the files of the IMAP session share, and nobody else sees.
 *
 *     imap-session.c   life, reading; what all sessions have in common is in session-internal.h
 *     imap-send.c      commands on their way, and their answers
 *     imap-refusal.c   what a NO means
 *     imap-login.c     from nothing to authenticated
 *     imap-data.c      what to do with each response
 *     imap-select.c    the selected mailbox, and searching it
 *     imap-watch.c     IDLE and NOTIFY
 *     imap-change.c    the commands that change mailboxes (imap-change.h)
 */
#pragma once

#include "client/imap-session.h"
#include "client/session-internal.h"
#include "imap/parser.h"
#include "imap/response.h"

/* A command whose answer is due, or has come and was not asked for yet. */
typedef struct {
    guint number;
    gboolean is_done;
    ImapResult result;
} InFlight;

enum {
    MAX_IN_FLIGHT = 32,
    /* Commands that are larger wait until nothing else is in flight: a server that is busy
     * sending does not read, and would wait for us as we for it. */
    MAX_PIPELINED = 4096,
    PREFIX_LENGTH = 5,
};

struct ImapSession {
    Session base;

    /* set once */
    gboolean wants_compress;
    const ImapHandler *handler;
    gpointer handler_data;
    gint64 idle_ms;

    /* for the connection */
    ImapParser *parser;
    char prefix[PREFIX_LENGTH + 1];
    guint last_number, n_in_flight;
    GHashTable *commands; /* number -> InFlight */
    char *uidplus[2];     /* COPYUID or APPENDUID of an untagged OK and its arguments, for the
                           * answer that follows it */
    ImapCapabilities caps;
    gboolean enabled[IMAP_N_CAPS];
    gboolean expects_caps; /* CAPABILITY was asked for */
    gboolean idle_refused;
    char *server_id;
    guint auth_number;   /* of AUTHENTICATE */
    ImapResult greeting; /* `code` "PREAUTH" and "BYE" stand for those responses */

    /* the selected mailbox */
    char *mailbox;
    guint32 exists;
    ImapSelected selected; /* filled in during SELECT */
    gboolean is_muted;     /* data is about the mailbox before */
    gboolean saw_closed;
    guint n_events; /* calls of the handler that imap_session_watch() ends with */

    /* the FETCH being read */
    GString *keywords;
    GByteArray *header; /* a header that is streamed */
    ImapStream streaming;
    gboolean body_began;

    /* the SEARCH being answered */
    char *search_tag;
    UidSet *found; /* NULL: none is due */
    gboolean search_has_all, search_answered;
    gboolean esearch_is_proven, esearch_is_broken;

    /* what a change wants to know */
    const char *status_of; /* STATUS of this mailbox goes to status_answer */
    ImapStatus *status_answer;
    const char *root;      /* names of subscribed mailboxes at and below it are collected ... */
    GPtrArray *subscribed; /* ... here */

    /* what nobody asked for */
    guint n_unsolicited;
    gint64 unsolicited_since;
};

/* -- imap-session.c ---------------------------------------------------------------------------- */

/* Back to NEW with everything of the connection forgotten. */
void imap_session_reset(ImapSession *session);

/* Reads once, up to the deadline, and carries out what came. */
gboolean imap_session_pump(ImapSession *session, Deadline deadline, GError **error);

/* -- imap-send.c ------------------------------------------------------------------------------- */

/* Waits until no command is in flight.  FALSE for a session that is dead. */
gboolean imap_session_drain(ImapSession *session, GError **error);

/* Sends octets outside of any command: DONE, and the responses of AUTHENTICATE. */
gboolean imap_session_send_line(ImapSession *session, const char *line, gboolean is_secret,
                                GError **error);

/* Waits for "+" or for the answer to @number.  *ret_text is what "+" said (the caller owns it), or
 * NULL if it was the answer. */
gboolean imap_session_await_continuation(ImapSession *session, guint number, char **ret_text,
                                         GError **error);

/* As imap_session_wait(), but NO and BAD are results, not errors. */
gboolean imap_session_collect(ImapSession *session, guint number, ImapResult *ret_result,
                              GError **error);

/* The file that is the command's literal. */
typedef struct {
    int fd; /* from offset 0, by pread() */
    guint64 size;
    void (*progress)(guint64 n_sent, gpointer user); /* may be NULL */
    gpointer user;
    gboolean has_begun; /* an octet of it may have gone out */
} ImapUpload;

/* As imap_session_send(), of a command with imap_command_literal().  A file that turns out to be
 * shorter costs the connection (OFFLINE). */
guint imap_session_upload(ImapSession *session, ImapCommand *command, ImapUpload *upload,
                          GError **error);

/* -- imap-refusal.c ---------------------------------------------------------------------------- */

/* The error that @result, a NO or BAD, stands for.  Always FALSE. */
gboolean imap_session_refused(const ImapResult *result, GError **error);

/* -- imap-data.c ------------------------------------------------------------------------------- */

/* Carry out one response, or one piece of a literal.  An error is the connection's end. */
gboolean imap_data_response(ImapSession *session, const ImapResponse *response, GError **error);
gboolean imap_data_chunk(ImapSession *session, const ImapResponse *response,
                         const ImapChunk *chunk, GError **error);

/* Fills in @result from a status response. */
void imap_data_result(const ImapResponse *response, ImapCond cond, ImapResult *result);
