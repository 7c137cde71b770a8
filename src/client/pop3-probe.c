/* The steps of `mailfs check` for POP3.  See pop3-probe.h. */
#include "client/pop3-probe.h"

typedef struct {
    Probe base;
    GError *refusal; /* of the TOP that was tried */
} Pop3Probe;

/* -- The maildrop ------------------------------------------------------------------------------ */

static void on_end(gpointer user, guint32 number, const GError *error)
{
    Pop3Probe *probe = user;

    g_clear_error(&probe->refusal);
    probe->refusal = error ? g_error_copy(error) : NULL;
}

static void say_uids(const Pop3Probe *probe, const Pop3Maildrop *maildrop)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    guint n_missing = 0, n_repeated = 0;

    for (guint i = 0; i < maildrop->messages->len; i++) {
        const char *uid = g_array_index(maildrop->messages, Pop3Message, i).uid;

        if (!uid)
            n_missing++;
        else if (!g_hash_table_add(seen, (gpointer)uid))
            n_repeated++;
    }
    if (!maildrop->has_uids)
        probe_say(&probe->base, "UIDL", "no: messages can only be read, not deleted");
    else if (n_missing + n_repeated > 0)
        probe_say(&probe->base, "UIDL",
                  "yes, but %u messages have no unique-id, and %u one of another message",
                  n_missing, n_repeated);
    else
        probe_say(&probe->base, "UIDL", "yes");
}

static gboolean try_top(Pop3Probe *probe, Pop3Session *session, const Pop3Maildrop *maildrop,
                        GError **error)
{
    GError *reason = NULL;

    if (maildrop->messages->len == 0) {
        probe_say(&probe->base, "TOP", "%s",
                  pop3_session_has(session, POP3_CAP_TOP) ? "yes" : "no message to try it with");
        return TRUE;
    }
    if (!pop3_session_top(session, &g_array_index(maildrop->messages, Pop3Message, 0).number, 1, 0,
                          &reason))
        return probe_fail(&probe->base, "TOP", reason, error);
    probe_say(&probe->base, "TOP", "%s%s",
              probe->refusal ? "no: names need whole messages; " : "yes",
              probe->refusal ? probe->refusal->message : "");
    return TRUE;
}

static gboolean try_maildrop(Pop3Probe *probe, Pop3Session *session, GError **error)
{
    g_autoptr(Pop3Maildrop) maildrop = NULL;
    GError *reason = NULL;

    maildrop = pop3_session_list(session, &reason);
    if (!maildrop)
        return probe_fail(&probe->base, "messages", reason, error);
    probe_say(&probe->base, "messages", "%u, %" G_GUINT64_FORMAT " octets", maildrop->n_messages,
              maildrop->octets);
    say_uids(probe, maildrop);
    return try_top(probe, session, maildrop, error);
}

/* -- What the server wants --------------------------------------------------------------------- */

static void say_expire(const Pop3Probe *probe, const Pop3Session *session)
{
    guint32 days;

    if (!pop3_session_expire(session, &days))
        probe_say(&probe->base, "EXPIRE", "the server does not tell");
    else if (days == POP3_EXPIRE_NEVER)
        probe_say(&probe->base, "EXPIRE", "never: mail stays until it is deleted");
    else if (days == 0)
        probe_say(&probe->base, "EXPIRE", "at once: mail that was read is gone from the server");
    else
        probe_say(&probe->base, "EXPIRE", "mail may be gone from the server after %u days", days);
}

static void say_terms(const Pop3Probe *probe, const Pop3Session *session)
{
    guint32 delay = pop3_session_login_delay(session);

    probe_say(&probe->base, "PIPELINING", "%s",
              pop3_session_has(session, POP3_CAP_PIPELINING)
                  ? "yes"
                  : "no: one command at a time, which is slow over long ways");
    if (delay > 0)
        probe_say(&probe->base, "LOGIN-DELAY", "%u seconds between two logins", delay);
    else
        probe_say(&probe->base, "LOGIN-DELAY", "none");
    say_expire(probe, session);
}

static gboolean open_session(Pop3Probe *probe, Pop3Session *session, const SessionParams *params,
                             GError **error)
{
    GError *reason = NULL;

    if (!pop3_session_open(session, &reason))
        return probe_fail_open(&probe->base, params, pop3_session_mechanism(session), reason,
                               error);
    probe_say_open(&probe->base, params, pop3_session_stream(session),
                   pop3_session_mechanism(session), pop3_session_implementation(session),
                   pop3_session_capabilities(session));
    return TRUE;
}

gboolean pop3_probe_run(const SessionParams *params, ProbeReport report, gpointer user,
                        GError **error)
{
    static const Pop3Handler handler = {.end = on_end};
    Pop3Probe probe = {.base = {report, user}};
    g_autoptr(Pop3Session) session = NULL;
    gboolean ok;

    if (!probe_try_way(&probe.base, params, "pop3", error))
        return FALSE;
    session = pop3_session_new(params, &handler, &probe);
    ok = open_session(&probe, session, params, error) && try_maildrop(&probe, session, error);
    if (ok)
        say_terms(&probe, session);
    if (ok)
        pop3_session_quit(session, NULL);
    g_clear_error(&probe.refusal);
    return ok;
}
