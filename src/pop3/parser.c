/* Two small machines behind one door: one collects lines, the other lets a message through.
 *
 * A line is kept until its LF came and is then taken apart, for lines are short.  Of a message
 * nothing is kept but what a dot at the beginning of a line may still turn out to be; everything
 * else is handed on as slices of the input, as long as no such dot divides them.
 */
#include "pop3/parser.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

typedef enum {
    IN_REPLY,
    IN_LINES,
    AT_MESSAGE_LINE, /* of a message, at the beginning of a line */
    IN_MESSAGE,
    AFTER_DOT,    /* "." at the beginning of a line */
    AFTER_DOT_CR, /* ".\r" */
    AT_BAD,
} State;

enum { MAX_CODE = 64 };

struct Pop3Parser {
    /* the input, borrowed */
    const char *at, *end;

    State state;
    const char *problem;

    GString *line; /* being read, or given out */
    gboolean line_is_done;
    gboolean is_bare;  /* the last reply ended in a bare LF */
    gboolean has_crlf; /* a line of the message ended in CRLF */
    char last;         /* octet of the message before the input */

    /* given out */
    Pop3Reply reply;
    char *code, *text;
    const char *chunk;
    gsize chunk_length;
};

static Pop3Parse bad(Pop3Parser *parser, const char *problem)
{
    parser->state = AT_BAD;
    parser->problem = problem;
    return POP3_PARSE_BAD;
}

/* -- Lines ------------------------------------------------------------------------------------- */

/* Moves input to the line, up to its LF, which is taken off with a CR before it.  TRUE when the
 * line is whole. */
static gboolean take_line(Pop3Parser *parser, gsize limit, gboolean *ret_is_bare)
{
    GString *line = parser->line;
    gsize n = (gsize)(parser->end - parser->at);
    const char *newline;

    if (parser->line_is_done)
        g_string_truncate(line, 0);
    parser->line_is_done = FALSE;
    newline = memchr(parser->at, '\n', n);
    if (newline)
        n = (gsize)(newline - parser->at);
    if (line->len + n > limit + 1) { /* and a CR */
        (void)bad(parser, "a line that is too long");
        return FALSE;
    }
    g_string_append_len(line, parser->at, (gssize)n);
    parser->at += n + (newline ? 1 : 0);
    if (!newline)
        return FALSE;
    *ret_is_bare = line->len == 0 || line->str[line->len - 1] != '\r';
    if (!*ret_is_bare)
        g_string_truncate(line, line->len - 1);
    parser->line_is_done = TRUE;
    return TRUE;
}

/* The length of "[CODE] " at the beginning of @text; 0 if there is none.  RFC 2449 section 8 knows
 * codes only where the server lists RESP-CODES, but servers send them without. */
static gsize code_length(const char *text)
{
    gsize n = 1;

    if (text[0] != '[' || !g_ascii_isalpha(text[1]))
        return 0;
    while (n <= MAX_CODE && text[n] >= ' ' && text[n] <= '~' && text[n] != ']' && text[n] != '[')
        n++;
    return text[n] == ']' ? n + 1 : 0;
}

static void view_reply(Pop3Parser *parser, gboolean ok, const char *text)
{
    gsize n;

    g_clear_pointer(&parser->code, g_free);
    g_clear_pointer(&parser->text, g_free);
    text += strspn(text, " ");
    n = code_length(text);
    if (n > 0) {
        parser->code = g_ascii_strup(text + 1, (gssize)strcspn(text + 1, " ]"));
        text += n;
        text += strspn(text, " ");
    }
    parser->text = text_printable(text, strlen(text), LIMIT_POP3_REPLY);
    parser->reply = (Pop3Reply){ok, parser->code, parser->text};
}

static Pop3Parse in_reply(Pop3Parser *parser)
{
    const GString *line = parser->line;
    gboolean is_challenge;

    /* Nobody has to wait for the end of a line that cannot be one. */
    if ((line->len == 0 || parser->line_is_done) && *parser->at != '+' && *parser->at != '-')
        return bad(parser, "a line that is neither +OK nor -ERR");
    if (!take_line(parser, LIMIT_POP3_LINE, &parser->is_bare))
        return parser->state == AT_BAD ? POP3_PARSE_BAD : POP3_PARSE_NEED_DATA;
    if (strlen(line->str) != line->len)
        return bad(parser, "a NUL octet");
    is_challenge = line->str[0] == '+' && (line->str[1] == ' ' || line->str[1] == '\0');
    if (is_challenge)
        return POP3_PARSE_CONTINUE;
    if (line->len > LIMIT_POP3_REPLY)
        return bad(parser, "a line that is too long");
    if (g_ascii_strncasecmp(line->str, "+OK", 3) == 0)
        view_reply(parser, TRUE, line->str + 3);
    else if (g_ascii_strncasecmp(line->str, "-ERR", 4) == 0)
        view_reply(parser, FALSE, line->str + 4);
    else
        return bad(parser, "a line that is neither +OK nor -ERR");
    return POP3_PARSE_REPLY;
}

static Pop3Parse in_lines(Pop3Parser *parser)
{
    gboolean is_bare;

    if (!take_line(parser, LIMIT_POP3_LINE, &is_bare))
        return parser->state == AT_BAD ? POP3_PARSE_BAD : POP3_PARSE_NEED_DATA;
    if (g_str_equal(parser->line->str, ".") && parser->line->len == 1) {
        parser->state = IN_REPLY;
        return POP3_PARSE_END;
    }
    if (g_str_has_prefix(parser->line->str, ".."))
        g_string_erase(parser->line, 0, 1);
    return POP3_PARSE_LINE;
}

/* -- Messages ---------------------------------------------------------------------------------- */

static Pop3Parse give(Pop3Parser *parser, const char *data, gsize length)
{
    parser->chunk = data;
    parser->chunk_length = length;
    parser->last = data[length - 1];
    return POP3_PARSE_CHUNK;
}

/* As much text as can be handed on in one piece: to the end of the input, or to a line that begins
 * with a dot. */
static Pop3Parse in_message(Pop3Parser *parser)
{
    const char *start = parser->at, *p = start;

    while ((p = memchr(p, '\n', (gsize)(parser->end - p)))) {
        char before = p == start ? parser->last : p[-1];

        p++;
        parser->has_crlf = parser->has_crlf || before == '\r';
        if (before != '\r' && parser->has_crlf && !parser->is_bare)
            continue;
        if (p < parser->end && *p != '.')
            continue;
        parser->state = AT_MESSAGE_LINE;
        parser->at = p;
        return give(parser, start, (gsize)(p - start));
    }
    parser->at = parser->end;
    return give(parser, start, (gsize)(parser->end - start));
}

static Pop3Parse end_message(Pop3Parser *parser)
{
    parser->at++;
    parser->state = IN_REPLY;
    return POP3_PARSE_END;
}

/* A dot and what comes after it. */
static Pop3Parse after_dot(Pop3Parser *parser)
{
    gboolean after_cr = parser->state == AFTER_DOT_CR;
    char c = *parser->at;

    if (c == '\n')
        return end_message(parser);
    if (!after_cr && c == '\r') {
        parser->at++;
        parser->state = AFTER_DOT_CR;
        return POP3_PARSE_NEED_DATA;
    }
    parser->state = IN_MESSAGE;
    if (!after_cr && c == '.') { /* the second one is the text's */
        parser->last = '\n';
        return POP3_PARSE_NEED_DATA;
    }
    return after_cr ? give(parser, ".\r", 2) : give(parser, ".", 1);
}

static Pop3Parse at_message_line(Pop3Parser *parser)
{
    if (*parser->at == '.') {
        parser->at++;
        parser->state = AFTER_DOT;
    } else {
        parser->last = '\n';
        parser->state = IN_MESSAGE;
    }
    return POP3_PARSE_NEED_DATA;
}

/* -- The door ---------------------------------------------------------------------------------- */

/* One state's worth of input, of which there is at least one octet. */
static Pop3Parse step(Pop3Parser *parser)
{
    switch (parser->state) {
    case IN_REPLY:
        return in_reply(parser);
    case IN_LINES:
        return in_lines(parser);
    case AT_MESSAGE_LINE:
        return at_message_line(parser);
    case IN_MESSAGE:
        return in_message(parser);
    case AFTER_DOT:
    case AFTER_DOT_CR:
        return after_dot(parser);
    case AT_BAD:
        break;
    }
    return POP3_PARSE_BAD;
}

Pop3Parse pop3_parser_next(Pop3Parser *parser)
{
    if (parser->state == AT_BAD)
        return POP3_PARSE_BAD;
    while (parser->at < parser->end) {
        Pop3Parse event = step(parser);

        if (event != POP3_PARSE_NEED_DATA)
            return event;
    }
    return POP3_PARSE_NEED_DATA;
}

Pop3Parser *pop3_parser_new(void)
{
    Pop3Parser *parser = g_new0(Pop3Parser, 1);

    parser->line = g_string_new(NULL);
    parser->reply.text = "";
    return parser;
}

void pop3_parser_free(Pop3Parser *parser)
{
    if (!parser)
        return;
    g_string_free(parser->line, TRUE);
    g_free(parser->code);
    g_free(parser->text);
    g_free(parser);
}

void pop3_parser_feed(Pop3Parser *parser, const void *data, gsize length)
{
    g_assert(parser->at == parser->end || parser->state == AT_BAD);
    parser->at = data;
    parser->end = parser->at + length;
}

void pop3_parser_expect(Pop3Parser *parser, Pop3Expect what)
{
    static const State states[] = {IN_REPLY, IN_LINES, AT_MESSAGE_LINE};

    g_assert(parser->state == IN_REPLY && parser->line_is_done);
    parser->state = states[what];
    parser->has_crlf = FALSE;
}

const Pop3Reply *pop3_parser_reply(const Pop3Parser *parser)
{
    return &parser->reply;
}

const char *pop3_parser_line(const Pop3Parser *parser, gsize *ret_length)
{
    *ret_length = parser->line->len;
    return parser->line->str;
}

const char *pop3_parser_chunk(const Pop3Parser *parser, gsize *ret_length)
{
    *ret_length = parser->chunk_length;
    return parser->chunk;
}

const char *pop3_parser_continuation(const Pop3Parser *parser)
{
    return parser->line->str[1] ? parser->line->str + 2 : "";
}

const char *pop3_parser_problem(const Pop3Parser *parser)
{
    return parser->problem;
}

gsize pop3_parser_pending(const Pop3Parser *parser)
{
    return (gsize)(parser->end - parser->at);
}

gboolean pop3_parser_is_between(const Pop3Parser *parser)
{
    return parser->state == IN_REPLY && (parser->line->len == 0 || parser->line_is_done);
}

gboolean pop3_parser_is_in_message(const Pop3Parser *parser)
{
    return parser->state >= AT_MESSAGE_LINE && parser->state <= AFTER_DOT_CR;
}
