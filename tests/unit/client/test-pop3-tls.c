/* What the POP3 session does where TLS begins in the middle, and what SCRAM says over it: what
 * conversations in clear text cannot show. */
#include "base/error.h"
#include "client/pop3-session.h"
#include "tls-session.h"

/* -- The server's side ------------------------------------------------------------------------- */

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

/* Answers until the client goes away, with other capabilities than before TLS. */
static void talk_cram(Server *server, SSL *ssl)
{
    for (;;) {
        g_autofree char *line = hear(ssl), *response = NULL;

        if (!*line)
            return;
        if (g_str_equal(line, "CAPA\r")) {
            say(ssl, "+OK", "these\r\nSASL CRAM-MD5\r\n.");
        } else if (g_str_has_prefix(line, "AUTH ")) {
            say(ssl, "+", "PGFiYz4=");
            response = hear(ssl);
            say(ssl, "+OK", "done");
        } else {
            say(ssl, "-ERR", "what?");
        }
    }
}

static void talk_scram(Server *server, SSL *ssl)
{
    say(ssl, "+OK", "hi");
    for (;;) {
        g_autofree char *line = hear(ssl);

        if (g_str_equal(line, "CAPA\r"))
            say(ssl, "+OK", "these\r\nSASL SCRAM-SHA-256-PLUS\r\n.");
        if (!*line || g_str_equal(line, "QUIT\r"))
            return;
        if (g_str_has_prefix(line, "AUTH "))
            say(ssl, "-ERR", hear_scram(server->user, ssl, line, "[AUTH] no"));
    }
}

/* -- The client's side ------------------------------------------------------------------------- */

static Pop3Session *session_new(Server *server, Security security, const char *auth)
{
    g_autoptr(Endpoint) endpoint = endpoint_of(server);
    const SessionParams params = params_of(endpoint, auth);
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

static void fail_to_open(Server *server)
{
    g_autoptr(Pop3Session) session = session_new(server, SECURITY_TLS, "auto");

    g_assert_false(pop3_session_open(session, NULL));
}

/* A refusal may be about the channel binding, and Cyrus says [AUTH] to that too: the other type is
 * tried, once. */
static void test_binding(void)
{
    static const Binding bindings[] = {
        {"no", 2},
        {"[AUTH] authenticating: bad protocol / cancel", 2},
        {"[SYS/TEMP] later", 1},
        {"[IN-USE] later", 1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(bindings); i++)
        check_binding(&bindings[i], talk_scram, fail_to_open);
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
