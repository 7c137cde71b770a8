/* Every error code has an errno that a caller can bear. */
#include "base/error.h"
#include "fs/errno.h"

#include <errno.h>

static void test_all(void)
{
    for (guint code = 0; code < MAIL_ERROR_N_CODES; code++) {
        g_autoptr(GError) error = NULL;

        mail_fail(&error, (MailError)code, "x");
        g_assert_cmpint(fs_errno(error, FALSE), >=, 1);
        g_assert_cmpint(fs_errno(error, FALSE), <=, 511); /* a larger one hangs the caller */
        g_assert_cmpint(fs_errno(error, FALSE), !=, EINTR);
    }
}

static void test_promised(void)
{
    static const struct {
        MailError code;
        int on_path, on_handle;
    } cases[] = {
        {MAIL_ERROR_OFFLINE, ENETDOWN, ENETDOWN}, {MAIL_ERROR_TIMEOUT, ETIMEDOUT, ETIMEDOUT},
        {MAIL_ERROR_AUTH, EACCES, EACCES},        {MAIL_ERROR_LOCKED, ENOKEY, ENOKEY},
        {MAIL_ERROR_QUOTA, EDQUOT, EDQUOT},       {MAIL_ERROR_TOOBIG, EFBIG, EFBIG},
        {MAIL_ERROR_READONLY, EROFS, EROFS},      {MAIL_ERROR_GONE, ENOENT, ESTALE},
        {MAIL_ERROR_PROTOCOL, EIO, EIO},          {MAIL_ERROR_NOSPACE, ENOSPC, ENOSPC},
        {MAIL_ERROR_BUSY, EBUSY, EBUSY},          {MAIL_ERROR_EXISTS, EEXIST, EEXIST},
        {MAIL_ERROR_INVALID, EINVAL, EINVAL},     {MAIL_ERROR_DENIED, EACCES, EACCES},
        {MAIL_ERROR_NOTEMPTY, ENOTEMPTY, ENOTEMPTY},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        mail_fail(&error, cases[i].code, "x");
        g_assert_cmpint(fs_errno(error, FALSE), ==, cases[i].on_path);
        g_assert_cmpint(fs_errno(error, TRUE), ==, cases[i].on_handle);
    }
}

static void test_strangers(void)
{
    g_autoptr(GError) error = g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_NOENT, "x");

    g_assert_cmpint(fs_errno(NULL, FALSE), ==, EIO);
    g_assert_cmpint(fs_errno(error, FALSE), ==, EIO);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/errno/all", test_all);
    g_test_add_func("/errno/promised", test_promised);
    g_test_add_func("/errno/strangers", test_strangers);
    return g_test_run();
}
