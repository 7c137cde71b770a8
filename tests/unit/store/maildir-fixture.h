/* What the tests of Maildirs share: a folder below /tmp, and files in it as other programs make
 * them. */
#pragma once

#include "disk-fixture.h"

#include "store/maildir.h"

#include <errno.h>

static inline void make_dirs(const char *root, const char *const *dirs)
{
    for (; *dirs; dirs++) {
        g_autofree char *path = in(root, *dirs);

        g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
    }
}

/* cur, new and tmp in @root/@folder. */
static inline void make_maildir(const char *root, const char *folder)
{
    g_autofree char *path = in(root, folder);

    make_dirs(path, (const char *const[]){"cur", "new", "tmp", NULL});
}

/* A file as if it had been delivered at @when. */
static inline void put_file(const char *root, const char *name, const char *text, gint64 when)
{
    g_autofree char *path = in(root, name);
    const struct timespec times[] = {{.tv_sec = when}, {.tv_sec = when}};

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(utimensat(AT_FDCWD, path, times, 0), ==, 0);
}

static inline void move_file(const char *root, const char *from, const char *to)
{
    g_autofree char *old = in(root, from), *new = in(root, to);

    g_assert_cmpint(rename(old, new), ==, 0);
}

static inline char *text_of(const char *root, const char *name)
{
    g_autofree char *path = in(root, name);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static inline MaildirTree *open_tree(const char *root)
{
    g_autoptr(GError) error = NULL;
    MaildirTree *tree = maildir_tree_open(root, FALSE, &error);

    g_assert_no_error(error);
    return tree;
}

/* The wire names, joined with blanks. */
static inline char *list_of(MaildirTree *tree)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) wires = maildir_tree_list(tree, NULL, &error);

    g_assert_no_error(error);
    g_ptr_array_add(wires, NULL);
    return g_strjoinv(" ", (char **)wires->pdata);
}

static inline void assert_list(MaildirTree *tree, const char *expected)
{
    g_autofree char *found = list_of(tree);

    g_assert_cmpstr(found, ==, expected);
}

static inline MaildirFolder *open_folder(MaildirTree *tree, const char *wire)
{
    g_autoptr(GError) error = NULL;
    MaildirFolder *folder = maildir_folder_open(tree, wire, &error);

    g_assert_no_error(error);
    return folder;
}
