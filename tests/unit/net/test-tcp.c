/* Names, addresses and TCP: whom a stream connects to, and what is said when it cannot. */
#include "net/internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"

static int listen_on(guint32 address, guint16 *ret_port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    socklen_t length = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&in, length), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&in, &length), ==, 0);
    *ret_port = ntohs(in.sin_port);
    return fd;
}

static NetStream *connect_to(const char *host, guint16 port, Security security, Deadline deadline,
                             GError **error)
{
    g_autoptr(Endpoint) endpoint = g_new0(Endpoint, 1);

    endpoint->security = security;
    endpoint->host = g_strdup(host);
    endpoint->port = port;
    return net_stream_connect(endpoint, "test#1", NULL, deadline, error);
}

static void test_connect(void)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "localhost."};
    guint16 port;
    autofd int listener = listen_on(INADDR_LOOPBACK, &port);

    for (guint i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(NetStream) stream =
            connect_to(hosts[i], port, SECURITY_PLAIN, deadline_in(10), &error);
        autofd int peer = -1;
        char buffer[100] = "";

        g_assert_no_error(error);
        peer = accept(listener, NULL, NULL);
        g_assert_true(io_write_all(peer, "hello", 5, NULL));
        g_assert_cmpint(net_stream_read(stream, buffer, sizeof buffer, deadline_in(5), NULL), ==,
                        5);
        g_assert_cmpstr(buffer, ==, "hello");
        g_assert_false(net_stream_is_tls(stream));
        g_assert_null(net_stream_tls_pin(stream));
    }
}

static void test_connect_options(void)
{
    guint16 port;
    autofd int listener = listen_on(INADDR_LOOPBACK, &port);
    g_autoptr(Endpoint) endpoint = g_new0(Endpoint, 1);
    static const struct {
        int level, name, value;
    } expected[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 90000},
    };
    autofd int fd = -1;

    endpoint->host = g_strdup("127.0.0.1");
    endpoint->port = port;
    fd = net_tcp_connect(endpoint, NULL, deadline_in(5), NULL);
    for (guint i = 0; i < G_N_ELEMENTS(expected); i++) {
        int value = 0;
        socklen_t length = sizeof value;

        g_assert_cmpint(getsockopt(fd, expected[i].level, expected[i].name, &value, &length), ==,
                        0);
        g_assert_cmpint(value, ==, expected[i].value);
    }
}

static void test_connect_fails(void)
{
    guint16 closed_port;
    int listener = listen_on(INADDR_LOOPBACK, &closed_port);
    const struct {
        const char *host;
        guint16 port;
        Security security;
        MailError code;
        const char *words;
    } cases[] = {
        {"127.0.0.1", closed_port, SECURITY_TLS, MAIL_ERROR_OFFLINE, "refuses connections"},
        {"does-not-exist.invalid", 993, SECURITY_TLS, MAIL_ERROR_OFFLINE, "does-not-exist.invalid"},
        {"", 993, SECURITY_TLS, MAIL_ERROR_INVALID, "host name"},
        {"192.0.2.1", 143, SECURITY_PLAIN, MAIL_ERROR_DENIED, "clear text"},
        {"2001:db8::1", 143, SECURITY_PLAIN, MAIL_ERROR_DENIED, "clear text"},
    };

    (void)close(listener);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(
            connect_to(cases[i].host, cases[i].port, cases[i].security, deadline_in(20), &error));
        g_test_message("%s", error->message);
        g_assert_error(error, MAIL_ERROR, (int)cases[i].code);
        g_assert_nonnull(strstr(error->message, cases[i].words));
    }
}

/* A listener whose queue is full drops what comes: nobody answers. */
static void test_connect_times_out(void)
{
    guint16 port;
    autofd int listener = listen_on(INADDR_LOOPBACK, &port);
    g_autoptr(GPtrArray) fill = g_ptr_array_new_with_free_func((GDestroyNotify)net_stream_free);
    g_autoptr(GError) error = NULL;
    gint64 start = 0;

    g_assert_cmpint(listen(listener, 0), ==, 0);
    for (guint i = 0; i < 8 && !error; i++) {
        NetStream *stream;

        start = deadline_now();
        stream = connect_to("127.0.0.1", port, SECURITY_PLAIN, deadline_in_ms(400), &error);
        if (stream)
            g_ptr_array_add(fill, stream);
    }
    if (!error) {
        g_test_skip("this kernel takes connections beyond the backlog");
        return;
    }
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_TIMEOUT);
    g_assert_cmpint(deadline_now() - start, <, 5 * G_USEC_PER_SEC);
}

static void test_connect_cancelled(void)
{
    g_autoptr(Cancel) cancel = cancel_new();
    g_autoptr(Endpoint) endpoint = g_new0(Endpoint, 1);
    g_autoptr(GError) error = NULL;

    cancel_raise(cancel);
    endpoint->host = g_strdup("name.invalid"); /* goes through the lookup's thread */
    endpoint->port = 993;
    g_assert_null(net_stream_connect(endpoint, "x", cancel, deadline_in(10), &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_CANCELLED);
}

static void test_loopback(void)
{
    static const struct {
        const char *host;
        gboolean expected;
    } cases[] = {
        {"127.0.0.1", TRUE},
        {"127.255.255.254", TRUE},
        {"128.0.0.1", FALSE},
        {"0.0.0.0", FALSE},
        {"10.0.0.1", FALSE},
        {"::1", TRUE},
        {"::", FALSE},
        {"::2", FALSE},
        {"::ffff:127.0.0.1", TRUE},
        {"::ffff:10.0.0.1", FALSE},
        {"fe80::1", FALSE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GArray) addresses = net_resolve(cases[i].host, 143, NULL, deadline_in(5), NULL);

        g_assert_cmpuint(addresses->len, ==, 1);
        g_assert_cmpint(net_address_is_loopback(&g_array_index(addresses, NetAddress, 0)), ==,
                        cases[i].expected);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tcp/connect", test_connect);
    g_test_add_func("/tcp/connect-options", test_connect_options);
    g_test_add_func("/tcp/connect-fails", test_connect_fails);
    g_test_add_func("/tcp/connect-times-out", test_connect_times_out);
    g_test_add_func("/tcp/connect-cancelled", test_connect_cancelled);
    g_test_add_func("/tcp/loopback", test_loopback);
    return g_test_run();
}
