/* Errors as errno values.  See errno.h. */
#include "fs/errno.h"
#include "base/error.h"

#include <errno.h>

static const int by_code[MAIL_ERROR_N_CODES] = {
    [MAIL_ERROR_GONE] = ENOENT,
    [MAIL_ERROR_DENIED] = EACCES,
    [MAIL_ERROR_READONLY] = EROFS,
    [MAIL_ERROR_EXISTS] = EEXIST,
    [MAIL_ERROR_NOTEMPTY] = ENOTEMPTY,
    [MAIL_ERROR_INVALID] = EINVAL,
    [MAIL_ERROR_TOOBIG] = EFBIG,
    [MAIL_ERROR_QUOTA] = EDQUOT,
    [MAIL_ERROR_NOSPACE] = ENOSPC,
    [MAIL_ERROR_UNSUPPORTED] = EOPNOTSUPP,
    [MAIL_ERROR_BUSY] = EBUSY, /* EAGAIN would make some try again at once, for ever */
    [MAIL_ERROR_OFFLINE] = ENETDOWN,
    [MAIL_ERROR_TIMEOUT] = ETIMEDOUT,
    [MAIL_ERROR_AUTH] = EACCES,
    [MAIL_ERROR_LOCKED] = ENOKEY,
    [MAIL_ERROR_PROTOCOL] = EIO,
    [MAIL_ERROR_DAMAGED] = EIO,
    /* EINTR for a cause that is no signal would make the caller try again at once, for ever. */
    [MAIL_ERROR_CANCELLED] = ETIMEDOUT,
    [MAIL_ERROR_CACHE] = EIO,
};

int fs_errno(const GError *error, gboolean on_handle)
{
    int code;

    if (!error || error->domain != MAIL_ERROR || error->code < 0 ||
        error->code >= MAIL_ERROR_N_CODES)
        return EIO;
    if (on_handle && error->code == MAIL_ERROR_GONE)
        return ESTALE;
    code = by_code[error->code];
    return code >= 1 && code <= 511 ? code : EIO;
}
