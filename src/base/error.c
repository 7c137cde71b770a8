/* The error domain: names, constructors and predicates.  See error.h for the policy. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>

G_DEFINE_QUARK(mail-error-quark, mail_error)

static const char *const names[MAIL_ERROR_N_CODES] = {
    [MAIL_ERROR_GONE] = "gone",
    [MAIL_ERROR_DENIED] = "denied",
    [MAIL_ERROR_READONLY] = "read-only",
    [MAIL_ERROR_EXISTS] = "exists",
    [MAIL_ERROR_NOTEMPTY] = "not-empty",
    [MAIL_ERROR_INVALID] = "invalid",
    [MAIL_ERROR_TOOBIG] = "too-big",
    [MAIL_ERROR_QUOTA] = "quota",
    [MAIL_ERROR_NOSPACE] = "no-space",
    [MAIL_ERROR_UNSUPPORTED] = "unsupported",
    [MAIL_ERROR_BUSY] = "busy",
    [MAIL_ERROR_OFFLINE] = "offline",
    [MAIL_ERROR_TIMEOUT] = "timeout",
    [MAIL_ERROR_AUTH] = "auth",
    [MAIL_ERROR_LOCKED] = "locked",
    [MAIL_ERROR_PROTOCOL] = "protocol",
    [MAIL_ERROR_DAMAGED] = "damaged",
    [MAIL_ERROR_CANCELLED] = "cancelled",
    [MAIL_ERROR_CACHE] = "cache",
};

const char *mail_error_name(MailError code)
{
    return (guint)code < MAIL_ERROR_N_CODES ? names[code] : "unknown";
}

gboolean mail_fail(GError **error, MailError code, const char *format, ...)
{
    va_list args;

    if (error) {
        va_start(args, format);
        g_assert(*error == NULL);
        *error = g_error_new_valist(MAIL_ERROR, code, format, args);
        va_end(args);
    }
    return FALSE;
}

static MailError code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ESTALE:
        return MAIL_ERROR_GONE;
    case EACCES:
    case EPERM:
        return MAIL_ERROR_DENIED;
    case EROFS:
        return MAIL_ERROR_READONLY;
    case EEXIST:
        return MAIL_ERROR_EXISTS;
    case ENOTEMPTY:
        return MAIL_ERROR_NOTEMPTY;
    case EFBIG:
        return MAIL_ERROR_TOOBIG;
    case ENOSPC:
    case EDQUOT:
        return MAIL_ERROR_NOSPACE;
    case EMFILE:
    case ENFILE:
        return MAIL_ERROR_BUSY;
    case ETIMEDOUT:
        return MAIL_ERROR_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENOTCONN:
        return MAIL_ERROR_OFFLINE;
    default:
        return MAIL_ERROR_CACHE;
    }
}

gboolean mail_fail_errno(GError **error, int errnum, const char *format, ...)
{
    g_autofree char *what = NULL;
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    return mail_fail(error, code_of_errno(errnum), "%s: %s", what, g_strerror(errnum));
}

gboolean mail_error_is(const GError *error, MailError code)
{
    return error && g_error_matches(error, MAIL_ERROR, code);
}

gboolean mail_error_is_connection(const GError *error)
{
    return mail_error_is(error, MAIL_ERROR_OFFLINE) || mail_error_is(error, MAIL_ERROR_TIMEOUT) ||
           mail_error_is(error, MAIL_ERROR_PROTOCOL);
}
