/* What the files of the parser share, and nobody else sees.
 *
 *     parser.c         the machine: lines, tags, lists, and what is given out
 *     parser-token.c   its states within one argument
 */
#pragma once

#include "base/limits.h"
#include "imap/parser.h"

typedef enum {
    AT_START,        /* before a response */
    IN_TAG,          /* "A12" */
    IN_TEXT,         /* to the end of the line, verbatim */
    IN_ARGS,         /* between arguments */
    IN_ATOM,         /* "UID" */
    IN_SECTION,      /* "BODY[HEADER.FIELDS (DATE" */
    IN_QUOTED,       /* within quotation marks */
    IN_ESCAPE,       /* after a backslash within them */
    IN_LITERAL_SIZE, /* "{12" */
    IN_LITERAL_PLUS, /* "{12+" */
    IN_LITERAL_END,  /* "{12}" */
    IN_LITERAL_LINE, /* "{12}\r" */
    IN_LITERAL,      /* octets of an inline literal */
    IN_STREAM,       /* octets of one that is given out */
    AT_LINE_END,     /* "\r" */
    AT_DONE,         /* a response was given out: reset before the next */
    AT_BAD,
} State;

struct ImapParser {
    /* the input, borrowed */
    const char *at, *end;

    State state;
    const char *problem;

    /* reset per response */
    ImapArgStore store;
    gsize n_octets; /* used of it, streamed literals apart */
    guint depth;
    guint32 open[LIMIT_IMAP_NESTING]; /* indices of the lists that are open */
    gboolean is_tagged, is_continuation, is_status;
    gsize tag, status_text; /* offsets in the store's text */
    guint n_digits;
    guint64 literal_size, literal_left;

    /* given out */
    ImapResponse response;
    ImapChunk chunk;
};

static inline gboolean imap_parser_is_line_octet(char c)
{
    return c != '\r' && c != '\n' && c != '\0';
}

/* -- parser.c ---------------------------------------------------------------------------------- */

/* It is no IMAP, for good: @problem is static.  Always IMAP_PARSE_BAD. */
ImapParse imap_parser_bad(ImapParser *parser, const char *problem);

/* Another argument; of the second its text is the token that was read.  NULL: there are too many,
 * and the state is AT_BAD. */
ImapArg *imap_parser_add_arg(ImapParser *parser, ImapArgType type);
ImapArg *imap_parser_add_token(ImapParser *parser, ImapArgType type);

void imap_parser_begin_token(ImapParser *parser, State state);

/* The rest of the line is text: a status response's, or what a "+" says. */
void imap_parser_begin_text(ImapParser *parser);

/* Fills in `response` from what has been read; for a chunk the lists are still open.  @event, or
 * IMAP_PARSE_BAD. */
ImapParse imap_parser_view(ImapParser *parser, ImapParse event);

/* -- parser-token.c: one state each, for input of at least one octet, up to @end --------------- */

ImapParse imap_parser_in_atom(ImapParser *parser, const char *end);
ImapParse imap_parser_in_section(ImapParser *parser, const char *end);
ImapParse imap_parser_in_quoted(ImapParser *parser, const char *end);
ImapParse imap_parser_in_escape(ImapParser *parser);
ImapParse imap_parser_in_literal_size(ImapParser *parser);
ImapParse imap_parser_in_literal_end(ImapParser *parser);
ImapParse imap_parser_in_literal(ImapParser *parser, const char *end);
ImapParse imap_parser_in_stream(ImapParser *parser);
