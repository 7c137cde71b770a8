/* Everything that the parser gives out, as text: what tests and fuzz targets compare.  However the
 * input is cut into pieces, the text must be the same.
 */
#pragma once

#include "pop3/parser.h"

#include <string.h>

/* Called with each line, to add to the text what else is to be compared; may be NULL. */
typedef void DumpMore(const char *line, gsize length, GString *out);

typedef struct {
    Pop3Parser *parser;
    const char *script; /* for each +OK in turn: 'l' lines, 'm' a message, anything else nothing */
    DumpMore *more;
    gboolean in_message; /* its chunks are put together */
    GString *out;
} Dump;

static inline void dump_reply(Dump *dump)
{
    const Pop3Reply *reply = pop3_parser_reply(dump->parser);

    g_string_append(dump->out, reply->ok ? "+" : "-");
    if (reply->code)
        g_string_append_printf(dump->out, "[%s]", reply->code);
    g_string_append_printf(dump->out, "'%s';", reply->text);
    if (dump->more)
        dump->more(reply->text, strlen(reply->text), dump->out);
    if (!reply->ok || !*dump->script)
        return;
    if (*dump->script == 'l')
        pop3_parser_expect(dump->parser, POP3_EXPECT_LINES);
    else if (*dump->script == 'm')
        pop3_parser_expect(dump->parser, POP3_EXPECT_MESSAGE);
    dump->script++;
}

static inline void dump_line(Dump *dump)
{
    gsize length;
    const char *line = pop3_parser_line(dump->parser, &length);

    g_assert_cmpint(line[length], ==, '\0');
    g_string_append_len(dump->out, line, (gssize)length);
    g_string_append_c(dump->out, '|');
    if (dump->more)
        dump->more(line, length, dump->out);
}

static inline void dump_chunk(Dump *dump)
{
    gsize length;
    const char *chunk = pop3_parser_chunk(dump->parser, &length);

    g_assert_cmpuint(length, >, 0);
    if (!dump->in_message)
        g_string_append_c(dump->out, '<');
    dump->in_message = TRUE;
    g_string_append_len(dump->out, chunk, (gssize)length);
}

/* Everything that the parser gives out for what it was fed. */
static inline gboolean dump_events(Dump *dump)
{
    for (;;)
        switch (pop3_parser_next(dump->parser)) {
        case POP3_PARSE_NEED_DATA:
            return TRUE;
        case POP3_PARSE_REPLY:
            dump_reply(dump);
            break;
        case POP3_PARSE_LINE:
            dump_line(dump);
            break;
        case POP3_PARSE_CHUNK:
            dump_chunk(dump);
            break;
        case POP3_PARSE_END:
            g_string_append(dump->out, dump->in_message ? ">." : ".");
            dump->in_message = FALSE;
            break;
        case POP3_PARSE_CONTINUE:
            g_string_append_printf(dump->out, "?'%s';", pop3_parser_continuation(dump->parser));
            break;
        case POP3_PARSE_BAD:
            g_string_append_printf(dump->out, "BAD: %s", pop3_parser_problem(dump->parser));
            g_assert_cmpint(pop3_parser_next(dump->parser), ==, POP3_PARSE_BAD);
            return FALSE;
        }
}

/* All that @input becomes when it is fed in pieces of @piece octets.  The caller owns it. */
static inline char *dump_input(const char *script, const char *input, gsize length, gsize piece,
                               DumpMore *more)
{
    g_autoptr(Pop3Parser) parser = pop3_parser_new();
    Dump dump = {.parser = parser, .script = script, .more = more, .out = g_string_new(NULL)};

    for (gsize at = 0; at < length; at += piece) {
        gsize n = MIN(piece, length - at);
        g_autofree char *exact = g_memdup2(input + at, n); /* so that ASan sees an overrun */

        pop3_parser_feed(parser, exact, n);
        if (!dump_events(&dump))
            break;
        g_assert_cmpuint(pop3_parser_pending(parser), ==, 0);
    }
    return g_string_free(dump.out, FALSE);
}
