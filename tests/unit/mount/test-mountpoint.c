/* Which directories may be mounted on, and what is said of the others. */
#include "mount/mountpoint.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;

static char *at(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void test_prepare(void)
{
    g_autofree char *empty = at("empty"), *full = at("full"), *inside = at("full/x");
    g_autofree char *file = at("file"), *missing = at("missing"), *deep = at("a/b/c");
    struct {
        const char *dir;
        int code; /* -1: fine */
    } cases[] = {{empty, -1},
                 {full, MAIL_ERROR_NOTEMPTY},
                 {file, MAIL_ERROR_INVALID},
                 {missing, MAIL_ERROR_GONE},
                 {deep, -1}};
    struct stat st;

    g_assert_cmpint(mkdir(empty, 0700) | mkdir(full, 0700) | mkdir(inside, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, "", 0, NULL));
    g_assert_true(mountpoint_create(deep, NULL));
    g_assert_true(mountpoint_create(file, NULL)); /* there already: not for this function */
    g_assert_cmpint(stat(deep, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0700);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(mountpoint_prepare(cases[i].dir, &error), ==, cases[i].code == -1);
        if (cases[i].code != -1) {
            g_assert_error(error, MAIL_ERROR, cases[i].code);
            g_assert_nonnull(strstr(error->message, cases[i].dir));
        }
    }
}

static void test_resolve(void)
{
    g_autofree char *link = at("link"), *target = at("target"), *below = at("link/new");
    g_autofree char *real = NULL, *real_below = NULL, *expected_below = at("target/new");
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(mkdir(target, 0700) | symlink("target", link), ==, 0);
    real = mountpoint_resolve(link, NULL);
    g_assert_cmpstr(real, ==, target);
    real_below = mountpoint_resolve(below, NULL); /* is not there, but may be */
    g_assert_cmpstr(real_below, ==, expected_below);
    g_assert_null(mountpoint_resolve("/no/such/place", &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_GONE);
}

/* Root mounting for a user must not be led elsewhere by a link of theirs. */
static void test_open_for(void)
{
    g_autofree char *dir = at("for"), *link = at("for-link");
    g_autoptr(GError) followed = NULL, foreign = NULL;
    int fd;

    if (geteuid() != 0) {
        g_test_skip("needs root");
        return;
    }
    g_assert_cmpint(chmod(folder, 0755) | mkdir(dir, 0755) | symlink("for", link), ==, 0);
    fd = mountpoint_open_for(dir, 65534, 65534, NULL); /* root's own: the admin's choice */
    g_assert_cmpint(fd, >=, 0);
    (void)close(fd);
    g_assert_cmpint(geteuid(), ==, 0);
    g_assert_cmpint(mountpoint_open_for(link, 65534, 65534, &followed), ==, -1);
    g_assert_cmpint(chown(dir, 12345, 12345), ==, 0);
    g_assert_cmpint(mountpoint_open_for(dir, 65534, 65534, &foreign), ==, -1);
    g_assert_error(foreign, MAIL_ERROR, MAIL_ERROR_DENIED);
}

static void remove_all(void)
{
    static const char *const names[] = {"full/x", "full", "empty",  "file",   "a/b/c",   "a/b",
                                        "a",      "link", "target", "for-link", "for"};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = at(names[i]);

        (void)remove(path);
    }
    (void)rmdir(folder);
}

int main(int argc, char **argv)
{
    g_autofree char *made = g_dir_make_tmp("mailfs-mountpoint-XXXXXX", NULL);
    int code;

    g_test_init(&argc, &argv, NULL);
    folder = mountpoint_resolve(made, NULL); /* where /tmp is a link */
    g_test_add_func("/mount/mountpoint/prepare", test_prepare);
    g_test_add_func("/mount/mountpoint/resolve", test_resolve);
    g_test_add_func("/mount/mountpoint/open-for", test_open_for);
    code = g_test_run();
    remove_all();
    g_free(folder);
    return code;
}
