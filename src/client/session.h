/* What a session is told, whatever protocol it speaks (imap-session.h, pop3-session.h). */
#pragma once

#include <glib.h>

#include "base/broker.h"
#include "base/cancel.h"
#include "base/endpoint.h"

typedef struct {
    const char *account; /* the broker's key, and the wire log's name */
    guint number;        /* of the connection: "work#2" */
    const Endpoint *endpoint;
    const char *user;  /* NULL: from a tunnel to a server that has let us in */
    const char *auth;  /* sasl_choose()'s @configured, for POP3 also "apop"; NULL: "auto" */
    gboolean is_token; /* the broker gives OAuth 2 tokens */
    gboolean compress; /* IMAP: COMPRESS=DEFLATE where it is offered */
    int *n_refused;    /* atomic, for all sessions with the server, at first 0: what was learnt of
                        * the channel binding that it takes; may be NULL */
    Broker *broker;    /* borrowed for the session's life */
    Cancel *cancel;    /* raised: everything ends with CANCELLED; may be NULL */
} SessionParams;

/* Where wire logs of all connections go (net/stream.h).  Once, before any thread. */
void session_set_wirelog(const char *directory);
