/* What goes wrong with single messages, in the log: a line for all of a kind, and not the same line
 * again at each poll.
 */
#include "store/pop3-internal.h"

static const char *const sentences[] = {
    [POP3_NOT_REMOVED] = "were not removed, which will be tried again",
    [POP3_NOT_TAKEN] = "stay on the server longer than pop3-keep= says",
    [POP3_NOT_KEPT] = "are not on the server any more, and in the cache alone",
    [POP3_NOT_SHOWN] = "are not shown",
};

void pop3_note(Pop3Backend *backend, Pop3Trouble trouble, const GError *error)
{
    Pop3Noted *noted = &backend->noted[trouble];

    noted->n++;
    if (!noted->error)
        noted->error = g_error_copy(error);
}

void pop3_say(Pop3Backend *backend, Pop3Trouble trouble)
{
    Pop3Noted *noted = &backend->noted[trouble];
    char *text = NULL;

    if (noted->n > 0)
        text = g_strdup_printf("%u messages %s: %s", noted->n, sentences[trouble],
                               noted->error->message);
    if (text && g_strcmp0(text, noted->said) != 0)
        g_log(G_LOG_DOMAIN, trouble == POP3_NOT_KEPT ? G_LOG_LEVEL_WARNING : G_LOG_LEVEL_MESSAGE,
              "%s: %s", backend->params.config->id, text);
    g_free(noted->said);
    noted->said = text;
    noted->n = 0;
    g_clear_error(&noted->error);
}

void pop3_troubles_clear(Pop3Backend *backend)
{
    for (guint i = 0; i < POP3_N_TROUBLES; i++) {
        g_free(backend->noted[i].said);
        g_clear_error(&backend->noted[i].error);
    }
}
