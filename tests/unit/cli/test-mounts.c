/* Finding a mount in mountinfo, by path and by account. */
#include "cli/mounts.h"
#include "base/error.h"
#include "base/mountinfo.h"

#include <string.h>
#include <unistd.h>

static const char *const mountinfo =
    "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
    "23 22 0:21 / /proc rw,relatime - proc proc rw\n"
    "90 22 0:50 / /home/ali/Mail/work rw,nosuid,nodev shared:7 master:2 - fuse.mailfs "
    "mailfs\\043work rw,user_id=4242,group_id=4242,default_permissions\n"
    "91 22 0:51 / /home/ali/Old\\040Mail rw - fuse.mailfs mailfs#old rw,user_id=4242\n"
    "92 22 0:52 / /srv/all rw - fuse.mailfs mailfs rw,user_id=0\n"
    "93 90 0:53 / /home/ali/Mail/work/tmp rw - tmpfs tmpfs rw\n"
    "94 22 0:54 / /home/ali/Mail/work2 rw - fuse.sshfs mailfs#work2 rw,user_id=4242\n"
    "95 22 0:55 / /home/ali/Mail/again rw - fuse.mailfs mailfs#work rw,user_id=4242\n";

/* The mounts of @text, as mountinfo has them. */
static GPtrArray *mounts_of(const char *text)
{
    g_autoptr(GPtrArray) entries = mountinfo_parse(text);

    return cli_mounts_new(entries);
}

static void test_new(void)
{
    g_autoptr(GPtrArray) mounts = mounts_of(mountinfo);
    const CliMount *work = g_ptr_array_index(mounts, 2), *old = g_ptr_array_index(mounts, 3);
    const CliMount *all = g_ptr_array_index(mounts, 4), *other = g_ptr_array_index(mounts, 6);

    g_assert_cmpuint(mounts->len, ==, 8);
    g_assert_cmpstr(work->dir, ==, "/home/ali/Mail/work");
    g_assert_cmpstr(work->account, ==, "work");
    g_assert_cmpuint(work->uid, ==, 4242);
    g_assert_true(work->is_mailfs);
    g_assert_cmpstr(old->dir, ==, "/home/ali/Old Mail");
    g_assert_true(all->is_mailfs);
    g_assert_null(all->account);
    g_assert_false(other->is_mailfs);
    g_assert_null(other->account);
}

static void test_by_path(void)
{
    static const struct {
        const char *path, *dir, *relative;
    } cases[] = {
        {"/home/ali/Mail/work", "/home/ali/Mail/work", ""},
        {"/home/ali/Mail/work/INBOX/x.eml", "/home/ali/Mail/work", "INBOX/x.eml"},
        {"/home/ali/Old Mail/a", "/home/ali/Old Mail", "a"},
        {"/srv/all/work/INBOX", "/srv/all", "work/INBOX"},
        {"/home/ali/Mail/work/tmp/x", NULL, NULL}, /* another file system in between */
        {"/home/ali/Mail/work2/x", NULL, NULL},
        {"/home/ali/Mail/workshop", NULL, NULL},
        {"/home/ali/Mail", NULL, NULL},
        {"/", NULL, NULL},
    };
    g_autoptr(GPtrArray) mounts = mounts_of(mountinfo);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *relative = NULL;
        const CliMount *mount = cli_mounts_by_path(mounts, cases[i].path, &relative);

        g_assert_cmpstr(mount ? mount->dir : NULL, ==, cases[i].dir);
        g_assert_cmpstr(relative, ==, cases[i].relative);
    }
}

static void test_by_account(void)
{
    g_autoptr(GPtrArray) mounts = mounts_of(mountinfo);

    g_assert_cmpstr(cli_mounts_by_account(mounts, "work")->dir, ==, "/home/ali/Mail/again");
    g_assert_cmpstr(cli_mounts_by_account(mounts, "old")->dir, ==, "/home/ali/Old Mail");
    g_assert_null(cli_mounts_by_account(mounts, "work2"));
    g_assert_null(cli_mounts_by_account(mounts, "wor"));
}

static void test_find(void)
{
    g_autoptr(GPtrArray) mounts = mounts_of(mountinfo);
    g_autoptr(GPtrArray) none = mounts_of("");
    g_autofree char *first = NULL, *second = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_nonnull(cli_mounts_find(mounts, "old", &first, &error));
    g_assert_cmpstr(first, ==, "");
    g_assert_nonnull(cli_mounts_find(mounts, "/srv/../srv/all//work", &second, &error));
    g_assert_cmpstr(second, ==, "work");

    g_assert_null(cli_mounts_find(mounts, "nobody", NULL, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_OFFLINE);
    g_clear_error(&error);
    g_assert_null(cli_mounts_find(mounts, "/no/such/path", NULL, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_GONE);
    g_clear_error(&error);
    g_assert_null(cli_mounts_find(none, NULL, NULL, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_OFFLINE);
}

/* Without an argument the only mount of this user is meant, and nobody else's. */
static void test_find_only(void)
{
    g_autofree char *text = g_strdup_printf(
        "90 22 0:50 / /a rw - fuse.mailfs mailfs#a rw,user_id=%u\n"
        "91 22 0:51 / /b rw - fuse.mailfs mailfs#b rw,user_id=%u\n",
        (guint)geteuid(), (guint)geteuid());
    g_autoptr(GPtrArray) both = mounts_of(text);
    g_autoptr(GPtrArray) one = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_null(cli_mounts_find(both, NULL, NULL, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_INVALID);
    strchr(text, '\n')[1] = '\0';
    one = mounts_of(text);
    g_assert_cmpstr(cli_mounts_find(one, NULL, NULL, NULL)->dir, ==, "/a");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mounts/new", test_new);
    g_test_add_func("/mounts/by-path", test_by_path);
    g_test_add_func("/mounts/by-account", test_by_account);
    g_test_add_func("/mounts/find", test_find);
    g_test_add_func("/mounts/find-only", test_find_only);
    return g_test_run();
}
