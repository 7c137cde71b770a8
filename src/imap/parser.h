/* The lexer of IMAP responses (RFC 9051 section 9, formal syntax of `response`): octets in,
 * responses out.
 *
 * The parser is fed whatever a read gave and asked for the next thing until it wants more.
 * It knows no command and no response by meaning, only how arguments are written, so that an
 * unknown response is skipped by the same grammar that a known one is read by.
 *
 *     imap_parser_feed(parser, buffer, n);
 *     while ((event = imap_parser_next(parser)) != IMAP_PARSE_NEED_DATA)
 *         ...
 *
 * Memory: one response at a time, bounded by LIMIT_IMAP_RESPONSE octets of text and
 * LIMIT_IMAP_ARGS arguments.  Literals above LIMIT_IMAP_INLINE_LITERAL octets pass through as
 * chunks of the caller's own buffer and are never stored.
 *
 * What is tolerated beyond the grammar, because servers send it: lines that end in a bare LF;
 * "+" without a blank; no text after a response code; controls and 8-bit octets in atoms and
 * quoted strings; a needless backslash in a quoted string; doubled and missing blanks between
 * arguments; a response code without "* OK" before it (Exchange).
 */
#pragma once

#include <glib.h>

#include "imap/arguments.h"

/* One response; valid until the next call of imap_parser_next(). */
typedef struct {
    const char *tag;  /* NULL: untagged */
    const char *name; /* "FETCH", "OK": upper case */
    gboolean has_number;
    guint64 number; /* "* 12 EXISTS"; G_MAXUINT64 when it does not fit */
    ImapArgs args;  /* what follows the name */
    /* OK, NO, BAD, BYE and PREAUTH have these instead of arguments. */
    gboolean is_status;
    const char *code;      /* "UIDNEXT": upper case, or NULL */
    const char *code_args; /* "4392", verbatim, or NULL */
    const char *text;      /* "" for none; not fit to be shown as it is */
} ImapResponse;

typedef struct ImapParser ImapParser;

typedef enum {
    IMAP_PARSE_NEED_DATA,     /* the input is used up */
    IMAP_PARSE_RESPONSE,      /* imap_parser_response() is whole */
    IMAP_PARSE_LITERAL_CHUNK, /* imap_parser_chunk(); imap_parser_response() is what came so far */
    IMAP_PARSE_CONTINUE,      /* "+": imap_parser_continuation() */
    IMAP_PARSE_BAD,           /* not IMAP: imap_parser_problem(); for good */
} ImapParse;

/* A piece of the literal that is the last argument so far.  The first comes as soon as the size is
 * known and may be empty; no other is. */
typedef struct {
    guint64 size;   /* of the whole literal */
    guint64 offset; /* of this piece in it */
    const char *data;
    gsize length;
} ImapChunk;

ImapParser *imap_parser_new(void);
void imap_parser_free(ImapParser *parser); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImapParser, imap_parser_free)

/* Only after imap_parser_next() said NEED_DATA.  @data is borrowed until it says so again. */
void imap_parser_feed(ImapParser *parser, const void *data, gsize length);
ImapParse imap_parser_next(ImapParser *parser);

const ImapResponse *imap_parser_response(const ImapParser *parser);
const ImapChunk *imap_parser_chunk(const ImapParser *parser);
const char *imap_parser_continuation(const ImapParser *parser); /* "" for none */
const char *imap_parser_problem(const ImapParser *parser);      /* static: "a NUL octet" */

/* Octets fed and not used yet: what must be 0 when TLS starts. */
gsize imap_parser_pending(const ImapParser *parser);

/* TRUE while no response has begun. */
gboolean imap_parser_is_between(const ImapParser *parser);
