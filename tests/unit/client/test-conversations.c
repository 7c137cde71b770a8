/* The IMAP session against scripted servers: tests/conversations/.  See holding.h. */
#include "changes.h"
#include "holding.h"

/* -- What comes of a conversation -------------------------------------------------------------- */

static void on_body_begin(gpointer user, guint32 uid, guint64 size)
{
    Client *client = user;

    g_string_truncate(client->body, 0);
    note(client, "body of %u, %" G_GUINT64_FORMAT " octets", uid, size);
}

static void on_body_data(gpointer user, const void *data, gsize length)
{
    g_string_append_len(((Client *)user)->body, data, (gssize)length);
}

static void on_fetch(gpointer user, const ImapFetch *fetch)
{
    g_autoptr(GString) out = g_string_new(NULL);
    Client *client = user;

    g_string_append_printf(out, "fetch %u uid=%u", fetch->seq, fetch->uid);
    if (fetch->items & IMAP_FETCH_FLAGS)
        g_string_append_printf(out, " flags=%x(%s)", fetch->flags, fetch->keywords);
    if (fetch->items & IMAP_FETCH_SIZE)
        g_string_append_printf(out, " size=%" G_GUINT64_FORMAT, fetch->size);
    if (fetch->items & IMAP_FETCH_MODSEQ)
        g_string_append_printf(out, " modseq=%" G_GUINT64_FORMAT, fetch->modseq);
    if (fetch->items & IMAP_FETCH_HEADER)
        g_string_append_printf(out, " header=%" G_GSIZE_FORMAT ":%.*s", fetch->header_length,
                               (int)MIN(fetch->header_length, 20), fetch->header);
    if (fetch->items & IMAP_FETCH_BODY)
        g_string_append_printf(out, " body=%s%" G_GSIZE_FORMAT ":%.20s",
                               fetch->body_is_nil ? "nil" : "", client->body->len,
                               client->body->str);
    note(client, "%s", out->str);
    g_string_truncate(client->body, 0);
}

static void on_exists(gpointer user, guint32 n_messages)
{
    note(user, "exists %u", n_messages);
}

static void on_expunge(gpointer user, guint32 seq)
{
    note(user, "expunge %u", seq);
}

static void on_vanished(gpointer user, const UidSet *uids, gboolean earlier)
{
    g_autofree char *text = uid_set_format(uids);

    note(user, "vanished %s%s", earlier ? "earlier " : "", text);
}

static void on_list(gpointer user, const ImapListItem *item)
{
    if (!item) {
        note(user, "list broken");
        return;
    }
    note(user, "list %s %c %x", item->mailbox, item->delimiter ? item->delimiter : '-',
         item->flags);
}

static void on_status(gpointer user, const ImapStatus *status)
{
    note(user, "status %s items=%x messages=%u", status->mailbox, status->items, status->messages);
}

static void on_quota(gpointer user, const char *root, guint64 used_kib, guint64 limit_kib)
{
    note(user, "quota '%s' %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, root, used_kib, limit_kib);
}

static void on_my_rights(gpointer user, const char *mailbox, const char *rights)
{
    note(user, "rights %s %s", mailbox, rights);
}

static void on_namespace(gpointer user, const char *prefix, char delimiter)
{
    note(user, "namespace '%s' %c", prefix, delimiter ? delimiter : '-');
}

static void on_alert(gpointer user, const char *text)
{
    Client *client = user;

    note(client, "alert %s", text);
    if (client->shrinks >= 0)
        g_assert_cmpint(ftruncate(client->shrinks, 1), ==, 0);
}

static const ImapHandler handler = {
    .body_begin = on_body_begin,
    .body_data = on_body_data,
    .fetch = on_fetch,
    .exists = on_exists,
    .expunge = on_expunge,
    .vanished = on_vanished,
    .list = on_list,
    .status = on_status,
    .quota = on_quota,
    .my_rights = on_my_rights,
    .namespace_prefix = on_namespace,
    .alert = on_alert,
};

/* -- What the client is told to do ------------------------------------------------------------- */

static void do_open(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;

    note_ok(client, imap_session_open(client->session, &error), &error);
}

static void do_logout(Client *client, const char *args)
{
    imap_session_logout(client->session);
    note(client, "ok");
}

static void do_select(Client *client, const char *args)
{
    g_auto(GStrv) words = g_strsplit(args, " ", -1);
    guint n = g_strv_length(words);
    ImapKnown known = {0};
    ImapSelected s = {0};
    g_autoptr(GError) error = NULL;

    if (n > 2) {
        known.uidvalidity = (guint32)g_ascii_strtoull(words[1], NULL, 10);
        known.highestmodseq = g_ascii_strtoull(words[2], NULL, 10);
    }
    if (!imap_session_select(client->session, words[0], n == 2, n > 2 ? &known : NULL, &s,
                             &error)) {
        note_error(client, error);
        return;
    }
    note(client,
         "selected exists=%u uidvalidity=%u uidnext=%u modseq=%" G_GUINT64_FORMAT "%s%s%s%s",
         s.exists, s.uidvalidity, s.uidnext, s.highestmodseq, s.is_readonly ? " readonly" : "",
         s.no_new_keywords ? " fixed-keywords" : "", *s.mailbox_id ? " id=" : "", s.mailbox_id);
}

static void do_unselect(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;

    note_ok(client, imap_session_unselect(client->session, &error), &error);
}

static void note_result(Client *client, gboolean ok, ImapResult *result, const GError *error)
{
    if (!ok) {
        note_error(client, error);
        return;
    }
    note(client, "ok%s%s%s%s", result->code ? " " : "", result->code ? result->code : "",
         result->code_args ? " " : "", result->code_args ? result->code_args : "");
    imap_result_clear(result);
}

static void do_run(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;
    ImapResult result;
    gboolean ok = imap_session_run(client->session, imap_command_new(args), &result, &error);

    note_result(client, ok, &result, error);
}

static void do_send(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;
    guint number = imap_session_send(client->session, imap_command_new(args), &error);

    if (number == 0)
        note_error(client, error);
    else
        g_queue_push_tail(client->sent, GUINT_TO_POINTER(number));
}

/* Waits for the oldest command that was sent. */
static void do_wait(Client *client, const char *args)
{
    guint number = GPOINTER_TO_UINT(g_queue_pop_head(client->sent));
    g_autoptr(GError) error = NULL;
    ImapResult result;
    gboolean ok;

    if (number == 0)
        return; /* it could not be sent */
    ok = imap_session_wait(client->session, number, &result, &error);
    note_result(client, ok, &result, error);
}

static void do_search(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(UidSet) found = imap_session_search(client->session, args, &error);
    g_autofree char *text = found ? uid_set_format(found) : NULL;

    if (!found)
        note_error(client, error);
    else
        note(client, "found %s", *text ? text : "nothing");
}

static void do_watch(Client *client, const char *args)
{
    static const char *const names[] = {"changed", "woken", "timeout"};
    gint64 ms = MIN(g_ascii_strtoll(args, NULL, 10), client->patience_ms);
    g_autoptr(GError) error = NULL;
    ImapWatch watch =
        imap_session_watch(client->session, client->server->wake, deadline_in_ms(ms), &error);

    cancel_clear(client->server->wake);
    if (watch == IMAP_WATCH_FAILED)
        note_error(client, error);
    else
        note(client, "%s", names[watch]);
}

static void do_notify(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;

    note_ok(client, imap_session_notify(client->session, &error), &error);
}

/* "show WHAT": a fact about the session. */
static void do_show(Client *client, const char *args)
{
    const ImapSession *session = client->session;
    const char *text = NULL;

    if (g_str_equal(args, "limit"))
        note(client, "limit is %" G_GUINT64_FORMAT, imap_session_append_limit(session));
    else if (g_str_equal(args, "exists"))
        note(client, "exists is %u", imap_session_exists(session));
    else if (g_str_has_prefix(args, "has "))
        note(client, imap_session_has(session, imap_cap_from_name(args + 4)) ? "yes" : "no");
    else if (g_str_has_prefix(args, "enabled "))
        note(client, imap_session_enabled(session, imap_cap_from_name(args + 8)) ? "yes" : "no");
    else if (g_str_equal(args, "mechanism"))
        text = imap_session_mechanism(session);
    else if (g_str_equal(args, "server"))
        text = imap_session_server_id(session);
    else if (g_str_equal(args, "mailbox"))
        text = imap_session_selected(session);
    else
        g_error("show %s?", args);
    if (text)
        note(client, "%s is %s", args, text);
}

static const Action actions[] = {
    {"append", do_append}, {"copy", do_copy}, {"create", do_create}, {"delete", do_delete},
    {"expunge", do_expunge}, {"expunge-all", do_expunge_all}, {"logout", do_logout},
    {"move", do_move}, {"notify", do_notify}, {"open", do_open}, {"rename", do_rename},
    {"run", do_run}, {"search", do_search}, {"select", do_select}, {"send", do_send},
    {"show", do_show}, {"status", do_status}, {"store", do_store}, {"unselect", do_unselect},
    {"wait", do_wait}, {"watch", do_watch},
};

/* -- The session ------------------------------------------------------------------------------- */

static void start(Client *client)
{
    const Conversation *conversation = client->conversation;
    const Endpoint endpoint = {
        .security = security_of(conversation),
        .host = (char *)"127.0.0.1",
        .port = client->server->port,
    };
    const SessionParams params = {
        .account = "test",
        .number = 1,
        .endpoint = &endpoint,
        .user = conversation_with(conversation, "user", "alice"),
        .auth = conversation_with(conversation, "auth", "auto"),
        .is_token = g_hash_table_contains(conversation->with, "token"),
        .compress = g_hash_table_contains(conversation->with, "compress"),
        .broker = &client->broker,
        .cancel = client->server->cancel,
    };
    const char *idle = conversation_with(conversation, "idle", NULL);

    client->session = imap_session_new(&params, &handler, client);
    imap_session_set_patience(client->session, client->patience_ms);
    if (idle)
        imap_session_set_idle(client->session, g_ascii_strtoll(idle, NULL, 10));
}

static void stop(Client *client)
{
    imap_session_free(client->session);
}

int main(int argc, char **argv)
{
    static const Dialect imap = {
        .start = start,
        .stop = stop,
        .actions = actions,
        .n_actions = G_N_ELEMENTS(actions),
    };

    return conversations_main(argc, argv, &imap);
}
