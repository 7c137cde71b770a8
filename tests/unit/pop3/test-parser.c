/* What the parser makes of each kind of line, well-formed and as servers really send them.  Every
 * case is fed whole, in halves at every place, and one octet at a time, and must come out the
 * same. */
#include "pop3-dump.h"
#include "base/limits.h"

#include <string.h>

typedef struct {
    const char *script, *input, *expected;
} Case;

static void check(const Case *c, gsize length)
{
    for (gsize piece = 1; piece < MIN(length, 40); piece++) {
        g_autofree char *by_piece = dump_input(c->script, c->input, length, piece, NULL);

        g_assert_cmpstr(by_piece, ==, c->expected);
    }
    {
        g_autofree char *whole = dump_input(c->script, c->input, length, MAX(length, 1), NULL);

        g_assert_cmpstr(whole, ==, c->expected);
    }
}

static void check_all(const Case *cases, gsize n)
{
    for (gsize i = 0; i < n; i++)
        check(&cases[i], strlen(cases[i].input));
}

static void test_replies(void)
{
    static const Case cases[] = {
        {"", "+OK\r\n", "+'';"},
        {"", "+OK \r\n", "+'';"},
        {"", "+OK hello there\r\n-ERR no\r\n", "+'hello there';-'no';"},
        {"", "+ok quiet\n-err\n", "+'quiet';-'';"},
        {"", "+OK<1@x> banner\r\n", "+'<1@x> banner';"},
        {"", "-ERR [IN-USE] locked\r\n", "-[IN-USE]'locked';"},
        {"", "-ERR  [sys/temp]locked\r\n", "-[SYS/TEMP]'locked';"},
        {"", "-ERR [LOGIN-DELAY 30] wait\r\n", "-[LOGIN-DELAY]'wait';"},
        {"", "+OK [192.0.2.1] ready\r\n", "+'[192.0.2.1] ready';"},
        {"", "-ERR [] x\r\n-ERR [half\r\n-ERR [a[b] c\r\n", "-'[] x';-'[half';-'[a[b] c';"},
        {"", "-ERR [a\tb] c\r\n", "-'[a\\x09b] c';"},
        {"", "+OK a\rb\r\r\n", "+'a\\x0db\\x0d';"},
        {"", "+OK \033[31m caf\303\251 \377\r\n", "+'\\x1b[31m caf\303\251 \\xff';"},
        {"", "+ Zm9v\r\n+ \r\n+\r\n+\n", "?'Zm9v';?'';?'';?'';"},
    };

    check_all(cases, G_N_ELEMENTS(cases));
}

static void test_bad(void)
{
    static const Case cases[] = {
        {"", "* OK IMAP\r\n", "BAD: a line that is neither +OK nor -ERR"},
        {"", "\r\n+OK\r\n", "BAD: a line that is neither +OK nor -ERR"},
        {"", "+OK\r\n.\r\n", "+'';BAD: a line that is neither +OK nor -ERR"},
        {"", "+KO\r\n", "BAD: a line that is neither +OK nor -ERR"},
        {"", "-ER\r\n", "BAD: a line that is neither +OK nor -ERR"},
        {"", "+Zm9v\r\n", "BAD: a line that is neither +OK nor -ERR"},
    };
    static const Case nul = {"", "+OK a\0b\r\n", "BAD: a NUL octet"};

    check_all(cases, G_N_ELEMENTS(cases));
    check(&nul, 9);
}

static void test_lines(void)
{
    static const Case cases[] = {
        {"l", "+OK\r\n.\r\n+OK\r\n", "+'';.+'';"},
        {"ll", "+OK x\r\n1 a\r\n2 b\r\n.\r\n+OK\r\n\r\n.\r\n", "+'x';1 a|2 b|.+'';|."},
        {"l", "+OK\n..\n..x\n.y\n...\n a \n.\n", "+'';.|.x|.y|..| a |."},
        {"l", "-ERR no\r\n-ERR no\r\n+OK\r\n+OK\r\n.\r\n", "-'no';-'no';+'';+OK|."},
        {"l", "+OK\r\na\rb\r\r\n.\r\r\n.\r\n", "+'';a\rb\r|.\r|."},
    };

    check_all(cases, G_N_ELEMENTS(cases));
}

static void test_messages(void)
{
    static const Case cases[] = {
        {"m", "+OK\r\n.\r\n+OK\r\n", "+'';.+'';"},
        {"mm", "+OK\r\nA: b\r\n\r\nc\r\n.\r\n+OK\r\nd\r\n.\r\n",
         "+'';<A: b\r\n\r\nc\r\n>.+'';<d\r\n>."},
        {"m", "+OK\r\n..\r\n...\r\n..x\r\na.\r\n.\r\n", "+'';<.\r\n..\r\n.x\r\na.\r\n>."},
        /* not doubled */
        {"m", "+OK\r\n.x\r\n.\rx\r\n.\r\r\n. \r\n.\r\n",
         "+'';<.x\r\n.\rx\r\n.\r\r\n. \r\n>."},
        /* only CRLF begins a line */
        {"m", "+OK\r\nA:\r\na\n.\r\nb\n.\nc\n..d\n\r.\r\n.\r\n",
         "+'';<A:\r\na\n.\r\nb\n.\nc\n..d\n\r.\r\n>."},
        {"m", "+OK\r\na\r.\r\n..\n.\r\n.\r\n", "+'';<a\r.\r\n.\n.\r\n>."},
        {"m", "+OK\r\na\r\r\n.\r\n", "+'';<a\r\r\n>."},
        {"m", "+OK\r\n\r\n\n.\r\n.\r\n", "+'';<\r\n\n.\r\n>."},
        {"m", "+OK\r\na\r\n.\n+OK\r\n", "+'';<a\r\n>.+'';"},
        /* unless the server knows LF alone */
        {"m", "+OK\na\n..b\n.\n+OK\n", "+'';<a\n.b\n>.+'';"},
        {"m", "+OK\na\r\n..b\n.\r\n", "+'';<a\r\n.b\n>."},
        /* or no line of the message has ended in CRLF */
        {"m", "+OK\r\nA: b\n\n..c\n.d\n.\n+OK\r\n", "+'';<A: b\n\n.c\n.d\n>.+'';"},
        {"m", "+OK\r\nA: b\n\nc\n.\r\n+OK\r\n", "+'';<A: b\n\nc\n>.+'';"},
        {"m", "+OK\r\n\n.\n+OK\r\n", "+'';<\n>.+'';"},
        {"m", "+OK\r\na\nb\r\n..c\n.\n..\r\n.\r\n", "+'';<a\nb\r\n.c\n.\n..\r\n>."},
        {"mm", "+OK\r\na\r\n.\r\n+OK\r\nb\n.\n", "+'';<a\r\n>.+'';<b\n>."},
        {"m", "+OK\r\n+OK\r\n-ERR\r\n", "+'';<+OK\r\n-ERR\r\n"},
    };

    check_all(cases, G_N_ELEMENTS(cases));
}

/* Where a message may be cut: between all octets of its end and of what looks like it. */
static void test_halves(void)
{
    static const char input[] = "+OK\r\na\r\n..\r\n.\rb\r\n...\r\n\r\n.\r\n+OK\r\n";
    g_autofree char *expected = dump_input("m", input, strlen(input), strlen(input), NULL);

    for (gsize cut = 1; cut < strlen(input); cut++) {
        g_autoptr(Pop3Parser) parser = pop3_parser_new();
        Dump dump = {.parser = parser, .script = "m", .out = g_string_new(NULL)};
        g_autofree char *text = NULL;

        pop3_parser_feed(parser, input, cut);
        g_assert_true(dump_events(&dump));
        pop3_parser_feed(parser, input + cut, strlen(input) - cut);
        g_assert_true(dump_events(&dump));
        text = g_string_free(dump.out, FALSE);
        g_assert_cmpstr(text, ==, expected);
    }
}

static void test_too_long(void)
{
    g_autofree char *reply = g_strdup_printf("+OK %*d\r\n", LIMIT_POP3_REPLY - 4, 1);
    g_autofree char *long_reply = g_strdup_printf("+OK %*d\r\n", LIMIT_POP3_REPLY - 3, 1);
    g_autofree char *challenge = g_strdup_printf("+ %*d\r\n", LIMIT_POP3_LINE - 2, 1);
    g_autofree char *endless = g_strdup_printf("+ %*d", LIMIT_POP3_LINE, 1);
    g_autofree char *line = g_strdup_printf("+OK\r\n%*d\r\n", LIMIT_POP3_LINE, 1);
    g_autofree char *long_line = g_strdup_printf("+OK\r\n%*d", LIMIT_POP3_LINE + 2, 1);
    const struct {
        const char *input;
        gboolean ok;
    } cases[] = {
        {reply, TRUE},    {long_reply, FALSE}, {challenge, TRUE},
        {endless, FALSE}, {line, TRUE},        {long_line, FALSE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        for (gsize piece = 1; piece < 200000; piece += 199998) {
            g_autofree char *out =
                dump_input("l", cases[i].input, strlen(cases[i].input), piece, NULL);

            if (cases[i].ok)
                g_assert_null(strstr(out, "BAD"));
            else
                g_assert_true(g_str_has_suffix(out, "BAD: a line that is too long"));
        }
}

/* A message of any length needs no memory, and comes in the pieces of the input. */
static void test_chunks(void)
{
    g_autoptr(Pop3Parser) parser = pop3_parser_new();
    g_autofree char *text = g_strnfill(100000, 'x');
    const char *chunk;
    gsize length;

    pop3_parser_feed(parser, "+OK\r\n", 5);
    g_assert_true(pop3_parser_is_between(parser));
    g_assert_cmpint(pop3_parser_next(parser), ==, POP3_PARSE_REPLY);
    pop3_parser_expect(parser, POP3_EXPECT_MESSAGE);
    g_assert_true(pop3_parser_is_in_message(parser));
    g_assert_cmpint(pop3_parser_next(parser), ==, POP3_PARSE_NEED_DATA);
    for (guint i = 0; i < 100; i++) {
        pop3_parser_feed(parser, text, 100000);
        g_assert_cmpint(pop3_parser_next(parser), ==, POP3_PARSE_CHUNK);
        chunk = pop3_parser_chunk(parser, &length);
        g_assert_true(chunk == text && length == 100000);
        g_assert_cmpint(pop3_parser_next(parser), ==, POP3_PARSE_NEED_DATA);
    }
    g_assert_false(pop3_parser_is_between(parser));
    pop3_parser_feed(parser, "\r\n.\r\n+OK", 8);
    g_assert_cmpint(pop3_parser_next(parser), ==, POP3_PARSE_CHUNK);
    g_assert_cmpint(pop3_parser_next(parser), ==, POP3_PARSE_END);
    g_assert_true(pop3_parser_is_between(parser));
    g_assert_cmpuint(pop3_parser_pending(parser), ==, 3);
    g_assert_cmpint(pop3_parser_next(parser), ==, POP3_PARSE_NEED_DATA);
    g_assert_false(pop3_parser_is_between(parser));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pop3-parser/replies", test_replies);
    g_test_add_func("/pop3-parser/bad", test_bad);
    g_test_add_func("/pop3-parser/lines", test_lines);
    g_test_add_func("/pop3-parser/messages", test_messages);
    g_test_add_func("/pop3-parser/halves", test_halves);
    g_test_add_func("/pop3-parser/too-long", test_too_long);
    g_test_add_func("/pop3-parser/chunks", test_chunks);
    return g_test_run();
}
