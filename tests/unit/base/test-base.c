/* The rest of the ground floor: errors, text from peers, deadlines, wake-ups, secrets, files. */
#include "base/cancel.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/io.h"
#include "base/secret.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_error_names(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint code = 0; code < MAIL_ERROR_N_CODES; code++) {
        const char *name = mail_error_name((MailError)code);

        g_assert_nonnull(name);
        g_assert_true(g_hash_table_add(seen, (gpointer)name));
    }
    g_assert_cmpstr(mail_error_name(MAIL_ERROR_N_CODES), ==, "unknown");
}

static void test_errno(void)
{
    static const struct {
        int errnum;
        MailError code;
    } cases[] = {
        {ENOENT, MAIL_ERROR_GONE},       {EACCES, MAIL_ERROR_DENIED},
        {ENOSPC, MAIL_ERROR_NOSPACE},    {EDQUOT, MAIL_ERROR_NOSPACE},
        {EROFS, MAIL_ERROR_READONLY},    {ECONNREFUSED, MAIL_ERROR_OFFLINE},
        {ETIMEDOUT, MAIL_ERROR_TIMEOUT}, {EIO, MAIL_ERROR_CACHE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(mail_fail_errno(&error, cases[i].errnum, "no %s", "luck"));
        g_assert_error(error, MAIL_ERROR, (gint)cases[i].code);
        g_assert_true(g_str_has_prefix(error->message, "no luck: "));
    }
    g_assert_false(mail_fail(NULL, MAIL_ERROR_GONE, "nobody listens"));
}

static void test_printable(void)
{
    static const struct {
        const char *bytes;
        gsize length, max;
        const char *expected;
    } cases[] = {
        {"plain", 5, 100, "plain"},
        {"a\033[31mb", 7, 100, "a\\x1b[31mb"},
        {"nul\0x", 5, 100, "nul\\x00x"},
        {"\xff\xfe", 2, 100, "\\xff\\xfe"},
        {"سلام", 8, 100, "سلام"},
        {"\xe2\x80\xae" "evil", 7, 100, "\\xe2\\x80\\xaeevil"},
        {"line\r\nbreak", 11, 100, "line\\x0d\\x0abreak"},
        {"abcdef", 6, 3, "abc..."},
        {"سلام", 8, 3, "س..."},
        {"\xd8", 1, 100, "\\xd8"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *got =
            text_printable(cases[i].bytes, cases[i].length, cases[i].max);

        g_assert_cmpstr(got, ==, cases[i].expected);
    }
}

static void test_number(void)
{
    guint64 n = 0;

    g_assert_true(text_parse_number("0", 1, 10, &n) && n == 0);
    g_assert_true(text_parse_number("10", 2, 10, &n) && n == 10);
    g_assert_false(text_parse_number("11", 2, 10, &n));
    g_assert_true(text_parse_number("18446744073709551615", 20, G_MAXUINT64, &n));
    g_assert_cmpuint(n, ==, G_MAXUINT64);
    g_assert_false(text_parse_number("18446744073709551616", 20, G_MAXUINT64, &n));
    g_assert_false(text_parse_number("", 0, 10, &n));
    g_assert_false(text_parse_number("-1", 2, 10, &n));
    g_assert_false(text_parse_number(" 1", 2, 10, &n));
    g_assert_false(text_parse_number("1x", 2, 10, &n));
}

static void test_deadline(void)
{
    g_assert_false(deadline_passed(DEADLINE_NEVER));
    g_assert_cmpint(deadline_poll_ms(DEADLINE_NEVER), ==, -1);
    g_assert_true(deadline_passed(deadline_now()));
    g_assert_cmpint(deadline_poll_ms(deadline_now() - 1), ==, 0);
    g_assert_false(deadline_passed(deadline_in(60)));
    g_assert_cmpint(deadline_poll_ms(deadline_in(60)), >, 50000);
    g_assert_cmpint(deadline_poll_ms(deadline_now() + 100), <=, 1);
}

static gboolean is_readable(Cancel *cancel)
{
    struct pollfd fd = {cancel_fd(cancel), POLLIN, 0};

    return poll(&fd, 1, 0) == 1;
}

static void test_cancel(void)
{
    g_autoptr(Cancel) cancel = cancel_new();

    g_assert_false(cancel_is_raised(NULL));
    g_assert_cmpint(cancel_fd(NULL), ==, -1);
    g_assert_false(cancel_is_raised(cancel) || is_readable(cancel));
    cancel_raise(cancel);
    cancel_raise(cancel);
    g_assert_true(cancel_is_raised(cancel) && is_readable(cancel));
    cancel_clear(cancel);
    g_assert_false(cancel_is_raised(cancel) || is_readable(cancel));
    cancel_raise(cancel);
    g_assert_true(is_readable(cancel));
}

static void test_secret(void)
{
    g_autoptr(Secret) secret = secret_new("a\0b", 3);
    Secret *second = secret_ref(secret);

    g_assert_cmpmem(secret_text(second), (int)secret_length(second), "a\0b", 3);
    secret_unref(second);
    g_assert_cmpint(secret_text(secret)[3], ==, '\0');
}

static void test_files(void)
{
    static const char *const made[] = {"a/b/c", "a/b", "a"};
    g_autofree char *path = g_dir_make_tmp("mailfs-io-XXXXXX", NULL), *below = NULL;
    g_autoptr(GError) error = NULL;
    struct stat st;
    autofd int dir = io_open_dir(path, &error), file = -1;
    g_autoptr(GBytes) bytes = NULL;

    g_assert_no_error(error);
    file = io_open_at(dir, "f", O_WRONLY | O_CREAT, 0600, &error);
    g_assert_true(io_write_all(file, "second", 6, &error));
    bytes = io_read_file(dir, "f", 6, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), (int)g_bytes_get_size(bytes), "second", 6);
    g_assert_null(io_read_file(dir, "f", 5, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_TOOBIG);
    g_clear_error(&error);
    g_assert_cmpint(symlinkat("f", dir, "link"), ==, 0);
    g_assert_cmpint(io_open_at(dir, "link", O_RDONLY, 0, &error), <, 0);
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_cmpint(g_chmod(path, 0777), ==, 0);
    g_assert_cmpint(io_open_dir(path, &error), <, 0);
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_DENIED);
    g_assert_cmpint(g_chmod(path, 0700), ==, 0);
    below = g_build_filename(path, "a", "b", "c", NULL);
    for (guint again = 0; again < 2; again++) {
        g_clear_error(&error);
        g_assert_true(io_make_dirs(below, &error));
    }
    g_assert_true(fstatat(dir, "a/b", &st, 0) == 0 && (st.st_mode & 07777) == 0700);
    g_free(below);
    below = g_build_filename(path, "f", "b", NULL);
    g_assert_false(io_make_dirs(below, &error));
    g_assert_nonnull(error);
    for (guint i = 0; i < G_N_ELEMENTS(made); i++)
        g_assert_cmpint(unlinkat(dir, made[i], AT_REMOVEDIR), ==, 0);
    g_assert_true(unlinkat(dir, "f", 0) == 0 && unlinkat(dir, "link", 0) == 0);
    g_assert_cmpint(g_rmdir(path), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/names", test_error_names);
    g_test_add_func("/error/errno", test_errno);
    g_test_add_func("/text/printable", test_printable);
    g_test_add_func("/text/number", test_number);
    g_test_add_func("/deadline", test_deadline);
    g_test_add_func("/cancel", test_cancel);
    g_test_add_func("/secret", test_secret);
    g_test_add_func("/io/files", test_files);
    return g_test_run();
}
