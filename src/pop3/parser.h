/* The lexer of POP3 responses (RFC 1939 section 3, RFC 2449 section 8, RFC 5034): octets in,
 * replies, lines and pieces of messages out.
 *
 * The parser is fed whatever a read gave and asked for the next thing until it wants more.  What
 * follows a "+OK" nobody can tell who does not know the command, so after each reply the caller
 * says what comes with it:
 *
 *     pop3_parser_feed(parser, buffer, n);
 *     while ((event = pop3_parser_next(parser)) != POP3_PARSE_NEED_DATA)
 *         if (event == POP3_PARSE_REPLY && pop3_parser_reply(parser)->ok && it answers RETR)
 *             pop3_parser_expect(parser, POP3_EXPECT_MESSAGE);
 *
 * Memory: one line at a time, bounded by LIMIT_POP3_REPLY octets for a reply and LIMIT_POP3_LINE
 * for other lines.  Messages pass through as chunks of the caller's own buffer and are never
 * stored.
 *
 * A message ends at a line that is a dot alone, and only CRLF begins a line: where a server passes
 * on bare LFs that were in a message, "LF . CRLF" is text that somebody wrote, who could otherwise
 * write the server's next replies too.  Bare LFs end lines from a server that ended the reply
 * itself with one, and in a message none of whose lines has ended in CRLF: it begins with its
 * header, whose first lines are a server's.
 *
 * What is tolerated beyond the grammar: replies and lines that end in a bare LF; lower case; no
 * text, or no blank before it; "+" without a blank; a dot at the beginning of a line that was not
 * doubled (it is kept: a server that doubles dots sends no single ones); ". LF" at the end of a
 * message.
 */
#pragma once

#include <glib.h>

typedef struct Pop3Parser Pop3Parser;

typedef enum {
    POP3_PARSE_NEED_DATA, /* the input is used up */
    POP3_PARSE_REPLY,     /* "+OK" or "-ERR": pop3_parser_reply() */
    POP3_PARSE_LINE,      /* of POP3_EXPECT_LINES: pop3_parser_line() */
    POP3_PARSE_CHUNK,     /* of POP3_EXPECT_MESSAGE: pop3_parser_chunk() */
    POP3_PARSE_END,       /* the dot after lines or a message */
    POP3_PARSE_CONTINUE,  /* "+ ": pop3_parser_continuation() */
    POP3_PARSE_BAD,       /* not POP3: pop3_parser_problem(); for good */
} Pop3Parse;

typedef enum {
    POP3_EXPECT_REPLY,   /* nothing follows: the next thing is a reply (the default) */
    POP3_EXPECT_LINES,   /* lines, each without its end and its doubled dot, then the dot */
    POP3_EXPECT_MESSAGE, /* octets as they are, with their CRLFs, then the dot */
} Pop3Expect;

/* Valid until the next call of pop3_parser_next(). */
typedef struct {
    gboolean ok;
    const char *code; /* "IN-USE", "SYS/TEMP" (RFC 2449, RFC 3206): upper case; NULL for none */
    const char *text; /* made printable; "" for none */
} Pop3Reply;

Pop3Parser *pop3_parser_new(void);
void pop3_parser_free(Pop3Parser *parser); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pop3Parser, pop3_parser_free)

/* Only after pop3_parser_next() said NEED_DATA.  @data is borrowed until it says so again. */
void pop3_parser_feed(Pop3Parser *parser, const void *data, gsize length);
Pop3Parse pop3_parser_next(Pop3Parser *parser);

/* Only right after a REPLY: what comes with it. */
void pop3_parser_expect(Pop3Parser *parser, Pop3Expect what);

const Pop3Reply *pop3_parser_reply(const Pop3Parser *parser);
/* NUL-terminated; may hold NUL.  Right after a REPLY: the whole of it as it came. */
const char *pop3_parser_line(const Pop3Parser *parser, gsize *ret_length);
/* Never empty. */
const char *pop3_parser_chunk(const Pop3Parser *parser, gsize *ret_length);
const char *pop3_parser_continuation(const Pop3Parser *parser); /* "" for none */
const char *pop3_parser_problem(const Pop3Parser *parser);      /* static: "a NUL octet" */

/* Octets fed and not used yet: what must be 0 when TLS starts. */
gsize pop3_parser_pending(const Pop3Parser *parser);

/* TRUE while no reply has begun, and nothing that comes with one is due. */
gboolean pop3_parser_is_between(const Pop3Parser *parser);

/* TRUE within a message: input that gave no chunk yet is its too. */
gboolean pop3_parser_is_in_message(const Pop3Parser *parser);
