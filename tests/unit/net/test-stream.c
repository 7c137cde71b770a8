/* The stream over plain descriptors: waiting, ends, writing and DEFLATE. */
#include "net/internal.h"

#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/error.h"
#include "base/io.h"

/* -- Pairs ----------------------------------------------------------------------------------- */

typedef struct {
    NetStream *stream;
    int peer;
    Cancel *cancel;
} Pair;

static void pair_init(Pair *pair)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    pair->cancel = cancel_new();
    pair->stream = net_stream_new_fd(fds[0], "test#1", pair->cancel);
    pair->peer = fds[1];
}

static void pair_clear(Pair *pair)
{
    net_stream_free(pair->stream);
    cancel_unref(pair->cancel);
    if (pair->peer >= 0)
        (void)close(pair->peer);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pair, pair_clear)

static void say(Pair *pair, const char *text)
{
    g_assert_true(io_write_all(pair->peer, text, strlen(text), NULL));
}

static void hang_up(Pair *pair)
{
    (void)close(steal_fd(&pair->peer));
}

static void read_text(NetStream *stream, gsize length, const char *expected)
{
    g_autofree char *buffer = g_malloc0(length + 1);
    g_autoptr(GError) error = NULL;
    gssize n = net_stream_read(stream, buffer, length, deadline_in(5), &error);

    g_assert_no_error(error);
    g_assert_cmpint(n, ==, (gssize)strlen(expected));
    g_assert_cmpstr(buffer, ==, expected);
}

static void read_fails(NetStream *stream, Deadline deadline, MailError code)
{
    g_autoptr(GError) error = NULL;
    char buffer[64];

    g_assert_cmpint(net_stream_read(stream, buffer, sizeof buffer, deadline, &error), ==, -1);
    g_assert_error(error, MAIL_ERROR, (int)code);
}

static NetWait wait_ms(NetStream *stream, Cancel *wake, gint64 ms)
{
    g_autoptr(GError) error = NULL;
    NetWait wait = net_stream_wait(stream, wake, deadline_in_ms(ms), &error);

    g_assert_true((wait == NET_FAILED) == (error != NULL));
    return wait;
}

/* -- Reading and waiting --------------------------------------------------------------------- */

static void test_read(void)
{
    g_auto(Pair) pair;

    pair_init(&pair);
    say(&pair, "* OK ready\r\n");
    read_text(pair.stream, 4, "* OK");
    read_text(pair.stream, 100, " ready\r\n");
    g_assert_cmpuint(net_stream_octets_in(pair.stream), ==, 12);
}

/* What was said before the end is read before the end is told, and the end stays. */
static void test_end(void)
{
    g_auto(Pair) pair;

    pair_init(&pair);
    say(&pair, "* BYE\r\n");
    hang_up(&pair);
    read_text(pair.stream, 100, "* BYE\r\n");
    read_fails(pair.stream, deadline_in(5), MAIL_ERROR_OFFLINE);
    read_fails(pair.stream, deadline_in(5), MAIL_ERROR_OFFLINE);
    g_assert_cmpint(wait_ms(pair.stream, NULL, 0), ==, NET_FAILED);
}

static void test_wait(void)
{
    g_auto(Pair) pair;
    g_autoptr(Cancel) wake = cancel_new();
    gint64 start;

    pair_init(&pair);
    start = deadline_now();
    g_assert_cmpint(wait_ms(pair.stream, wake, 50), ==, NET_TIMEOUT);
    g_assert_cmpint(deadline_now() - start, >=, 50 * 1000);
    g_assert_cmpint(wait_ms(pair.stream, wake, 0), ==, NET_TIMEOUT); /* the stream lives */

    cancel_raise(wake);
    g_assert_cmpint(wait_ms(pair.stream, wake, 5000), ==, NET_WOKEN);
    cancel_clear(wake);

    say(&pair, "x");
    g_assert_cmpint(wait_ms(pair.stream, wake, 5000), ==, NET_READABLE);
    g_assert_cmpint(wait_ms(pair.stream, wake, 0), ==, NET_READABLE); /* until it is read */
    say(&pair, "yz");
    read_text(pair.stream, 2, "xy"); /* what wait() took, and what came since */
    read_text(pair.stream, 100, "z");
    g_assert_cmpint(wait_ms(pair.stream, wake, 0), ==, NET_TIMEOUT);

    say(&pair, "last");
    g_assert_cmpint(wait_ms(pair.stream, wake, 5000), ==, NET_READABLE);
    hang_up(&pair);
    read_text(pair.stream, 100, "last"); /* the end behind it comes at the next call */
    read_fails(pair.stream, deadline_in(5), MAIL_ERROR_OFFLINE);
}

static gpointer raise_later(gpointer cancel)
{
    g_usleep(50 * 1000);
    cancel_raise(cancel);
    return NULL;
}

static void test_wake_from_thread(void)
{
    g_auto(Pair) pair;
    g_autoptr(Cancel) wake = cancel_new();
    GThread *thread;

    pair_init(&pair);
    thread = g_thread_new("wake", raise_later, wake);
    g_assert_cmpint(wait_ms(pair.stream, wake, 10000), ==, NET_WOKEN);
    g_thread_join(thread);
}

static void test_cancel(void)
{
    g_auto(Pair) pair;
    gint64 start = deadline_now();
    GThread *thread;

    pair_init(&pair);
    thread = g_thread_new("cancel", raise_later, pair.cancel);
    read_fails(pair.stream, deadline_in(10), MAIL_ERROR_CANCELLED);
    g_assert_cmpint(deadline_now() - start, <, 5 * G_USEC_PER_SEC);
    g_thread_join(thread);
    read_fails(pair.stream, deadline_in(10), MAIL_ERROR_CANCELLED);
}

/* A stream that never has to wait is cancelled as well. */
static void test_cancel_while_data_flows(void)
{
    g_auto(Pair) pair;

    pair_init(&pair);
    say(&pair, "there is something to read");
    cancel_raise(pair.cancel);
    read_fails(pair.stream, deadline_in(5), MAIL_ERROR_CANCELLED);
}

static void test_deadline(void)
{
    g_auto(Pair) pair;

    pair_init(&pair);
    say(&pair, "here");
    /* What is there is given even when the time is up; it is waiting that ends. */
    {
        char buffer[4];

        g_assert_cmpint(net_stream_read(pair.stream, buffer, 4, deadline_now() - 1, NULL), ==, 4);
    }
    read_fails(pair.stream, deadline_in_ms(30), MAIL_ERROR_TIMEOUT);
    read_fails(pair.stream, deadline_in(5), MAIL_ERROR_TIMEOUT); /* and now it is dead */
}

/* -- Writing --------------------------------------------------------------------------------- */

static void test_write(void)
{
    g_auto(Pair) pair;
    char buffer[100] = "";

    pair_init(&pair);
    g_assert_true(net_stream_write(pair.stream, "a1 ", 3, deadline_in(5), NULL));
    g_assert_true(net_stream_write(pair.stream, "NOOP\r\n", 6, deadline_in(5), NULL));
    g_assert_cmpint(recv(pair.peer, buffer, sizeof buffer, MSG_DONTWAIT), ==, -1);
    g_assert_true(net_stream_flush(pair.stream, deadline_in(5), NULL));
    g_assert_cmpint(recv(pair.peer, buffer, sizeof buffer, MSG_DONTWAIT), ==, 9);
    g_assert_cmpstr(buffer, ==, "a1 NOOP\r\n");
    g_assert_cmpuint(net_stream_octets_out(pair.stream), ==, 9);
}

typedef struct {
    int fd;
    gsize length;
    GChecksum *sum;
} Drain;

static gpointer drain_peer(gpointer data)
{
    Drain *drain = data;
    guint8 buffer[3000];
    ssize_t n;

    while ((n = read(drain->fd, buffer, sizeof buffer)) > 0) {
        drain->length += (gsize)n;
        g_checksum_update(drain->sum, buffer, n);
    }
    return NULL;
}

/* More than any buffer holds, in pieces of every kind, arrives whole and in order. */
static void test_write_much(void)
{
    static const gsize sizes[] = {1, 30000, 32768, 5, 100000, 32767, 1, 2, 1000000, 64};
    g_auto(Pair) pair;
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree guint8 *data = g_malloc(1000000);
    gsize total = 0;
    Drain drain;
    GThread *thread;

    pair_init(&pair);
    drain = (Drain){.fd = pair.peer, .sum = g_checksum_new(G_CHECKSUM_SHA256)};
    thread = g_thread_new("drain", drain_peer, &drain);
    for (gsize i = 0; i < 1000000; i++)
        data[i] = (guint8)(i * 2654435761u >> 13);
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_assert_true(net_stream_write(pair.stream, data, sizes[i], deadline_in(10), NULL));
        g_checksum_update(sum, data, (gssize)sizes[i]);
        total += sizes[i];
    }
    g_assert_true(net_stream_flush(pair.stream, deadline_in(10), NULL));
    net_stream_free(g_steal_pointer(&pair.stream));
    g_thread_join(thread);
    g_assert_cmpuint(drain.length, ==, total);
    g_assert_cmpstr(g_checksum_get_string(drain.sum), ==, g_checksum_get_string(sum));
    g_checksum_free(drain.sum);
}

static void test_write_stalls(void)
{
    g_auto(Pair) pair;
    g_autofree char *much = g_malloc0(4 * 1024 * 1024);
    g_autoptr(GError) error = NULL;

    pair_init(&pair);
    g_assert_false(
        net_stream_write(pair.stream, much, 4 * 1024 * 1024, deadline_in_ms(50), &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_TIMEOUT);
}

/* No SIGPIPE: it would end the program. */
static void test_write_to_closed(void)
{
    g_auto(Pair) pair;
    g_autoptr(GError) error = NULL;

    pair_init(&pair);
    hang_up(&pair);
    g_assert_true(net_stream_write(pair.stream, "x", 1, deadline_in(5), NULL));
    g_assert_false(net_stream_flush(pair.stream, deadline_in(5), &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_OFFLINE);
}

/* -- DEFLATE --------------------------------------------------------------------------------- */

/* One text, compressed in flushed pieces as a server does. */
static GByteArray *compress_text(const char *const *pieces)
{
    GByteArray *out = g_byte_array_new();
    guint8 buffer[4096];
    z_stream z = {.zalloc = NULL};

    g_assert_cmpint(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), ==, Z_OK);
    for (; *pieces; pieces++) {
        z.next_in = (Bytef *)*pieces;
        z.avail_in = (uInt)strlen(*pieces);
        do {
            z.next_out = buffer;
            z.avail_out = sizeof buffer;
            deflate(&z, Z_SYNC_FLUSH);
            g_byte_array_append(out, buffer, (guint)(sizeof buffer - z.avail_out));
        } while (z.avail_out == 0);
    }
    deflateEnd(&z);
    return out;
}

static const char *const lines[] = {"* 1 FETCH (UID 1)\r\n", "* 2 FETCH (UID 2)\r\n", "a OK\r\n",
                                    NULL};
static const char all_lines[] = "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\na OK\r\n";

static void test_inflate(void)
{
    g_auto(Pair) pair;
    g_autoptr(GByteArray) data = compress_text(lines);

    pair_init(&pair);
    g_assert_true(net_stream_start_deflate(pair.stream, NULL));
    g_assert_true(net_stream_is_deflated(pair.stream));
    g_assert_true(io_write_all(pair.peer, data->data, data->len, NULL));
    read_text(pair.stream, 1000, all_lines);
    g_assert_cmpuint(net_stream_octets_in(pair.stream), ==, data->len);
}

/* One octet at a time, read into one octet at a time; wait() agrees with read(). */
static void test_inflate_bytewise(void)
{
    g_auto(Pair) pair;
    g_autoptr(GByteArray) data = compress_text(lines);
    g_autoptr(GString) got = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    pair_init(&pair);
    g_assert_true(net_stream_start_deflate(pair.stream, NULL));
    for (guint i = 0; i < data->len; i++) {
        char c;

        g_assert_true(io_write_all(pair.peer, data->data + i, 1, NULL));
        while (wait_ms(pair.stream, NULL, 0) == NET_READABLE) {
            g_assert_cmpint(net_stream_read(pair.stream, &c, 1, deadline_now(), &error), ==, 1);
            g_string_append_c(got, c);
        }
    }
    g_assert_cmpstr(got->str, ==, all_lines);
}

/* The first compressed octets came together with the plain ones before them. */
static void test_inflate_ahead(void)
{
    g_auto(Pair) pair;
    g_autoptr(GByteArray) data = compress_text(lines);

    pair_init(&pair);
    say(&pair, "a OK\r\n");
    g_assert_true(io_write_all(pair.peer, data->data, data->len, NULL));
    g_assert_cmpint(wait_ms(pair.stream, NULL, 1000), ==, NET_READABLE);
    read_text(pair.stream, 6, "a OK\r\n");
    g_assert_true(net_stream_start_deflate(pair.stream, NULL));
    read_text(pair.stream, 1000, all_lines);
}

static void test_inflate_broken(void)
{
    static const guint8 ended[] = {0x03, 0x00};                    /* an empty last block */
    static const guint8 type[] = {0xff, 0xff, 0xff, 0xff};         /* no such block type */
    static const guint8 stored[] = {0x00, 0x01, 0x00, 0x01, 0x00}; /* length check wrong */
    static const struct {
        const guint8 *data;
        gsize length;
    } cases[] = {{ended, sizeof ended}, {type, sizeof type}, {stored, sizeof stored}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(Pair) pair;

        pair_init(&pair);
        g_assert_true(net_stream_start_deflate(pair.stream, NULL));
        g_assert_true(io_write_all(pair.peer, cases[i].data, cases[i].length, NULL));
        read_fails(pair.stream, deadline_in(5), MAIL_ERROR_PROTOCOL);
    }
}

static void test_inflate_truncated(void)
{
    g_auto(Pair) pair;
    g_autoptr(GByteArray) data = compress_text(lines);
    g_autoptr(GError) error = NULL;
    char buffer[1000];
    gsize got = 0;
    gssize n;

    pair_init(&pair);
    g_assert_true(net_stream_start_deflate(pair.stream, NULL));
    g_assert_true(io_write_all(pair.peer, data->data, data->len - 8, NULL));
    hang_up(&pair);
    while ((n = net_stream_read(pair.stream, buffer, sizeof buffer, deadline_in(5), &error)) > 0)
        got += (gsize)n;
    g_assert_cmpuint(got, <, strlen(all_lines));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_OFFLINE);
}

static gpointer send_empty_blocks(gpointer data)
{
    static const guint8 block[] = {0x00, 0x00, 0x00, 0xff, 0xff};
    int fd = GPOINTER_TO_INT(data);

    while (send(fd, block, sizeof block, MSG_NOSIGNAL) > 0)
        ;
    (void)close(fd);
    return NULL;
}

/* Compressed input for ever and never an octet of text: the deadline still holds. */
static void test_inflate_endless_nothing(void)
{
    g_auto(Pair) pair;
    GThread *thread;

    pair_init(&pair);
    g_assert_true(net_stream_start_deflate(pair.stream, NULL));
    thread = g_thread_new("blocks", send_empty_blocks, GINT_TO_POINTER(steal_fd(&pair.peer)));
    read_fails(pair.stream, deadline_in_ms(100), MAIL_ERROR_TIMEOUT);
    net_stream_free(g_steal_pointer(&pair.stream));
    g_thread_join(thread);
}

/* Both sides compressed: what is flushed on one side can be read on the other at once. */
static void test_deflate_both_ways(void)
{
    int fds[2];
    g_autoptr(NetStream) a = NULL;
    g_autoptr(NetStream) b = NULL;
    g_autofree char *text = g_malloc(20000);

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    a = net_stream_new_fd(fds[0], "a", NULL);
    b = net_stream_new_fd(fds[1], "b", NULL);
    g_assert_true(net_stream_start_deflate(a, NULL));
    g_assert_true(net_stream_start_deflate(b, NULL));
    for (guint round = 0; round < 200; round++) {
        NetStream *from = round % 2 ? a : b, *to = round % 2 ? b : a;
        gsize length = 1 + round * 97 % 20000, got = 0;
        char buffer[20000];

        for (gsize i = 0; i < length; i++)
            text[i] = (char)((i * 2654435761u + round * 40503u) >> 11);
        g_assert_true(net_stream_write(from, text, length, deadline_in(5), NULL));
        g_assert_true(net_stream_flush(from, deadline_in(5), NULL));
        g_assert_true(net_stream_flush(from, deadline_in(5), NULL)); /* nothing more to say */
        while (got < length) {
            gssize n = net_stream_read(to, buffer + got, sizeof buffer - got, deadline_in(5), NULL);

            g_assert_cmpint(n, >, 0);
            got += (gsize)n;
        }
        g_assert_cmpuint(got, ==, length);
        g_assert_cmpint(memcmp(buffer, text, length), ==, 0);
        g_assert_cmpint(wait_ms(to, NULL, 0), ==, NET_TIMEOUT);
    }
    g_assert_cmpuint(net_stream_octets_out(a), ==, net_stream_octets_in(b));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream/read", test_read);
    g_test_add_func("/stream/end", test_end);
    g_test_add_func("/stream/wait", test_wait);
    g_test_add_func("/stream/wake-from-thread", test_wake_from_thread);
    g_test_add_func("/stream/cancel", test_cancel);
    g_test_add_func("/stream/cancel-while-data-flows", test_cancel_while_data_flows);
    g_test_add_func("/stream/deadline", test_deadline);
    g_test_add_func("/stream/write", test_write);
    g_test_add_func("/stream/write-much", test_write_much);
    g_test_add_func("/stream/write-stalls", test_write_stalls);
    g_test_add_func("/stream/write-to-closed", test_write_to_closed);
    g_test_add_func("/stream/inflate", test_inflate);
    g_test_add_func("/stream/inflate-bytewise", test_inflate_bytewise);
    g_test_add_func("/stream/inflate-ahead", test_inflate_ahead);
    g_test_add_func("/stream/inflate-broken", test_inflate_broken);
    g_test_add_func("/stream/inflate-truncated", test_inflate_truncated);
    g_test_add_func("/stream/inflate-endless-nothing", test_inflate_endless_nothing);
    g_test_add_func("/stream/deflate-both-ways", test_deflate_both_ways);
    return g_test_run();
}
