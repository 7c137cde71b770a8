/* The POP3 session against scripted servers: tests/conversations/pop3-*.txt.  See holding.h. */
#include "holding.h"

#include "client/pop3-probe.h"

enum { MAX_NUMBERS = 300, SHOWN = 60 };

/* -- What comes of a conversation -------------------------------------------------------------- */

static void on_begin(gpointer user, guint32 number)
{
    Client *client = user;

    g_string_truncate(client->body, 0);
    note(client, "begin %u", number);
}

static void on_data(gpointer user, const void *data, gsize length)
{
    g_assert_cmpuint(length, >, 0);
    g_string_append_len(((Client *)user)->body, data, (gssize)length);
}

static void on_end(gpointer user, guint32 number, const GError *error)
{
    Client *client = user;
    gsize shown = MIN(client->body->len, SHOWN);

    if (error)
        note(client, "refused %u %s: %s", number, mail_error_name(error->code), error->message);
    else if (client->body->len > 0)
        note(client, "end %u, %" G_GSIZE_FORMAT ": %.*s", number, client->body->len, (int)shown,
             client->body->str);
    else
        note(client, "end %u", number);
    g_string_truncate(client->body, 0);
}

static const Pop3Handler handler = {.begin = on_begin, .data = on_data, .end = on_end};

/* -- What the client is told to do ------------------------------------------------------------- */

static void do_open(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;

    note_ok(client, pop3_session_open(client->pop3, &error), &error);
}

static void do_quit(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;

    note_ok(client, pop3_session_quit(client->pop3, &error), &error);
}

static void do_stat(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;
    guint32 n_messages;
    guint64 octets;

    if (pop3_session_stat(client->pop3, &n_messages, &octets, &error))
        note(client, "stat %u %" G_GUINT64_FORMAT, n_messages, octets);
    else
        note_error(client, error);
}

static void do_list(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Pop3Maildrop) maildrop = pop3_session_list(client->pop3, &error);

    if (!maildrop) {
        note_error(client, error);
        return;
    }
    note(client, "%u messages, %" G_GUINT64_FORMAT " octets, %s uids, %u listed",
         maildrop->n_messages, maildrop->octets, maildrop->has_uids ? "with" : "without",
         maildrop->messages->len);
    for (guint i = 0; i < MIN(maildrop->messages->len, 10); i++) {
        const Pop3Message *message = &g_array_index(maildrop->messages, Pop3Message, i);

        note(client, "%u: %" G_GUINT64_FORMAT " %s", message->number, message->size,
             message->uid ? message->uid : "-");
    }
}

/* "1 2-5 7" to numbers. */
static guint read_numbers(const char *text, guint32 *numbers)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    guint n = 0;

    for (char **word = words; *word; word++) {
        const char *dash = strchr(*word, '-');
        guint32 from = (guint32)g_ascii_strtoull(*word, NULL, 10);
        guint32 to = dash ? (guint32)g_ascii_strtoull(dash + 1, NULL, 10) : from;

        for (guint32 number = from; number <= to; number++) {
            g_assert_cmpuint(n, <, MAX_NUMBERS);
            numbers[n++] = number;
        }
    }
    return n;
}

static void do_retr(Client *client, const char *args)
{
    guint32 numbers[MAX_NUMBERS];
    guint n = read_numbers(args, numbers);
    g_autoptr(GError) error = NULL;

    note_ok(client, pop3_session_retr(client->pop3, numbers, n, &error), &error);
}

static void do_top(Client *client, const char *args)
{
    guint32 numbers[MAX_NUMBERS];
    guint n = read_numbers(args, numbers);
    g_autoptr(GError) error = NULL;

    note_ok(client, pop3_session_top(client->pop3, numbers, n, 0, &error), &error);
}

static void do_dele(Client *client, const char *args)
{
    guint32 numbers[MAX_NUMBERS];
    guint n = read_numbers(args, numbers);
    g_autoptr(GError) error = NULL;

    note_ok(client, pop3_session_dele(client->pop3, numbers, n, &error), &error);
}

/* "send RETR 3", "send TOP 3 10". */
static void do_send(Client *client, const char *args)
{
    g_auto(GStrv) words = g_strsplit(args, " ", -1);
    Pop3Task task = g_str_equal(words[0], "RETR")  ? POP3_RETR
                    : g_str_equal(words[0], "TOP") ? POP3_TOP
                                                   : POP3_DELE;
    g_autoptr(GError) error = NULL;

    note_ok(client,
            pop3_session_send(client->pop3, task,
                              (guint32)g_ascii_strtoull(words[1], NULL, 10),
                              words[2] ? (guint32)g_ascii_strtoull(words[2], NULL, 10) : 0,
                              &error),
            &error);
}

/* "retrieve 3 1200 uidl": each of its own; "-" for a uid, 0 for a size that is not known. */
static void do_retrieve(Client *client, const char *args)
{
    g_auto(GStrv) words = g_strsplit(args, " ", -1);
    g_autoptr(GError) error = NULL;

    for (char **at = words; at[0] && at[1] && at[2] && !error; at += 3) {
        const Pop3Message message = {
            .number = (guint32)g_ascii_strtoull(at[0], NULL, 10),
            .size = g_ascii_strtoull(at[1], NULL, 10),
            .uid = g_str_equal(at[2], "-") ? NULL : at[2],
        };

        (void)pop3_session_retrieve(client->pop3, &message, &error);
    }
    note_ok(client, !error && pop3_session_finish(client->pop3, &error), &error);
}

static void do_finish(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;

    note_ok(client, pop3_session_finish(client->pop3, &error), &error);
}

static void do_rset(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;

    note_ok(client, pop3_session_rset(client->pop3, &error), &error);
}

static void do_noop(Client *client, const char *args)
{
    g_autoptr(GError) error = NULL;

    note_ok(client, pop3_session_noop(client->pop3, &error), &error);
}

static void do_show(Client *client, const char *args)
{
    const Pop3Session *session = client->pop3;
    const char *text = NULL;
    guint32 days;

    if (g_str_has_prefix(args, "has "))
        note(client, pop3_session_has(session, pop3_cap_from_name(args + 4)) ? "yes" : "no");
    else if (g_str_equal(args, "delay"))
        note(client, "delay is %u", pop3_session_login_delay(session));
    else if (g_str_equal(args, "commands"))
        note(client, "commands are %" G_GUINT64_FORMAT, pop3_session_commands(session));
    else if (g_str_equal(args, "expire") && !pop3_session_expire(session, &days))
        note(client, "expire is unknown");
    else if (g_str_equal(args, "expire"))
        note(client, days == POP3_EXPIRE_NEVER ? "expire is never" : "expire is %u", days);
    else if (g_str_equal(args, "mechanism"))
        text = pop3_session_mechanism(session);
    else if (g_str_equal(args, "capabilities"))
        text = pop3_session_capabilities(session);
    else if (g_str_equal(args, "server"))
        text = pop3_session_implementation(session);
    else
        g_error("show %s?", args);
    if (text)
        note(client, "%s is %s", args, text);
}

/* Where the connection goes differs each time, and what failed is told by the error. */
static void on_step(gpointer user, const char *step, gboolean ok, const char *text)
{
    if (ok && g_str_equal(step, "connection"))
        note(user, "connection");
    else if (ok)
        note(user, "%s: %s", step, text);
}

/* -- The session ------------------------------------------------------------------------------- */

static Endpoint endpoint_of(const Client *client)
{
    return (Endpoint){
        .security = security_of(client->conversation),
        .host = (char *)"127.0.0.1",
        .port = client->server->port,
    };
}

static SessionParams params_of(Client *client, const Endpoint *endpoint)
{
    const Conversation *conversation = client->conversation;

    return (SessionParams){
        .account = "test",
        .number = 1,
        .endpoint = endpoint,
        .user = conversation_with(conversation, "user", "alice"),
        .auth = conversation_with(conversation, "auth", "auto"),
        .is_token = g_hash_table_contains(conversation->with, "token"),
        .broker = &client->broker,
        .cancel = client->server->cancel,
    };
}

/* With a session of its own: client/pop3-probe.h. */
static void do_probe(Client *client, const char *args)
{
    const Endpoint endpoint = endpoint_of(client);
    const SessionParams params = params_of(client, &endpoint);
    g_autoptr(GError) error = NULL;

    note_ok(client, pop3_probe_run(&params, on_step, client, &error), &error);
}

static const Action actions[] = {
    {"dele", do_dele}, {"finish", do_finish}, {"list", do_list}, {"noop", do_noop},
    {"open", do_open}, {"probe", do_probe},   {"quit", do_quit}, {"retr", do_retr},
    {"rset", do_rset}, {"send", do_send},     {"show", do_show}, {"stat", do_stat},
    {"top", do_top},   {"retrieve", do_retrieve},
};

static void start(Client *client)
{
    const Endpoint endpoint = endpoint_of(client);
    const SessionParams params = params_of(client, &endpoint);

    client->pop3 = pop3_session_new(&params, &handler, client);
    pop3_session_set_patience(client->pop3, client->patience_ms);
}

static void stop(Client *client)
{
    pop3_session_free(client->pop3);
}

int main(int argc, char **argv)
{
    static const Dialect pop3 = {
        .is_pop3 = TRUE,
        .start = start,
        .stop = stop,
        .actions = actions,
        .n_actions = G_N_ELEMENTS(actions),
    };

    return conversations_main(argc, argv, &pop3);
}
