/* Reading mountinfo: which mount is on a directory, and is it ours? */
#include "mount/unmount.h"

#include <unistd.h>

static const char mountinfo[] =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/root rw\n"
    "\n"
    "nonsense\n"
    "30 27 0:40 / /half rw\n"
    "31 27 0:41 / /half rw - fuse\n"
    "x 27 0:41 / /half rw - fuse a b\n"
    "40 27 0:57 / /home/ali/Mail rw - fuse.mailfs mailfs\\043old rw,user_id=1000,group_id=1\n"
    "41 27 0:58 / /home/ali/Mail rw,nosuid shared:7 - fuse.mailfs mailfs\\043new rw,user_id=1001\n"
    "42 27 0:59 / /home/ali/Mail/sub rw - fuse.mailfs mailfs rw,user_id=0\n"
    "43 27 0:60 / /a\\040b\\011c\\134d\\043 rw - fuse.sshfs host: rw,user_id=4294967294\n"
    "44 27 0:61 / /cut\\04 rw - tmpfs tmpfs rw,user_id=5x";

static void test_parse(void)
{
    g_autoptr(MountEntry) top = mount_entry_parse(mountinfo, "/home/ali/Mail");
    g_autoptr(MountEntry) odd = mount_entry_parse(mountinfo, "/a b\tc\\d#");
    g_autoptr(MountEntry) last = mount_entry_parse(mountinfo, "/cut\\04");

    g_assert_nonnull(top);
    g_assert_cmpuint(top->id, ==, 41);
    g_assert_cmpstr(top->device, ==, "0:58");
    g_assert_cmpstr(top->type, ==, "fuse.mailfs");
    g_assert_cmpstr(top->source, ==, "mailfs#new");
    g_assert_true(top->has_user);
    g_assert_cmpuint(top->user, ==, 1001);
    g_assert_nonnull(odd);
    g_assert_cmpstr(odd->source, ==, "host:");
    g_assert_nonnull(last);
    g_assert_false(last->has_user);
    g_assert_null(mount_entry_parse(mountinfo, "/home/ali/Mai"));
    g_assert_null(mount_entry_parse(mountinfo, "/home/ali/Mail/"));
    g_assert_null(mount_entry_parse(mountinfo, "/half"));
    g_assert_null(mount_entry_parse("", "/"));
}

static void test_is_ours(void)
{
    static const struct {
        const char *type, *source;
        gboolean has_user, is_ours;
    } cases[] = {
        {"fuse.mailfs", "mailfs#work", TRUE, TRUE}, {"fuse", "mailfs", TRUE, TRUE},
        {"fuse.mailfs", "renamed", TRUE, TRUE},     {"fuse.mailfs", "mailfs#work", FALSE, FALSE},
        {"fuse.sshfs", "mailfsx", TRUE, FALSE},     {"ext4", "mailfs#work", TRUE, FALSE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        MountEntry entry = {.type = (char *)cases[i].type,
                            .source = (char *)cases[i].source,
                            .has_user = cases[i].has_user,
                            .user = geteuid()};

        g_assert_cmpint(mount_entry_is_ours(&entry), ==, cases[i].is_ours);
        entry.user++;
        g_assert_false(mount_entry_is_ours(&entry));
    }
}

static void test_find(void)
{
    g_autoptr(MountEntry) root = mount_entry_find("/proc");

    g_assert_nonnull(root);
    g_assert_cmpstr(root->type, ==, "proc");
    g_assert_null(mount_entry_find("/no/such/mount"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mount/unmount/parse", test_parse);
    g_test_add_func("/mount/unmount/is-ours", test_is_ours);
    g_test_add_func("/mount/unmount/find", test_find);
    return g_test_run();
}
