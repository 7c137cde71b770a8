/* What can go wrong with files: an unclean end, damage, other versions, a second daemon, a full
 * disk.  Nothing of it may lose a number, or take the process down. */
#include "small-disk.h"

#include <signal.h>

/* -- Doing damage ------------------------------------------------------------------------------ */

static void shorten(const char *folder, const char *name, off_t length)
{
    g_autofree char *path = in(folder, name);

    g_assert_cmpint(truncate(path, length), ==, 0);
}

static void assert_refused(Fixture *fixture, MailError code, const char *word)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(disk_open(fixture->cache, fixture->state, &error));
    g_assert_error(error, MAIL_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, word));
}

static guint count_loaded(Fixture *fixture)
{
    g_auto(Loaded) loaded = LOADED_INIT;

    load(fixture, 1, &loaded);
    g_assert_no_error(loaded.error);
    return loaded.messages->len;
}

/* How many of the messages 1 to @n the state gives back, each with its own item and name. */
static guint count_recalled(Fixture *fixture, guint n)
{
    g_auto(Loaded) recalled = LOADED_INIT;
    g_autofree char *uids = g_strdup_printf("1:%u", n);

    recall(fixture, 1, 7, uids, &recalled);
    g_assert_no_error(recalled.error);
    for (guint i = 0; i < recalled.messages->len; i++) {
        const Message *message = loaded_at(&recalled, i);
        g_autofree char *name = g_strdup_printf("2026-05-13_2133_alice_Quarterly-report.%u.eml",
                                                message->uid);

        g_assert_cmpuint(message->item, ==, message->uid);
        g_assert_cmpstr(message->name, ==, name);
    }
    return recalled.messages->len;
}

/* -- An unclean end ---------------------------------------------------------------------------- */

static void write_and_die(Fixture *fixture)
{
    put_inbox(fixture, 500);
    for (guint i = 0; i < 20; i++) { /* and more on the way */
        DiskBatch *batch = disk_batch_new();

        put_message(batch, 1, 600 + i, 600 + i);
        disk_submit(fixture->disk, batch, NULL, NULL);
    }
}

/* What was answered for is there. */
static void test_unclean(Fixture *fixture, gconstpointer data)
{
    g_assert_false(disk_was_unclean(fixture->disk));
    in_dying_child(fixture, write_and_die);
    fixture_open(fixture);
    g_assert_true(disk_was_unclean(fixture->disk));
    g_assert_null(disk_warning(fixture->disk));
    g_assert_cmpuint(count_loaded(fixture), >=, 500);
    g_assert_cmpuint(count_recalled(fixture, 1000), >=, count_loaded(fixture));
    g_assert_cmpuint(disk_next_item(fixture->disk, 1), >=, 501);
    fixture_reopen(fixture);
    g_assert_false(disk_was_unclean(fixture->disk));
}

/* Bodies are not synced: a clean end is worth nothing after the next boot. */
static void test_another_boot(Fixture *fixture, gconstpointer data)
{
    put_inbox(fixture, 3);
    fixture_close(fixture);
    meddle(fixture->cache, "index.db", "UPDATE meta SET clean = clean + 1");
    fixture_open(fixture);
    g_assert_true(disk_was_unclean(fixture->disk));
    g_assert_cmpuint(count_loaded(fixture), ==, 3);
    fixture_reopen(fixture);
    g_assert_false(disk_was_unclean(fixture->disk));
}

static void assert_loaded(const Loaded *loaded, guint i, guint32 uid, guint64 item,
                          const char *name)
{
    const Message *message = loaded_at(loaded, i);

    g_assert_cmpuint(message->uid, ==, uid);
    g_assert_cmpuint(message->item, ==, item);
    if (name)
        g_assert_cmpstr(message->name, ==, name);
}

/* Dead between the two databases: what the state says of a message holds.  Message 1 was removed,
 * 2 hidden and renamed; 4 proved to be the new version of 3; 5 and 6 are as they were.  What is not
 * in the state may be on the server all the same: the mailbox is to be compared. */
static void test_index_behind(Fixture *fixture, gconstpointer data)
{
    g_auto(Loaded) loaded = LOADED_INIT;
    g_autoptr(GPtrArray) mailboxes = NULL;
    g_autoptr(GError) error = NULL;

    put_inbox(fixture, 6);
    fixture_close(fixture);
    meddle(fixture->cache, "index.db", "UPDATE meta SET clean = 0;"
                                       "UPDATE mailbox SET uidvalidity = 7, is_listed = 1,"
                                       " compared = 5;"
                                       "UPDATE message SET flags = 1;"
                                       "INSERT INTO body VALUES(1, 3, 4, x'00', 0, 0),"
                                       " (1, 4, 4, x'00', 0, 0), (1, 5, 4, x'00', 0, 0)");
    meddle(fixture->state, "state.db", "DELETE FROM item WHERE item IN (1, 3);"
                                       "UPDATE item SET name = 'alias.eml', is_hidden = 1,"
                                       " mtime = 9 WHERE item = 2;"
                                       "UPDATE item SET item = 3, name = 'new.eml' WHERE item = 4");
    fixture_open(fixture);
    mailboxes = disk_load_mailboxes(fixture->disk, &error);
    g_assert_no_error(error);
    g_assert_cmpint(((const DiskMailbox *)g_ptr_array_index(mailboxes, 0))->compared, ==, 0);
    load(fixture, 1, &loaded);
    g_assert_no_error(loaded.error);
    g_assert_cmpuint(loaded.messages->len, ==, 4);
    assert_loaded(&loaded, 0, 2, 2, "alias.eml");
    g_assert_true(loaded_at(&loaded, 0)->is_hidden);
    g_assert_cmpuint(loaded_at(&loaded, 0)->flags, ==, MESSAGE_SEEN | MESSAGE_DELETED);
    g_assert_cmpint(loaded_at(&loaded, 0)->mtime, ==, 9);
    assert_loaded(&loaded, 1, 4, 3, "new.eml");
    g_assert_false(loaded_at(&loaded, 1)->is_cached);
    assert_loaded(&loaded, 2, 5, 5, NULL);
    g_assert_true(loaded_at(&loaded, 2)->is_cached);
    assert_loaded(&loaded, 3, 6, 6, NULL);
}

/* A mailbox whose listing was cut short has rows that the state may not know under its number. */
static void test_index_unlisted(Fixture *fixture, gconstpointer data)
{
    put_inbox(fixture, 3);
    fixture_close(fixture);
    meddle(fixture->cache, "index.db", "UPDATE meta SET clean = 0;"
                                       "UPDATE mailbox SET uidvalidity = 0, is_listed = 0");
    fixture_open(fixture);
    g_assert_cmpuint(count_loaded(fixture), ==, 3);
}

static void die_at_once(Fixture *fixture)
{
}

static void test_unclean_without_work(Fixture *fixture, gconstpointer data)
{
    in_dying_child(fixture, die_at_once);
    fixture_open(fixture);
    g_assert_true(disk_was_unclean(fixture->disk));
}

/* -- A damaged index --------------------------------------------------------------------------- */

static void spoil_header(Fixture *fixture)
{
    scribble(fixture->cache, "index.db", 0, 100);
}

static void spoil_all(Fixture *fixture)
{
    scribble(fixture->cache, "index.db", 0, (gsize)size_of(fixture->cache, "index.db"));
}

static void spoil_schema(Fixture *fixture)
{
    scribble(fixture->cache, "index.db", 100, 3996);
}

static void halve(Fixture *fixture)
{
    shorten(fixture->cache, "index.db", size_of(fixture->cache, "index.db") / 2);
}

static void cut_in_header(Fixture *fixture)
{
    shorten(fixture->cache, "index.db", 50);
}

static void make_text(Fixture *fixture)
{
    g_autofree char *path = in(fixture->cache, "index.db");

    g_assert_true(g_file_set_contents(path, "hello\n", -1, NULL));
}

static void drop_table(Fixture *fixture)
{
    meddle(fixture->cache, "index.db", "DROP TABLE body");
}

static void empty_meta(Fixture *fixture)
{
    meddle(fixture->cache, "index.db", "DELETE FROM meta");
}

static void set_other_version(Fixture *fixture)
{
    meddle(fixture->cache, "index.db", "PRAGMA user_version=-3");
}

static void set_no_version(Fixture *fixture)
{
    meddle(fixture->cache, "index.db", "PRAGMA user_version=0");
}

static void test_index_damaged(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *what;
        void (*spoil)(Fixture *);
    } cases[] = {
        {"header", spoil_header},
        {"all", spoil_all},
        {"schema", spoil_schema},
        {"half", halve},
        {"cut in the header", cut_in_header},
        {"text", make_text},
        {"a table less", drop_table},
        {"no meta", empty_meta},
        {"another version", set_other_version},
        {"no version", set_no_version},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *aside = in(fixture->cache, "index.db.damaged");

        g_test_message("%s", cases[i].what);
        (void)g_unlink(aside);
        put_inbox(fixture, 300);
        fixture_close(fixture);
        cases[i].spoil(fixture);
        fixture_open(fixture);
        g_assert_true(exists(fixture->cache, "index.db.damaged"));
        g_assert_null(disk_warning(fixture->disk)); /* nothing is lost */
        g_assert_cmpuint(count_loaded(fixture), ==, 0);
        g_assert_cmpuint(count_recalled(fixture, 300), ==, 300);
        put_inbox(fixture, 300);
        fixture_reopen(fixture);
        g_assert_cmpuint(count_loaded(fixture), ==, 300);
    }
}

/* After an unclean end the whole index is looked at. */
static void test_index_damaged_inside(Fixture *fixture, gconstpointer data)
{
    in_dying_child(fixture, write_and_die);
    /* The log has to be in the file before there is something to damage. */
    meddle(fixture->cache, "index.db", "PRAGMA wal_checkpoint(TRUNCATE)");
    scribble(fixture->cache, "index.db", 10 * 4096, 6 * 4096);
    fixture_open(fixture);
    g_assert_true(exists(fixture->cache, "index.db.damaged"));
    g_assert_cmpuint(count_recalled(fixture, 500), ==, 500);
}

/* After a clean end it is met while running: reads say so, writes too, and the next start mends
 * it.  The state goes on meanwhile. */
static void test_index_damaged_running(Fixture *fixture, gconstpointer data)
{
    g_auto(Loaded) loaded = LOADED_INIT;
    g_autoptr(GError) error = NULL;
    DiskBatch *batch = disk_batch_new();

    put_damaged_inbox(fixture);
    g_assert_false(exists(fixture->cache, "index.db.damaged"));
    load(fixture, 1, &loaded);
    g_assert_error(loaded.error, MAIL_ERROR, MAIL_ERROR_CACHE);
    put_message(batch, 1, 5000, 5000);
    error = try_submit(fixture, batch);
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_CACHE);
    g_assert_nonnull(disk_failure(fixture->disk));
    g_assert_cmpuint(count_recalled(fixture, 5000), ==, 2001);

    fixture_reopen(fixture);
    g_assert_true(exists(fixture->cache, "index.db.damaged"));
    g_assert_null(disk_failure(fixture->disk));
    g_assert_cmpuint(count_loaded(fixture), ==, 0);
    g_assert_cmpuint(count_recalled(fixture, 5000), ==, 2001);
    fixture_reopen(fixture); /* and once is enough */
    put_inbox(fixture, 3);
    fixture_reopen(fixture);
    g_assert_cmpuint(count_loaded(fixture), ==, 3);
}

/* Makes an index of @table forget a row, so that only whoever changes the row notices: no look at
 * the pages shows it. */
static void forget_in_index(const char *folder, const char *file, const char *table,
                            const char *index)
{
    g_autofree char *blind = g_strdup_printf(
        "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = sql || ' WHERE uid < 0'"
        " WHERE name = '%s'", index);
    g_autofree char *move = g_strdup_printf("UPDATE %s SET uid = 90 WHERE item = 9", table);
    g_autofree char *seeing = g_strdup_printf(
        "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = replace(sql,"
        " ' WHERE uid < 0', '') WHERE name = '%s'", index);

    meddle(folder, file, blind);
    meddle(folder, file, move);
    meddle(folder, file, seeing);
}

/* Damage that only the mark of the last run tells of; once it was acted upon, it is gone. */
static void test_marked(Fixture *fixture, gconstpointer data)
{
    for (guint i = 0; i < 2; i++) {
        const char *aside = i == 0 ? "cache/index.db.damaged" : "state/state.db.damaged-1";
        g_autoptr(GError) error = NULL;
        DiskBatch *batch = disk_batch_new();

        put_inbox(fixture, 20);
        fixture_close(fixture);
        if (i == 0)
            forget_in_index(fixture->cache, "index.db", "message", "message_by_uid");
        else
            forget_in_index(fixture->state, "state.db", "item", "item_by_uid");
        fixture_open(fixture);
        g_assert_false(exists(fixture->dir, aside));
        put_message(batch, 1, 9, 91);
        error = try_submit(fixture, batch);
        g_assert_error(error, MAIL_ERROR, MAIL_ERROR_CACHE);
        fixture_reopen(fixture);
        g_assert_true(exists(fixture->dir, aside));
        g_assert_true((disk_warning(fixture->disk) != NULL) == (i == 1));
        put_inbox(fixture, 20);
        fixture_reopen(fixture);
        g_assert_null(disk_warning(fixture->disk));
        g_assert_cmpuint(count_loaded(fixture), ==, 20);
        g_assert_cmpuint(count_recalled(fixture, 20), ==, 20);
    }
}

/* -- A damaged state --------------------------------------------------------------------------- */

/* Part of it is unreadable and the index is gone: what can be read is kept. */
static void test_state_salvaged(Fixture *fixture, gconstpointer data)
{
    guint n;

    put_inbox(fixture, 5000);
    fixture_close(fixture);
    remove_tree(fixture->cache);
    scribble(fixture->state, "state.db", 40 * 4096, 4 * 4096);
    fixture_open(fixture);
    g_assert_nonnull(disk_warning(fixture->disk));
    g_assert_nonnull(strstr(disk_warning(fixture->disk), "state.db.damaged-1"));
    g_assert_true(exists(fixture->state, "state.db.damaged-1"));
    n = count_recalled(fixture, 5000);
    g_test_message("%u of 5000 names were kept", n);
    g_assert_cmpuint(n, >, 4000);
    g_assert_cmpuint(n, <, 5000);
    g_assert_cmpuint(disk_next_item(fixture->disk, 1), ==, 5001);
    fixture_reopen(fixture);
    g_assert_null(disk_warning(fixture->disk));
    g_assert_cmpuint(count_recalled(fixture, 5000), ==, n);
}

/* The mailboxes are unreadable, their items are not: no number is given twice. */
static void test_state_without_mailboxes(Fixture *fixture, gconstpointer data)
{
    put_inbox(fixture, 100);
    fixture_close(fixture);
    remove_tree(fixture->cache);
    scribble(fixture->state, "state.db", 4096, 4096); /* the first table's root */
    fixture_open(fixture);
    g_assert_nonnull(disk_warning(fixture->disk));
    g_assert_cmpuint(disk_next_item(fixture->disk, 1), ==, 101);
    g_assert_cmpuint(count_recalled(fixture, 100), ==, 100);
}

/* Nothing of it is readable, but the index knows the same names and numbers. */
static void test_state_from_index(Fixture *fixture, gconstpointer data)
{
    static const char *const ways[] = {"scribbled", "shortened", "emptied", "removed"};

    put_inbox(fixture, 400);
    for (guint i = 0; i < G_N_ELEMENTS(ways); i++) {
        g_autofree char *path = in(fixture->state, "state.db");
        g_autoptr(GPtrArray) mailboxes = NULL;

        g_test_message("%s", ways[i]);
        fixture_close(fixture);
        if (i == 0)
            scribble(fixture->state, "state.db", 0, (gsize)size_of(fixture->state, "state.db"));
        else if (i < 3)
            shorten(fixture->state, "state.db", i == 1 ? 50 : 0);
        else
            g_assert_cmpint(g_unlink(path), ==, 0);
        fixture_open(fixture);
        g_assert_nonnull(disk_warning(fixture->disk));
        mailboxes = disk_load_mailboxes(fixture->disk, NULL);
        g_assert_cmpuint(mailboxes->len, ==, 1);
        g_assert_cmpuint(disk_next_item(fixture->disk, 1), ==, 401);
        g_assert_cmpuint(count_loaded(fixture), ==, 400);
        g_assert_cmpuint(count_recalled(fixture, 400), ==, 400);
    }
    g_assert_true(exists(fixture->state, "state.db.damaged-1"));
    g_assert_true(exists(fixture->state, "state.db.damaged-2"));
}

/* -- Refusals ---------------------------------------------------------------------------------- */

static void test_newer(Fixture *fixture, gconstpointer data)
{
    put_inbox(fixture, 3);
    fixture_close(fixture);
    meddle(fixture->state, "state.db", "PRAGMA user_version=3");
    assert_refused(fixture, MAIL_ERROR_INVALID, "newer mailfs");
    meddle(fixture->state, "state.db", "PRAGMA user_version=2");
    meddle(fixture->cache, "index.db", "PRAGMA user_version=99");
    assert_refused(fixture, MAIL_ERROR_INVALID, "newer mailfs");
    meddle(fixture->cache, "index.db", "PRAGMA user_version=2");
    fixture_open(fixture);
    g_assert_cmpuint(count_loaded(fixture), ==, 3);
}

static void open_in_child(const char *cache, const char *state, const char *word)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        g_autoptr(GError) error = NULL;
        Disk *disk = disk_open(cache, state, &error);

        _exit(disk ? 1
                   : !mail_error_is(error, MAIL_ERROR_BUSY) ? 2
                   : !strstr(error->message, word) ? 3
                   : !strstr(error->message, "mailfs umount") ? 4
                   : 0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
}

static void test_second(Fixture *fixture, gconstpointer data)
{
    g_autofree char *other = in(fixture->dir, "other");

    put_inbox(fixture, 3);
    open_in_child(fixture->cache, fixture->state, fixture->cache);
    open_in_child(other, fixture->state, fixture->state);
    open_in_child(fixture->cache, other, fixture->cache);
    g_assert_cmpuint(count_loaded(fixture), ==, 3); /* the first goes on */
}

static void test_places(Fixture *fixture, gconstpointer data)
{
    g_autofree char *index = in(fixture->cache, "index.db");
    g_autofree char *elsewhere = in(fixture->dir, "elsewhere");
    g_autofree char *link = in(fixture->dir, "link"), *through = NULL;
    g_autoptr(GError) error = NULL;
    Disk *disk;

    fixture_close(fixture);
    g_assert_cmpint(g_chmod(fixture->state, 0777), ==, 0);
    assert_refused(fixture, MAIL_ERROR_DENIED, "chmod 700");
    g_assert_cmpint(g_chmod(fixture->state, 0700), ==, 0);

    g_assert_cmpint(g_rename(index, elsewhere), ==, 0);
    g_assert_cmpint(symlink(elsewhere, index), ==, 0);
    g_assert_null(disk_open(fixture->cache, fixture->state, &error));
    g_assert_nonnull(error);
    g_assert_cmpint(g_unlink(index), ==, 0);

    /* A parent that is a symlink is everyday life. */
    g_assert_cmpint(symlink(fixture->dir, link), ==, 0);
    through = in(link, "cache");
    g_clear_error(&error);
    disk = disk_open(through, fixture->state, &error);
    g_assert_no_error(error);
    disk_close(disk);
    fixture_open(fixture);
}

/* -- A full disk ------------------------------------------------------------------------------- */

static const DiskMailbox *only_mailbox(Fixture *fixture, GPtrArray **mailboxes)
{
    *mailboxes = disk_load_mailboxes(fixture->disk, NULL);
    g_assert_cmpuint((*mailboxes)->len, ==, 1);
    return g_ptr_array_index(*mailboxes, 0);
}

static DiskBatch *many_messages(guint from, guint n)
{
    DiskBatch *batch = disk_batch_new();

    for (guint i = from; i < from + n; i++)
        put_message(batch, 1, i, i);
    return batch;
}

/* A batch that fails says so, the next works again; but as something is missing now, the mailbox
 * counts as not listed at the next start, whatever the model said since. */
static void test_full(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) mailboxes = NULL, later = NULL;
    const DiskMailbox *mailbox;
    DiskBatch *batch;

    put_inbox(fixture, 10);
    limit_files(64 * 1024);
    error = try_submit(fixture, many_messages(11, 5000));
    limit_files(RLIM_INFINITY);
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_NOSPACE);
    g_assert_nonnull(strstr(error->message, "make room"));
    g_assert_cmpstr(disk_failure(fixture->disk), ==, error->message);
    g_assert_cmpuint(count_loaded(fixture), ==, 10);

    batch = many_messages(6000, 1);
    put_mailbox(batch, 1, "INBOX");
    submit(fixture, batch);
    g_assert_null(disk_failure(fixture->disk));
    g_assert_cmpuint(count_loaded(fixture), ==, 11);
    fixture_reopen(fixture);
    mailbox = only_mailbox(fixture, &mailboxes);
    g_assert_false(mailbox->is_listed);
    g_assert_cmpuint(mailbox->highestmodseq, ==, 0);

    put_inbox(fixture, 10);
    fixture_reopen(fixture);
    mailbox = only_mailbox(fixture, &later);
    g_assert_true(mailbox->is_listed);
    g_assert_cmpuint(mailbox->highestmodseq, ==, 4711);
}

/* One bad batch among many takes no other with it. */
static void test_full_group(Fixture *fixture, gconstpointer data)
{
    Done small[6] = {0}, large = {0};

    put_inbox(fixture, 1);
    limit_files(256 * 1024);
    for (guint i = 0; i < 3; i++)
        disk_submit(fixture->disk, many_messages(10 + i, 1), on_done, &small[i]);
    disk_submit(fixture->disk, many_messages(1000, 20000), on_done, &large);
    for (guint i = 3; i < 6; i++)
        disk_submit(fixture->disk, many_messages(10 + i, 1), on_done, &small[i]);
    for (guint i = 0; i < 6; i++)
        wait_for(&small[i].is_done);
    limit_files(RLIM_INFINITY);
    for (guint i = 0; i < 6; i++)
        g_assert_no_error(small[i].error);
    g_assert_error(large.error, MAIL_ERROR, MAIL_ERROR_NOSPACE);
    g_clear_error(&large.error);
    g_assert_cmpuint(count_loaded(fixture), ==, 7);
}

/* Nor is what a later batch of the same group says believed: that the mailbox is listed whole. */
static void test_full_hole(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GPtrArray) mailboxes = NULL;
    const DiskMailbox *mailbox;
    Done large = {0}, small = {0};
    DiskBatch *batch = disk_batch_new();

    put_inbox(fixture, 1);
    put_mailbox(batch, 1, "INBOX");
    limit_files(256 * 1024);
    disk_submit(fixture->disk, many_messages(1000, 20000), on_done, &large);
    disk_submit(fixture->disk, batch, on_done, &small);
    wait_for(&small.is_done);
    limit_files(RLIM_INFINITY);
    g_assert_error(large.error, MAIL_ERROR, MAIL_ERROR_NOSPACE);
    g_assert_no_error(small.error);
    g_clear_error(&large.error);
    fixture_reopen(fixture);
    mailbox = only_mailbox(fixture, &mailboxes);
    g_assert_false(mailbox->is_listed);
    g_assert_cmpuint(mailbox->highestmodseq, ==, 0);
}

static void test_full_body(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *octets = g_malloc0(100 * 1024), *found = g_malloc(100 * 1024);
    g_autoptr(BodyFile) file = body_file_new(fixture->disk, &error);
    g_autofree char *expected = NULL;
    guint8 sha256[32];

    memset(octets, 'x', 100 * 1024);
    limit_files(64 * 1024);
    g_assert_false(body_file_append(file, octets, 100 * 1024, &error));
    limit_files(RLIM_INFINITY);
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_cmpuint(body_file_length(file), ==, 0);
    /* The same piece once more, now that there is room. */
    g_assert_true(body_file_append(file, octets, 100 * 1024, &error));
    g_assert_true(body_file_commit(file, 1, 1, sha256, &error));
    g_assert_cmpint(pread(body_file_fd(file), found, 100 * 1024, 0), ==, 100 * 1024);
    g_assert_cmpmem(found, 100 * 1024, octets, 100 * 1024);
}

static void fill_small_disk(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    put_inbox(fixture, 10);
    take_room(fixture);
    error = try_submit(fixture, many_messages(11, 3000));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_NOSPACE);
    g_assert_cmpuint(count_loaded(fixture), ==, 10);
    fixture_close(fixture); /* also while it is full */
    give_room(fixture);
    fixture_open(fixture);
    g_assert_null(disk_warning(fixture->disk));
    submit(fixture, many_messages(11, 300));
    g_assert_cmpuint(count_loaded(fixture), ==, 310);
    g_assert_cmpuint(count_recalled(fixture, 400), ==, 310);
}

static void test_small_disk(Fixture *fixture, gconstpointer data)
{
    on_small_disk(fixture, fill_small_disk);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGXFSZ, SIG_IGN); /* what a full disk is played with */
    fixture_add("/disk/damage/unclean", test_unclean);
    fixture_add("/disk/damage/another-boot", test_another_boot);
    fixture_add("/disk/damage/unclean-without-work", test_unclean_without_work);
    fixture_add("/disk/damage/index-behind", test_index_behind);
    fixture_add("/disk/damage/index-unlisted", test_index_unlisted);
    fixture_add("/disk/damage/index", test_index_damaged);
    fixture_add("/disk/damage/index-inside", test_index_damaged_inside);
    fixture_add("/disk/damage/index-running", test_index_damaged_running);
    fixture_add("/disk/damage/marked", test_marked);
    fixture_add("/disk/damage/state-salvaged", test_state_salvaged);
    fixture_add("/disk/damage/state-without-mailboxes", test_state_without_mailboxes);
    fixture_add("/disk/damage/state-from-index", test_state_from_index);
    fixture_add("/disk/damage/newer", test_newer);
    fixture_add("/disk/damage/second", test_second);
    fixture_add("/disk/damage/places", test_places);
    fixture_add("/disk/damage/full", test_full);
    fixture_add("/disk/damage/full-group", test_full_group);
    fixture_add("/disk/damage/full-hole", test_full_hole);
    fixture_add("/disk/damage/full-body", test_full_body);
    fixture_add("/disk/damage/small-disk", test_small_disk);
    return g_test_run();
}
