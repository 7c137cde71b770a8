/* Waiting for what the server has to tell by itself: NOTIFY says what of, IDLE listens.
 *
 * With NOTIFY a server may speak at any time, so IDLE seems needless.  But Dovecot 2.3 begins to
 * look at the selected mailbox one second after the last command, and what happened in that
 * second it tells with the next change, be it a day later; in IDLE it looks at once (measured).
 */
#include "client/imap-internal.h"
#include "base/error.h"
#include "base/limits.h"

#include <string.h>

enum {
    SETTLE_MS = 20, /* what belongs to one event comes within this time */
    /* A server that ends IDLE sooner than this by itself would be asked for it without end. */
    SHORTEST_IDLE_MS = 1000,
};

/* TRUE when the server has ended IDLE by itself. */
static gboolean is_ended(const ImapSession *session)
{
    return session->base.state == STATE_IDLE && session->n_in_flight == 0;
}

/* Reads until something happened, somebody wakes us, or the time is over, IDLE's or ours. */
static ImapWatch wait_for_event(ImapSession *session, Cancel *wake, Deadline deadline,
                                GError **error)
{
    guint before = session->n_events;

    while (session->n_events == before) {
        GError *cause = NULL;

        if (is_ended(session))
            return IMAP_WATCH_TIMEOUT;
        switch (net_stream_wait(session->base.stream, wake, deadline, &cause)) {
        case NET_READABLE:
            if (!imap_session_pump(session, session_patience(&session->base), error))
                return IMAP_WATCH_FAILED;
            break;
        case NET_WOKEN:
            return IMAP_WATCH_WOKEN;
        case NET_TIMEOUT:
            return IMAP_WATCH_TIMEOUT;
        case NET_FAILED:
            session_die(&session->base, cause, error);
            return IMAP_WATCH_FAILED;
        }
    }
    return IMAP_WATCH_CHANGED;
}

/* After an event: what else comes with it. */
static gboolean settle(ImapSession *session, GError **error)
{
    Deadline deadline = deadline_in_ms(SETTLE_MS);
    ImapWatch watch;

    do
        watch = wait_for_event(session, NULL, deadline, error);
    while (watch == IMAP_WATCH_CHANGED && !deadline_passed(deadline));
    return watch != IMAP_WATCH_FAILED;
}

static ImapWatch watch_plainly(ImapSession *session, Cancel *wake, Deadline deadline,
                               GError **error)
{
    ImapWatch watch = wait_for_event(session, wake, deadline, error);

    if (watch == IMAP_WATCH_CHANGED && !settle(session, error))
        return IMAP_WATCH_FAILED;
    return watch;
}

/* Starts IDLE; *ret_number is 0 when the server refuses. */
static gboolean begin_idle(ImapSession *session, guint *ret_number, GError **error)
{
    g_autofree char *text = NULL;
    guint number = imap_session_send(session, imap_command_new("IDLE"), error);

    if (number == 0 || !imap_session_await_continuation(session, number, &text, error))
        return FALSE;
    if (text) {
        session_set_state(&session->base, STATE_IDLE);
        *ret_number = number;
        return TRUE;
    }
    *ret_number = 0;
    session->idle_refused = TRUE;
    return imap_session_wait(session, number, NULL, NULL) || session->base.state != STATE_DEAD;
}

static gboolean end_idle(ImapSession *session, guint number, GError **error)
{
    ImapResult result;

    if (!imap_session_is_done(session, number) &&
        !imap_session_send_line(session, "DONE", FALSE, error))
        return FALSE;
    if (!imap_session_collect(session, number, &result, error))
        return FALSE;
    imap_result_clear(&result);
    session_set_state(&session->base, session->mailbox ? STATE_SELECTED : STATE_READY);
    return TRUE;
}

/* One IDLE, of LIMIT_IDLE_SECONDS or what was set instead. */
static ImapWatch idle_once(ImapSession *session, Cancel *wake, Deadline deadline, GError **error)
{
    Deadline start = deadline_now(), renewal = deadline_in_ms(session->idle_ms);
    guint before = session->n_events;
    ImapWatch watch;
    guint number;

    if (!begin_idle(session, &number, error))
        return IMAP_WATCH_FAILED;
    if (number == 0)
        return session->n_events != before ? IMAP_WATCH_CHANGED : IMAP_WATCH_TIMEOUT;
    watch = session->n_events != before
                ? IMAP_WATCH_CHANGED /* it came with the "+" */
                : wait_for_event(session, wake, deadline_earlier(deadline, renewal), error);
    if (is_ended(session) && deadline_now() - start < SHORTEST_IDLE_MS * 1000)
        session->idle_refused = TRUE;
    if (watch == IMAP_WATCH_FAILED ||
        (watch == IMAP_WATCH_CHANGED && !settle(session, error)) ||
        !end_idle(session, number, error))
        return IMAP_WATCH_FAILED;
    /* Something may have come between our DONE and its answer. */
    return watch == IMAP_WATCH_TIMEOUT && session->n_events != before ? IMAP_WATCH_CHANGED : watch;
}

ImapWatch imap_session_watch(ImapSession *session, Cancel *wake, Deadline deadline,
                             GError **error)
{
    ImapWatch watch;

    if (!imap_session_drain(session, error))
        return IMAP_WATCH_FAILED;
    if (wake && cancel_is_raised(wake))
        return IMAP_WATCH_WOKEN;
    if (!session->caps.has[IMAP_CAP_IDLE])
        return watch_plainly(session, wake, deadline, error);
    do
        watch = session->idle_refused ? watch_plainly(session, wake, deadline, error)
                                      : idle_once(session, wake, deadline, error);
    while (watch == IMAP_WATCH_TIMEOUT && !deadline_passed(deadline));
    return watch;
}

gboolean imap_session_notify(ImapSession *session, GError **error)
{
    if (!session->caps.has[IMAP_CAP_NOTIFY])
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED, "the server has no NOTIFY");
    return imap_session_run(
        session,
        imap_command_new("NOTIFY SET (SELECTED (MessageNew (UID FLAGS) MessageExpunge FlagChange)) "
                         "(PERSONAL (MessageNew MessageExpunge FlagChange MailboxName "
                         "SubscriptionChange))"),
        NULL, error);
}
