/* The -o options: ours, those of others, and mistakes. */
#include "mount/options.h"
#include "base/error.h"

static void test_ours(void)
{
    g_auto(MountOptions) options = {NULL};

    g_assert_true(mount_options_parse("setuid=ali,allow_other", &options, NULL));
    g_assert_true(mount_options_parse("log=/tmp/a b,config=/etc/x.conf,debug_fuse", &options,
                                      NULL));
    g_assert_cmpstr(options.setuid, ==, "ali");
    g_assert_cmpstr(options.log_path, ==, "/tmp/a b");
    g_assert_cmpstr(options.config_path, ==, "/etc/x.conf");
    g_assert_true(options.allow_other);
    g_assert_true(options.debug_fuse);
}

static void test_ignored(void)
{
    g_auto(MountOptions) options = {NULL};

    g_assert_true(mount_options_parse("ro,rw,noauto,nofail,_netdev,x-systemd.automount,user=ali,"
                                      "users,noatime,,nosuid,nodev,noexec,defaults,comment=x",
                                      &options, NULL));
    g_assert_null(options.setuid);
    g_assert_false(options.allow_other);
}

static void test_refused(void)
{
    /* Each would promise something that does not happen. */
    static const char *const cases[] = {"exec", "suid", "dev", "sync_read", "uid=5", "setuid",
                                        "setuid=", "allow_others", "ALLOW_OTHER", "remount"};

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(MountOptions) options = {NULL};
        g_autoptr(GError) error = NULL;

        g_assert_false(mount_options_parse(cases[i], &options, &error));
        g_assert_error(error, MAIL_ERROR, MAIL_ERROR_INVALID);
        g_assert_nonnull(g_strstr_len(error->message, -1, cases[i]));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mount/options/ours", test_ours);
    g_test_add_func("/mount/options/ignored", test_ignored);
    g_test_add_func("/mount/options/refused", test_refused);
    return g_test_run();
}
