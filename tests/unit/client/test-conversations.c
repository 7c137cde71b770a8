/* The IMAP session against scripted servers: tests/conversations/.
 *
 * Each conversation is held as it is written, with the server's octets coming one by one, and once
 * for each octet of it with the connection ending there.  What the client then makes of it must be
 * what it makes of the whole conversation, up to the point where it reports that the connection
 * is gone: nothing else, and soon.
 */
#include "changes.h"

enum {
    PATIENCE_MS = 10000,   /* when all goes well */
    IMPATIENCE_MS = 20,    /* when the server falls silent */
    SOON_MS = 5000,        /* the end of a conversation that was cut, on a busy machine */
    CUT_EVERYWHERE = 2000, /* octets; of longer ones about 100 places are enough */
};

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

/* -- The broker -------------------------------------------------------------------------------- */

static Secret *get_secret(Broker *broker, const char *account, gboolean stale, Deadline deadline,
                          GError **error)
{
    Client *client = (Client *)broker;
    const char *first = conversation_with(client->conversation, "secret", "alicepw");
    const char *text = stale ? conversation_with(client->conversation, "fresh", first) : first;

    g_assert_cmpstr(account, ==, "test");
    note(client, stale ? "asks for a fresh secret" : "asks for the secret");
    if (g_str_equal(text, "locked")) {
        mail_fail(error, MAIL_ERROR_LOCKED, "the keyring is locked");
        return NULL;
    }
    return secret_new(text, strlen(text));
}

static int open_tunnel(Broker *broker, const char *account, Deadline deadline, GError **error)
{
    return server_connect(((Client *)broker)->server);
}

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

static const struct {
    const char *name;
    void (*act)(Client *client, const char *args);
} actions[] = {
    {"append", do_append}, {"copy", do_copy}, {"create", do_create}, {"delete", do_delete},
    {"expunge", do_expunge}, {"expunge-all", do_expunge_all}, {"logout", do_logout},
    {"move", do_move}, {"notify", do_notify}, {"open", do_open}, {"rename", do_rename},
    {"run", do_run}, {"search", do_search}, {"select", do_select}, {"send", do_send},
    {"show", do_show}, {"status", do_status}, {"store", do_store}, {"unselect", do_unselect},
    {"wait", do_wait}, {"watch", do_watch},
};

static void act(Client *client, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);

    for (gsize i = 0; i < G_N_ELEMENTS(actions); i++)
        if (g_str_equal(actions[i].name, words[0])) {
            actions[i].act(client, words[1]);
            return;
        }
    g_error("%s: what is this? %s", client->conversation->name, text);
}

/* -- Holding a conversation -------------------------------------------------------------------- */

static Security security_of(const Conversation *conversation)
{
    const char *name = conversation_with(conversation, "security", "tunnel");

    return g_str_equal(name, "starttls") ? SECURITY_STARTTLS
           : g_str_equal(name, "plain")  ? SECURITY_PLAIN
                                         : SECURITY_TUNNEL;
}

static ImapSession *session_new(Client *client)
{
    const Conversation *conversation = client->conversation;
    const Endpoint endpoint = {
        .security = security_of(conversation),
        .host = (char *)"127.0.0.1",
        .port = client->server->port,
    };
    const ImapSessionParams params = {
        .account = "test",
        .number = 1,
        .endpoint = &endpoint,
        .user = "alice",
        .auth = conversation_with(conversation, "auth", "auto"),
        .is_token = g_hash_table_contains(conversation->with, "token"),
        .compress = g_hash_table_contains(conversation->with, "compress"),
        .broker = &client->broker,
        .cancel = client->server->cancel,
    };
    ImapSession *session = imap_session_new(&params, &handler, client);
    const char *idle = conversation_with(conversation, "idle", NULL);

    imap_session_set_patience(session, client->patience_ms);
    if (idle)
        imap_session_set_idle(session, g_ascii_strtoll(idle, NULL, 10));
    return session;
}

/* Holds @conversation and returns what came of it; the caller has said in @server how it is to
 * be held, and frees server->failure. */
static GPtrArray *hold(const Conversation *conversation, Server *server, gint64 patience_ms)
{
    Client client = {
        .broker = {get_secret, open_tunnel},
        .conversation = conversation,
        .server = server,
        .log = g_ptr_array_new_with_free_func(g_free),
        .body = g_string_new(NULL),
        .sent = g_queue_new(),
        .patience_ms = patience_ms,
        .shrinks = -1,
    };

    server->conversation = conversation;
    server_start(server, security_of(conversation) != SECURITY_TUNNEL);
    client.session = session_new(&client);
    for (guint i = 0; i < conversation->actions->len; i++)
        act(&client, conversation->actions->pdata[i]);
    imap_session_free(client.session);
    server_stop(server);
    g_string_free(client.body, TRUE);
    g_queue_free(client.sent);
    return client.log;
}

/* What an error says need not be written out. */
static gboolean fits(const char *expected, const char *actual)
{
    gsize length = strlen(expected);

    if (!g_str_has_prefix(expected, "error "))
        return g_str_equal(expected, actual);
    return g_str_has_prefix(actual, expected) && (strchr(expected, ':') || actual[length] == ':');
}

static void fail_log(const Conversation *conversation, const GPtrArray *log, const char *how)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < MAX(log->len, conversation->expected->len); i++)
        g_string_append_printf(
            text, "\n  %-60s | %s",
            i < conversation->expected->len ? (char *)conversation->expected->pdata[i] : "-",
            i < log->len ? (char *)log->pdata[i] : "-");
    g_printerr("%s, %s: expected, and what came:%s\n", conversation->name, how, text->str);
    g_error("%s, %s", conversation->name, how);
}

/* Holds it to its end; the number of octets that the server sends in @ret_octets. */
static void hold_whole(const Conversation *conversation, gsize piece, gsize *ret_prelude,
                       gsize *ret_octets)
{
    Server server = {.cut = G_MAXSIZE, .piece = piece};
    g_autoptr(GPtrArray) log = hold(conversation, &server, PATIENCE_MS);
    const char *how = piece == 1 ? "octet by octet" : "as it is written";
    gboolean ok = log->len == conversation->expected->len;

    for (guint i = 0; ok && i < log->len; i++)
        ok = fits(conversation->expected->pdata[i], log->pdata[i]);
    if (server.failure)
        g_printerr("%s: %s\n", conversation->name, server.failure);
    if (server.failure || !ok)
        fail_log(conversation, log, how);
    *ret_prelude = server.n_prelude;
    *ret_octets = server.n_sent;
}

/* Does the client say here that it misses the rest?  Where it only watches, silence is nothing
 * that it could miss. */
static gboolean is_lost(const char *line, gboolean falls_silent)
{
    if (falls_silent && g_str_equal(line, "timeout"))
        return TRUE;
    return g_str_has_prefix(line, "error offline:") || g_str_has_prefix(line, "error timeout:") ||
           g_str_has_prefix(line, "error protocol:");
}

/* Holds it up to @cut octets. */
static void hold_cut(const Conversation *conversation, gsize cut, gboolean falls_silent)
{
    Server server = {.cut = cut, .falls_silent = falls_silent, .piece = G_MAXSIZE};
    gint64 start = g_get_monotonic_time();
    g_autoptr(GPtrArray) log =
        hold(conversation, &server, falls_silent ? IMPATIENCE_MS : PATIENCE_MS);
    g_autofree char *how = g_strdup_printf("%s after %" G_GSIZE_FORMAT " octets",
                                           falls_silent ? "silent" : "cut", cut);
    guint i = 0;

    while (i < log->len && i < conversation->expected->len &&
           fits(conversation->expected->pdata[i], log->pdata[i]))
        i++;
    if (server.failure)
        g_printerr("%s: %s\n", conversation->name, server.failure);
    if (server.failure || (i < log->len && !is_lost(log->pdata[i], falls_silent)) ||
        (i == log->len && i < conversation->expected->len))
        fail_log(conversation, log, how);
    if (g_get_monotonic_time() - start > SOON_MS * 1000)
        g_error("%s, %s: the client took too long", conversation->name, how);
}

static void test_conversation(gconstpointer data)
{
    const Conversation *conversation = data;
    gsize prelude, octets, step;

    hold_whole(conversation, G_MAXSIZE, &prelude, &octets);
    if (!g_hash_table_contains(conversation->with, "whole"))
        hold_whole(conversation, 1, &prelude, &octets);
    step = octets < CUT_EVERYWHERE ? 1 : octets / 100;
    for (gsize cut = prelude; cut < octets; cut += step)
        hold_cut(conversation, cut, FALSE);
    for (gsize i = 1; i <= 3; i++)
        hold_cut(conversation, prelude + (octets - 1 - prelude) * i / 3, TRUE);
}

/* -- All of them ------------------------------------------------------------------------------- */

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *read_all(void)
{
    g_autofree char *folder =
        g_build_filename(g_getenv("MAILFS_SOURCE_ROOT"), "tests", "conversations", NULL);
    GPtrArray *all = g_ptr_array_new_with_free_func(conversation_free);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir)))
        if (g_str_has_suffix(name, ".txt"))
            g_ptr_array_add(files, g_strdup(name));
    g_ptr_array_sort(files, compare_names);
    for (guint i = 0; i < files->len; i++)
        conversations_read(folder, files->pdata[i], all);
    return all;
}

/* The trace of thousands of sessions would be most of the test's log. */
static void say_nothing(const char *domain, GLogLevelFlags level, const char *text, gpointer user)
{
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) all = NULL;

    g_test_init(&argc, &argv, NULL);
    g_log_set_handler("client", G_LOG_LEVEL_DEBUG, say_nothing, NULL);
    g_log_set_handler("net", G_LOG_LEVEL_DEBUG, say_nothing, NULL);
    all = read_all();
    for (guint i = 0; i < all->len; i++) {
        const Conversation *conversation = all->pdata[i];

        g_test_add_data_func(conversation->name, conversation, test_conversation);
    }
    return g_test_run();
}
