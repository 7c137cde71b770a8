/* Where a mail server is and how the way there is protected: what the configuration says and
 * what the network floor needs.
 */
#pragma once

#include <glib.h>

typedef enum {
    SECURITY_TLS,      /* TLS from the first byte (RFC 8314): imaps:// pop3s:// */
    SECURITY_STARTTLS, /* upgraded before anything else is said; refused if not offered */
    SECURITY_PLAIN,    /* clear text; loopback addresses only */
    SECURITY_TUNNEL,   /* a process's standard input and output; its owner vouches for it */
} Security;

enum { ENDPOINT_MAX_PINS = 2 }; /* two, so that a key can be rotated */

typedef struct {
    Security security;
    char *host; /* name or address; for a tunnel the command, for messages only */
    guint16 port;
    char *tls_ca;                       /* file to trust instead of the system's; or NULL */
    char *tls_pins[ENDPOINT_MAX_PINS];  /* "sha256:" base64 of SubjectPublicKeyInfo; or NULL */
    char *tls_cert, *tls_key;           /* client certificate for SASL EXTERNAL; or NULL */
} Endpoint;

Endpoint *endpoint_copy(const Endpoint *endpoint);
void endpoint_free(Endpoint *endpoint); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Endpoint, endpoint_free)

/* "imaps://mail.example.org:993" or "tunnel COMMAND".  The caller owns it. */
char *endpoint_describe(const Endpoint *endpoint, const char *protocol);
