/* What goes wrong with single messages, in the log: a line for all of a kind, and not the same line
 * again at each poll.
 *
 * And which of them pop3-keep= leaves alone for a while, for it takes so many at a time only: those
 * that always fail would keep all others back for ever.  That is remembered for the run.
 */
#include "store/pop3-internal.h"
#include "base/error.h"

enum {
    REFUSALS_BELIEVED = 3,      /* in a run */
    FIRST_SETBACK_SECONDS = 60, /* twice as long each time */
    MAX_SETBACK_SHIFT = 10,     /* 17 hours */
};

typedef struct {
    guint n;
    Deadline until;
} Setback;

static const char *const sentences[] = {
    [POP3_NOT_REMOVED] = "were not removed, which will be tried again",
    [POP3_NOT_TAKEN] = "stay on the server longer than pop3-keep= says",
    [POP3_NOT_KEPT] = "are not on the server any more, and in the cache alone",
    [POP3_NOT_SHOWN] = "are not shown",
    [POP3_NOT_GIVEN] = "cannot be read, and have numbers for names",
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

gboolean pop3_note_refused(Pop3Backend *backend, const Pop3Slot *slot, const GError *error)
{
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(backend->refused, slot->key));

    if (mail_error_is(error, MAIL_ERROR_NOSPACE) || mail_error_is(error, MAIL_ERROR_CACHE))
        return FALSE;
    g_hash_table_replace(backend->refused, g_strdup(slot->key), GUINT_TO_POINTER(n + 1));
    return TRUE;
}

gboolean pop3_is_refused(const Pop3Backend *backend, const Pop3Slot *slot)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(backend->refused, slot->key)) >=
           REFUSALS_BELIEVED;
}

Pop3Turn pop3_turn(const Pop3Backend *backend, guint32 uid)
{
    const Setback *setback = g_hash_table_lookup(backend->setbacks, GUINT_TO_POINTER(uid));

    if (!setback)
        return POP3_TURN_FIRST;
    return deadline_passed(setback->until) ? POP3_TURN_AGAIN : POP3_TURN_LATER;
}

void pop3_set_back(Pop3Backend *backend, guint32 uid, const GError *error)
{
    Setback *setback = g_hash_table_lookup(backend->setbacks, GUINT_TO_POINTER(uid));

    if (!setback) {
        pop3_note(backend, POP3_NOT_TAKEN, error);
        setback = g_new0(Setback, 1);
        g_hash_table_insert(backend->setbacks, GUINT_TO_POINTER(uid), setback);
    }
    setback->until = deadline_in(FIRST_SETBACK_SECONDS << MIN(setback->n, MAX_SETBACK_SHIFT));
    setback->n++;
}

void pop3_setback_over(Pop3Backend *backend, guint32 uid)
{
    g_hash_table_remove(backend->setbacks, GUINT_TO_POINTER(uid));
}

void pop3_troubles_init(Pop3Backend *backend)
{
    backend->setbacks = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    backend->refused = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void pop3_troubles_clear(Pop3Backend *backend)
{
    g_hash_table_unref(backend->setbacks);
    g_hash_table_unref(backend->refused);
    for (guint i = 0; i < POP3_N_TROUBLES; i++) {
        g_free(backend->noted[i].said);
        g_clear_error(&backend->noted[i].error);
    }
}
