/* Packets between the supervisor and its worker. */
#include "mount/channel.h"
#include "base/error.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    int fds[2];
    ChannelMessage message;
} Pair;

static void set_up(Pair *pair, gconstpointer data)
{
    g_assert_true(channel_open(pair->fds, NULL));
}

static void tear_down(Pair *pair, gconstpointer data)
{
    (void)close(pair->fds[0]);
    if (pair->fds[1] >= 0)
        (void)close(pair->fds[1]);
}

static void test_text(Pair *pair, gconstpointer data)
{
    ChannelHead head = {CHANNEL_GET_SECRET, 7, 1};

    g_assert_cmpint(channel_receive(pair->fds[1], &pair->message), ==, CHANNEL_EMPTY);
    g_assert_true(channel_send_text(pair->fds[0], head, "work", NULL));
    g_assert_true(channel_send_text(pair->fds[0], (ChannelHead){CHANNEL_READY, 0, 0}, NULL, NULL));
    g_assert_cmpint(channel_receive(pair->fds[1], &pair->message), ==, CHANNEL_MESSAGE);
    g_assert_cmpuint(pair->message.head.type, ==, CHANNEL_GET_SECRET);
    g_assert_cmpuint(pair->message.head.id, ==, 7);
    g_assert_cmpuint(pair->message.head.code, ==, 1);
    g_assert_cmpstr(pair->message.text, ==, "work");
    g_assert_cmpint(pair->message.fd, ==, -1);
    channel_message_clear(&pair->message);
    g_assert_cmpstr(pair->message.text, ==, "");
    g_assert_cmpint(channel_receive(pair->fds[1], &pair->message), ==, CHANNEL_MESSAGE);
    g_assert_cmpuint(pair->message.head.type, ==, CHANNEL_READY);
    g_assert_cmpuint(pair->message.length, ==, 0);
    channel_message_clear(&pair->message);
}

static void test_descriptor(Pair *pair, gconstpointer data)
{
    int pipe_fds[2];
    char byte = 0;

    g_assert_cmpint(pipe2(pipe_fds, O_CLOEXEC), ==, 0);
    g_assert_true(channel_send(pair->fds[0], (ChannelHead){CHANNEL_TUNNEL, 1, 0}, NULL, 0,
                               pipe_fds[1], NULL));
    (void)close(pipe_fds[1]);
    g_assert_cmpint(channel_receive(pair->fds[1], &pair->message), ==, CHANNEL_MESSAGE);
    g_assert_cmpint(pair->message.fd, >=, 0);
    g_assert_cmpint(fcntl(pair->message.fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    g_assert_cmpint(write(pair->message.fd, "x", 1), ==, 1);
    g_assert_cmpint(read(pipe_fds[0], &byte, 1), ==, 1);
    channel_message_clear(&pair->message);
    /* Cleared is closed: the pipe has no writer left. */
    g_assert_cmpint(read(pipe_fds[0], &byte, 1), ==, 0);
    (void)close(pipe_fds[0]);
}

static void test_longest(Pair *pair, gconstpointer data)
{
    g_autofree char *text = g_strnfill(CHANNEL_MAX_TEXT + 1, 'x');
    g_autoptr(GError) error = NULL;
    ChannelHead head = {CHANNEL_SECRET, 1, 0};

    g_assert_true(channel_send(pair->fds[0], head, text, CHANNEL_MAX_TEXT, -1, NULL));
    g_assert_cmpint(channel_receive(pair->fds[1], &pair->message), ==, CHANNEL_MESSAGE);
    g_assert_cmpuint(pair->message.length, ==, CHANNEL_MAX_TEXT);
    channel_message_clear(&pair->message);
    g_assert_false(channel_send(pair->fds[0], head, text, CHANNEL_MAX_TEXT + 1, -1, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_TOOBIG);
}

/* A worker that has been taken over may send anything. */
static void test_nonsense(Pair *pair, gconstpointer data)
{
    g_autofree char *text = g_strnfill(CHANNEL_MAX_TEXT + 100, 'x');

    g_assert_cmpint(send(pair->fds[0], "short", 5, 0), ==, 5);
    g_assert_cmpint(channel_receive(pair->fds[1], &pair->message), ==, CHANNEL_CLOSED);
    g_assert_cmpint(send(pair->fds[0], text, CHANNEL_MAX_TEXT + 100, 0), >, 0);
    g_assert_cmpint(channel_receive(pair->fds[1], &pair->message), ==, CHANNEL_CLOSED);
}

static void test_ends(Pair *pair, gconstpointer data)
{
    g_autofree char *text = g_strnfill(CHANNEL_MAX_TEXT, 'x');
    g_autoptr(GError) full = NULL, gone = NULL;
    ChannelHead head = {CHANNEL_STATE, 0, 0};

    for (int i = 0; i < 1000 && !full; i++)
        (void)channel_send(pair->fds[0], head, text, CHANNEL_MAX_TEXT, -1, &full);
    g_assert_error(full, MAIL_ERROR, MAIL_ERROR_BUSY);
    (void)close(pair->fds[1]);
    pair->fds[1] = -1;
    g_assert_false(channel_send_text(pair->fds[0], head, "x", &gone));
    g_assert_error(gone, MAIL_ERROR, MAIL_ERROR_OFFLINE);
    g_assert_cmpint(channel_receive(pair->fds[0], &pair->message), ==, CHANNEL_CLOSED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/mount/channel/text", Pair, NULL, set_up, test_text, tear_down);
    g_test_add("/mount/channel/descriptor", Pair, NULL, set_up, test_descriptor, tear_down);
    g_test_add("/mount/channel/longest", Pair, NULL, set_up, test_longest, tear_down);
    g_test_add("/mount/channel/nonsense", Pair, NULL, set_up, test_nonsense, tear_down);
    g_test_add("/mount/channel/ends", Pair, NULL, set_up, test_ends, tear_down);
    return g_test_run();
}
