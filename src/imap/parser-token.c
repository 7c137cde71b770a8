/* How the parser reads one argument: an atom, a section, a quoted string, a literal.  Each function
 * is a state's, and takes what there is of it.  See parser.c.
 */
#include "imap/parser-internal.h"

#include <string.h>

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
    ImapArg *arg = imap_parser_add_token(parser, IMAP_ARG_ATOM);

    if (!arg)
        return IMAP_PARSE_BAD;
    parser->state = IN_ARGS;
    if (g_ascii_strcasecmp(arg->text, "NIL") == 0)
        arg->type = IMAP_ARG_NIL;
    if (parser->store.n_args > 1)
        return IMAP_PARSE_NEED_DATA;
    if (is_status_name(parser, arg))
        imap_parser_begin_text(parser);
    else if (parser->is_tagged)
        return imap_parser_bad(parser, "a line that is no response");
    return IMAP_PARSE_NEED_DATA;
}

/* "BODY[" and "BINARY.SIZE[" of a FETCH hold blanks and parentheses up to the "]".  Only there:
 * a keyword or a mailbox may have a bracket in its name. */
static gboolean begins_section(const ImapParser *parser)
{
    static const char *const names[] = {"BODY", "BINARY", "BINARY.SIZE", "BODY.PEEK"};
    gsize length = imap_arg_store_token_length(&parser->store);

    if (parser->depth != 1)
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (length == strlen(names[i]) &&
            g_ascii_strncasecmp(parser->store.text + parser->store.token, names[i], length) == 0)
            return TRUE;
    return FALSE;
}

ImapParse imap_parser_in_atom(ImapParser *parser, const char *end)
{
    const char *start = parser->at;

    while (parser->at < end && !ends_atom(*parser->at) && *parser->at != '[')
        parser->at++;
    imap_arg_store_write(&parser->store, start, (gsize)(parser->at - start));
    if (imap_arg_store_token_length(&parser->store) > LIMIT_IMAP_STRING)
        return imap_parser_bad(parser, "an atom that is too long");
    if (parser->at == end)
        return IMAP_PARSE_NEED_DATA;
    if (*parser->at == '[') {
        if (begins_section(parser))
            parser->state = IN_SECTION;
        imap_arg_store_write(&parser->store, parser->at++, 1);
        return IMAP_PARSE_NEED_DATA;
    }
    if (*parser->at == '{' && imap_arg_store_token_length(&parser->store) == 1 &&
        parser->store.text[parser->store.token] == '~') { /* literal8 */
        parser->store.n_text = parser->store.token;
        parser->state = IN_ARGS;
        return IMAP_PARSE_NEED_DATA;
    }
    return end_atom(parser);
}

ImapParse imap_parser_in_section(ImapParser *parser, const char *end)
{
    const char *start = parser->at;

    while (parser->at < end && *parser->at != ']' && imap_parser_is_line_octet(*parser->at))
        parser->at++;
    imap_arg_store_write(&parser->store, start, (gsize)(parser->at - start));
    if (imap_arg_store_token_length(&parser->store) > LIMIT_IMAP_STRING)
        return imap_parser_bad(parser, "a section that is too long");
    if (parser->at == end)
        return IMAP_PARSE_NEED_DATA;
    if (*parser->at != ']')
        return imap_parser_bad(parser, "a section that is not closed");
    parser->state = IN_ATOM; /* "<0>" may follow */
    return IMAP_PARSE_NEED_DATA;
}

static ImapParse end_string(ImapParser *parser, ImapArgType type)
{
    parser->state = IN_ARGS;
    return imap_parser_add_token(parser, type) ? IMAP_PARSE_NEED_DATA : IMAP_PARSE_BAD;
}

ImapParse imap_parser_in_quoted(ImapParser *parser, const char *end)
{
    const char *start = parser->at;

    while (parser->at < end && *parser->at != '"' && *parser->at != '\\' &&
           imap_parser_is_line_octet(*parser->at))
        parser->at++;
    imap_arg_store_write(&parser->store, start, (gsize)(parser->at - start));
    if (imap_arg_store_token_length(&parser->store) > LIMIT_IMAP_STRING)
        return imap_parser_bad(parser, "a quoted string that is too long");
    if (parser->at == end)
        return IMAP_PARSE_NEED_DATA;
    switch (*parser->at++) {
    case '\\':
        parser->state = IN_ESCAPE;
        return IMAP_PARSE_NEED_DATA;
    case '"':
        return end_string(parser, IMAP_ARG_QUOTED);
    default:
        return imap_parser_bad(parser, "a quoted string that is not closed");
    }
}

ImapParse imap_parser_in_escape(ImapParser *parser)
{
    if (!imap_parser_is_line_octet(*parser->at))
        return imap_parser_bad(parser, "a quoted string that is not closed");
    imap_arg_store_write(&parser->store, parser->at++, 1);
    parser->state = IN_QUOTED;
    return IMAP_PARSE_NEED_DATA;
}

/* -- Literals ---------------------------------------------------------------------------------- */

ImapParse imap_parser_in_literal_size(ImapParser *parser)
{
    char c = *parser->at++;

    if (g_ascii_isdigit(c) && parser->state == IN_LITERAL_SIZE && parser->n_digits < 10) {
        parser->n_digits++;
        parser->literal_size = parser->literal_size * 10 + (guint64)(c - '0');
        return IMAP_PARSE_NEED_DATA;
    }
    if (parser->n_digits == 0 || (c != '}' && c != '+'))
        return imap_parser_bad(parser, "the size of a literal is no number");
    if (c == '+' && parser->state == IN_LITERAL_PLUS)
        return imap_parser_bad(parser, "the size of a literal is no number");
    if (parser->literal_size > LIMIT_IMAP_LITERAL)
        return imap_parser_bad(parser, "a literal that is too large");
    parser->state = c == '+' ? IN_LITERAL_PLUS : IN_LITERAL_END;
    return IMAP_PARSE_NEED_DATA;
}

/* The line of "{N}" has ended: the next octets are the literal's. */
static ImapParse begin_literal(ImapParser *parser)
{
    ImapArg *arg;

    parser->literal_left = parser->literal_size;
    if (parser->literal_size <= LIMIT_IMAP_INLINE_LITERAL) {
        imap_parser_begin_token(parser, IN_LITERAL);
        if (parser->literal_size > 0)
            return IMAP_PARSE_NEED_DATA;
        return end_string(parser, IMAP_ARG_LITERAL);
    }
    arg = imap_parser_add_arg(parser, IMAP_ARG_STREAM);
    if (!arg)
        return IMAP_PARSE_BAD;
    arg->length = parser->literal_size;
    parser->state = IN_STREAM;
    parser->chunk = (ImapChunk){.size = parser->literal_size, .data = ""};
    return imap_parser_view(parser, IMAP_PARSE_LITERAL_CHUNK);
}

ImapParse imap_parser_in_literal_end(ImapParser *parser)
{
    char c = *parser->at++;

    if (c == '\n')
        return begin_literal(parser);
    if (c != '\r' || parser->state == IN_LITERAL_LINE)
        return imap_parser_bad(parser, "the size of a literal does not end its line");
    parser->state = IN_LITERAL_LINE;
    return IMAP_PARSE_NEED_DATA;
}

ImapParse imap_parser_in_literal(ImapParser *parser, const char *end)
{
    gsize length = (gsize)MIN(parser->literal_left, (guint64)(end - parser->at));

    imap_arg_store_write(&parser->store, parser->at, length);
    parser->at += length;
    parser->literal_left -= length;
    if (parser->literal_left > 0)
        return IMAP_PARSE_NEED_DATA;
    return end_string(parser, IMAP_ARG_LITERAL);
}

ImapParse imap_parser_in_stream(ImapParser *parser)
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
