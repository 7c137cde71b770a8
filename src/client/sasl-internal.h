/* What the mechanisms of sasl-*.c share with sasl.c.  Only these and their tests include it. */
#pragma once

#include <glib.h>

#include "client/sasl.h"

/* How a SCRAM message begins (RFC 5802 section 6): what we say of channel binding, so that a
 * server notices when somebody took -PLUS out of what it offered. */
typedef enum {
    SASL_BINDING_NONE,   /* "n": we have none */
    SASL_BINDING_MISSED, /* "y": we have one, the server did not offer it */
    SASL_BINDING_USED,   /* "p=": the -PLUS mechanisms */
} SaslBinding;

/* One step: @challenge is NULL where the client speaks first. */
typedef GBytes *SaslStep(Sasl *sasl, GBytes *challenge, GError **error);

struct SaslMechanism {
    const char *name;
    SaslStep *step;
    const char *digest; /* SCRAM: OpenSSL's name of the hash */
    SaslBinding binding;
    gboolean is_client_first;
    gboolean is_clear; /* the secret itself is sent: only over a protected connection */
    gboolean is_oauth; /* the secret is an access token */
    gboolean is_auto;  /* "auto" may choose it */
};

typedef struct SaslScram SaslScram; /* sasl-scram.c */

struct Sasl {
    const SaslMechanism *mechanism;
    char *user;
    Secret *secret; /* NULL for EXTERNAL */
    char *host;
    guint16 port;
    const char *binding_type; /* static; with @binding when the connection has one */
    GBytes *binding;

    guint n_steps; /* steps taken */
    gboolean is_failed;
    gboolean is_complete;
    SaslScram *scram; /* of the SCRAM mechanisms, once begun */
};

SaslStep sasl_plain_step, sasl_login_step, sasl_external_step; /* sasl-plain.c */
SaslStep sasl_cram_md5_step;                                   /* sasl-cram.c */
SaslStep sasl_scram_step;                                      /* sasl-scram.c */
SaslStep sasl_oauthbearer_step, sasl_xoauth2_step;             /* sasl-oauth.c */

void sasl_scram_free(SaslScram *scram); /* NULL is fine */

/* For tests that repeat an RFC's exchange: the client's nonce, before the first step. */
void sasl_scram_set_nonce(Sasl *sasl, const char *nonce);

/* A response put together from its parts, which are copied once, into memory that is wiped when
 * the last reference goes. */
typedef struct {
    const void *data;
    gsize length;
} SaslPart;

GBytes *sasl_response_new(const SaslPart *parts, gsize n_parts);

/* A user name as RFC 5801 section 4 writes it in a GS2 header and RFC 5802 in "n=": '=' and ','
 * escaped.  The caller owns it. */
char *sasl_escape_name(const char *name);

/* SASLprep (RFC 4013).  @what ("user name") is for the sentence.  INVALID when @text has
 * characters that it forbids.  The caller owns it, and wipes it where it is a secret. */
char *sasl_prep(const char *text, const char *what, GError **error);

/* The sentence on a challenge that makes no sense.  Always NULL. */
GBytes *sasl_fail_challenge(const Sasl *sasl, const char *why, GError **error);
