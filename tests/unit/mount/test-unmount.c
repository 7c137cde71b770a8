/* Which mount is on a directory, and is it ours? */
#include "mount/unmount.h"

#include <unistd.h>

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
        MountinfoEntry entry = {.type = (char *)cases[i].type,
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
    g_autoptr(MountinfoEntry) root = mount_entry_find("/proc");

    g_assert_nonnull(root);
    g_assert_cmpstr(root->type, ==, "proc");
    g_assert_null(mount_entry_find("/no/such/mount"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mount/unmount/is-ours", test_is_ours);
    g_test_add_func("/mount/unmount/find", test_find);
    return g_test_run();
}
