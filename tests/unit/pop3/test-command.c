/* Commands: what goes out, and what must never. */
#include "pop3/command.h"
#include "base/error.h"
#include "base/limits.h"

#include <string.h>

static void check(const char *words, const char *argument, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) line =
        pop3_command_new(words, argument, argument ? strlen(argument) : 0, &error);
    g_autoptr(GBytes) wanted = NULL;

    g_assert_no_error(error);
    wanted = g_bytes_new(expected, strlen(expected));
    g_assert_true(g_bytes_equal(line, wanted));
}

static void test_lines(void)
{
    check("NOOP", NULL, "NOOP\r\n");
    check("TOP 4294967295 0", NULL, "TOP 4294967295 0\r\n");
    check("USER", "ali@example.org", "USER ali@example.org\r\n");
    /* PASS has one argument, to the end of the line (RFC 1939 section 7). */
    check("PASS", " a  b\t\"\\\303\251 ", "PASS  a  b\t\"\\\303\251 \r\n");
}

static void check_refused(const char *argument, gsize length, MailError code)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(pop3_command_new("PASS", argument, length, &error));
    g_assert_error(error, MAIL_ERROR, (int)code);
}

static void test_refused(void)
{
    static const struct {
        const char *argument;
        gsize length;
    } cases[] = {
        {"", 0}, {"a\r\nDELE 1", 9}, {"a\rb", 3}, {"a\n", 2}, {"a\0b", 3}, {"\n", 1},
    };
    g_autofree char *text = g_strnfill(LIMIT_POP3_COMMAND, 'x');

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        check_refused(cases[i].argument, cases[i].length, MAIL_ERROR_INVALID);
    check_refused(text, LIMIT_POP3_COMMAND - strlen("PASS \r\n") + 1, MAIL_ERROR_TOOBIG);
    check_refused(text, LIMIT_POP3_COMMAND, MAIL_ERROR_TOOBIG);
}

static void test_longest(void)
{
    gsize n = LIMIT_POP3_COMMAND - strlen("PASS \r\n");
    g_autofree char *text = g_strnfill(n, 'x');
    g_autoptr(GBytes) line = pop3_command_new("PASS", text, n, NULL);

    g_assert_cmpuint(g_bytes_get_size(line), ==, LIMIT_POP3_COMMAND);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pop3-command/lines", test_lines);
    g_test_add_func("/pop3-command/refused", test_refused);
    g_test_add_func("/pop3-command/longest", test_longest);
    return g_test_run();
}
