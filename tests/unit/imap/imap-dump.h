/* Everything that the parser gives out, as text: what tests and fuzz targets compare.  However the
 * input is cut into pieces, the text must be the same.
 */
#pragma once

#include "imap/parser.h"

#include <string.h>

/* Called with each whole response, to add to the text what else is to be compared; may be NULL. */
typedef void DumpMore(const ImapResponse *response, GString *out);

static inline void dump_args(ImapArgs args, GString *out)
{
    const ImapArg *arg;
    const char *separator = "";

    while ((arg = imap_args_next(&args))) {
        g_string_append(out, separator);
        separator = " ";
        switch (arg->type) {
        case IMAP_ARG_ATOM:
            g_string_append(out, arg->text);
            break;
        case IMAP_ARG_QUOTED:
            g_string_append_printf(out, "\"%s\"", arg->text);
            break;
        case IMAP_ARG_LITERAL:
            g_string_append_printf(out, "{%" G_GSIZE_FORMAT "}", arg->length);
            g_string_append_len(out, arg->text, (gssize)arg->length);
            break;
        case IMAP_ARG_STREAM:
            g_string_append_printf(out, "{%" G_GSIZE_FORMAT "}...", arg->length);
            break;
        case IMAP_ARG_NIL:
            g_string_append(out, "-");
            break;
        case IMAP_ARG_LIST:
            g_string_append_c(out, '(');
            dump_args(imap_arg_list(arg), out);
            g_string_append_c(out, ')');
            break;
        }
    }
}

static inline void dump_response(const ImapResponse *response, GString *out)
{
    g_string_append_printf(out, "%s ", response->tag ? response->tag : "*");
    if (response->has_number)
        g_string_append_printf(out, "#%" G_GUINT64_FORMAT " ", response->number);
    g_string_append_printf(out, "%s", response->name);
    if (response->code)
        g_string_append_printf(out, " [%s|%s]", response->code,
                               response->code_args ? response->code_args : "");
    if (response->is_status)
        g_string_append_printf(out, " '%s'", response->text);
    if (response->args.at != response->args.end)
        g_string_append_c(out, ' ');
    dump_args(response->args, out);
    g_string_append_c(out, ';');
}

/* Everything that @parser gives out for what it was fed. */
static inline gboolean dump_events(ImapParser *parser, GString *out, DumpMore *more)
{
    for (;;)
        switch (imap_parser_next(parser)) {
        case IMAP_PARSE_NEED_DATA:
            return TRUE;
        case IMAP_PARSE_RESPONSE:
            dump_response(imap_parser_response(parser), out);
            if (more)
                more(imap_parser_response(parser), out);
            break;
        case IMAP_PARSE_LITERAL_CHUNK:
            if (imap_parser_chunk(parser)->offset == 0 && imap_parser_chunk(parser)->length == 0) {
                dump_response(imap_parser_response(parser), out);
                g_string_append_c(out, '<');
            }
            g_string_append_len(out, imap_parser_chunk(parser)->data,
                                (gssize)imap_parser_chunk(parser)->length);
            break;
        case IMAP_PARSE_CONTINUE:
            g_string_append_printf(out, "+'%s';", imap_parser_continuation(parser));
            break;
        case IMAP_PARSE_BAD:
            g_string_append_printf(out, "BAD: %s", imap_parser_problem(parser));
            g_assert_cmpint(imap_parser_next(parser), ==, IMAP_PARSE_BAD);
            return FALSE;
        }
}

/* All that @input becomes when it is fed in pieces of @piece octets.  The caller owns it. */
static inline char *dump_input(const char *input, gsize length, gsize piece, DumpMore *more)
{
    g_autoptr(ImapParser) parser = imap_parser_new();
    GString *out = g_string_new(NULL);

    for (gsize at = 0; at < length; at += piece) {
        gsize n = MIN(piece, length - at);
        g_autofree char *exact = g_memdup2(input + at, n); /* so that ASan sees an overrun */

        imap_parser_feed(parser, exact, n);
        if (!dump_events(parser, out, more))
            break;
        g_assert_cmpuint(imap_parser_pending(parser), ==, 0);
    }
    return g_string_free(out, FALSE);
}
