/* One byte stream to a mail server, whatever lies under it: TCP, TLS, a tunnel process's socket,
 * with or without DEFLATE.
 *
 * A stream belongs to one thread, which blocks in it; every wait ends by its deadline or when
 * the stream's Cancel is raised, whichever is first.  After any error but a timed-out or woken
 * net_stream_wait() the stream is dead and is only good for net_stream_free().
 *
 * Errors: OFFLINE (no route, refused, reset, closed by the peer, no such host), TIMEOUT,
 * CANCELLED, AUTH never; a certificate that does not verify is DENIED with a sentence that says
 * what is wrong with it and what to do; PROTOCOL for a TLS or DEFLATE stream that is broken.
 */
#pragma once

#include <glib.h>

#include "base/cancel.h"
#include "base/deadline.h"
#include "base/endpoint.h"

typedef struct NetStream NetStream;

/* Connects to endpoint->host by all its addresses in turn (RFC 8305: the next one is tried
 * after 250 ms without an answer), each with TCP keepalive and TCP_USER_TIMEOUT set, and for
 * SECURITY_TLS does the handshake.  SECURITY_PLAIN is refused (DENIED) unless the peer's address
 * is a loopback one.  @name labels the wire log ("work#2").  @cancel may be NULL; a reference is
 * taken. */
NetStream *net_stream_connect(const Endpoint *endpoint, const char *name, Cancel *cancel,
                              Deadline deadline, GError **error);

/* Over a connected socket or pipe that is already there (a tunnel, a test's socketpair).  Takes
 * @fd. */
NetStream *net_stream_new_fd(int fd, const char *name, Cancel *cancel);

void net_stream_free(NetStream *stream); /* NULL is fine; closes without ceremony */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NetStream, net_stream_free)

/* STARTTLS.  Octets that arrived before the handshake are an attack (CVE-2021-33515 and its
 * family): PROTOCOL.  What the caller has read already it must look at itself: nothing may stand
 * behind the line that agreed to start TLS. */
gboolean net_stream_start_tls(NetStream *stream, const Endpoint *endpoint, Deadline deadline,
                              GError **error);

/* RFC 4978.  What is already buffered is the first compressed input. */
gboolean net_stream_start_deflate(NetStream *stream, GError **error);

gboolean net_stream_is_tls(const NetStream *stream);
gboolean net_stream_is_deflated(const NetStream *stream);

/* Reads what is there, at most @length octets, waiting for the first.  The end of the stream is
 * OFFLINE ("the server closed the connection").  Returns the count, -1 on error. */
gssize net_stream_read(NetStream *stream, void *buffer, gsize length, Deadline deadline,
                       GError **error);

/* Writes into the stream's buffer; it goes out when it is full or flushed. */
gboolean net_stream_write(NetStream *stream, const void *data, gsize length, Deadline deadline,
                          GError **error);
gboolean net_stream_flush(NetStream *stream, Deadline deadline, GError **error);

typedef enum {
    NET_READABLE, /* a read will not block */
    NET_WOKEN,    /* @wake was raised */
    NET_TIMEOUT,  /* the deadline passed: the stream lives */
    NET_FAILED,   /* cancelled, or the stream is dead: see error */
} NetWait;

/* Waits for input, for @wake (may be NULL; the caller clears it) or for the deadline. */
NetWait net_stream_wait(NetStream *stream, Cancel *wake, Deadline deadline, GError **error);

/* Channel binding data for SCRAM-PLUS: @type "tls-exporter" (RFC 9266; TLS 1.3),
 * "tls-unique" (RFC 5929) or "tls-server-end-point".  NULL where it does not apply.  The caller
 * owns it. */
GBytes *net_stream_channel_binding(NetStream *stream, const char *type);

/* While TRUE, what is written appears in the wire log as "*".  Set around credentials. */
void net_stream_mask(NetStream *stream, gboolean mask);

/* From now on what is read appears in the wire log when the caller hands it to
 * net_stream_log_input(): for protocols in which only the caller can tell mail from the rest. */
void net_stream_defer_log(NetStream *stream);
void net_stream_log_input(NetStream *stream, const void *data, gsize length, gboolean is_mail);

/* Octets on the wire (after TLS is taken off, before DEFLATE is), for status and tests. */
guint64 net_stream_octets_in(const NetStream *stream);
guint64 net_stream_octets_out(const NetStream *stream);

/* What `mailfs check` prints of a TLS connection: "TLSv1.3, TLS_AES_256_GCM_SHA384",
 * "sha256:..." of the SubjectPublicKeyInfo, and the certificate's end.  NULL / 0 without TLS. */
char *net_stream_tls_version(NetStream *stream);
char *net_stream_tls_pin(NetStream *stream);
gint64 net_stream_tls_expiry(NetStream *stream); /* Unix time */

/* Where wire logs go: one file a connection, credentials masked, literals and other mail elided
 * beyond their first 64 octets.  NULL (the default) for none.  Called once, before any thread. */
void net_wirelog_set_directory(const char *path);
