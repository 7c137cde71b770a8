/* What the tests of sessions over TLS share: a server's lines before TLS and in it, its side of
 * SCRAM, and what the client is told.  The server is net/tls-server.h's.
 */
#pragma once

#include "../net/tls-server.h"
#include "base/broker.h"
#include "client/session.h"

/* -- The server's side ------------------------------------------------------------------------- */

/* One line, octet by octet; "" at the end. */
static char *hear_clear(int fd)
{
    GString *line = g_string_new(NULL);
    char c;

    while (read(fd, &c, 1) == 1 && c != '\n')
        g_string_append_c(line, c);
    return g_string_free(line, FALSE);
}

static void say_clear(int fd, const char *text)
{
    g_assert_true(io_write_all(fd, text, strlen(text), NULL));
}

static char *hear(SSL *ssl)
{
    GString *line = g_string_new(NULL);
    char c;

    while (SSL_read(ssl, &c, 1) == 1 && c != '\n')
        g_string_append_c(line, c);
    return g_string_free(line, FALSE);
}

/* A line of @word, a blank and @text. */
static void say(SSL *ssl, const char *word, const char *text)
{
    g_autofree char *line = g_strdup_printf("%s %s\r\n", word, text);

    g_assert_cmpint(SSL_write(ssl, line, (int)strlen(line)), >, 0);
}

/* What the server is to answer to a SCRAM that never comes to a good end, and what it heard. */
typedef struct {
    const char *refusal; /* of the first; those after it are refused as a wrong password is */
    GPtrArray *first;    /* their first messages, decoded */
} Told;

/* @line begins SCRAM, with the initial response.  Goes on to its second step; returns what to
 * refuse it with: @otherwise, unless it is the first. */
static const char *hear_scram(Told *told, SSL *ssl, const char *line, const char *otherwise)
{
    g_autofree char *final = NULL, *challenge = NULL, *base64 = NULL, *first = NULL;
    gsize length;

    first = (char *)g_base64_decode(strrchr(line, ' ') + 1, &length);
    g_ptr_array_add(told->first, g_strndup(first, length));
    challenge = g_strconcat(strstr(told->first->pdata[told->first->len - 1], "r="),
                            "+,s=c2FsdA==,i=1", NULL);
    base64 = g_base64_encode((const guchar *)challenge, strlen(challenge));
    say(ssl, "+", base64);
    final = hear(ssl);
    return told->first->len == 1 ? told->refusal : otherwise;
}

/* -- The client's side ------------------------------------------------------------------------- */

static Secret *get_secret(Broker *broker, const char *account, gboolean stale, Deadline deadline,
                          GError **error)
{
    return secret_new("pencil", 6);
}

/* For alice.  Borrows @endpoint. */
static SessionParams params_of(const Endpoint *endpoint, const char *auth)
{
    static Broker broker = {.get_secret = get_secret};

    return (SessionParams){
        .account = "test",
        .number = 1,
        .endpoint = endpoint,
        .user = "alice",
        .auth = auth,
        .broker = &broker,
    };
}

/* How often a login is tried that is first refused in this way. */
typedef struct {
    const char *refusal;
    guint n_tries;
} Binding;

/* @talk is the server's, with a Told; @fail opens a session with it, which must not come about. */
static void check_binding(const Binding *binding, void (*talk)(Server *server, SSL *ssl),
                          void (*fail)(Server *server))
{
    Told told = {binding->refusal, g_ptr_array_new_with_free_func(g_free)};
    g_auto(Server) server = {.talk = talk, .user = &told};

    server_start(&server);
    fail(&server);
    server_join(&server);
    g_assert_cmpuint(told.first->len, ==, binding->n_tries);
    g_assert_true(g_str_has_prefix(told.first->pdata[0], "p=tls-exporter,,n=alice,"));
    if (binding->n_tries > 1)
        g_assert_true(g_str_has_prefix(told.first->pdata[1], "p=tls-unique,,n=alice,"));
    g_ptr_array_unref(told.first);
}
