/* Building one IMAP command (RFC 9051 section 6) so that no argument can end it early.
 *
 * A command is a list of pieces: raw words that the program wrote itself, and strings that came
 * from elsewhere, which go out quoted or as literals.  It carries no tag; the session adds it.
 */
#pragma once

#include <glib.h>

typedef struct ImapCommand ImapCommand;

/* "UID FETCH": words of the protocol, never of a user. */
ImapCommand *imap_command_new(const char *words);
void imap_command_free(ImapCommand *command); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImapCommand, imap_command_free)

/* All add a blank before themselves and return @command, for chaining.  None may hold a line
 * end but strings and literals. */
ImapCommand *imap_command_raw(ImapCommand *command, const char *words);
ImapCommand *imap_command_string(ImapCommand *command, const char *bytes, gsize length);
ImapCommand *imap_command_mailbox(ImapCommand *command, const char *wire_name);

/* A literal of @size octets that are not here: a message for APPEND, which does not sit in memory.
 * The sender puts them in the place of its segment.  At most one. */
ImapCommand *imap_command_literal(ImapCommand *command, guint64 size);

/* What goes out is masked in the wire log (LOGIN, AUTHENTICATE). */
ImapCommand *imap_command_secret(ImapCommand *command, const char *bytes, gsize length);
ImapCommand *imap_command_secret_word(ImapCommand *command, const char *word); /* unquoted */

/* How strings are put on the wire depends on the session: with LITERAL+ (up to 100 KiB, so that a
 * server can refuse a large message before it comes) or LITERAL- (up to 4096 octets) no
 * continuation is waited for; with UTF8=ACCEPT quoted strings may hold UTF-8. */
typedef struct {
    gboolean literal_plus, literal_minus, utf8;
} ImapEncoding;

/* The pieces in order.  A segment that `waits` ends in "{N}\r\n" and the server's "+" must come
 * before the next is sent. */
typedef struct {
    GBytes *bytes; /* NULL: the octets of imap_command_literal() */
    gboolean waits;
    gboolean is_secret;
} ImapSegment;

/* The command with @tag as segments, the last ending in CRLF.  The caller owns the array (it
 * frees its segments).  NULL when it cannot be expressed: a NUL in a string (INVALID), or
 * longer than LIMIT_IMAP_COMMAND outside literals (TOOBIG). */
GArray *imap_command_encode(const ImapCommand *command, const char *tag,
                            const ImapEncoding *encoding, GError **error);
