/* The selected mailbox, and searching it.
 *
 * SELECT is a barrier: while it is in flight, nobody can tell for certain which mailbox a FETCH is
 * about.  A server with QRESYNC marks the moment by [CLOSED] (RFC 7162 section 3.2.11); of the
 * others nothing about messages is believed until the tagged OK, and none sends any.
 */
#include "client/imap-internal.h"
#include "base/error.h"

#include <string.h>

/* What SELECT is asked for besides the mailbox: QRESYNC, CONDSTORE, or nothing. */
static void add_parameters(const ImapSession *session, ImapCommand *command,
                           const ImapKnown *known)
{
    g_autofree char *words = NULL;

    if (known && known->uidvalidity && known->highestmodseq &&
        session->enabled[IMAP_CAP_QRESYNC]) {
        words = g_strdup_printf("(QRESYNC (%u %" G_GUINT64_FORMAT "))", known->uidvalidity,
                                known->highestmodseq);
        imap_command_raw(command, words);
    } else if (session->caps.has[IMAP_CAP_CONDSTORE] && !session->enabled[IMAP_CAP_CONDSTORE]) {
        imap_command_raw(command, "(CONDSTORE)");
    }
}

/* One SELECT; @ret_result may be NO or BAD, and then nothing is selected. */
static gboolean select_once(ImapSession *session, const char *mailbox, gboolean examine,
                            const ImapKnown *known, ImapResult *ret_result, GError **error)
{
    ImapCommand *command = imap_command_new(examine ? "EXAMINE" : "SELECT");
    gboolean had_mailbox = session->mailbox != NULL;
    guint number;

    imap_command_mailbox(command, mailbox);
    add_parameters(session, command, known);
    session_set_state(&session->base, STATE_SELECTING);
    session->selected = (ImapSelected){.is_readonly = examine};
    session->exists = 0;
    session->saw_closed = !had_mailbox;
    session->is_muted = had_mailbox;
    g_free(session->mailbox);
    session->mailbox = g_strdup(mailbox);
    number = imap_session_send(session, command, error);
    if (number == 0 || !imap_session_collect(session, number, ret_result, error)) {
        if (session->base.state != STATE_DEAD) { /* a name that cannot be sent */
            session_set_state(&session->base, STATE_READY);
            g_clear_pointer(&session->mailbox, g_free);
        }
        return FALSE;
    }
    session->is_muted = FALSE;
    if (ret_result->cond == IMAP_OK) {
        session_set_state(&session->base, STATE_SELECTED);
    } else {
        session_set_state(&session->base, STATE_READY);
        g_clear_pointer(&session->mailbox, g_free);
    }
    return TRUE;
}

gboolean imap_session_select(ImapSession *session, const char *mailbox, gboolean examine,
                             const ImapKnown *known, ImapSelected *ret_selected, GError **error)
{
    ImapResult result;
    gboolean ok;

    session->is_muted = TRUE;
    if (!imap_session_drain(session, error) ||
        !select_once(session, mailbox, examine, known, &result, error))
        return FALSE;
    if (result.cond == IMAP_BAD && known) { /* QRESYNC promised and not kept */
        imap_result_clear(&result);
        if (!select_once(session, mailbox, examine, NULL, &result, error))
            return FALSE;
    }
    ok = result.cond == IMAP_OK || imap_session_refused(&result, error);
    imap_result_clear(&result);
    if (!ok)
        return FALSE;
    session->selected.exists = session->exists;
    /* Changes that came before a [CLOSED] that never came were dropped: what is known is not
     * complete up to that mod-sequence. */
    if (known && session->enabled[IMAP_CAP_QRESYNC] && !session->saw_closed)
        session->selected.highestmodseq = 0;
    *ret_selected = session->selected;
    return TRUE;
}

const char *imap_session_selected(const ImapSession *session)
{
    return session->mailbox;
}

guint32 imap_session_exists(const ImapSession *session)
{
    return session->exists;
}

gboolean imap_session_unselect(ImapSession *session, GError **error)
{
    ImapResult result;
    gboolean ok;

    if (!session->mailbox)
        return TRUE;
    if (!session->caps.has[IMAP_CAP_UNSELECT]) {
        /* A SELECT that fails leaves nothing selected (RFC 3501 section 6.3.1). */
        session->is_muted = TRUE;
        ok = imap_session_drain(session, error) &&
             select_once(session, "mailfs: no such mailbox", TRUE, NULL, &result, error);
        if (ok)
            imap_result_clear(&result);
        return ok;
    }
    if (!imap_session_run(session, imap_command_new("UNSELECT"), NULL, error))
        return FALSE;
    session_set_state(&session->base, STATE_READY);
    g_clear_pointer(&session->mailbox, g_free);
    session->exists = 0;
    return TRUE;
}

/* -- SEARCH ------------------------------------------------------------------------------------ */

static gboolean search_once(ImapSession *session, const char *criteria, gboolean extended,
                            GError **error)
{
    ImapCommand *command = imap_command_new("UID SEARCH");
    gboolean ok;
    guint number;

    if (extended)
        imap_command_raw(command, "RETURN (ALL)");
    imap_command_raw(command, criteria);
    session->search_has_all = session->search_answered = FALSE;
    g_clear_pointer(&session->found, uid_set_free);
    session->found = uid_set_new();
    g_free(session->search_tag);
    session->search_tag = g_strdup_printf("%s%u", session->prefix, session->last_number + 1);
    number = imap_session_send(session, command, error);
    ok = number != 0 && imap_session_wait(session, number, NULL, error);
    if (ok && !session->search_answered)
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED, "the server did not answer a SEARCH");
    return ok;
}

UidSet *imap_session_search(ImapSession *session, const char *criteria, GError **error)
{
    gboolean extended =
        session->caps.has[IMAP_CAP_ESEARCH] && !session->esearch_is_broken;
    gboolean ok;

    if (strpbrk(criteria, "\r\n")) {
        mail_fail(error, MAIL_ERROR_INVALID, "a search cannot hold a line end");
        return NULL;
    }
    ok = search_once(session, criteria, extended, error);
    if (ok && extended && session->search_has_all)
        session->esearch_is_proven = TRUE;
    /* Some servers never send ALL.  Nothing found is believed only after something was. */
    if (ok && extended && !session->search_has_all && !session->esearch_is_proven &&
        session->exists > 0) {
        ok = search_once(session, criteria, FALSE, error);
        session->esearch_is_broken = ok && !uid_set_is_empty(session->found);
    }
    if (!ok)
        g_clear_pointer(&session->found, uid_set_free);
    return g_steal_pointer(&session->found);
}
