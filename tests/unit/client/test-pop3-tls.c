/* What the POP3 session does where TLS begins in the middle, and what SCRAM says over it: what
 * conversations in clear text cannot show. */
#include "../net/tls-server.h"
#include "base/broker.h"
#include "base/error.h"
#include "client/pop3-session.h"

/* -- The server's side ------------------------------------------------------------------------- */

/* What the server is to answer, and what it heard. */
typedef struct {
    const char *refusal; /* of the first AUTH */
    GPtrArray *first;    /* the first messages of SCRAM, decoded */
} Told;

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

static void agree_to_tls(Server *server, int fd)
{
    g_autofree char *capa = NULL, *stls = NULL;

    say_clear(fd, "+OK hi <1896.697170952@dbc.mtcc.com>\r\n");
    capa = hear_clear(fd);
    g_assert_cmpstr(capa, ==, "CAPA\r");
    say_clear(fd, "+OK\r\nSTLS\r\nSASL PLAIN\r\nUSER\r\nLOGIN-DELAY 999\r\n.\r\n");
    stls = hear_clear(fd);
    g_assert_cmpstr(stls, ==, "STLS\r");
    say_clear(fd, "+OK go ahead\r\n");
}

static char *hear(SSL *ssl)
{
    GString *line = g_string_new(NULL);
    char c;

    while (SSL_read(ssl, &c, 1) == 1 && c != '\n')
        g_string_append_c(line, c);
    return g_string_free(line, FALSE);
}

static void say(SSL *ssl, const char *text)
{
    g_autofree char *line = g_strdup_printf("%s\r\n", text);

    g_assert_cmpint(SSL_write(ssl, line, (int)strlen(line)), >, 0);
}

/* Answers until the client goes away, with other capabilities than before TLS. */
static void talk_cram(Server *server, SSL *ssl)
{
    for (;;) {
        g_autofree char *line = hear(ssl), *response = NULL;

        if (!*line)
            return;
        if (g_str_equal(line, "CAPA\r")) {
            say(ssl, "+OK\r\nSASL CRAM-MD5\r\n.");
        } else if (g_str_has_prefix(line, "AUTH ")) {
            say(ssl, "+ PGFiYz4=");
            response = hear(ssl);
            say(ssl, "+OK");
        } else {
            say(ssl, "-ERR");
        }
    }
}

/* A SCRAM that never comes to a good end: the first time as Told says, then as a wrong password. */
static void talk_scram(Server *server, SSL *ssl)
{
    Told *told = server->user;

    say(ssl, "+OK hi");
    for (;;) {
        g_autofree char *line = hear(ssl), *final = NULL, *challenge = NULL, *base64 = NULL;
        gsize length;
        char *first;

        if (g_str_equal(line, "CAPA\r"))
            say(ssl, "+OK\r\nSASL SCRAM-SHA-256-PLUS\r\n.");
        if (!*line || g_str_equal(line, "QUIT\r"))
            return;
        if (!g_str_has_prefix(line, "AUTH "))
            continue;
        first = (char *)g_base64_decode(strrchr(line, ' ') + 1, &length);
        g_ptr_array_add(told->first, g_strndup(first, length));
        g_free(first);
        challenge = g_strconcat(strstr(told->first->pdata[told->first->len - 1], "r="),
                                "+,s=c2FsdA==,i=1", NULL);
        base64 = g_base64_encode((const guchar *)challenge, strlen(challenge));
        g_free(line);
        line = g_strconcat("+ ", base64, NULL);
        say(ssl, line);
        final = hear(ssl);
        say(ssl, told->first->len == 1 ? told->refusal : "-ERR [AUTH] no");
    }
}

/* -- The client's side ------------------------------------------------------------------------- */

static Secret *get_secret(Broker *broker, const char *account, gboolean stale, Deadline deadline,
                          GError **error)
{
    return secret_new("pencil", 6);
}

static Pop3Session *session_new(Server *server, Security security, const char *auth)
{
    static Broker broker = {.get_secret = get_secret};
    g_autoptr(Endpoint) endpoint = endpoint_of(server);
    const SessionParams params = {
        .account = "test",
        .number = 1,
        .endpoint = endpoint,
        .user = "alice",
        .auth = auth,
        .broker = &broker,
    };
    Pop3Session *session;

    endpoint->security = security;
    session = pop3_session_new(&params, NULL, NULL);
    pop3_session_set_patience(session, 10000);
    return session;
}

/* The mechanism comes from what is offered in TLS; PLAIN was offered by who knows whom. */
static void test_stls(void)
{
    g_auto(Server) server = {.agree = agree_to_tls, .talk = talk_cram};
    g_autoptr(Pop3Session) session = NULL;
    g_autoptr(GError) error = NULL;

    server_start(&server);
    session = session_new(&server, SECURITY_STARTTLS, "auto");
    g_assert_true(pop3_session_open(session, &error));
    g_assert_no_error(error);
    g_assert_true(net_stream_is_tls(pop3_session_stream(session)));
    g_assert_cmpstr(pop3_session_mechanism(session), ==, "CRAM-MD5");
    g_assert_false(pop3_session_has(session, POP3_CAP_STLS));
    g_assert_cmpuint(pop3_session_login_delay(session), ==, 0);
}

/* The timestamp of a greeting in clear text is not used. */
static void test_apop(void)
{
    g_auto(Server) server = {.agree = agree_to_tls, .talk = talk_cram};
    g_autoptr(Pop3Session) session = NULL;
    g_autoptr(GError) error = NULL;

    server_start(&server);
    session = session_new(&server, SECURITY_STARTTLS, "apop");
    g_assert_false(pop3_session_open(session, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_UNSUPPORTED);
}

/* A refusal may be about the channel binding, and Cyrus says [AUTH] to that too: the other type is
 * tried, once. */
static void test_binding(void)
{
    static const struct {
        const char *refusal;
        guint n_tries;
    } cases[] = {
        {"-ERR no", 2},
        {"-ERR [AUTH] authenticating: bad protocol / cancel", 2},
        {"-ERR [SYS/TEMP] later", 1},
        {"-ERR [IN-USE] later", 1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        Told told = {cases[i].refusal, g_ptr_array_new_with_free_func(g_free)};
        g_auto(Server) server = {.talk = talk_scram, .user = &told};
        g_autoptr(Pop3Session) session = NULL;
        g_autoptr(GError) error = NULL;

        server_start(&server);
        session = session_new(&server, SECURITY_TLS, "auto");
        g_assert_false(pop3_session_open(session, &error));
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
    g_test_add_func("/pop3-tls/stls", test_stls);
    g_test_add_func("/pop3-tls/apop", test_apop);
    g_test_add_func("/pop3-tls/binding", test_binding);
    result = g_test_run();
    tls_teardown();
    return result;
}
