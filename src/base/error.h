/* The one error domain of mailfs.
 *
 * A code does not say where a failure happened but what its remedy is, for that is what a caller
 * (and in the end an errno) has to decide on.  The message is a sentence for a person: what
 * failed, with the server's own words where there are any, and what to do about it.
 *
 * Runtime failures travel as a GError of this domain.  Assertions are for our own bugs only,
 * never for what a server or a message says.
 */
#pragma once

#include <glib.h>

#define MAIL_ERROR (mail_error_quark())
GQuark mail_error_quark(void);

typedef enum {
    MAIL_ERROR_GONE,        /* the thing is no longer there */
    MAIL_ERROR_DENIED,      /* the server or the file's owner says no */
    MAIL_ERROR_READONLY,    /* the mailbox, account or cache takes no changes */
    MAIL_ERROR_EXISTS,      /* the name is taken */
    MAIL_ERROR_NOTEMPTY,    /* the directory has entries */
    MAIL_ERROR_INVALID,     /* the request makes no sense, or the configuration */
    MAIL_ERROR_TOOBIG,      /* over a size limit, ours or the server's */
    MAIL_ERROR_QUOTA,       /* over the mailbox's quota */
    MAIL_ERROR_NOSPACE,     /* the local disk is full */
    MAIL_ERROR_UNSUPPORTED, /* neither the server nor a fallback can do it */
    MAIL_ERROR_BUSY,        /* later: a lock, a limit, a throttle */
    MAIL_ERROR_OFFLINE,     /* there is no connection */
    MAIL_ERROR_TIMEOUT,     /* a deadline passed */
    MAIL_ERROR_AUTH,        /* the credentials were refused: final until they change */
    MAIL_ERROR_LOCKED,      /* the credentials cannot be had now: a locked keyring */
    MAIL_ERROR_PROTOCOL,    /* the peer broke its protocol: the connection is dropped */
    MAIL_ERROR_DAMAGED,     /* what a server gives of a message is not all of it, now or later */
    MAIL_ERROR_CANCELLED,   /* nobody waits for the answer any more */
    MAIL_ERROR_CACHE,       /* the local cache or state failed */
    MAIL_ERROR_N_CODES
} MailError;

/* A short, stable name of a code ("offline"), for status.json and logs.  Static. */
const char *mail_error_name(MailError code);

/* Sets @error (may be NULL) and returns FALSE, so that a function can end in one line. */
gboolean mail_fail(GError **error, MailError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* As mail_fail(), with the reason for @errnum appended and the code taken from it (ENOSPC is
 * NOSPACE, ENOENT is GONE, EACCES is DENIED, EMFILE is BUSY ...; otherwise CACHE). */
gboolean mail_fail_errno(GError **error, int errnum, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Predicates; all take NULL and answer FALSE then.  mail_error_is() is the general one;
 * mail_error_is_connection() is TRUE where the connection is of no more use (OFFLINE, TIMEOUT,
 * PROTOCOL). */
gboolean mail_error_is(const GError *error, MailError code);
gboolean mail_error_is_connection(const GError *error);
