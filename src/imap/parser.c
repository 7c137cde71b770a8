/* A state machine that looks at each octet once, whatever pieces the octets come in.
 *
 * Arguments are written into one growing array in the order of the wire, a list before its
 * members with the count of them, so that a tree needs neither pointers nor recursion: an open
 * list is an index on a stack of LIMIT_IMAP_NESTING entries.  Their text goes into one growing
 * buffer.  Both are reset, not freed, between responses: a FETCH costs no malloc.  When the
 * buffer moves as it grows, the arguments' pointers are moved along, which doubling makes cheap.
 *
 * Status responses (OK, NO, BAD, BYE, PREAUTH) are free text after an optional code in brackets
 * and are not cut into arguments at all: people write what they like there.  The rest of the line
 * is kept, and the code is cut off at its end.
 */
#include "imap/parser.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

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

enum { KEEP_TEXT = 256 * 1024, KEEP_ARGS = 16 * 1024 }; /* capacity kept between responses */

struct ImapParser {
    /* the input, borrowed */
    const char *at, *end;

    State state;
    const char *problem;

    /* reset per response, their capacity kept */
    ImapArg *args;
    gsize n_args, args_size;
    char *text;
    gsize n_text, text_size;

    /* reset per response */
    gsize n_octets; /* used of it, streamed literals apart */
    guint depth;
    guint32 open[LIMIT_IMAP_NESTING]; /* indices of the lists that are open */
    gsize token;                      /* where the token being read begins in `text` */
    gboolean is_tagged, is_continuation, is_status;
    gsize tag, status_text; /* offsets in `text` */
    guint n_digits;
    guint64 literal_size, literal_left;

    /* given out */
    ImapResponse response;
    ImapChunk chunk;
};

/* -- Arguments, as the caller sees them -------------------------------------------------------- */

ImapArgs imap_arg_list(const ImapArg *arg)
{
    if (!arg || arg->type != IMAP_ARG_LIST)
        return (ImapArgs){NULL, NULL};
    return (ImapArgs){arg + 1, arg + 1 + arg->n_inside};
}

const char *imap_arg_text(const ImapArg *arg)
{
    if (!arg || !arg->text || arg->type == IMAP_ARG_NIL)
        return NULL;
    return strlen(arg->text) == arg->length ? arg->text : NULL;
}

gboolean imap_arg_is(const ImapArg *arg, const char *word)
{
    return arg && arg->type == IMAP_ARG_ATOM && g_ascii_strcasecmp(arg->text, word) == 0;
}

gboolean imap_arg_number(const ImapArg *arg, guint64 max, guint64 *ret_number)
{
    return arg && arg->text && text_parse_number(arg->text, arg->length, max, ret_number);
}

/* -- Storage ----------------------------------------------------------------------------------- */

static ImapParse bad(ImapParser *parser, const char *problem)
{
    parser->state = AT_BAD;
    parser->problem = problem;
    return IMAP_PARSE_BAD;
}

/* Room for @length more octets and a NUL.  The caller has checked the limit. */
static void reserve_text(ImapParser *parser, gsize length)
{
    const char *old = parser->text;

    if (parser->n_text + length + 1 <= parser->text_size)
        return;
    parser->text_size = MAX(parser->text_size * 2, parser->n_text + length + 1);
    parser->text = g_realloc(parser->text, parser->text_size);
    for (gsize i = 0; i < parser->n_args; i++)
        if (parser->args[i].text)
            parser->args[i].text = parser->text + (parser->args[i].text - old);
}

static void add_text(ImapParser *parser, const char *bytes, gsize length)
{
    reserve_text(parser, length);
    memcpy(parser->text + parser->n_text, bytes, length);
    parser->n_text += length;
}

static gsize token_length(const ImapParser *parser)
{
    return parser->n_text - parser->token;
}

static ImapArg *add_arg(ImapParser *parser, ImapArgType type)
{
    ImapArg *arg;

    if (parser->n_args == LIMIT_IMAP_ARGS) {
        bad(parser, "too many elements in one response");
        return NULL;
    }
    if (parser->n_args == parser->args_size) {
        parser->args_size *= 2;
        parser->args = g_renew(ImapArg, parser->args, parser->args_size);
    }
    arg = &parser->args[parser->n_args++];
    *arg = (ImapArg){.type = type};
    return arg;
}

/* The token in `text` becomes an argument. */
static ImapArg *add_token(ImapParser *parser, ImapArgType type)
{
    ImapArg *arg = add_arg(parser, type);

    if (!arg)
        return NULL;
    reserve_text(parser, 0);
    parser->text[parser->n_text] = '\0';
    arg->text = parser->text + parser->token;
    arg->length = token_length(parser);
    parser->n_text++;
    return arg;
}

static void begin_token(ImapParser *parser, State state)
{
    parser->token = parser->n_text;
    parser->state = state;
}

static void reset(ImapParser *parser)
{
    if (parser->text_size > KEEP_TEXT) {
        parser->text_size = KEEP_TEXT;
        parser->text = g_realloc(parser->text, parser->text_size);
    }
    if (parser->args_size > KEEP_ARGS) {
        parser->args_size = KEEP_ARGS;
        parser->args = g_renew(ImapArg, parser->args, parser->args_size);
    }
    parser->n_args = parser->n_text = parser->n_octets = 0;
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
static ImapParse view(ImapParser *parser, ImapParse event)
{
    ImapResponse *response = &parser->response;
    const ImapArg *args = parser->args, *end = args + parser->n_args;

    *response = (ImapResponse){.is_status = parser->is_status, .text = ""};
    for (guint i = 0; i < parser->depth; i++)
        parser->args[parser->open[i]].n_inside = (guint32)(parser->n_args - parser->open[i] - 1);
    if (parser->is_tagged)
        response->tag = parser->text + parser->tag;
    if (parser->n_args > 1 && args[0].type == IMAP_ARG_ATOM &&
        g_ascii_isdigit(args[0].text[0])) {
        response->has_number = TRUE;
        if (!imap_arg_number(&args[0], G_MAXUINT64 - 1, &response->number))
            response->number = G_MAXUINT64;
        args++;
    }
    if (args == end || args->type != IMAP_ARG_ATOM)
        return bad(parser, "a response without a name");
    response->name = upper(args->text);
    response->args = (ImapArgs){args + 1, end};
    if (parser->is_status && event == IMAP_PARSE_RESPONSE)
        split_status(response, parser->text + parser->status_text);
    return event;
}

/* The line has ended. */
static ImapParse finish(ImapParser *parser)
{
    if (parser->depth > 0)
        return bad(parser, "a parenthesis that is not closed");
    parser->state = AT_DONE;
    if (parser->is_continuation)
        return IMAP_PARSE_CONTINUE;
    return view(parser, IMAP_PARSE_RESPONSE);
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
    return bad(parser, "a NUL octet");
}

static gboolean is_line_octet(char c)
{
    return c != '\r' && c != '\n' && c != '\0';
}

static void begin_text(ImapParser *parser)
{
    parser->is_status = !parser->is_continuation;
    parser->status_text = parser->n_text;
    begin_token(parser, IN_TEXT);
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
        begin_text(parser);
    } else if (c == '[') {
        /* Exchange answers UID MOVE with a line "[COPYUID 124 10 233]". */
        begin_token(parser, IN_ATOM);
        add_text(parser, "OK", 2);
        if (!add_token(parser, IMAP_ARG_ATOM))
            return IMAP_PARSE_BAD;
        begin_text(parser);
    } else if (g_ascii_isalnum(c)) {
        begin_token(parser, IN_TAG);
    } else {
        return bad(parser, "a line that is no response");
    }
    return IMAP_PARSE_NEED_DATA;
}

static ImapParse in_tag(ImapParser *parser, const char *end)
{
    const char *start = parser->at;

    while (parser->at < end && *parser->at != ' ' && is_line_octet(*parser->at))
        parser->at++;
    if (token_length(parser) + (gsize)(parser->at - start) > 64)
        return bad(parser, "a line that is no response");
    add_text(parser, start, (gsize)(parser->at - start));
    if (parser->at == end)
        return IMAP_PARSE_NEED_DATA;
    if (*parser->at != ' ')
        return bad(parser, "a line that is no response");
    add_text(parser, "", 1);
    parser->is_tagged = TRUE;
    parser->tag = parser->token;
    parser->state = IN_ARGS;
    return IMAP_PARSE_NEED_DATA;
}

static ImapParse in_text(ImapParser *parser, const char *end)
{
    const char *start = parser->at;

    while (parser->at < end && is_line_octet(*parser->at))
        parser->at++;
    add_text(parser, start, (gsize)(parser->at - start));
    if (token_length(parser) > LIMIT_IMAP_STRING)
        return bad(parser, "a line that is too long");
    if (parser->at == end)
        return IMAP_PARSE_NEED_DATA;
    add_text(parser, "", 1);
    return line_end(parser, *parser->at++);
}

/* -- Atoms and quoted strings ------------------------------------------------------------------ */

/* What ends an atom.  A tab does not: Exchange has mailbox names with one, unquoted. */
static gboolean ends_atom(char c)
{
    switch (c) {
    case ' ':
    case '(':
    case ')':
    case '{':
    case '"':
    case '\r':
    case '\n':
    case '\0':
        return TRUE;
    default:
        return FALSE;
    }
}

/* OK, NO, BAD, BYE and PREAUTH: what follows is text. */
static gboolean is_status_name(const ImapParser *parser, const ImapArg *arg)
{
    static const char *const names[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};

    for (guint i = 0; i < (parser->is_tagged ? 3 : G_N_ELEMENTS(names)); i++)
        if (imap_arg_is(arg, names[i]))
            return TRUE;
    return FALSE;
}

static ImapParse end_atom(ImapParser *parser)
{
    ImapArg *arg = add_token(parser, IMAP_ARG_ATOM);

    if (!arg)
        return IMAP_PARSE_BAD;
    parser->state = IN_ARGS;
    if (g_ascii_strcasecmp(arg->text, "NIL") == 0)
        arg->type = IMAP_ARG_NIL;
    if (parser->n_args > 1)
        return IMAP_PARSE_NEED_DATA;
    if (is_status_name(parser, arg))
        begin_text(parser);
    else if (parser->is_tagged)
        return bad(parser, "a line that is no response");
    return IMAP_PARSE_NEED_DATA;
}

/* "BODY[" and "BINARY.SIZE[" of a FETCH hold blanks and parentheses up to the "]".  Only there:
 * a keyword or a mailbox may have a bracket in its name. */
static gboolean begins_section(const ImapParser *parser)
{
    static const char *const names[] = {"BODY", "BINARY", "BINARY.SIZE", "BODY.PEEK"};
    gsize length = token_length(parser);

    if (parser->depth != 1)
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (length == strlen(names[i]) &&
            g_ascii_strncasecmp(parser->text + parser->token, names[i], length) == 0)
            return TRUE;
    return FALSE;
}

static ImapParse in_atom(ImapParser *parser, const char *end)
{
    const char *start = parser->at;

    while (parser->at < end && !ends_atom(*parser->at) && *parser->at != '[')
        parser->at++;
    add_text(parser, start, (gsize)(parser->at - start));
    if (token_length(parser) > LIMIT_IMAP_STRING)
        return bad(parser, "an atom that is too long");
    if (parser->at == end)
        return IMAP_PARSE_NEED_DATA;
    if (*parser->at == '[') {
        if (begins_section(parser))
            parser->state = IN_SECTION;
        add_text(parser, parser->at++, 1);
        return IMAP_PARSE_NEED_DATA;
    }
    if (*parser->at == '{' && token_length(parser) == 1 &&
        parser->text[parser->token] == '~') { /* literal8 */
        parser->n_text = parser->token;
        parser->state = IN_ARGS;
        return IMAP_PARSE_NEED_DATA;
    }
    return end_atom(parser);
}

static ImapParse in_section(ImapParser *parser, const char *end)
{
    const char *start = parser->at;

    while (parser->at < end && *parser->at != ']' && is_line_octet(*parser->at))
        parser->at++;
    add_text(parser, start, (gsize)(parser->at - start));
    if (token_length(parser) > LIMIT_IMAP_STRING)
        return bad(parser, "a section that is too long");
    if (parser->at == end)
        return IMAP_PARSE_NEED_DATA;
    if (*parser->at != ']')
        return bad(parser, "a section that is not closed");
    parser->state = IN_ATOM; /* "<0>" may follow */
    return IMAP_PARSE_NEED_DATA;
}

static ImapParse in_quoted(ImapParser *parser, const char *end)
{
    const char *start = parser->at;

    while (parser->at < end && *parser->at != '"' && *parser->at != '\\' &&
           is_line_octet(*parser->at))
        parser->at++;
    add_text(parser, start, (gsize)(parser->at - start));
    if (token_length(parser) > LIMIT_IMAP_STRING)
        return bad(parser, "a quoted string that is too long");
    if (parser->at == end)
        return IMAP_PARSE_NEED_DATA;
    switch (*parser->at++) {
    case '\\':
        parser->state = IN_ESCAPE;
        return IMAP_PARSE_NEED_DATA;
    case '"':
        parser->state = IN_ARGS;
        return add_token(parser, IMAP_ARG_QUOTED) ? IMAP_PARSE_NEED_DATA : IMAP_PARSE_BAD;
    default:
        return bad(parser, "a quoted string that is not closed");
    }
}

static ImapParse in_escape(ImapParser *parser)
{
    if (!is_line_octet(*parser->at))
        return bad(parser, "a quoted string that is not closed");
    add_text(parser, parser->at++, 1);
    parser->state = IN_QUOTED;
    return IMAP_PARSE_NEED_DATA;
}

/* -- Literals ---------------------------------------------------------------------------------- */

static ImapParse in_literal_size(ImapParser *parser)
{
    char c = *parser->at++;

    if (g_ascii_isdigit(c) && parser->state == IN_LITERAL_SIZE && parser->n_digits < 10) {
        parser->n_digits++;
        parser->literal_size = parser->literal_size * 10 + (guint64)(c - '0');
        return IMAP_PARSE_NEED_DATA;
    }
    if (parser->n_digits == 0 || (c != '}' && c != '+'))
        return bad(parser, "the size of a literal is no number");
    if (c == '+' && parser->state == IN_LITERAL_PLUS)
        return bad(parser, "the size of a literal is no number");
    if (parser->literal_size > LIMIT_IMAP_LITERAL)
        return bad(parser, "a literal that is too large");
    parser->state = c == '+' ? IN_LITERAL_PLUS : IN_LITERAL_END;
    return IMAP_PARSE_NEED_DATA;
}

/* The line of "{N}" has ended: the next octets are the literal's. */
static ImapParse begin_literal(ImapParser *parser)
{
    ImapArg *arg;

    parser->literal_left = parser->literal_size;
    if (parser->literal_size <= LIMIT_IMAP_INLINE_LITERAL) {
        begin_token(parser, IN_LITERAL);
        if (parser->literal_size > 0)
            return IMAP_PARSE_NEED_DATA;
        parser->state = IN_ARGS;
        return add_token(parser, IMAP_ARG_LITERAL) ? IMAP_PARSE_NEED_DATA : IMAP_PARSE_BAD;
    }
    arg = add_arg(parser, IMAP_ARG_STREAM);
    if (!arg)
        return IMAP_PARSE_BAD;
    arg->length = parser->literal_size;
    parser->state = IN_STREAM;
    parser->chunk = (ImapChunk){.size = parser->literal_size, .data = ""};
    return view(parser, IMAP_PARSE_LITERAL_CHUNK);
}

static ImapParse in_literal_end(ImapParser *parser)
{
    char c = *parser->at++;

    if (c == '\n')
        return begin_literal(parser);
    if (c != '\r' || parser->state == IN_LITERAL_LINE)
        return bad(parser, "the size of a literal does not end its line");
    parser->state = IN_LITERAL_LINE;
    return IMAP_PARSE_NEED_DATA;
}

static ImapParse in_literal(ImapParser *parser, const char *end)
{
    gsize length = (gsize)MIN(parser->literal_left, (guint64)(end - parser->at));

    add_text(parser, parser->at, length);
    parser->at += length;
    parser->literal_left -= length;
    if (parser->literal_left > 0)
        return IMAP_PARSE_NEED_DATA;
    parser->state = IN_ARGS;
    return add_token(parser, IMAP_ARG_LITERAL) ? IMAP_PARSE_NEED_DATA : IMAP_PARSE_BAD;
}

static ImapParse in_stream(ImapParser *parser)
{
    ImapChunk *chunk = &parser->chunk;

    chunk->offset = parser->literal_size - parser->literal_left;
    chunk->data = parser->at;
    chunk->length = (gsize)MIN(parser->literal_left, (guint64)(parser->end - parser->at));
    parser->at += chunk->length;
    parser->literal_left -= chunk->length;
    if (parser->literal_left == 0)
        parser->state = IN_ARGS;
    return IMAP_PARSE_LITERAL_CHUNK;
}

/* -- The machine ------------------------------------------------------------------------------- */

static ImapParse open_list(ImapParser *parser)
{
    if (parser->depth == LIMIT_IMAP_NESTING)
        return bad(parser, "parentheses nested too deep");
    parser->open[parser->depth++] = (guint32)parser->n_args;
    return add_arg(parser, IMAP_ARG_LIST) ? IMAP_PARSE_NEED_DATA : IMAP_PARSE_BAD;
}

static ImapParse close_list(ImapParser *parser)
{
    guint32 list;

    if (parser->depth == 0)
        return bad(parser, "a parenthesis that was not opened");
    list = parser->open[--parser->depth];
    parser->args[list].n_inside = (guint32)(parser->n_args - list - 1);
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
        begin_token(parser, IN_QUOTED);
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
        begin_token(parser, IN_ATOM);
        return IMAP_PARSE_NEED_DATA;
    }
}

static ImapParse at_line_end(ImapParser *parser)
{
    if (*parser->at++ != '\n')
        return bad(parser, "a CR within a line");
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
        return in_atom(parser, end);
    case IN_SECTION:
        return in_section(parser, end);
    case IN_QUOTED:
        return in_quoted(parser, end);
    case IN_ESCAPE:
        return in_escape(parser);
    case IN_LITERAL_SIZE:
    case IN_LITERAL_PLUS:
        return in_literal_size(parser);
    case IN_LITERAL_END:
    case IN_LITERAL_LINE:
        return in_literal_end(parser);
    case IN_LITERAL:
        return in_literal(parser, end);
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
            return in_stream(parser);
        if (left == 0)
            return bad(parser, "a response that is too long");
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

    parser->text_size = 1024;
    parser->text = g_malloc(parser->text_size);
    parser->args_size = 64;
    parser->args = g_new(ImapArg, parser->args_size);
    parser->response.text = "";
    return parser;
}

void imap_parser_free(ImapParser *parser)
{
    if (!parser)
        return;
    g_free(parser->text);
    g_free(parser->args);
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
    const char *text = parser->text + parser->status_text;

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
