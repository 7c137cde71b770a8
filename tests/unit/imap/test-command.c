/* What goes on the wire, and that nothing in an argument can end a command early. */
#include "imap/command.h"
#include "base/error.h"
#include "base/limits.h"

#include <string.h>

static const ImapEncoding plain = {0}, plus = {.literal_plus = TRUE},
                          minus = {.literal_minus = TRUE}, utf8 = {.utf8 = TRUE};

/* The segments as one text: "..." where "+" must come, <...> around a secret. */
static char *show(GArray *segments)
{
    GString *out = g_string_new(NULL);

    for (guint i = 0; i < segments->len; i++) {
        const ImapSegment *segment = &g_array_index(segments, ImapSegment, i);
        gsize length = 5;
        const char *data = segment->bytes ? g_bytes_get_data(segment->bytes, &length) : "[...]";

        g_string_append(out, segment->is_secret ? "<" : "");
        g_string_append_len(out, data, (gssize)length);
        g_string_append(out, segment->is_secret ? ">" : "");
        if (segment->waits) {
            g_assert_true(g_str_has_suffix(out->str, "}\r\n"));
            g_string_append(out, "...");
        }
    }
    return g_string_free(out, FALSE);
}

/* Takes @command. */
static void check(ImapCommand *command, const ImapEncoding *encoding, const char *expected)
{
    g_autoptr(ImapCommand) taken = command;
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) segments = imap_command_encode(taken, "A1", encoding, &error);
    g_autofree char *shown = NULL;

    g_assert_no_error(error);
    shown = show(segments);
    g_assert_cmpstr(shown, ==, expected);
}

static ImapCommand *with_string(const char *text)
{
    return imap_command_string(imap_command_new("X"), text, strlen(text));
}

static void test_words(void)
{
    check(imap_command_new("NOOP"), &plain, "A1 NOOP\r\n");
    check(imap_command_raw(imap_command_new("UID FETCH"), "1:* (FLAGS)"), &plain,
          "A1 UID FETCH 1:* (FLAGS)\r\n");
    check(imap_command_mailbox(imap_command_new("SELECT"), "a&-\"b\\c"), &plain,
          "A1 SELECT \"a&-\\\"b\\\\c\"\r\n");
}

static void test_strings(void)
{
    static const struct {
        const char *text;
        const ImapEncoding *encoding;
        const char *expected;
    } cases[] = {
        {"", &plain, "A1 X \"\"\r\n"},
        {"a b", &plain, "A1 X \"a b\"\r\n"},
        {"{5}", &plain, "A1 X \"{5}\"\r\n"},
        {"a\tb\x7f", &plain, "A1 X \"a\tb\x7f\"\r\n"},
        {"x\r\nA2 DELETE INBOX", &plain, "A1 X {18}\r\n...x\r\nA2 DELETE INBOX\r\n"},
        {"x\nA2 Y", &plus, "A1 X {6+}\r\nx\nA2 Y\r\n"},
        {"\r", &minus, "A1 X {1+}\r\n\r\r\n"},
        {"caf\303\251", &plain, "A1 X {5}\r\n...caf\303\251\r\n"},
        {"caf\303\251", &plus, "A1 X {5+}\r\ncaf\303\251\r\n"},
        {"caf\303\251", &utf8, "A1 X \"caf\303\251\"\r\n"},
        {"caf\351", &utf8, "A1 X {4}\r\n...caf\351\r\n"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        check(with_string(cases[i].text), cases[i].encoding, cases[i].expected);
}

/* Is "+" waited for before so many octets? */
static gboolean waits(guint64 size, const ImapEncoding *encoding)
{
    g_autoptr(ImapCommand) command = imap_command_literal(imap_command_new("APPEND"), size);
    g_autoptr(GArray) segments = imap_command_encode(command, "A1", encoding, NULL);

    g_assert_cmpuint(segments->len, ==, 3);
    g_assert_null(g_array_index(segments, ImapSegment, 1).bytes);
    return g_array_index(segments, ImapSegment, 0).waits;
}

static void test_literals(void)
{
    ImapEncoding both = {.literal_plus = TRUE, .literal_minus = TRUE};

    g_assert_true(waits(0, &plain));
    g_assert_true(waits(1, &utf8));
    g_assert_false(waits(4096, &minus));
    g_assert_true(waits(4097, &minus));
    g_assert_false(waits(4097, &both));
    g_assert_false(waits(100 * 1024, &plus));
    g_assert_true(waits(100 * 1024 + 1, &plus));
    check(imap_command_literal(imap_command_new("X"), 268435456), &plus,
          "A1 X {268435456}\r\n...[...]\r\n");
}

static void test_secrets(void)
{
    ImapCommand *command = imap_command_new("LOGIN");

    imap_command_string(command, "ali", 3);
    imap_command_secret(command, "pa\"ss", 5);
    check(command, &plain, "A1 LOGIN \"ali\" <\"pa\\\"ss\">\r\n");
    command = imap_command_secret(imap_command_new("LOGIN a"), "p\303\244", 3);
    check(command, &plain, "A1 LOGIN a {3}\r\n...<p\303\244>\r\n");
    command = imap_command_secret_word(imap_command_new("AUTHENTICATE PLAIN"), "AGEAYg==");
    check(command, &plain, "A1 AUTHENTICATE PLAIN <AGEAYg==>\r\n");
}

static void test_refused(void)
{
    g_autoptr(ImapCommand) nul = imap_command_string(imap_command_new("X"), "a\0b", 3);
    g_autoptr(ImapCommand) nul_secret = imap_command_secret(imap_command_new("X"), "a\0b", 3);
    g_autofree char *longest = g_strnfill(LIMIT_IMAP_COMMAND - 5, 'x'); /* "A1 " and CRLF */
    g_autofree char *longer = g_strconcat(longest, "x", NULL);
    g_autoptr(ImapCommand) fits = imap_command_new(longest), too_long = imap_command_new(longer);
    const struct {
        ImapCommand *command;
        int error;
    } cases[] = {
        {nul, MAIL_ERROR_INVALID},
        {nul_secret, MAIL_ERROR_INVALID},
        {too_long, MAIL_ERROR_TOOBIG},
    };
    g_autoptr(GArray) segments = imap_command_encode(fits, "A1", &plain, NULL);

    g_assert_cmpuint(g_bytes_get_size(g_array_index(segments, ImapSegment, 0).bytes), ==,
                     LIMIT_IMAP_COMMAND);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(imap_command_encode(cases[i].command, "A1", &plain, &error));
        g_assert_error(error, MAIL_ERROR, cases[i].error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/command/words", test_words);
    g_test_add_func("/imap/command/strings", test_strings);
    g_test_add_func("/imap/command/literals", test_literals);
    g_test_add_func("/imap/command/secrets", test_secrets);
    g_test_add_func("/imap/command/refused", test_refused);
    return g_test_run();
}
