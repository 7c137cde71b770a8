/* A state machine that looks at each octet once, whatever pieces the octets come in.
 *
 * This is its frame: lines, the tag, lists, and what is given out.  How one argument is read is in
 * parser-token.c; where they are kept, in arguments.h.  An open list is an index on a stack of
 * LIMIT_IMAP_NESTING entries, so that nothing here recurs.
 *
 * Status responses (OK, NO, BAD, BYE, PREAUTH) are free text after an optional code in brackets
 * and are not cut into arguments at all: people write what they like there.  The rest of the line
 * is kept, and the code is cut off at its end.
 */
#include "imap/parser-internal.h"

#include <string.h>

/* -- Storage ----------------------------------------------------------------------------------- */

ImapParse imap_parser_bad(ImapParser *parser, const char *problem)
{
    parser->state = AT_BAD;
    parser->problem = problem;
    return IMAP_PARSE_BAD;
}

static ImapArg *check_arg(ImapParser *parser, ImapArg *arg)
{
    if (!arg)
        imap_parser_bad(parser, "too many elements in one response");
    return arg;
}

ImapArg *imap_parser_add_arg(ImapParser *parser, ImapArgType type)
{
    return check_arg(parser, imap_arg_store_add(&parser->store, type));
}

ImapArg *imap_parser_add_token(ImapParser *parser, ImapArgType type)
{
    return check_arg(parser, imap_arg_store_add_token(&parser->store, type));
}

void imap_parser_begin_token(ImapParser *parser, State state)
{
    imap_arg_store_begin_token(&parser->store);
    parser->state = state;
}

static void reset(ImapParser *parser)
{
    imap_arg_store_reset(&parser->store);
    parser->n_octets = 0;
    parser->depth = 0;
    parser->is_tagged = parser->is_continuation = parser->is_status = FALSE;
    parser->state = AT_START;
}

/* -- Giving out -------------------------------------------------------------------------------- */

static char *upper(const char *text)
{
    char *p = (char *)text; /* into our own buffer */

    for (; *p; p++)
        *p = g_ascii_toupper(*p);
    return (char *)text;
}

/* Where the "]" of a response code is: not within quotation marks, if they are balanced. */
static char *code_end(char *text)
{
    gboolean quoted = FALSE;

    for (char *p = text; *p; p++) {
        if (quoted && *p == '\\' && p[1])
            p++;
        else if (*p == '"')
            quoted = !quoted;
        else if (*p == ']' && !quoted)
            return p;
    }
    return strchr(text, ']');
}

/* Cuts "[CODE args] text" apart, in place.  A "[" that is never closed is text. */
static void split_status(ImapResponse *response, char *text)
{
    char *end, *blank;

    while (*text == ' ')
        text++;
    response->text = text;
    if (*text != '[' || !(end = code_end(text)))
        return;
    *end++ = '\0';
    while (*end == ' ')
        end++;
    response->text = end;
    response->code = text + 1;
    blank = strchr(text + 1, ' ');
    if (blank) {
        *blank = '\0';
        response->code_args = g_strstrip(blank + 1);
    }
    upper(response->code);
}

/* Fills in `response` from what has been read; for a chunk the lists are still open. */
ImapParse imap_parser_view(ImapParser *parser, ImapParse event)
{
    ImapResponse *response = &parser->response;
    ImapArg *args = parser->store.args, *end = args + parser->store.n_args;

    *response = (ImapResponse){.is_status = parser->is_status, .text = ""};
    for (guint i = 0; i < parser->depth; i++)
        args[parser->open[i]].n_inside = (guint32)(end - args) - parser->open[i] - 1;
    if (parser->is_tagged)
        response->tag = parser->store.text + parser->tag;
    if (end - args > 1 && args->type == IMAP_ARG_ATOM && g_ascii_isdigit(args->text[0])) {
        response->has_number = TRUE;
        if (!imap_arg_number(args, G_MAXUINT64 - 1, &response->number))
            response->number = G_MAXUINT64;
        args++;
    }
    if (args == end || args->type != IMAP_ARG_ATOM)
        return imap_parser_bad(parser, "a response without a name");
    response->name = upper(args->text);
    response->args = (ImapArgs){args + 1, end};
    if (parser->is_status && event == IMAP_PARSE_RESPONSE)
        split_status(response, parser->store.text + parser->status_text);
    return event;
}

/* The line has ended. */
static ImapParse finish(ImapParser *parser)
{
    if (parser->depth > 0)
        return imap_parser_bad(parser, "a parenthesis that is not closed");
    parser->state = AT_DONE;
    if (parser->is_continuation)
        return IMAP_PARSE_CONTINUE;
    return imap_parser_view(parser, IMAP_PARSE_RESPONSE);
}

/* -- Lines and text ---------------------------------------------------------------------------- */

/* CR, LF or NUL where they may end a line. */
static ImapParse line_end(ImapParser *parser, char c)
{
    if (c == '\r') {
        parser->state = AT_LINE_END;
        return IMAP_PARSE_NEED_DATA;
    }
    if (c == '\n')
        return finish(parser);
    return imap_parser_bad(parser, "a NUL octet");
}

void imap_parser_begin_text(ImapParser *parser)
{
    parser->is_status = !parser->is_continuation;
    parser->status_text = parser->store.n_text;
    imap_parser_begin_token(parser, IN_TEXT);
}

static ImapParse at_start(ImapParser *parser)
{
    char c = *parser->at;

    if (c == '*') {
        parser->at++;
        parser->state = IN_ARGS;
    } else if (c == '+') {
        parser->at++;
        parser->is_continuation = TRUE;
        imap_parser_begin_text(parser);
    } else if (c == '[') {
        /* Exchange answers UID MOVE with a line "[COPYUID 124 10 233]". */
        imap_parser_begin_token(parser, IN_ATOM);
        imap_arg_store_write(&parser->store, "OK", 2);
        if (!imap_parser_add_token(parser, IMAP_ARG_ATOM))
            return IMAP_PARSE_BAD;
        imap_parser_begin_text(parser);
    } else if (g_ascii_isalnum(c)) {
        imap_parser_begin_token(parser, IN_TAG);
    } else {
        return imap_parser_bad(parser, "a line that is no response");
    }
    return IMAP_PARSE_NEED_DATA;
}

static ImapParse in_tag(ImapParser *parser, const char *end)
{
    const char *start = parser->at;

    while (parser->at < end && *parser->at != ' ' && imap_parser_is_line_octet(*parser->at))
        parser->at++;
    if (imap_arg_store_token_length(&parser->store) + (gsize)(parser->at - start) > 64)
        return imap_parser_bad(parser, "a line that is no response");
    imap_arg_store_write(&parser->store, start, (gsize)(parser->at - start));
    if (parser->at == end)
        return IMAP_PARSE_NEED_DATA;
    if (*parser->at != ' ')
        return imap_parser_bad(parser, "a line that is no response");
    imap_arg_store_write(&parser->store, "", 1);
    parser->is_tagged = TRUE;
    parser->tag = parser->store.token;
    parser->state = IN_ARGS;
    return IMAP_PARSE_NEED_DATA;
}

static ImapParse in_text(ImapParser *parser, const char *end)
{
    const char *start = parser->at;

    while (parser->at < end && imap_parser_is_line_octet(*parser->at))
        parser->at++;
    imap_arg_store_write(&parser->store, start, (gsize)(parser->at - start));
    if (imap_arg_store_token_length(&parser->store) > LIMIT_IMAP_STRING)
        return imap_parser_bad(parser, "a line that is too long");
    if (parser->at == end)
        return IMAP_PARSE_NEED_DATA;
    imap_arg_store_write(&parser->store, "", 1);
    return line_end(parser, *parser->at++);
}

/* -- The machine ------------------------------------------------------------------------------- */

static ImapParse open_list(ImapParser *parser)
{
    if (parser->depth == LIMIT_IMAP_NESTING)
        return imap_parser_bad(parser, "parentheses nested too deep");
    parser->open[parser->depth++] = (guint32)parser->store.n_args;
    return imap_parser_add_arg(parser, IMAP_ARG_LIST) ? IMAP_PARSE_NEED_DATA : IMAP_PARSE_BAD;
}

static ImapParse close_list(ImapParser *parser)
{
    guint32 list;

    if (parser->depth == 0)
        return imap_parser_bad(parser, "a parenthesis that was not opened");
    list = parser->open[--parser->depth];
    parser->store.args[list].n_inside = (guint32)(parser->store.n_args - list - 1);
    return IMAP_PARSE_NEED_DATA;
}

static ImapParse in_args(ImapParser *parser)
{
    char c = *parser->at++;

    switch (c) {
    case ' ':
        return IMAP_PARSE_NEED_DATA;
    case '(':
        return open_list(parser);
    case ')':
        return close_list(parser);
    case '"':
        imap_parser_begin_token(parser, IN_QUOTED);
        return IMAP_PARSE_NEED_DATA;
    case '{':
        parser->literal_size = 0;
        parser->n_digits = 0;
        parser->state = IN_LITERAL_SIZE;
        return IMAP_PARSE_NEED_DATA;
    case '\r':
    case '\n':
    case '\0':
        return line_end(parser, c);
    default:
        parser->at--;
        imap_parser_begin_token(parser, IN_ATOM);
        return IMAP_PARSE_NEED_DATA;
    }
}

static ImapParse at_line_end(ImapParser *parser)
{
    if (*parser->at++ != '\n')
        return imap_parser_bad(parser, "a CR within a line");
    return finish(parser);
}

/* One state's worth of input up to @end, of which there is at least one octet. */
static ImapParse step(ImapParser *parser, const char *end)
{
    switch (parser->state) {
    case AT_START:
        return at_start(parser);
    case IN_TAG:
        return in_tag(parser, end);
    case IN_TEXT:
        return in_text(parser, end);
    case IN_ARGS:
        return in_args(parser);
    case IN_ATOM:
        return imap_parser_in_atom(parser, end);
    case IN_SECTION:
        return imap_parser_in_section(parser, end);
    case IN_QUOTED:
        return imap_parser_in_quoted(parser, end);
    case IN_ESCAPE:
        return imap_parser_in_escape(parser);
    case IN_LITERAL_SIZE:
    case IN_LITERAL_PLUS:
        return imap_parser_in_literal_size(parser);
    case IN_LITERAL_END:
    case IN_LITERAL_LINE:
        return imap_parser_in_literal_end(parser);
    case IN_LITERAL:
        return imap_parser_in_literal(parser, end);
    case AT_LINE_END:
        return at_line_end(parser);
    case IN_STREAM:
    case AT_DONE:
    case AT_BAD:
        break;
    }
    g_assert_not_reached();
}

ImapParse imap_parser_next(ImapParser *parser)
{
    if (parser->state == AT_BAD)
        return IMAP_PARSE_BAD;
    if (parser->state == AT_DONE)
        reset(parser);
    while (parser->at < parser->end) {
        const char *start = parser->at;
        gsize left = LIMIT_IMAP_RESPONSE - parser->n_octets;
        ImapParse event;

        if (parser->state == IN_STREAM)
            return imap_parser_in_stream(parser);
        if (left == 0)
            return imap_parser_bad(parser, "a response that is too long");
        event = step(parser, start + MIN(left, (gsize)(parser->end - start)));
        parser->n_octets += (gsize)(parser->at - start);
        if (event != IMAP_PARSE_NEED_DATA)
            return event;
    }
    return IMAP_PARSE_NEED_DATA;
}

ImapParser *imap_parser_new(void)
{
    ImapParser *parser = g_new0(ImapParser, 1);

    imap_arg_store_init(&parser->store);
    parser->response.text = "";
    return parser;
}

void imap_parser_free(ImapParser *parser)
{
    if (!parser)
        return;
    imap_arg_store_clear(&parser->store);
    g_free(parser);
}

void imap_parser_feed(ImapParser *parser, const void *data, gsize length)
{
    g_assert(parser->at == parser->end || parser->state == AT_BAD);
    parser->at = data;
    parser->end = parser->at + length;
}

const ImapResponse *imap_parser_response(const ImapParser *parser)
{
    return &parser->response;
}

const ImapChunk *imap_parser_chunk(const ImapParser *parser)
{
    return &parser->chunk;
}

const char *imap_parser_continuation(const ImapParser *parser)
{
    const char *text = parser->store.text + parser->status_text;

    return *text == ' ' ? text + 1 : text;
}

const char *imap_parser_problem(const ImapParser *parser)
{
    return parser->problem;
}

gsize imap_parser_pending(const ImapParser *parser)
{
    return (gsize)(parser->end - parser->at);
}

gboolean imap_parser_is_between(const ImapParser *parser)
{
    return parser->state == AT_START || parser->state == AT_DONE;
}
