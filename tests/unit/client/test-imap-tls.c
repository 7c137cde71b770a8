/* What the IMAP session does where TLS begins in the middle, and what SCRAM says over it: what
 * conversations in clear text cannot show. */
#include "client/imap-session.h"
#include "tls-session.h"

/* -- The server's side ------------------------------------------------------------------------- */

static char *tag_of(const char *line)
{
    return g_strndup(line, strcspn(line, " "));
}

static void agree_to_tls(Server *server, int fd)
{
    g_autofree char *line = NULL, *tag = NULL, *answer = NULL;

    say_clear(fd, "* OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN] hi\r\n");
    line = hear_clear(fd);
    g_assert_true(g_str_has_suffix(line, " STARTTLS\r"));
    tag = tag_of(line);
    answer = g_strconcat(tag, " OK go ahead\r\n", NULL);
    say_clear(fd, answer);
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

static void talk_scram(Server *server, SSL *ssl)
{
    say(ssl, "*", "OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256-PLUS] hi");
    for (;;) {
        g_autofree char *line = hear(ssl), *tag = tag_of(line);

        if (!strstr(line, " AUTHENTICATE "))
            return;
        say(ssl, tag, hear_scram(server->user, ssl, line, "NO [AUTHENTICATIONFAILED] no"));
    }
}

/* -- The client's side ------------------------------------------------------------------------- */

static ImapSession *session_new(Server *server, Security security)
{
    static const ImapHandler handler = {.list = NULL};
    g_autoptr(Endpoint) endpoint = endpoint_of(server);
    const SessionParams params = params_of(endpoint, "auto");
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

/* What was read and written stays counted when the session is closed. */
static void fail_to_open(Server *server)
{
    g_autoptr(ImapSession) session = session_new(server, SECURITY_TLS);
    guint64 in, out;

    g_assert_false(imap_session_open(session, NULL));
    g_assert_null(imap_session_stream(session));
    imap_session_octets(session, &in, &out);
    g_assert_cmpuint(in, >, 0);
    g_assert_cmpuint(out, >, 0);
}

/* A refusal without a code may be about the channel binding: the other type is tried, once.  One
 * that says that it is about the password is believed. */
static void test_binding(void)
{
    static const Binding bindings[] = {
        {"NO bad protocol / cancel", 2},
        {"NO [AUTHENTICATIONFAILED] wrong password", 1},
        {"NO [UNAVAILABLE] later", 1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(bindings); i++)
        check_binding(&bindings[i], talk_scram, fail_to_open);
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
