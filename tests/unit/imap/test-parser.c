/* What the parser makes of each kind of line, well-formed and as servers really send them.  Every
 * case is fed whole and one octet at a time, and must come out the same. */
#include "imap-dump.h"
#include "base/limits.h"

#include <string.h>

static void check(const char *input, gsize length, const char *expected)
{
    g_autofree char *whole = dump_input(input, length, length, NULL);
    g_autofree char *by_one = dump_input(input, length, 1, NULL);

    g_assert_cmpstr(whole, ==, expected);
    g_assert_cmpstr(by_one, ==, expected);
}

typedef struct {
    const char *input, *expected;
} Case;

static void check_all(const Case *cases, gsize n)
{
    for (gsize i = 0; i < n; i++)
        check(cases[i].input, strlen(cases[i].input), cases[i].expected);
}

static void test_status(void)
{
    static const Case cases[] = {
        {"A1 OK done\r\n", "A1 OK 'done';"},
        {"A1 ok\r\n", "A1 OK '';"},
        {"A1 NO \r\n", "A1 NO '';"},
        {"* OK [HIGHESTMODSEQ 12]\r\n", "* OK [HIGHESTMODSEQ|12] '';"},
        {"* OK [HIGHESTMODSEQ 12] \r\n", "* OK [HIGHESTMODSEQ|12] '';"},
        {"* OK [ReadOnly]quiet\r\n", "* OK [READONLY|] 'quiet';"},
        {"* OK [COPYUID 14  ]\r\n", "* OK [COPYUID|14] '';"},
        {"[COPYUID 124 10 233]\r\n", "* OK [COPYUID|124 10 233] '';"},
        {"* NO [PERMANENTFLAGS (\\Seen \\*)] x ( \" {5}\r\n",
         "* NO [PERMANENTFLAGS|(\\Seen \\*)] 'x ( \" {5}';"},
        {"* BAD [X \"a]b\" c] d\r\n", "* BAD [X|\"a]b\" c] 'd';"},
        {"* BAD [X \"a] d\r\n", "* BAD [X|\"a] 'd';"},
        {"* BYE [never closed\r\n", "* BYE '[never closed';"},
        {"* PREAUTH hi\n", "* PREAUTH 'hi';"},
        {"* OK caf\303\251 \377\t\r\n", "* OK 'caf\303\251 \377\t';"},
        {"+ go on\r\n", "+'go on';"},
        {"+\r\n", "+'';"},
        {"+ \r\n", "+'';"},
        {"+idling\r\n", "+'idling';"},
    };

    check_all(cases, G_N_ELEMENTS(cases));
}

static void test_args(void)
{
    static const Case cases[] = {
        {"* 12 EXISTS\r\n", "* #12 EXISTS;"},
        {"* 99999999999999999999999 EXISTS\r\n", "* #18446744073709551615 EXISTS;"},
        {"* search\r\n", "* SEARCH;"},
        {"* SEARCH 1 2  3 \r\n", "* SEARCH 1 2 3;"},
        {"* LIST (\\A) NIL nil\r\n", "* LIST (\\A) - -;"},
        {"* LIST () \"\\\\\" \"a\\\"b\"\r\n", "* LIST () \"\\\" \"a\"b\";"},
        {"* LIST ()\"/\"a\tb[c\r\n", "* LIST () \"/\" a\tb[c;"},
        {"* LIST () \"/\" ~x {3}\r\na\r\n\r\n", "* LIST () \"/\" ~x {3}a\r\n;"},
        {"* LIST () \"/\" {0}\r\n\r\n", "* LIST () \"/\" {0};"},
        {"* 1 FETCH (FLAGS (a (b) [c) UID 5)\r\n", "* #1 FETCH (FLAGS (a (b) [c) UID 5);"},
        {"* 1 FETCH (BODY[HEADER.FIELDS (\"X\" Y)]<0> {2+}\r\nhi UID 7)\r\n",
         "* #1 FETCH (BODY[HEADER.FIELDS (\"X\" Y)]<0> {2}hi UID 7);"},
        {"* 1 FETCH (BINARY[1]{1}\r\n! BODY[] ~{1}\r\n?)\r\n",
         "* #1 FETCH (BINARY[1] {1}! BODY[] {1}?);"},
        {"* 1 FETCH (BODY[] {5}\n* OK\n)\n", "* #1 FETCH (BODY[] {5}* OK\n);"},
        {"* X (((a)) () b)\r\n* Y\r\n", "* X (((a)) () b);* Y;"},
    };

    check_all(cases, G_N_ELEMENTS(cases));
}

static void test_bad(void)
{
    static const Case cases[] = {
        {"\r\n", "BAD: a line that is no response"},
        {"HTTP/1.1 400 Bad Request\r\n", "BAD: a line that is no response"},
        {"A1\r\n", "BAD: a line that is no response"},
        {"A1 FETCH\r\n", "BAD: a line that is no response"},
        {"A1 PREAUTH\r\n", "BAD: a line that is no response"},
        {"*\r\n", "BAD: a response without a name"},
        {"* (a)\r\n", "BAD: a response without a name"},
        {"* 1 (a)\r\n", "BAD: a response without a name"},
        {"* OK a\rb\r\n", "BAD: a CR within a line"},
        {"* X\r\r\n", "BAD: a CR within a line"},
        {"* X (a\r\n", "BAD: a parenthesis that is not closed"},
        {"* X a)\r\n", "BAD: a parenthesis that was not opened"},
        {"* X \"a\r\n", "BAD: a quoted string that is not closed"},
        {"* X \"a\\\r\n", "BAD: a quoted string that is not closed"},
        {"* 1 FETCH (BODY[HEADER {5}\r\n", "BAD: a section that is not closed"},
        {"* X {-1}\r\n", "BAD: the size of a literal is no number"},
        {"* X {+5}\r\n", "BAD: the size of a literal is no number"},
        {"* X { 5}\r\n", "BAD: the size of a literal is no number"},
        {"* X {}\r\n", "BAD: the size of a literal is no number"},
        {"* X {5++}\r\n", "BAD: the size of a literal is no number"},
        {"* X {5\r\n", "BAD: the size of a literal is no number"},
        {"* X {5} \r\n", "BAD: the size of a literal does not end its line"},
        {"* X {2147483648}\r\n", "BAD: a literal that is too large"},
        {"* X {4294967296}\r\n", "BAD: a literal that is too large"},
        {"* X {18446744073709551616}\r\n", "BAD: the size of a literal is no number"},
    };

    check_all(cases, G_N_ELEMENTS(cases));
    check("* X a\0b\r\n", 9, "BAD: a NUL octet");
    check("* OK a\0b\r\n", 10, "BAD: a NUL octet");
}

static void test_literal_with_nul(void)
{
    g_autoptr(ImapParser) parser = imap_parser_new();
    static const char input[] = "* X {3}\r\na\0b\r\n";
    ImapArgs args;
    const ImapArg *arg;

    imap_parser_feed(parser, input, sizeof input - 1);
    g_assert_cmpint(imap_parser_next(parser), ==, IMAP_PARSE_RESPONSE);
    args = imap_parser_response(parser)->args;
    arg = imap_args_next(&args);
    g_assert_cmpmem(arg->text, (int)arg->length, "a\0b", 3);
    g_assert_null(imap_arg_text(arg)); /* never taken for the string "a" */
}

/* A literal above the limit comes as chunks, with what was said before it at hand. */
static void test_stream(void)
{
    g_autoptr(GString) input = g_string_new(NULL), expected = g_string_new(NULL);
    gsize size = LIMIT_IMAP_INLINE_LITERAL + 1;

    g_string_append_printf(input, "* 3 FETCH (FLAGS (a) UID 9 BODY[] {%" G_GSIZE_FORMAT "}\r\n",
                           size);
    g_string_append_printf(expected,
                           "* #3 FETCH (FLAGS (a) UID 9 BODY[] {%" G_GSIZE_FORMAT "}...);<", size);
    for (gsize i = 0; i < size; i++) {
        g_string_append_c(input, ")\r\n\"({A*"[i % 8]);
        g_string_append_c(expected, input->str[input->len - 1]);
    }
    g_string_append(input, " MODSEQ (4))\r\nA1 OK\r\n");
    g_string_append_printf(
        expected,
        "* #3 FETCH (FLAGS (a) UID 9 BODY[] {%" G_GSIZE_FORMAT "}... MODSEQ (4));A1 OK '';", size);
    check(input->str, input->len, expected->str);
}

/* Each limit: just within is fine, one more is refused. */
static void test_limits(void)
{
    static const struct {
        const char *before, *repeated, *after;
        gsize limit;
        const char *problem;
    } cases[] = {
        {"* X ", "a", "\r\n", LIMIT_IMAP_STRING, "an atom that is too long"},
        {"* X \"", "a", "\"\r\n", LIMIT_IMAP_STRING, "a quoted string that is too long"},
        {"* OK ", "a", "\r\n", LIMIT_IMAP_STRING - 1, "a line that is too long"},
        {"* X", " (", "", LIMIT_IMAP_NESTING, "parentheses nested too deep"},
        {"* ", "X ", "\r\n", LIMIT_IMAP_ARGS, "too many elements in one response"},
        {"*", " ", "X\r\n", LIMIT_IMAP_RESPONSE - 4, "a response that is too long"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        for (gsize over = 0; over < 2; over++) {
            g_autoptr(GString) input = g_string_new(cases[i].before);
            g_autofree char *out = NULL;

            for (gsize n = 0; n < cases[i].limit + over; n++)
                g_string_append(input, cases[i].repeated);
            g_string_append(input, cases[i].after);
            out = dump_input(input->str, input->len, 4096, NULL);
            g_assert_cmpint(g_str_has_prefix(out, "BAD: "), ==, over);
            if (over)
                g_assert_cmpstr(out + 5, ==, cases[i].problem);
        }
}

/* The buffers move as they grow; what was parsed before must move along. */
static void test_growth(void)
{
    g_autoptr(GString) input = g_string_new("* SEARCH");
    g_autoptr(GString) expected = g_string_new("* SEARCH");

    for (guint i = 1; i <= 20000; i++) {
        g_string_append_printf(input, " %u", i);
        g_string_append_printf(expected, " %u", i);
    }
    g_string_append(input, "\r\n");
    g_string_append(expected, ";");
    check(input->str, input->len, expected->str);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/parser/status", test_status);
    g_test_add_func("/imap/parser/args", test_args);
    g_test_add_func("/imap/parser/bad", test_bad);
    g_test_add_func("/imap/parser/literal-with-nul", test_literal_with_nul);
    g_test_add_func("/imap/parser/stream", test_stream);
    g_test_add_func("/imap/parser/limits", test_limits);
    g_test_add_func("/imap/parser/growth", test_growth);
    return g_test_run();
}
