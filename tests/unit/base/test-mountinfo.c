/* Reading mountinfo: its fields, its octal escapes, and which mount is on a directory. */
#include "base/mountinfo.h"

static const char mountinfo[] =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/root rw\n"
    "\n"
    "nonsense\n"
    "30 27 0:40 / /half rw\n"
    "31 27 0:41 / /half rw - fuse\n"
    "32 27 0:41 / /half rw -\n"
    "33 27 0:41 / /half rw - fuse a\n"
    "x 27 0:41 / /half rw - fuse a b\n"
    "40 27 0:57 / /home/ali/Mail rw - fuse.mailfs mailfs\\043old rw,user_id=1000,group_id=1\n"
    "41 27 0:58 / /home/ali/Mail rw,nosuid shared:7 - fuse.mailfs mailfs\\043new rw,user_id=1001\n"
    "42 27 0:59 / /home/ali/Mail/sub rw - fuse.mailfs mailfs rw,user_id=0\n"
    "43 27 0:60 / /a\\040b\\011c\\134d\\043 rw - fuse.sshfs host: rw,user_id=4294967294\n"
    "44 27 0:61 / /cut\\04 rw - tmpfs tmpfs rw,user_id=5x";

static void test_parse(void)
{
    static const struct {
        guint64 id;
        const char *dir, *type, *source;
        gboolean has_user;
        uid_t user;
        guint32 device;
    } cases[] = {
        {22, "/proc", "proc", "proc", FALSE, 0, 21},
        {27, "/", "ext4", "/dev/root", FALSE, 0, 0},
        {40, "/home/ali/Mail", "fuse.mailfs", "mailfs#old", TRUE, 1000, 57},
        {41, "/home/ali/Mail", "fuse.mailfs", "mailfs#new", TRUE, 1001, 58},
        {42, "/home/ali/Mail/sub", "fuse.mailfs", "mailfs", TRUE, 0, 59},
        {43, "/a b\tc\\d#", "fuse.sshfs", "host:", TRUE, 4294967294, 60},
        {44, "/cut\\04", "tmpfs", "tmpfs", FALSE, 0, 61},
    };
    g_autoptr(GPtrArray) entries = mountinfo_parse(mountinfo);
    g_autoptr(GPtrArray) none = mountinfo_parse("");

    g_assert_cmpuint(none->len, ==, 0);
    g_assert_cmpuint(entries->len, ==, G_N_ELEMENTS(cases));
    for (guint i = 0; i < entries->len; i++) {
        const MountinfoEntry *entry = g_ptr_array_index(entries, i);

        g_assert_cmpuint(entry->id, ==, cases[i].id);
        g_assert_cmpstr(entry->dir, ==, cases[i].dir);
        g_assert_cmpstr(entry->type, ==, cases[i].type);
        g_assert_cmpstr(entry->source, ==, cases[i].source);
        g_assert_cmpint(entry->has_user, ==, cases[i].has_user);
        g_assert_cmpuint(entry->user, ==, cases[i].user);
        g_assert_cmpuint(entry->device, ==, cases[i].device);
    }
}

/* Only three octal digits of one byte are an escape; the rest stays as it is. */
static void test_escapes(void)
{
    static const struct {
        const char *field, *dir;
    } cases[] = {
        {"/\\040", "/ "},     {"/\\0401", "/ 1"},   {"/\\134040", "/\\040"},
        {"/\\400", "/\\400"}, {"/\\048", "/\\048"}, {"/\\303\\244", "/\xc3\xa4"},
        {"/\\04", "/\\04"},   {"/\\", "/\\"},       {"/\\\\040", "/\\ "},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *line = g_strdup_printf("1 0 0:1 / %s rw - fuse x rw", cases[i].field);
        g_autoptr(GPtrArray) entries = mountinfo_parse(line);
        g_autoptr(MountinfoEntry) entry = mountinfo_take(entries, cases[i].dir);

        g_assert_nonnull(entry);
    }
}

static void test_user(void)
{
    static const struct {
        const char *options;
        gboolean has_user;
        uid_t user;
    } cases[] = {
        {"user_id=7", TRUE, 7},      {"rw,user_id=7,group_id=8", TRUE, 7},
        {"rw,xuser_id=7", FALSE, 0}, {"rw,user_id=", FALSE, 0},
        {"rw,user_id=-1", FALSE, 0}, {"rw,user_id=4294967295", FALSE, 0},
        {"rw,blksize=512", FALSE, 0},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *line = g_strdup_printf("1 0 0:1 / /x rw - fuse x %s", cases[i].options);
        g_autoptr(GPtrArray) entries = mountinfo_parse(line);
        g_autoptr(MountinfoEntry) entry = mountinfo_take(entries, "/x");

        g_assert_nonnull(entry);
        g_assert_cmpint(entry->has_user, ==, cases[i].has_user);
        g_assert_cmpuint(entry->user, ==, cases[i].user);
    }
}

static void test_take(void)
{
    g_autoptr(GPtrArray) entries = mountinfo_parse(mountinfo);
    guint n_before = entries->len;
    g_autoptr(MountinfoEntry) top = mountinfo_take(entries, "/home/ali/Mail");
    g_autoptr(MountinfoEntry) under = mountinfo_take(entries, "/home/ali/Mail");

    g_assert_nonnull(top);
    g_assert_cmpuint(top->id, ==, 41);
    g_assert_nonnull(under);
    g_assert_cmpuint(under->id, ==, 40);
    g_assert_cmpuint(entries->len, ==, n_before - 2);
    g_assert_null(mountinfo_take(entries, "/home/ali/Mail"));
    g_assert_null(mountinfo_take(entries, "/home/ali/Mai"));
    g_assert_null(mountinfo_take(entries, "/home/ali/Mail/"));
    g_assert_null(mountinfo_take(entries, "/half"));
}

static void test_read(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) entries = mountinfo_read(&error);
    g_autoptr(MountinfoEntry) proc = entries ? mountinfo_take(entries, "/proc") : NULL;

    g_assert_no_error(error);
    g_assert_nonnull(proc);
    g_assert_cmpstr(proc->type, ==, "proc");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mountinfo/parse", test_parse);
    g_test_add_func("/mountinfo/escapes", test_escapes);
    g_test_add_func("/mountinfo/user", test_user);
    g_test_add_func("/mountinfo/take", test_take);
    g_test_add_func("/mountinfo/read", test_read);
    return g_test_run();
}
