/* What the files of src/net share: the layers that lie under a NetStream.
 *
 * No layer ever blocks.  Reading and writing end in one of three ways: octets moved (the count,
 * above 0); nothing can move before poll(2) says *ret_events (0; with *ret_events 0 when the
 * layer has more to do at once, as after a TLS record that carried no data); or the stream is
 * dead (-1, with an error).  Only stream.c waits, so deadlines and cancelling are in one place.
 */
#pragma once

#include <glib.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "base/cancel.h"
#include "base/deadline.h"
#include "base/endpoint.h"
#include "net/stream.h"

/* -- The bare descriptor (stream.c) ------------------------------------------------------------ */

gssize net_fd_read(int fd, void *buffer, gsize length, short *ret_events, GError **error);
gssize net_fd_write(int fd, const void *data, gsize length, short *ret_events, GError **error);

/* Waits for @fd, for @cancel and @wake (each may be NULL) or for the deadline; READABLE stands
 * for any of @events.  With @events 0 it only looks whether to go on.  NET_FAILED: cancelled. */
NetWait net_poll(int fd, short events, Cancel *cancel, Cancel *wake, Deadline deadline,
                 GError **error);

/* The host as DNS and certificates know it: ASCII (IDNA), no final dot.  INVALID when it has no
 * such form.  The caller owns it. */
char *net_host_ascii(const char *host, GError **error);

/* -- Addresses and TCP (resolve.c, tcp.c) ------------------------------------------------------ */

typedef struct {
    struct sockaddr_storage address;
    socklen_t length;
} NetAddress;

gboolean net_address_is_loopback(const NetAddress *address);

/* All addresses of @host, IPv6 and IPv4 by turns (RFC 8305 section 4), at most
 * LIMIT_ADDRESSES.  The caller owns the array of NetAddress; it is never empty. */
GArray *net_resolve(const char *host, guint16 port, Cancel *cancel, Deadline deadline,
                    GError **error);

/* A connected socket that does not block, which the caller owns; -1 on failure. */
int net_tcp_connect(const Endpoint *endpoint, Cancel *cancel, Deadline deadline, GError **error);

/* -- TLS (tls.c, tls-verify.c) ----------------------------------------------------------------- */

typedef struct NetTls NetTls;

NetTls *net_tls_new(int fd, const Endpoint *endpoint, GError **error); /* @fd is borrowed */
void net_tls_free(NetTls *tls);                                        /* NULL is fine */
void net_tls_farewell(NetTls *tls); /* close_notify, if it can go out at once */
gssize net_tls_handshake(NetTls *tls, short *ret_events, GError **error); /* 1 when done */
gssize net_tls_read(NetTls *tls, void *buffer, gsize length, short *ret_events, GError **error);
gssize net_tls_write(NetTls *tls, const void *data, gsize length, short *ret_events,
                     GError **error);
SSL *net_tls_ssl(NetTls *tls); /* for what stream.h asks of it; borrowed */

GBytes *net_tls_channel_binding(NetTls *tls, const char *type);

/* Makes @ssl check the server's certificate by @endpoint (borrowed: it outlives the handshake).
 * When that refuses, the sentence is in *refusal. */
gboolean net_tls_verify_setup(SSL *ssl, const Endpoint *endpoint, GError **refusal, GError **error);

/* "sha256:" and base64 of SubjectPublicKeyInfo.  The caller owns it. */
char *net_tls_pin(X509 *certificate);

/* -- DEFLATE (deflate.c) ----------------------------------------------------------------------- */

typedef struct NetDeflate NetDeflate;

NetDeflate *net_deflate_new(void);
void net_deflate_free(NetDeflate *codec); /* NULL is fine */

/* Where compressed input is to be put, and how much came. */
void *net_deflate_input(NetDeflate *codec, gsize *ret_room);
void net_deflate_input_filled(NetDeflate *codec, gsize length);

/* Decompresses into @buffer: the count, 0 when more input is needed, -1 on a broken stream. */
gssize net_deflate_inflate(NetDeflate *codec, void *buffer, gsize length, GError **error);

/* Compresses from *data (which it moves on) into @out; the count.  With @sync everything comes
 * out up to a byte boundary (Z_SYNC_FLUSH): call again while it fills all of @room. */
gsize net_deflate_deflate(NetDeflate *codec, const guint8 **data, gsize *length, void *out,
                          gsize room, gboolean sync);

/* -- Wire log (wirelog.c) ---------------------------------------------------------------------- */

typedef struct NetWirelog NetWirelog;

NetWirelog *net_wirelog_open(const char *name); /* NULL when there is to be none */
void net_wirelog_free(NetWirelog *log);         /* NULL is fine, here and below */
void net_wirelog_in(NetWirelog *log, const void *data, gsize length);
/* Mail, of which the first octets are shown; it ends where something else follows. */
void net_wirelog_mail(NetWirelog *log, const void *data, gsize length);
void net_wirelog_out(NetWirelog *log, const void *data, gsize length, gboolean is_masked);
void net_wirelog_note(NetWirelog *log, const char *text); /* "TLS started" */
