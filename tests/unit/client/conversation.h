/* Conversations of tests/conversations/ and the server that plays them.
 *
 * A conversation is a script of three parties, told line by line (tests/conversations/README.md):
 * what the server says and hears, what the client is told to do, and what must come of it.  The
 * server runs in a thread of its own, so that the client is free to be wrong: to say something
 * else, to say nothing, or to go away.  It can be told to end the connection, or to fall silent,
 * after any octet, and to send octet by octet.
 */
#pragma once

#include <glib.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cancel.h"

/* -- The script ------------------------------------------------------------------------------- */

typedef struct {
    enum { SERVER_SAYS, SERVER_HEARS, SERVER_DOES } kind;
    char *text;
    guint line;
} Step;

typedef struct {
    char *name; /* "/conversations/login/plain" */
    GHashTable *with;
    GArray *steps;
    guint n_prelude; /* of the steps: the login that "login" stands for */
    GPtrArray *actions, *expected;
} Conversation;

static inline void step_clear(gpointer data)
{
    g_free(((Step *)data)->text);
}

static inline void conversation_free(gpointer data)
{
    Conversation *conversation = data;

    g_free(conversation->name);
    g_hash_table_unref(conversation->with);
    g_array_unref(conversation->steps);
    g_ptr_array_unref(conversation->actions);
    g_ptr_array_unref(conversation->expected);
    g_free(conversation);
}

static inline Conversation *conversation_new(const char *file, const char *name)
{
    Conversation *conversation = g_new0(Conversation, 1);
    g_autofree char *base = g_strndup(file, strlen(file) - strlen(".txt"));

    conversation->name = g_strdup_printf("/conversations/%s/%s", base, name);
    g_strdelimit(conversation->name, " ", '-');
    conversation->with = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    conversation->steps = g_array_new(FALSE, FALSE, sizeof(Step));
    g_array_set_clear_func(conversation->steps, step_clear);
    conversation->actions = g_ptr_array_new_with_free_func(g_free);
    conversation->expected = g_ptr_array_new_with_free_func(g_free);
    return conversation;
}

static inline const char *conversation_with(const Conversation *conversation, const char *key,
                                            const char *otherwise)
{
    const char *value = g_hash_table_lookup(conversation->with, key);

    return value ? value : otherwise;
}

static inline void add_step(Conversation *conversation, int kind, const char *text, guint line)
{
    Step step = {kind, g_strdup(*text == ' ' ? text + 1 : text), line};

    g_array_append_val(conversation->steps, step);
}

static inline gboolean conversation_is_pop3(const char *file)
{
    return g_str_has_prefix(file, "pop3-");
}

/* The same for POP3, where capabilities are separated by ", ". */
static inline void add_pop3_login(Conversation *conversation, const char *capabilities,
                                  guint line)
{
    g_auto(GStrv) lines = g_strsplit(capabilities + strspn(capabilities, " "), ", ", -1);

    g_ptr_array_add(conversation->actions, g_strdup("open"));
    add_step(conversation, SERVER_HEARS, "STAT", line);
    add_step(conversation, SERVER_SAYS, "+OK 0 0", line);
    add_step(conversation, SERVER_HEARS, "CAPA", line);
    add_step(conversation, SERVER_SAYS, "+OK", line);
    for (char **cap = lines; *cap; cap++)
        add_step(conversation, SERVER_SAYS, *cap, line);
    add_step(conversation, SERVER_SAYS, ".", line);
    conversation->n_prelude = conversation->steps->len;
}

/* "login CAPABILITIES": a session that is open, by a tunnel to a server that asks nothing. */
static inline void add_login(Conversation *conversation, const char *capabilities, guint line)
{
    g_autofree char *says = g_strdup_printf("* CAPABILITY IMAP4rev1%s", capabilities);

    g_ptr_array_add(conversation->actions, g_strdup("open"));
    add_step(conversation, SERVER_SAYS, "* PREAUTH [CAPABILITY IMAP4rev1] hi", line);
    add_step(conversation, SERVER_HEARS, "@1 CAPABILITY", line);
    add_step(conversation, SERVER_SAYS, says, line);
    add_step(conversation, SERVER_SAYS, "@1 OK done", line);
    conversation->n_prelude = conversation->steps->len;
}

static inline void add_settings(Conversation *conversation, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);

    for (char **word = words; *word; word++) {
        char *equals = strchr(*word, '=');

        g_assert_nonnull(equals);
        g_hash_table_insert(conversation->with, g_strndup(*word, (gsize)(equals - *word)),
                            g_strdup(equals + 1));
    }
}

static inline void add_line(Conversation *conversation, const char *file, const char *text,
                            guint line)
{
    if (g_str_has_prefix(text, "S:"))
        add_step(conversation, SERVER_SAYS, text + 2, line);
    else if (g_str_has_prefix(text, "C:"))
        add_step(conversation, SERVER_HEARS, text + 2, line);
    else if (g_str_has_prefix(text, "|"))
        add_step(conversation, SERVER_DOES, text + 1, line);
    else if (g_str_has_prefix(text, "> "))
        g_ptr_array_add(conversation->actions, g_strdup(text + 2));
    else if (g_str_has_prefix(text, "= "))
        g_ptr_array_add(conversation->expected, g_strdup(text + 2));
    else if (g_str_has_prefix(text, "with "))
        add_settings(conversation, text + 5);
    else if (g_str_has_prefix(text, "login") && conversation_is_pop3(file))
        add_pop3_login(conversation, text + 5, line);
    else if (g_str_has_prefix(text, "login"))
        add_login(conversation, text + 5, line);
    else
        g_error("%s:%u: what is this? %s", file, line, text);
}

/* All conversations of one file. */
static inline void conversations_read(const char *folder, const char *file, GPtrArray *into)
{
    g_autofree char *path = g_build_filename(folder, file, NULL), *text = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) lines = NULL;
    Conversation *conversation = NULL;

    if (!g_file_get_contents(path, &text, NULL, &error))
        g_error("%s", error->message);
    lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        if (!*lines[i] || *lines[i] == '#')
            continue;
        if (g_str_has_prefix(lines[i], "== ")) {
            conversation = conversation_new(file, lines[i] + 3);
            g_ptr_array_add(into, conversation);
        } else {
            add_line(conversation, file, lines[i], i + 1);
        }
    }
}

enum { PAUSE_US = 30000 };

/* -- The server ------------------------------------------------------------------------------- */

typedef struct {
    /* What it is to do. */
    const Conversation *conversation;
    gsize cut;             /* octets after which it ends */
    gboolean falls_silent; /* then, instead of closing */
    gsize piece;           /* octets in one write */
    Cancel *wake, *cancel; /* what "| wake" and "| cancel" raise */

    /* What it did. */
    gsize n_sent, n_prelude;
    char *failure; /* the client said something else */

    int listener; /* -1: connections come by the queue, as descriptors + 1; -1 ends it */
    guint16 port;
    GAsyncQueue *queue;
    GThread *thread;

    /* the connection */
    int fd;
    gboolean is_over;
    gboolean ignores; /* what the client still says */
    GString *out, *in;
    char prefix[6];
    char *rest; /* what "%*" stood for */
    char *scram_first, *scram_message;
} Server;

static inline void server_close(Server *server)
{
    if (server->fd >= 0)
        close(server->fd);
    server->fd = -1;
}

/* The next connection of the client; none when it is done. */
static inline void server_take(Server *server)
{
    server_close(server);
    g_string_truncate(server->in, 0);
    server->prefix[0] = '\0';
    if (server->listener >= 0)
        server->fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    else
        server->fd = GPOINTER_TO_INT(g_async_queue_pop(server->queue)) - 1;
    if (server->fd < 0) /* for whoever asks again */
        g_async_queue_push(server->queue, GINT_TO_POINTER(-1));
    server->is_over = server->fd < 0;
}

static inline void server_fail(Server *server, const Step *step, const char *what, const char *line)
{
    if (!server->failure)
        server->failure =
            g_strdup_printf("line %u: wants '%s', %s '%s'", step->line, step->text, what, line);
    server->is_over = TRUE;
}

/* Sends what was said, as far as it may. */
static inline void server_flush(Server *server)
{
    gsize n = MIN(server->out->len, server->cut - server->n_sent);

    for (gsize at = 0; at < n && !server->is_over; at += server->piece)
        if (send(server->fd, server->out->str + at, MIN(server->piece, n - at), MSG_NOSIGNAL) < 0)
            server->is_over = TRUE; /* the client went away */
    server->n_sent += n;
    g_string_truncate(server->out, 0);
    if (server->n_sent == server->cut)
        server->is_over = TRUE;
}

/* FALSE at the end of the connection. */
static inline gboolean server_receive(Server *server)
{
    char buffer[4096];
    gssize n = recv(server->fd, buffer, sizeof buffer, 0);

    if (n > 0)
        g_string_append_len(server->in, buffer, n);
    return n > 0;
}

/* One line of the client's without its CRLF; NULL at the end of the connection. */
static inline char *server_read_line(Server *server)
{
    char *end, *line;

    while (!(end = strstr(server->in->str, "\r\n")))
        if (!server_receive(server))
            return NULL;
    line = g_strndup(server->in->str, (gsize)(end - server->in->str));
    g_string_erase(server->in, 0, end + 2 - server->in->str);
    return line;
}

/* The text of a step with its "%" and "@" replaced. */
static inline void server_expand(Server *server, const char *text, GString *out)
{
    for (const char *p = text; *p; p++) {
        if (*p == '@' && g_ascii_isdigit(p[1])) {
            g_string_append(out, server->prefix);
        } else if (p[0] == '%' && p[1] == '<') {
            for (guint64 n = g_ascii_strtoull(p + 2, NULL, 10); n > 0; n--)
                g_string_append_c(out, 'x');
            p = strchr(p, '>');
        } else if (p[0] == '%' && g_ascii_isxdigit(p[1]) && g_ascii_isxdigit(p[2])) {
            g_string_append_c(out,
                              (char)(g_ascii_xdigit_value(p[1]) * 16 + g_ascii_xdigit_value(p[2])));
            p += 2;
        } else {
            g_string_append_c(out, *p);
        }
    }
}

static inline void server_says(Server *server, const char *text)
{
    gboolean is_open = g_str_has_suffix(text, "%-");
    g_autofree char *shown = g_strndup(text, strlen(text) - (is_open ? 2 : 0));

    server_expand(server, shown, server->out);
    if (!is_open)
        g_string_append(server->out, "\r\n");
}

static inline void server_hears(Server *server, const Step *step)
{
    g_autofree char *line = NULL;
    g_autoptr(GString) expected = g_string_new(NULL);
    gboolean is_open = g_str_has_suffix(step->text, "%*");

    server_flush(server);
    if (server->is_over)
        return;
    line = server_read_line(server);
    if (!line) {
        server->is_over = TRUE;
        if (server->cut == G_MAXSIZE)
            server_fail(server, step, "the client went away", server->in->str);
        return;
    }
    if (!*server->prefix)
        g_strlcpy(server->prefix, line, sizeof server->prefix);
    server_expand(server, step->text, expected);
    if (is_open)
        g_string_truncate(expected, expected->len - 2);
    if (is_open ? !g_str_has_prefix(line, expected->str) : strcmp(line, expected->str) != 0)
        server_fail(server, step, "hears", line);
    g_free(server->rest);
    server->rest = is_open ? g_strdup(line + expected->len) : NULL;
}

/* The client waits for an answer before it says more. */
static inline void server_hears_nothing(Server *server, const Step *step)
{
    char c;

    if (server->cut != G_MAXSIZE)
        return;
    g_usleep(PAUSE_US);
    if (server->in->len > 0 || recv(server->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
        server_fail(server, step, "hears", "something");
}

/* -- SCRAM-SHA-256, by which "alice" logs in with "alicepw" ----------------------------------- */

static inline char *base64_text(const char *base64)
{
    gsize n;
    g_autofree guchar *octets = g_base64_decode(base64, &n);

    return g_strndup((const char *)octets, n);
}

static inline void say_base64(Server *server, const char *text)
{
    g_autofree char *base64 = g_base64_encode((const guchar *)text, strlen(text));
    g_autofree char *line = g_strconcat("+ ", base64, NULL);

    server_says(server, line);
}

static inline void say_scram_challenge(Server *server)
{
    g_autofree char *first = base64_text(server->rest);
    const char *bare = strstr(first, "n=");

    g_free(server->scram_first);
    g_free(server->scram_message);
    server->scram_first = g_strdup(bare);
    server->scram_message = g_strdup_printf("%s+,s=c2FsdA==,i=1", strstr(bare, "r="));
    say_base64(server, server->scram_message);
}

static inline void say_scram_final(Server *server)
{
    g_autofree char *final = base64_text(server->rest), *message = NULL, *base64 = NULL;
    g_autofree char *text = NULL;
    guchar salted[32], key[32], signature[32];

    *strstr(final, ",p=") = '\0';
    message = g_strdup_printf("%s,%s,%s", server->scram_first, server->scram_message, final);
    PKCS5_PBKDF2_HMAC("alicepw", 7, (const guchar *)"salt", 4, 1, EVP_sha256(), 32, salted);
    HMAC(EVP_sha256(), salted, 32, (const guchar *)"Server Key", 10, key, NULL);
    HMAC(EVP_sha256(), key, 32, (const guchar *)message, strlen(message), signature, NULL);
    base64 = g_base64_encode(signature, 32);
    text = g_strconcat("v=", base64, NULL);
    say_base64(server, text);
}

/* -- What else the server does ---------------------------------------------------------------- */

static inline void server_does(Server *server, const Step *step)
{
    const char *text = step->text;

    if (g_str_has_prefix(text, "repeat ")) {
        char *line;

        for (guint64 n = g_ascii_strtoull(text + 7, &line, 10); n > 0; n--)
            server_says(server, line + 1);
        return;
    }
    if (g_str_equal(text, "scram-challenge")) {
        say_scram_challenge(server);
        return;
    }
    if (g_str_equal(text, "scram-final")) {
        say_scram_final(server);
        return;
    }
    server_flush(server);
    if (server->is_over)
        return;
    if (g_str_equal(text, "reconnect"))
        server_take(server);
    else if (g_str_equal(text, "close"))
        shutdown(server->fd, SHUT_RDWR);
    else if (g_str_equal(text, "pause"))
        g_usleep(server->cut == G_MAXSIZE ? PAUSE_US : 0);
    else if (g_str_equal(text, "quiet"))
        server_hears_nothing(server, step);
    else if (g_str_equal(text, "ignore"))
        server->ignores = TRUE;
    else if (g_str_equal(text, "wake"))
        cancel_raise(server->wake);
    else if (g_str_equal(text, "cancel"))
        cancel_raise(server->cancel);
    else
        g_error("line %u: what is this? %s", step->line, text);
}

static inline void server_play(Server *server)
{
    const GArray *steps = server->conversation->steps;
    g_autofree char *line = NULL;

    server_take(server);
    for (guint i = 0; i < steps->len && !server->is_over; i++) {
        const Step *step = &g_array_index(steps, Step, i);

        if (i == server->conversation->n_prelude)
            server->n_prelude = server->n_sent + server->out->len;
        if (step->kind == SERVER_SAYS)
            server_says(server, step->text);
        else if (step->kind == SERVER_HEARS)
            server_hears(server, step);
        else
            server_does(server, step);
    }
    if (!server->is_over)
        server_flush(server);
    if (server->cut != G_MAXSIZE && !server->falls_silent)
        return;
    while (server->fd >= 0 && server_receive(server))
        ;
    if (!server->failure && server->cut == G_MAXSIZE && !server->ignores && server->in->len > 0)
        server->failure = g_strdup_printf("the client says more: '%s'", server->in->str);
}

static inline gpointer server_main(gpointer data)
{
    Server *server = data;

    server_play(server);
    do /* whoever comes now finds nobody */
        server_take(server);
    while (server->fd >= 0);
    return NULL;
}

static inline void server_listen(Server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;

    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(server->listener, (struct sockaddr *)&address, length), ==, 0);
    g_assert_cmpint(listen(server->listener, 4), ==, 0);
    getsockname(server->listener, (struct sockaddr *)&address, &length);
    server->port = ntohs(address.sin_port);
}

/* Plays server->conversation from now on. */
static inline void server_start(Server *server, gboolean by_network)
{
    server->listener = server->fd = -1;
    server->queue = g_async_queue_new();
    server->out = g_string_new(NULL);
    server->in = g_string_new(NULL);
    server->wake = cancel_new();
    server->cancel = cancel_new();
    if (by_network)
        server_listen(server);
    server->thread = g_thread_new("server", server_main, server);
}

/* The client's end of a new connection. */
static inline int server_connect(Server *server)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    g_async_queue_push(server->queue, GINT_TO_POINTER(fds[1] + 1));
    return fds[0];
}

/* After the client has closed its connections. */
static inline void server_stop(Server *server)
{
    if (server->listener >= 0)
        shutdown(server->listener, SHUT_RDWR);
    g_async_queue_push(server->queue, GINT_TO_POINTER(-1));
    g_thread_join(server->thread);
    if (server->listener >= 0)
        close(server->listener);
    g_async_queue_unref(server->queue);
    g_string_free(server->out, TRUE);
    g_string_free(server->in, TRUE);
    cancel_unref(server->wake);
    cancel_unref(server->cancel);
    g_free(server->rest);
    g_free(server->scram_first);
    g_free(server->scram_message);
}
