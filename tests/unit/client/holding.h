/* Holding the conversations of tests/conversations/ with a session.
 *
 * Each conversation is held as it is written, with the server's octets coming one by one, and once
 * for each octet of it with the connection ending there.  What the client then makes of it must be
 * what it makes of the whole conversation, up to the point where it reports that the connection
 * is gone: nothing else, and soon.
 */
#pragma once

#include "client.h"

typedef struct {
    const char *name;
    void (*act)(Client *client, const char *args);
} Action;

/* What the session under test speaks, and what it can be told to do. */
typedef struct {
    gboolean is_pop3;
    void (*start)(Client *client); /* makes client->session */
    void (*stop)(Client *client);
    const Action *actions;
    gsize n_actions;
} Dialect;

static const Dialect *dialect;

enum {
    PATIENCE_MS = 10000,   /* when all goes well */
    IMPATIENCE_MS = 20,    /* when the server falls silent */
    SOON_MS = 5000,        /* the end of a conversation that was cut, on a busy machine */
    CUT_EVERYWHERE = 2000, /* octets; of longer ones about 100 places are enough */
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

static void act(Client *client, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 2);

    for (gsize i = 0; i < dialect->n_actions; i++)
        if (g_str_equal(dialect->actions[i].name, words[0])) {
            dialect->actions[i].act(client, words[1]);
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
    dialect->start(&client);
    for (guint i = 0; i < conversation->actions->len; i++)
        act(&client, conversation->actions->pdata[i]);
    dialect->stop(&client);
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
    for (gsize i = 1; i <= 3 && !g_hash_table_contains(conversation->with, "patient"); i++)
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
        if (g_str_has_suffix(name, ".txt") && conversation_is_pop3(name) == dialect->is_pop3)
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

static int conversations_main(int argc, char **argv, const Dialect *of)
{
    g_autoptr(GPtrArray) all = NULL;

    dialect = of;
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
