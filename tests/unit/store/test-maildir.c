/* Maildirs: names, layouts, folders, messages, and the ledger that follows them. */
#include "maildir-fixture.h"

#include "base/io.h"
#include "base/limits.h"

typedef struct {
    char *root;
    int ledgers; /* the folder that the ledger is in */
} Place;

static void setup(Place *place, gconstpointer data)
{
    g_autofree char *dir = g_dir_make_tmp("mailfs-maildir-XXXXXX", NULL);

    place->ledgers = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    place->root = g_build_filename(dir, "Mail", NULL);
    make_dirs(place->root, (const char *const[]){".", NULL});
}

static void teardown(Place *place, gconstpointer data)
{
    g_autofree char *dir = g_path_get_dirname(place->root);

    (void)close(place->ledgers);
    remove_tree(dir);
    g_free(place->root);
}

/* -- Names ------------------------------------------------------------------------------------- */

static void test_file_names(void)
{
    static const struct {
        const char *name;
        gboolean is_new;
        const char *base;
        guint16 flags;
        gboolean is_passed;
    } good[] = {
        {"123.a.host", TRUE, "123.a.host", 0, FALSE},
        {"123.a.host:2,", FALSE, "123.a.host", 0, FALSE},
        {"123.a.host:2,FS", FALSE, "123.a.host", MESSAGE_FLAGGED | MESSAGE_SEEN, FALSE},
        {"x,S=12,U=5:2,DFPRSTab", FALSE, "x,S=12",
         MESSAGE_DRAFT | MESSAGE_FLAGGED | MESSAGE_ANSWERED | MESSAGE_SEEN | MESSAGE_DELETED,
         TRUE},
        {"x:2,FS", TRUE, "x", MESSAGE_FLAGGED, FALSE},
        {"x:1,FS", FALSE, "x", 0, FALSE},
        {"x,U=5,S=12,U=:2,S", FALSE, "x,S=12,U=", MESSAGE_SEEN, FALSE},
        {"x,U=5", TRUE, "x", 0, FALSE},
        {"x,U=5a,UX=1,U=6,U=7", TRUE, "x,U=5a,UX=1", 0, FALSE},
        {"a\nb:2,S", FALSE, "a%0Ab", MESSAGE_SEEN, FALSE},
    };
    static const char *const bad[] = {"", ".hidden", ":2,S", "."};

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(MaildirFile) file = maildir_file_parse(good[i].name, good[i].is_new);
        g_autofree char *base = maildir_file_base(good[i].name);

        g_assert_nonnull(file);
        g_assert_cmpstr(base, ==, good[i].base);
        g_assert_cmpuint(file->flags, ==, good[i].flags);
        g_assert_cmpint(file->is_passed, ==, good[i].is_passed);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_null(maildir_file_parse(bad[i], FALSE));
}

static void test_file_renamed(void)
{
    static const struct {
        const char *name;
        guint16 flags;
        gboolean is_passed;
        const char *after;
    } cases[] = {
        {"x", MESSAGE_SEEN, FALSE, "x:2,S"},
        {"x:2,S", 0, FALSE, "x:2,"},
        {"x:2,baS", MESSAGE_DRAFT | MESSAGE_DELETED, TRUE, "x:2,DPTab"},
        {"x:1,old", MESSAGE_FLAGGED, FALSE, "x:2,F"},
        {"a\nb", MESSAGE_SEEN, FALSE, "a\nb:2,S"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *after =
            maildir_file_rename(cases[i].name, cases[i].flags, cases[i].is_passed);

        g_assert_cmpstr(after, ==, cases[i].after);
    }
}

static void test_file_unique(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < 1000; i++) {
        char *base = maildir_file_unique();

        g_assert_null(strpbrk(base, "/:\n"));
        g_assert_true(g_ascii_isdigit(base[0]));
        g_assert_true(g_hash_table_add(seen, base));
    }
}

/* -- Layouts ----------------------------------------------------------------------------------- */

static void test_plusplus(Place *place, gconstpointer data)
{
    g_autoptr(MaildirTree) tree = NULL;
    g_autoptr(MaildirFolder) folder = NULL;

    make_maildir(place->root, ".");
    make_maildir(place->root, ".Sent");
    make_maildir(place->root, ".Lists.mailfs");
    make_maildir(place->root, ".&BjUGRgYvBkgGQg-"); /* Persian, by Courier or Dovecot */
    make_maildir(place->root, ".سرنامه");           /* ... by Dovecot with UTF-8 names */
    make_dirs(place->root, (const char *const[]){".notmuch/xapian", ".empty", "plain", NULL});
    put_file(place->root, "dovecot-uidlist", "3 V1", 1);
    tree = open_tree(place->root);
    g_assert_cmpint(maildir_tree_layout(tree), ==, MAILDIR_PLUSPLUS);
    {
        g_autofree char *found = list_of(tree);

        g_assert_nonnull(strstr(found, "INBOX"));
        g_assert_nonnull(strstr(found, "Lists/mailfs"));
        g_assert_nonnull(strstr(found, "Sent"));
        g_assert_nonnull(strstr(found, "سرنامه"));
        g_assert_null(strstr(found, "notmuch"));
        g_assert_null(strstr(found, "empty"));
        g_assert_null(strstr(found, "plain"));
    }
    folder = open_folder(tree, "سرنامه");
    g_clear_pointer(&folder, maildir_folder_free);
    folder = open_folder(tree, "Lists/mailfs");
}

static void test_fs(Place *place, gconstpointer data)
{
    g_autoptr(MaildirTree) tree = NULL;

    make_maildir(place->root, "Inbox");
    make_maildir(place->root, "Archive/2025");
    make_maildir(place->root, "Archive/2026/May");
    make_maildir(place->root, ".hidden");
    make_dirs(place->root, (const char *const[]){"nothing", NULL});
    tree = open_tree(place->root);
    g_assert_cmpint(maildir_tree_layout(tree), ==, MAILDIR_FS);
    assert_list(tree, "Archive/2025 Archive/2026/May INBOX");
    maildir_folder_free(open_folder(tree, "INBOX"));
    maildir_folder_free(open_folder(tree, "Archive/2026/May"));
}

static void test_roots(Place *place, gconstpointer data)
{
    g_autoptr(MaildirTree) tree = open_tree(place->root);

    g_assert_cmpint(maildir_tree_layout(tree), ==, MAILDIR_FS);
    assert_list(tree, "");
    g_clear_pointer(&tree, maildir_tree_free);
    make_maildir(place->root, ".");
    tree = open_tree(place->root);
    g_assert_cmpint(maildir_tree_layout(tree), ==, MAILDIR_PLUSPLUS);
    assert_list(tree, "INBOX");
    g_clear_pointer(&tree, maildir_tree_free);
    make_maildir(place->root, "Box/Deep"); /* Dovecot's LAYOUT=fs */
    tree = open_tree(place->root);
    g_assert_cmpint(maildir_tree_layout(tree), ==, MAILDIR_FS);
    assert_list(tree, "Box/Deep INBOX");
}

static void test_missing(Place *place, gconstpointer data)
{
    g_autofree char *path = in(place->root, "not/there");
    g_autoptr(GError) error = NULL;
    g_autoptr(MaildirTree) tree = maildir_tree_open(path, FALSE, &error);

    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_GONE);
    g_clear_error(&error);
    tree = maildir_tree_open(path, TRUE, &error);
    g_assert_no_error(error);
    g_assert_true(maildir_tree_is_writable(tree));
    g_assert_null(maildir_folder_open(tree, "Box", &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_GONE);
}

/* Nothing that a symlink, or a name, leads to. */
static void test_hostile_links(Place *place, gconstpointer data)
{
    static const char *const names[] = {"..", "../x", "a/../b", "cur", "a/new", ".x", "a//b", ""};
    g_autofree char *outside = in(place->root, "../Outside"), *link = in(place->root, "Link");
    g_autofree char *cur = in(place->root, "Box/cur"), *file = in(place->root, "Good/cur/x:2,");
    g_autoptr(MaildirTree) tree = NULL;
    g_autoptr(MaildirFolder) folder = NULL;
    g_autoptr(MaildirFile) linked = maildir_file_parse("x:2,", FALSE);
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) files = NULL;

    make_maildir(place->root, "../Outside");
    make_maildir(place->root, "Good");
    make_dirs(place->root, (const char *const[]){"Box/new", NULL});
    g_assert_cmpint(symlink(outside, link), ==, 0);
    g_assert_cmpint(symlink("../../Outside/cur", cur), ==, 0);
    g_assert_cmpint(symlink("/etc/passwd", file), ==, 0);
    tree = open_tree(place->root);
    assert_list(tree, "Good");
    g_assert_null(maildir_folder_open(tree, "Link", NULL));
    g_assert_null(maildir_folder_open(tree, "Box", NULL));
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_null(maildir_folder_open(tree, names[i], NULL));
        g_assert_false(maildir_tree_create(tree, names[i], NULL));
        g_assert_false(maildir_tree_rename(tree, "Good", names[i], NULL));
        g_assert_false(maildir_tree_delete(tree, names[i], NULL));
    }
    folder = open_folder(tree, "Good");
    g_assert_cmpint(maildir_folder_open_file(folder, linked, NULL, NULL, &error), ==, -1);
    g_assert_nonnull(error);
    g_assert_null(maildir_folder_copy(folder, linked, folder, NULL));
    files = maildir_folder_scan(folder, NULL);
    g_assert_cmpuint(g_hash_table_size(files), ==, 0);
}

static void test_deep(Place *place, gconstpointer data)
{
    g_autoptr(GString) path = g_string_new("a");
    g_autoptr(MaildirTree) tree = NULL;
    g_autoptr(GPtrArray) wires = NULL;
    guint n_left_out = 0;

    for (guint i = 1; i < LIMIT_MAILBOX_DEPTH + 2; i++)
        g_string_append(path, "/a");
    make_maildir(place->root, path->str);
    g_string_truncate(path, 2 * LIMIT_MAILBOX_DEPTH - 1);
    make_maildir(place->root, path->str);
    tree = open_tree(place->root);
    wires = maildir_tree_list(tree, &n_left_out, NULL);
    g_assert_cmpuint(wires->len, ==, 1);
}

/* -- Folders made, renamed, removed ------------------------------------------------------------ */

static void create(MaildirTree *tree, const char *wire)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(maildir_tree_create(tree, wire, &error));
    g_assert_no_error(error);
}

static void refuse(gboolean ok, GError **error, MailError code)
{
    g_assert_false(ok);
    g_assert_error(*error, MAIL_ERROR, (int)code);
    g_clear_error(error);
}

static void try_folders(MaildirTree *tree, const char *root, const char *new_of_sub)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *mail = g_strconcat(new_of_sub, "/x", NULL);

    create(tree, "Box/Sub");
    create(tree, "Box");
    create(tree, "خانه");
    refuse(maildir_tree_create(tree, "Box", &error), &error, MAIL_ERROR_EXISTS);
    refuse(maildir_tree_rename(tree, "Nothing", "Else", &error), &error, MAIL_ERROR_GONE);
    refuse(maildir_tree_rename(tree, "Box", "خانه", &error), &error, MAIL_ERROR_EXISTS);
    refuse(maildir_tree_delete(tree, "Box", &error), &error, MAIL_ERROR_NOTEMPTY);
    put_file(root, mail, "Subject: x\n\n", 1);
    refuse(maildir_tree_delete(tree, "Box/Sub", &error), &error, MAIL_ERROR_NOTEMPTY);
    g_assert_true(exists(root, mail));
    g_assert_true(maildir_tree_rename(tree, "Box", "خانه/نو", &error));
    g_assert_no_error(error);
    assert_list(tree, "INBOX خانه خانه/نو خانه/نو/Sub");
    {
        g_autoptr(MaildirFolder) folder = open_folder(tree, "خانه/نو/Sub");
        g_autoptr(GHashTable) files = maildir_folder_scan(folder, NULL);
        g_autoptr(MaildirFile) file = maildir_file_parse("x", TRUE);

        g_assert_cmpuint(g_hash_table_size(files), ==, 1);
        g_assert_true(maildir_folder_remove(folder, file, NULL));
    }
    g_assert_true(maildir_tree_delete(tree, "خانه/نو/Sub", &error));
    g_assert_true(maildir_tree_delete(tree, "خانه/نو", &error));
    g_assert_true(maildir_tree_delete(tree, "خانه", &error));
    refuse(maildir_tree_delete(tree, "خانه", &error), &error, MAIL_ERROR_GONE);
    assert_list(tree, "INBOX");
}

static void test_folders_fs(Place *place, gconstpointer data)
{
    g_autoptr(MaildirTree) tree = open_tree(place->root);

    create(tree, "INBOX");
    try_folders(tree, place->root, "Box/Sub/new");
}

static void test_folders_plusplus(Place *place, gconstpointer data)
{
    g_autoptr(MaildirTree) tree = NULL;
    g_autoptr(GError) error = NULL;

    make_maildir(place->root, ".");
    tree = open_tree(place->root);
    try_folders(tree, place->root, ".Box.Sub/new");
    refuse(maildir_tree_create(tree, "a.b", &error), &error, MAIL_ERROR_INVALID);
    refuse(maildir_tree_delete(tree, "INBOX", &error), &error, MAIL_ERROR_DENIED);
    create(tree, "Box");
    g_assert_true(exists(place->root, ".Box/maildirfolder"));
    /* What servers keep of a folder goes with it, what is nobody's keeps it. */
    put_file(place->root, ".Box/dovecot-uidlist", "3", 1);
    put_file(place->root, ".Box/notes", "mine", 1);
    refuse(maildir_tree_delete(tree, "Box", &error), &error, MAIL_ERROR_NOTEMPTY);
    g_assert_true(exists(place->root, ".Box/dovecot-uidlist"));
    move_file(place->root, ".Box/notes", "notes");
    put_file(place->root, ".Box/tmp/old", "given up", 1);
    g_assert_true(maildir_tree_delete(tree, "Box", &error));
    g_assert_false(exists(place->root, ".Box"));
}

/* A mere level of folders. */
static void test_levels(Place *place, gconstpointer data)
{
    g_autoptr(MaildirTree) tree = open_tree(place->root);
    g_autoptr(GError) error = NULL;

    create(tree, "A/B/C");
    assert_list(tree, "A/B/C");
    g_assert_true(maildir_tree_rename(tree, "A/B", "D", &error));
    g_assert_no_error(error);
    assert_list(tree, "D/C");
    g_assert_true(maildir_tree_delete(tree, "A", &error));
    create(tree, "D");
    assert_list(tree, "D D/C");
}

/* -- Messages ---------------------------------------------------------------------------------- */

static int octets(const char *text)
{
    char name[] = "/tmp/mailfs-octets-XXXXXX";
    int fd = mkstemp(name);

    (void)unlink(name);

    g_assert_true(io_write_all(fd, text, strlen(text), NULL));
    return fd;
}

static MaildirFile *deliver(MaildirFolder *folder, const char *text, guint16 flags)
{
    autofd int fd = octets(text);
    const MaildirDelivery delivery = {
        .fd = fd, .size = strlen(text), .date = 1234567890, .flags = flags};
    g_autoptr(GError) error = NULL;
    MaildirFile *file = maildir_folder_put(folder, &delivery, &error);

    g_assert_no_error(error);
    g_assert_true(maildir_folder_flush(folder, &error));
    return file;
}

static void test_messages(Place *place, gconstpointer data)
{
    static const char text[] = "Subject: x\n\nbare LF\r\nand CRLF\n";
    g_autoptr(MaildirTree) tree = NULL;
    g_autoptr(MaildirFolder) folder = NULL, other = NULL;
    g_autoptr(MaildirFile) fresh = NULL, seen = NULL, copy = NULL;
    g_autoptr(GBytes) header = NULL;
    g_autofree char *name = NULL, *found = NULL;
    guint64 size;
    gint64 date;

    make_maildir(place->root, "Box");
    make_maildir(place->root, "Other");
    tree = open_tree(place->root);
    folder = open_folder(tree, "Box");
    other = open_folder(tree, "Other");
    fresh = deliver(folder, text, 0);
    seen = deliver(folder, text, MESSAGE_SEEN);
    g_assert_true(fresh->is_new);
    g_assert_true(!seen->is_new && g_str_has_suffix(seen->name, ":2,S"));
    name = g_strconcat("Box/new/", fresh->name, NULL);
    found = text_of(place->root, name);
    g_assert_cmpstr(found, ==, text);
    header = maildir_folder_read_header(folder, fresh, &size, &date, NULL);
    g_assert_nonnull(header);
    g_assert_cmpuint(size, ==, strlen(text));
    g_assert_cmpint(date, ==, 1234567890);
    /* What it is already stays where it is; other flags bring it into cur/. */
    g_assert_true(maildir_folder_set_flags(folder, fresh, 0, FALSE, NULL));
    g_assert_true(fresh->is_new);
    copy = maildir_folder_copy(folder, fresh, other, NULL);
    g_assert_true(copy && copy->is_new);
    g_assert_cmpstr(copy->name, !=, fresh->name);
    g_assert_true(maildir_folder_set_flags(folder, fresh, MESSAGE_FLAGGED, TRUE, NULL));
    g_assert_true(!fresh->is_new && g_str_has_suffix(fresh->name, ":2,FP"));
    g_assert_false(exists(place->root, name));
    g_assert_true(maildir_folder_remove(folder, seen, NULL));
    g_assert_false(maildir_folder_remove(folder, seen, NULL));
    g_assert_true(maildir_folder_flush(folder, NULL) && maildir_folder_flush(other, NULL));
    {
        g_autofree char *tmp = in(place->root, "Box/tmp");
        g_autoptr(GDir) dir = g_dir_open(tmp, 0, NULL);

        g_assert_null(g_dir_read_name(dir));
    }
}

static void test_long_header(Place *place, gconstpointer data)
{
    g_autofree char *long_header = g_strnfill(LIMIT_HEADER * 2, 'x');
    g_autofree char *field = g_strnfill(20000, 'y');
    g_autofree char *text = g_strconcat("X: ", field, "\r\nSubject: z\r\n\r\nbody", NULL);
    g_autoptr(MaildirFile) endless = maildir_file_parse("1", TRUE);
    g_autoptr(MaildirFile) longer = maildir_file_parse("2", TRUE);
    g_autoptr(MaildirTree) tree = NULL;
    g_autoptr(MaildirFolder) folder = NULL;
    g_autoptr(GBytes) header = NULL;

    make_maildir(place->root, "Box");
    put_file(place->root, "Box/new/1", long_header, 1);
    put_file(place->root, "Box/new/2", text, 1);
    tree = open_tree(place->root);
    folder = open_folder(tree, "Box");
    header = maildir_folder_read_header(folder, endless, NULL, NULL, NULL);
    g_assert_cmpuint(g_bytes_get_size(header), ==, LIMIT_HEADER);
    g_clear_pointer(&header, g_bytes_unref);
    header = maildir_folder_read_header(folder, longer, NULL, NULL, NULL);
    g_assert_cmpuint(g_bytes_get_size(header), ==, strlen(text));
}

/* -- The ledger follows ------------------------------------------------------------------------ */

static char *set_text(const UidSet *set)
{
    return uid_set_format(set);
}

static void assert_sync(MaildirFolder *folder, Ledger *ledger, const char *added,
                        const char *changed, const char *vanished)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *found_added = NULL, *found_changed = NULL, *found_vanished = NULL;
    MaildirSync sync;

    g_assert_true(maildir_sync(folder, ledger, &sync, &error));
    g_assert_no_error(error);
    found_added = set_text(sync.added);
    found_changed = set_text(sync.changed);
    found_vanished = set_text(sync.vanished);
    maildir_sync_clear(&sync);
    g_assert_cmpstr(found_added, ==, added);
    g_assert_cmpstr(found_changed, ==, changed);
    g_assert_cmpstr(found_vanished, ==, vanished);
}

static void test_sync(Place *place, gconstpointer data)
{
    g_autoptr(MaildirTree) tree = NULL;
    g_autoptr(MaildirFolder) folder = NULL;
    g_autoptr(Ledger) ledger = ledger_open(place->ledgers, "x.ledger", NULL);

    make_maildir(place->root, "Box");
    put_file(place->root, "Box/cur/b:2,S", "Subject: x\n\n", 100);
    put_file(place->root, "Box/new/c", "Subject: x\n\n", 50);
    put_file(place->root, "Box/new/a", "Subject: x\n\n", 100);
    put_file(place->root, "Box/new/.hidden", "no message", 100);
    tree = open_tree(place->root);
    folder = open_folder(tree, "Box");
    assert_sync(folder, ledger, "1:3", "", "");
    /* In the order of their delivery. */
    g_assert_cmpstr(ledger_key(ledger, 1, "f:"), ==, "f:c");
    g_assert_cmpstr(ledger_key(ledger, 2, "f:"), ==, "f:a");
    g_assert_cmpstr(ledger_key(ledger, 3, "f:"), ==, "f:b");
    g_assert_cmpint(ledger_find_uid(ledger, 1)->date, ==, 50);
    g_assert_cmpuint(ledger_find_uid(ledger, 3)->flags, ==, MESSAGE_SEEN);
    assert_sync(folder, ledger, "", "", "");
    /* Another program looks at one, flags one, removes one. */
    move_file(place->root, "Box/new/c", "Box/cur/c:2,S");
    move_file(place->root, "Box/cur/b:2,S", "Box/cur/b:2,FPSx");
    assert_sync(folder, ledger, "", "1,3", "");
    g_assert_cmpstr(ledger_find_uid(ledger, 3)->keywords, ==, MESSAGE_PASSED);
    move_file(place->root, "Box/new/a", "a");
    assert_sync(folder, ledger, "", "", "2");
    /* What comes back is another. */
    move_file(place->root, "a", "Box/new/a");
    assert_sync(folder, ledger, "4", "", "");
    /* Seen on its way from new to cur, or doubled by somebody: one message. */
    put_file(place->root, "Box/cur/a:2,S", "Subject: x\n\n", 100);
    assert_sync(folder, ledger, "", "4", "");
    /* Keywords, which no name can have, stay when flags change. */
    ledger_set_flags(ledger, 3, ledger_find_uid(ledger, 3)->flags, "$Forwarded blue");
    move_file(place->root, "Box/cur/b:2,FPSx", "Box/cur/b:2,x");
    assert_sync(folder, ledger, "", "3", "");
    g_assert_cmpstr(ledger_find_uid(ledger, 3)->keywords, ==, "blue");
}

static void test_stamp(Place *place, gconstpointer data)
{
    const struct timespec past[] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    g_autoptr(MaildirTree) tree = NULL;
    g_autoptr(MaildirFolder) folder = NULL;
    g_autoptr(Ledger) ledger = ledger_open(place->ledgers, "x.ledger", NULL);
    g_autofree char *cur = in(place->root, "Box/cur"), *new = in(place->root, "Box/new");
    MaildirSync sync;
    guint64 before, after;
    gboolean is_fresh;

    make_maildir(place->root, "Box");
    tree = open_tree(place->root);
    folder = open_folder(tree, "Box");
    g_assert_true(maildir_folder_stamp(folder, &before, &is_fresh, NULL));
    g_assert_true(is_fresh);
    g_assert_true(maildir_sync(folder, ledger, &sync, NULL));
    g_assert_cmpuint(sync.stamp, ==, 0);
    maildir_sync_clear(&sync);
    g_assert_cmpint(utimensat(AT_FDCWD, cur, past, 0), ==, 0);
    g_assert_cmpint(utimensat(AT_FDCWD, new, past, 0), ==, 0);
    g_assert_true(maildir_folder_stamp(folder, &before, &is_fresh, NULL));
    g_assert_false(is_fresh);
    g_assert_true(before > 0 && before % 2 == 0 && before <= G_MAXINT64);
    g_assert_true(maildir_sync(folder, ledger, &sync, NULL));
    g_assert_cmpuint(sync.stamp, ==, before);
    maildir_sync_clear(&sync);
    put_file(place->root, "Box/new/a", "x", 1);
    g_assert_true(maildir_folder_stamp(folder, &after, &is_fresh, NULL));
    g_assert_cmpuint(after, !=, before);
}

/* One who renames all the time, while the folder is read again and again: nobody vanishes. */
typedef struct {
    const char *root;
    int is_over;
} Renamer;

static gpointer rename_all(gpointer user)
{
    Renamer *renamer = user;

    for (guint round = 0; !g_atomic_int_get(&renamer->is_over); round++)
        for (guint i = 0; i < 200; i++) {
            g_autofree char *plain = g_strdup_printf("%s/Box/cur/m%u:2,", renamer->root, i);
            g_autofree char *seen = g_strconcat(plain, "S", NULL);

            (void)rename(round % 2 ? seen : plain, round % 2 ? plain : seen);
        }
    return NULL;
}

static void test_renamed_meanwhile(Place *place, gconstpointer data)
{
    g_autoptr(MaildirTree) tree = NULL;
    g_autoptr(MaildirFolder) folder = NULL;
    g_autoptr(Ledger) ledger = ledger_open(place->ledgers, "x.ledger", NULL);
    Renamer renamer = {.root = place->root};
    MaildirSync sync;
    GThread *thread;

    make_maildir(place->root, "Box");
    for (guint i = 0; i < 200; i++) {
        g_autofree char *name = g_strdup_printf("Box/cur/m%u:2,", i);

        put_file(place->root, name, "Subject: x\n\n", i + 1);
    }
    tree = open_tree(place->root);
    folder = open_folder(tree, "Box");
    assert_sync(folder, ledger, "1:200", "", "");
    thread = g_thread_new("renamer", rename_all, &renamer);
    for (guint round = 0; round < 50; round++) {
        g_assert_true(maildir_sync(folder, ledger, &sync, NULL));
        g_assert_true(uid_set_is_empty(sync.vanished));
        g_assert_true(uid_set_is_empty(sync.added));
        maildir_sync_clear(&sync);
    }
    g_atomic_int_set(&renamer.is_over, 1);
    g_thread_join(thread);
    g_assert_cmpuint(ledger_n_entries(ledger), ==, 200);
}

#define ADD(path, func) g_test_add(path, Place, NULL, setup, func, teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/maildir/file/names", test_file_names);
    g_test_add_func("/maildir/file/renamed", test_file_renamed);
    g_test_add_func("/maildir/file/unique", test_file_unique);
    ADD("/maildir/tree/plusplus", test_plusplus);
    ADD("/maildir/tree/fs", test_fs);
    ADD("/maildir/tree/roots", test_roots);
    ADD("/maildir/tree/missing", test_missing);
    ADD("/maildir/tree/hostile-links", test_hostile_links);
    ADD("/maildir/tree/deep", test_deep);
    ADD("/maildir/folders/fs", test_folders_fs);
    ADD("/maildir/folders/plusplus", test_folders_plusplus);
    ADD("/maildir/folders/levels", test_levels);
    ADD("/maildir/messages", test_messages);
    ADD("/maildir/long-header", test_long_header);
    ADD("/maildir/sync", test_sync);
    ADD("/maildir/stamp", test_stamp);
    ADD("/maildir/renamed-meanwhile", test_renamed_meanwhile);
    return g_test_run();
}
