/* The stream: its layers put together, and the one place that waits.
 *
 *     caller <-> [wire log] <-> [DEFLATE] <-> [TLS] <-> descriptor
 *
 * The descriptor does not block.  Each layer does what it can do at once (internal.h); what
 * cannot be done is waited for here, in net_poll(), with the cancel descriptor beside it and the
 * deadline over it.  Reads go straight into the caller's buffer: nothing is kept here but what
 * net_stream_wait() had to take off the lower layers to be sure that there is something (a
 * readable socket may hold only half a TLS record).
 *
 * The first error is kept and answers every later call, so a caller cannot go on by mistake.
 */
#include "net/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"

enum {
    OUT_SIZE = 32 * 1024, /* two TLS records; thirty commands at their longest */
    AHEAD_SIZE = 4 * 1024,
    /* poll(2) counts CLOCK_MONOTONIC, which stands still in suspend, and deadlines do not:
     * longer waits are cut in pieces so that a laptop notices soon after it wakes. */
    POLL_MS_MAX = 30 * 1000,
};

struct NetStream {
    int fd;
    Cancel *cancel;
    NetTls *tls;         /* NULL: not yet, or never */
    NetDeflate *deflate; /* the same */
    NetWirelog *log;
    GError *failure; /* set once: the stream is dead */

    guint8 ahead[AHEAD_SIZE]; /* input that net_stream_wait() took */
    gsize ahead_start, ahead_end;

    guint8 out[OUT_SIZE];
    gsize n_out;
    gboolean is_masked;
    gboolean defers_log; /* of input */
    gboolean out_is_secret; /* something masked is in @out: wiped once sent */

    guint64 octets_in, octets_out;
};

/* -- The descriptor ---------------------------------------------------------------------------- */

gssize net_fd_read(int fd, void *buffer, gsize length, short *ret_events, GError **error)
{
    ssize_t n;

    do
        n = read(fd, buffer, length);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return n;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        *ret_events = POLLIN;
        return 0;
    }
    if (n < 0)
        mail_fail(error, MAIL_ERROR_OFFLINE, "the connection broke: %s", g_strerror(errno));
    else
        mail_fail(error, MAIL_ERROR_OFFLINE, "the server closed the connection");
    return -1;
}

gssize net_fd_write(int fd, const void *data, gsize length, short *ret_events, GError **error)
{
    ssize_t n;

    do {
        n = send(fd, data, length, MSG_NOSIGNAL);
        if (n < 0 && errno == ENOTSOCK)
            n = write(fd, data, length);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        return n;
    if (n == 0 || errno == EAGAIN || errno == EWOULDBLOCK) {
        *ret_events = POLLOUT;
        return 0;
    }
    mail_fail(error, MAIL_ERROR_OFFLINE, "the connection broke: %s", g_strerror(errno));
    return -1;
}

NetWait net_poll(int fd, short events, Cancel *cancel, Cancel *wake, Deadline deadline,
                 GError **error)
{
    struct pollfd fds[3] = {
        {.fd = cancel_fd(cancel), .events = POLLIN},
        {.fd = cancel_fd(wake), .events = POLLIN},
        {.fd = events ? fd : -1, .events = events},
    };

    for (;;) {
        int left = deadline_poll_ms(deadline);
        int n = poll(fds, 3, !events ? 0 : left < 0 ? POLL_MS_MAX : MIN(left, POLL_MS_MAX));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            mail_fail(error, MAIL_ERROR_OFFLINE, "poll failed: %s", g_strerror(errno));
            return NET_FAILED;
        }
        if (fds[0].revents) {
            mail_fail(error, MAIL_ERROR_CANCELLED, "given up, for nothing came");
            return NET_FAILED;
        }
        if (fds[1].revents)
            return NET_WOKEN;
        if (fds[2].revents)
            return NET_READABLE;
        if (deadline_passed(deadline))
            return NET_TIMEOUT;
        if (!events)
            return NET_READABLE;
    }
}

/* -- One life ---------------------------------------------------------------------------------- */

NetStream *net_stream_new_fd(int fd, const char *name, Cancel *cancel)
{
    NetStream *stream = g_new0(NetStream, 1);
    int flags = fcntl(fd, F_GETFL);

    g_assert(flags >= 0); /* not a descriptor: our own bug */
    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    stream->fd = fd;
    stream->cancel = cancel ? cancel_ref(cancel) : NULL;
    stream->log = net_wirelog_open(name);
    return stream;
}

NetStream *net_stream_connect(const Endpoint *endpoint, const char *name, Cancel *cancel,
                              Deadline deadline, GError **error)
{
    g_autoptr(NetStream) stream = NULL;
    int fd;

    g_assert(endpoint->security != SECURITY_TUNNEL);
    fd = net_tcp_connect(endpoint, cancel, deadline, error);
    if (fd < 0)
        return NULL;
    stream = net_stream_new_fd(fd, name, cancel);
    if (endpoint->security == SECURITY_TLS &&
        !net_stream_start_tls(stream, endpoint, deadline, error))
        return NULL;
    return g_steal_pointer(&stream);
}

void net_stream_free(NetStream *stream)
{
    if (!stream)
        return;
    if (stream->tls && !stream->failure)
        net_tls_farewell(stream->tls);
    net_tls_free(stream->tls);
    net_deflate_free(stream->deflate);
    net_wirelog_free(stream->log);
    (void)close(stream->fd);
    cancel_unref(stream->cancel);
    g_clear_error(&stream->failure);
    secret_wipe(stream->out, sizeof stream->out);
    g_free(stream);
}

/* The stream is dead: says why.  Always FALSE. */
static gboolean report(NetStream *stream, GError **error)
{
    if (error)
        *error = g_error_copy(stream->failure);
    return FALSE;
}

/* Data that flows fast never has to be waited for, so a raised cancel is looked for here. */
static gboolean is_alive(NetStream *stream)
{
    if (!stream->failure && cancel_is_raised(stream->cancel))
        mail_fail(&stream->failure, MAIL_ERROR_CANCELLED, "given up, for nothing came");
    return !stream->failure;
}

/* Waits until a layer that said @events can go on; a passed deadline is the stream's end. */
static gboolean await(NetStream *stream, short events, Deadline deadline)
{
    NetWait wait = net_poll(stream->fd, events, stream->cancel, NULL, deadline, &stream->failure);

    if (wait == NET_TIMEOUT)
        mail_fail(&stream->failure, MAIL_ERROR_TIMEOUT, "the server did not %s in time",
                  events == POLLOUT ? "take what was sent" : "answer");
    return wait == NET_READABLE;
}

/* -- Layers ------------------------------------------------------------------------------------ */

static gssize wire_read(NetStream *stream, void *buffer, gsize length, short *events)
{
    gssize n = stream->tls ? net_tls_read(stream->tls, buffer, length, events, &stream->failure)
                           : net_fd_read(stream->fd, buffer, length, events, &stream->failure);

    if (n > 0)
        stream->octets_in += (guint64)n;
    return n;
}

static gssize wire_write(NetStream *stream, const void *data, gsize length, short *events)
{
    gssize n = stream->tls ? net_tls_write(stream->tls, data, length, events, &stream->failure)
                           : net_fd_write(stream->fd, data, length, events, &stream->failure);

    if (n > 0)
        stream->octets_out += (guint64)n;
    return n;
}

/* What all layers together can give at once. */
static gssize try_read(NetStream *stream, void *buffer, gsize length, short *events)
{
    gsize room;
    gssize n;
    void *input;

    if (!stream->deflate)
        return wire_read(stream, buffer, length, events);

    n = net_deflate_inflate(stream->deflate, buffer, length, &stream->failure);
    if (n != 0)
        return n;
    input = net_deflate_input(stream->deflate, &room);
    n = wire_read(stream, input, room, events);
    if (n <= 0)
        return n;
    net_deflate_input_filled(stream->deflate, (gsize)n);
    n = net_deflate_inflate(stream->deflate, buffer, length, &stream->failure);
    /* Input that gave nothing: empty blocks can go on for ever, so the deadline is asked. */
    *events = 0;
    return n;
}

gboolean net_stream_start_tls(NetStream *stream, const Endpoint *endpoint, Deadline deadline,
                              GError **error)
{
    short events = 0;
    char c;

    g_assert(!stream->tls && !stream->deflate && stream->n_out == 0);
    if (!is_alive(stream))
        return report(stream, error);
    /* In TLS the client speaks first.  What is here already was put in by somebody who hopes
     * that it will be taken for the server's protected words. */
    if (stream->ahead_start < stream->ahead_end ||
        recv(stream->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
        mail_fail(&stream->failure, MAIL_ERROR_PROTOCOL,
                  endpoint->security == SECURITY_TLS
                      ? "%s speaks before the TLS handshake: if the port expects STARTTLS, write "
                        "imap:// or pop3:// instead of imaps:// or pop3s://"
                      : "%s sent octets in clear text after it agreed to start TLS: somebody "
                        "may be tampering with the connection",
                  endpoint->host);
        return report(stream, error);
    }
    stream->tls = net_tls_new(stream->fd, endpoint, &stream->failure);
    if (!stream->tls)
        return report(stream, error);
    while (net_tls_handshake(stream->tls, &events, &stream->failure) == 0)
        if (!await(stream, events, deadline)) {
            g_prefix_error(&stream->failure, "TLS handshake with %s: ", endpoint->host);
            break;
        }
    if (stream->failure)
        return report(stream, error);
    net_wirelog_note(stream->log, "TLS started");
    return TRUE;
}

gboolean net_stream_start_deflate(NetStream *stream, GError **error)
{
    gsize n = stream->ahead_end - stream->ahead_start;
    gsize room;

    g_assert(!stream->deflate && stream->n_out == 0);
    if (!is_alive(stream))
        return report(stream, error);
    stream->deflate = net_deflate_new();
    memcpy(net_deflate_input(stream->deflate, &room), stream->ahead + stream->ahead_start, n);
    net_deflate_input_filled(stream->deflate, n);
    stream->ahead_start = stream->ahead_end = 0;
    net_wirelog_note(stream->log, "DEFLATE started");
    return TRUE;
}

gboolean net_stream_is_tls(const NetStream *stream)
{
    return stream->tls != NULL;
}

gboolean net_stream_is_deflated(const NetStream *stream)
{
    return stream->deflate != NULL;
}

/* -- Reading ----------------------------------------------------------------------------------- */

static gsize take_ahead(NetStream *stream, void *buffer, gsize length)
{
    gsize n = MIN(length, stream->ahead_end - stream->ahead_start);

    memcpy(buffer, stream->ahead + stream->ahead_start, n);
    stream->ahead_start += n;
    return n;
}

gssize net_stream_read(NetStream *stream, void *buffer, gsize length, Deadline deadline,
                       GError **error)
{
    gsize got;

    g_assert(length > 0);
    if (!is_alive(stream)) {
        report(stream, error);
        return -1;
    }
    got = take_ahead(stream, buffer, length);
    for (;;) {
        short events = 0;
        gssize n = 0;

        if (got < length)
            n = try_read(stream, (guint8 *)buffer + got, length - got, &events);
        if (n > 0)
            got += (gsize)n;
        if (got > 0)
            break; /* an error behind these octets is kept for the next call */
        if (n < 0 || !await(stream, events, deadline)) {
            report(stream, error);
            return -1;
        }
    }
    if (!stream->defers_log)
        net_wirelog_in(stream->log, buffer, got);
    return (gssize)got;
}

NetWait net_stream_wait(NetStream *stream, Cancel *wake, Deadline deadline, GError **error)
{
    if (!is_alive(stream)) {
        report(stream, error);
        return NET_FAILED;
    }
    if (cancel_is_raised(wake))
        return NET_WOKEN;
    while (stream->ahead_start == stream->ahead_end) {
        short events = 0;
        gssize n = try_read(stream, stream->ahead, AHEAD_SIZE, &events);
        NetWait wait = NET_READABLE;

        stream->ahead_start = 0;
        stream->ahead_end = n > 0 ? (gsize)n : 0;
        if (n == 0)
            wait = net_poll(stream->fd, events, stream->cancel, wake, deadline, &stream->failure);
        if (stream->failure) {
            report(stream, error);
            return NET_FAILED;
        }
        if (wait != NET_READABLE)
            return wait;
    }
    return NET_READABLE;
}

/* -- Writing ----------------------------------------------------------------------------------- */

static gboolean send_all(NetStream *stream, const guint8 *data, gsize length, Deadline deadline)
{
    while (length > 0) {
        short events = 0;
        gssize n = wire_write(stream, data, length, &events);

        if (n < 0 || (n == 0 && !await(stream, events, deadline)))
            return FALSE;
        data += n;
        length -= (gsize)n;
    }
    return TRUE;
}

static gboolean drain(NetStream *stream, Deadline deadline)
{
    gboolean sent = send_all(stream, stream->out, stream->n_out, deadline);

    if (stream->out_is_secret)
        secret_wipe(stream->out, stream->n_out);
    stream->out_is_secret = FALSE;
    stream->n_out = 0;
    return sent;
}

/* Compresses into the buffer, which is sent whenever it is full. */
static gboolean write_deflated(NetStream *stream, const guint8 *data, gsize length, gboolean sync,
                               Deadline deadline)
{
    gsize room, n;

    do {
        /* zlib wants room for a whole flush marker, or it writes another one. */
        if (OUT_SIZE - stream->n_out < 16 && !drain(stream, deadline))
            return FALSE;
        room = OUT_SIZE - stream->n_out;
        n = net_deflate_deflate(stream->deflate, &data, &length, stream->out + stream->n_out, room,
                                sync);
        stream->n_out += n;
    } while (n == room);
    return TRUE;
}

static gboolean write_buffered(NetStream *stream, const guint8 *data, gsize length,
                               Deadline deadline)
{
    while (length > 0) {
        gsize n = MIN(length, OUT_SIZE - stream->n_out);

        if (stream->n_out == 0 && length >= OUT_SIZE)
            return send_all(stream, data, length, deadline); /* no use in copying it */
        memcpy(stream->out + stream->n_out, data, n);
        stream->n_out += n;
        data += n;
        length -= n;
        if (stream->n_out == OUT_SIZE && !drain(stream, deadline))
            return FALSE;
    }
    return TRUE;
}

gboolean net_stream_write(NetStream *stream, const void *data, gsize length, Deadline deadline,
                          GError **error)
{
    gboolean ok;

    if (!is_alive(stream))
        return report(stream, error);
    net_wirelog_out(stream->log, data, length, stream->is_masked);
    stream->out_is_secret |= stream->is_masked;
    ok = stream->deflate ? write_deflated(stream, data, length, FALSE, deadline)
                         : write_buffered(stream, data, length, deadline);
    return ok || report(stream, error);
}

gboolean net_stream_flush(NetStream *stream, Deadline deadline, GError **error)
{
    if (!is_alive(stream))
        return report(stream, error);
    if (stream->deflate && !write_deflated(stream, NULL, 0, TRUE, deadline))
        return report(stream, error);
    return drain(stream, deadline) || report(stream, error);
}

void net_stream_mask(NetStream *stream, gboolean mask)
{
    stream->is_masked = mask;
}

void net_stream_defer_log(NetStream *stream)
{
    stream->defers_log = TRUE;
}

void net_stream_log_input(NetStream *stream, const void *data, gsize length, gboolean is_mail)
{
    if (is_mail)
        net_wirelog_mail(stream->log, data, length);
    else
        net_wirelog_in(stream->log, data, length);
}

/* -- What is asked of it ----------------------------------------------------------------------- */

guint64 net_stream_octets_in(const NetStream *stream)
{
    return stream->octets_in;
}

guint64 net_stream_octets_out(const NetStream *stream)
{
    return stream->octets_out;
}

GBytes *net_stream_channel_binding(NetStream *stream, const char *type)
{
    return stream->tls ? net_tls_channel_binding(stream->tls, type) : NULL;
}

char *net_stream_tls_version(NetStream *stream)
{
    SSL *ssl;

    if (!stream->tls)
        return NULL;
    ssl = net_tls_ssl(stream->tls);
    return g_strdup_printf("%s, %s", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
}

char *net_stream_tls_pin(NetStream *stream)
{
    X509 *certificate = stream->tls ? SSL_get0_peer_certificate(net_tls_ssl(stream->tls)) : NULL;

    return certificate ? net_tls_pin(certificate) : NULL;
}

gint64 net_stream_tls_expiry(NetStream *stream)
{
    X509 *certificate = stream->tls ? SSL_get0_peer_certificate(net_tls_ssl(stream->tls)) : NULL;
    struct tm end;

    if (!certificate || !ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end))
        return 0;
    return (gint64)timegm(&end);
}
