/* Many threads asking over one channel, answered out of order, late, or never. */
#include "mount/remote-broker.h"
#include "mount/channel.h"
#include "base/error.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { N_ASKERS = 8 };

typedef struct {
    Broker *broker;
    char account[16];
    Deadline deadline;
    Secret *secret;
    GError *error;
} Asker;

static gpointer ask(gpointer data)
{
    Asker *asker = data;

    asker->secret = asker->broker->get_secret(asker->broker, asker->account, FALSE,
                                              asker->deadline, &asker->error);
    return NULL;
}

static void receive(int fd, ChannelMessage *message)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};

    g_assert_cmpint(poll(&entry, 1, 20000), ==, 1);
    g_assert_cmpint(channel_receive(fd, message), ==, CHANNEL_MESSAGE);
}

static void answer(int fd, guint32 id, const char *account)
{
    g_autofree char *text = g_strdup_printf("secret of %s", account);

    g_assert_true(channel_send_text(fd, (ChannelHead){CHANNEL_SECRET, id, 0}, text, NULL));
}

static void test_out_of_order(void)
{
    Asker askers[N_ASKERS];
    GThread *threads[N_ASKERS];
    guint32 ids[N_ASKERS];
    char accounts[N_ASKERS][16];
    ChannelMessage message;
    Broker *broker;
    int fds[2];

    g_assert_true(channel_open(fds, NULL));
    broker = remote_broker_new(fds[1]);
    for (int i = 0; i < N_ASKERS; i++) {
        askers[i] = (Asker){.broker = broker, .deadline = deadline_in(20)};
        g_snprintf(askers[i].account, sizeof askers[i].account, "a%d", i);
        threads[i] = g_thread_new("asker", ask, &askers[i]);
    }
    for (int i = 0; i < N_ASKERS; i++) {
        receive(fds[0], &message);
        g_assert_cmpuint(message.head.type, ==, CHANNEL_GET_SECRET);
        ids[i] = message.head.id;
        g_strlcpy(accounts[i], message.text, sizeof accounts[i]);
    }
    answer(fds[0], 4000, "nobody");
    for (int i = N_ASKERS; i-- > 0;)
        answer(fds[0], ids[i], accounts[i]);
    for (int i = 0; i < N_ASKERS; i++) {
        g_autofree char *expected = g_strdup_printf("secret of a%d", i);

        (void)g_thread_join(threads[i]);
        g_assert_no_error(askers[i].error);
        g_assert_cmpstr(secret_text(askers[i].secret), ==, expected);
        secret_unref(askers[i].secret);
    }
    remote_broker_free(broker);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* The reader's time is up first; the other must go on reading. */
static void test_reader_gives_up(void)
{
    Asker first, second;
    GThread *threads[2];
    ChannelMessage message;
    Broker *broker;
    guint32 id = 0;
    int fds[2];

    g_assert_true(channel_open(fds, NULL));
    broker = remote_broker_new(fds[1]);
    first = (Asker){.broker = broker, .account = "first", .deadline = deadline_in_ms(200)};
    second = (Asker){.broker = broker, .account = "second", .deadline = deadline_in(20)};
    threads[0] = g_thread_new("first", ask, &first);
    receive(fds[0], &message);
    threads[1] = g_thread_new("second", ask, &second);
    receive(fds[0], &message);
    g_assert_cmpstr(message.text, ==, "second");
    id = message.head.id;
    (void)g_thread_join(threads[0]);
    g_assert_error(first.error, MAIL_ERROR, MAIL_ERROR_TIMEOUT);
    answer(fds[0], id, "second");
    (void)g_thread_join(threads[1]);
    g_assert_no_error(second.error);
    g_assert_cmpstr(secret_text(second.secret), ==, "secret of second");
    secret_unref(second.secret);
    g_clear_error(&first.error);
    remote_broker_free(broker);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void test_errors(void)
{
    Asker asker;
    ChannelMessage message;
    Broker *broker;
    GThread *thread;
    int fds[2];

    g_assert_true(channel_open(fds, NULL));
    broker = remote_broker_new(fds[1]);
    asker = (Asker){.broker = broker, .account = "work", .deadline = deadline_in(20)};
    thread = g_thread_new("asker", ask, &asker);
    receive(fds[0], &message);
    g_assert_true(channel_send_text(
        fds[0], (ChannelHead){CHANNEL_ERROR, message.head.id, MAIL_ERROR_AUTH}, "no password",
        NULL));
    (void)g_thread_join(thread);
    g_assert_error(asker.error, MAIL_ERROR, MAIL_ERROR_AUTH);
    g_assert_cmpstr(asker.error->message, ==, "no password");
    g_clear_error(&asker.error);

    /* The supervisor dies while one waits. */
    thread = g_thread_new("asker", ask, &asker);
    receive(fds[0], &message);
    (void)close(fds[0]);
    (void)g_thread_join(thread);
    g_assert_error(asker.error, MAIL_ERROR, MAIL_ERROR_LOCKED);
    g_clear_error(&asker.error);
    remote_broker_free(broker);
    (void)close(fds[1]);
}

typedef struct {
    Broker *broker;
    int fd;
} TunnelAsker;

static gpointer ask_tunnel(gpointer data)
{
    TunnelAsker *asker = data;

    asker->fd = asker->broker->open_tunnel(asker->broker, "work", deadline_in(20), NULL);
    return NULL;
}

static void test_tunnel(void)
{
    TunnelAsker asker = {.fd = -1};
    ChannelMessage message;
    GThread *thread;
    int fds[2], pipe_fds[2];

    g_assert_true(channel_open(fds, NULL));
    g_assert_cmpint(pipe(pipe_fds), ==, 0);
    asker.broker = remote_broker_new(fds[1]);
    thread = g_thread_new("asker", ask_tunnel, &asker);
    receive(fds[0], &message);
    g_assert_cmpuint(message.head.type, ==, CHANNEL_OPEN_TUNNEL);
    g_assert_true(channel_send(fds[0], (ChannelHead){CHANNEL_TUNNEL, message.head.id, 0}, NULL, 0,
                               pipe_fds[0], NULL));
    (void)g_thread_join(thread);
    g_assert_cmpint(asker.fd, >=, 0);
    (void)close(asker.fd);
    remote_broker_free(asker.broker);
    for (int i = 0; i < 2; i++) {
        (void)close(fds[i]);
        (void)close(pipe_fds[i]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mount/remote-broker/out-of-order", test_out_of_order);
    g_test_add_func("/mount/remote-broker/reader-gives-up", test_reader_gives_up);
    g_test_add_func("/mount/remote-broker/errors", test_errors);
    g_test_add_func("/mount/remote-broker/tunnel", test_tunnel);
    return g_test_run();
}
