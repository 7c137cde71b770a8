/* What the IMAP session does where TLS begins in the middle, and what SCRAM says over it: what
 * conversations in clear text cannot show. */
#include "../net/tls-server.h"
#include "base/broker.h"
#include "client/imap-session.h"

/* -- The server's side ------------------------------------------------------------------------- */

/* What the server is to answer, and what it heard. */
typedef struct {
    const char *refusal; /* of the first AUTHENTICATE */
    GPtrArray *first;    /* the first messages of SCRAM, decoded */
} Told;

static char *tag_of(const char *line)
{
    return g_strndup(line, strcspn(line, " "));
}

/* One line, octet by octet; NULL at the end. */
static char *hear_clear(int fd)
{
    GString *line = g_string_new(NULL);
    char c;

    while (read(fd, &c, 1) == 1 && c != '\n')
        g_string_append_c(line, c);
    return g_string_free(line, FALSE);
}

static void agree_to_tls(Server *server, int fd)
{
    static const char greeting[] = "* OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN] hi\r\n";
    g_autofree char *line = NULL, *tag = NULL, *answer = NULL;

    g_assert_true(io_write_all(fd, greeting, strlen(greeting), NULL));
    line = hear_clear(fd);
    g_assert_true(g_str_has_suffix(line, " STARTTLS\r"));
    tag = tag_of(line);
    answer = g_strconcat(tag, " OK go ahead\r\n", NULL);
    g_assert_true(io_write_all(fd, answer, strlen(answer), NULL));
}

static char *hear(SSL *ssl)
{
    GString *line = g_string_new(NULL);
    char c;

    while (SSL_read(ssl, &c, 1) == 1 && c != '\n')
        g_string_append_c(line, c);
    return g_string_free(line, FALSE);
}

static void say(SSL *ssl, const char *tag, const char *text)
{
    g_autofree char *line = g_strdup_printf("%s %s\r\n", tag, text);

    g_assert_cmpint(SSL_write(ssl, line, (int)strlen(line)), >, 0);
}

/* Answers until the client goes away, with other capabilities than before TLS. */
static void talk_cram(Server *server, SSL *ssl)
{
    for (;;) {
        g_autofree char *line = hear(ssl), *tag = tag_of(line), *response = NULL;

        if (!*line)
            return;
        if (strstr(line, " CAPABILITY")) {
            say(ssl, "*", "CAPABILITY IMAP4rev1 AUTH=CRAM-MD5");
        } else if (strstr(line, " AUTHENTICATE ")) {
            say(ssl, "+", "PGFiYz4=");
            response = hear(ssl);
        }
        say(ssl, tag, "OK done");
    }
}

/* A SCRAM that never comes to a good end: the first time as Told says, then as a wrong password. */
static void talk_scram(Server *server, SSL *ssl)
{
    Told *told = server->user;

    say(ssl, "*", "OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256-PLUS] hi");
    for (;;) {
        g_autofree char *line = hear(ssl), *tag = tag_of(line), *final = NULL, *challenge = NULL;
        g_autofree char *base64 = NULL;
        gsize length;
        char *first;

        if (!strstr(line, " AUTHENTICATE "))
            return;
        first = (char *)g_base64_decode(strrchr(line, ' ') + 1, &length);
        g_ptr_array_add(told->first, g_strndup(first, length));
        g_free(first);
        challenge = g_strconcat(strstr(told->first->pdata[told->first->len - 1], "r="),
                                "+,s=c2FsdA==,i=1", NULL);
        base64 = g_base64_encode((const guchar *)challenge, strlen(challenge));
        say(ssl, "+", base64);
        final = hear(ssl);
        say(ssl, tag, told->first->len == 1 ? told->refusal : "NO [AUTHENTICATIONFAILED] no");
    }
}

/* -- The client's side ------------------------------------------------------------------------- */

static Secret *get_secret(Broker *broker, const char *account, gboolean stale, Deadline deadline,
                          GError **error)
{
    return secret_new("pencil", 6);
}

static ImapSession *session_new(Server *server, Security security)
{
    static const ImapHandler handler = {.list = NULL};
    static Broker broker = {.get_secret = get_secret};
    g_autoptr(Endpoint) endpoint = endpoint_of(server);
    const SessionParams params = {
        .account = "test",
        .number = 1,
        .endpoint = endpoint,
        .user = "alice",
        .auth = "auto",
        .broker = &broker,
    };
    ImapSession *session;

    endpoint->security = security;
    session = imap_session_new(&params, &handler, NULL);
    imap_session_set_patience(session, 10000);
    return session;
}

/* The mechanism comes from what is offered in TLS; PLAIN was offered by who knows whom. */
static void test_starttls(void)
{
    g_auto(Server) server = {.agree = agree_to_tls, .talk = talk_cram};
    g_autoptr(ImapSession) session = NULL;
    g_autoptr(GError) error = NULL;

    server_start(&server);
    session = session_new(&server, SECURITY_STARTTLS);
    g_assert_true(imap_session_open(session, &error));
    g_assert_no_error(error);
    g_assert_true(net_stream_is_tls(imap_session_stream(session)));
    g_assert_cmpstr(imap_session_mechanism(session), ==, "CRAM-MD5");
    g_assert_false(imap_session_has(session, IMAP_CAP_STARTTLS));
}

/* A refusal without a code may be about the channel binding: the other type is tried, once.  One
 * that says that it is about the password is believed. */
static void test_binding(void)
{
    static const struct {
        const char *refusal;
        guint n_tries;
    } cases[] = {
        {"NO bad protocol / cancel", 2},
        {"NO [AUTHENTICATIONFAILED] wrong password", 1},
        {"NO [UNAVAILABLE] later", 1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        Told told = {cases[i].refusal, g_ptr_array_new_with_free_func(g_free)};
        g_auto(Server) server = {.talk = talk_scram, .user = &told};
        g_autoptr(ImapSession) session = NULL;
        g_autoptr(GError) error = NULL;

        server_start(&server);
        session = session_new(&server, SECURITY_TLS);
        g_assert_false(imap_session_open(session, &error));
        server_join(&server);
        g_assert_cmpuint(told.first->len, ==, cases[i].n_tries);
        g_assert_true(g_str_has_prefix(told.first->pdata[0], "p=tls-exporter,,n=alice,"));
        if (cases[i].n_tries > 1)
            g_assert_true(g_str_has_prefix(told.first->pdata[1], "p=tls-unique,,n=alice,"));
        g_ptr_array_unref(told.first);
    }
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    tls_setup();
    g_test_add_func("/imap-tls/starttls", test_starttls);
    g_test_add_func("/imap-tls/binding", test_binding);
    result = g_test_run();
    tls_teardown();
    return result;
}
