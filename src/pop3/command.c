/* A line is words, a blank and an argument; what could end it early is refused.  See command.h. */
#include "pop3/command.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/secret.h"

#include <string.h>

typedef struct {
    gsize length;
    char octets[LIMIT_POP3_COMMAND];
} Line;

static void line_free(gpointer data)
{
    Line *line = data;

    secret_wipe(line->octets, sizeof line->octets);
    g_free(line);
}

static void add(Line *line, const char *octets, gsize length)
{
    memcpy(line->octets + line->length, octets, length);
    line->length += length;
}

static gboolean check_argument(const char *argument, gsize length, GError **error)
{
    if (length == 0)
        return mail_fail(error, MAIL_ERROR_INVALID, "POP3 cannot carry an empty word");
    for (gsize i = 0; i < length; i++)
        if (argument[i] == '\r' || argument[i] == '\n' || argument[i] == '\0')
            return mail_fail(error, MAIL_ERROR_INVALID,
                             "POP3 cannot carry a line end or a NUL character; remove it");
    return TRUE;
}

GBytes *pop3_command_new(const char *words, const char *argument, gsize length, GError **error)
{
    gsize n_words = strlen(words);
    Line *line;

    g_assert(n_words > 0 && strpbrk(words, "\r\n") == NULL);
    if (argument && !check_argument(argument, length, error))
        return NULL;
    if (length > LIMIT_POP3_COMMAND || n_words + 1 + length + 2 > LIMIT_POP3_COMMAND) {
        mail_fail(error, MAIL_ERROR_TOOBIG,
                  "a POP3 command of more than %d octets; the user name or password is too long "
                  "for it",
                  LIMIT_POP3_COMMAND);
        return NULL;
    }
    line = g_new0(Line, 1);
    add(line, words, n_words);
    if (argument) {
        add(line, " ", 1);
        add(line, argument, length);
    }
    add(line, "\r\n", 2);
    return g_bytes_new_with_free_func(line->octets, line->length, line_free, line);
}
