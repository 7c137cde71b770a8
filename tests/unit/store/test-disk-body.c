/* Bodies: files that come in, are replaced, verified and chosen to go, and the sweep that makes
 * them agree with their rows. */
#include "disk-fixture.h"

#include <fcntl.h>

#define DIGEST 32

static BodyFile *new_body(Fixture *fixture, const char *text)
{
    g_autoptr(GError) error = NULL;
    BodyFile *file = body_file_new(fixture->disk, &error);

    g_assert_no_error(error);
    g_assert_true(body_file_append(file, text, strlen(text), &error));
    g_assert_no_error(error);
    return file;
}

/* Puts a body in its place and adds its row to @batch. */
static void put_body(Fixture *fixture, DiskBatch *batch, guint16 mailbox, guint64 item,
                     const char *text)
{
    g_autoptr(BodyFile) file = new_body(fixture, text);
    g_autoptr(GError) error = NULL;
    guint8 sha256[DIGEST];

    body_file_commit(file, mailbox, item, sha256, &error);
    g_assert_no_error(error);
    if (batch)
        disk_batch_body_cached(batch, mailbox, item, strlen(text), sha256);
}

static void put_one_body(Fixture *fixture, guint64 item, const char *text)
{
    DiskBatch *batch = disk_batch_new();

    put_body(fixture, batch, 1, item, text);
    submit(fixture, batch);
}

static char *read_fd(int fd)
{
    char buffer[4096];
    ssize_t n = pread(fd, buffer, sizeof buffer, 0);

    g_assert_cmpint(n, >=, 0);
    return g_strndup(buffer, (gsize)n);
}

static void assert_body(Fixture *fixture, guint64 item, const char *text)
{
    g_autoptr(GError) error = NULL;
    int fd = disk_open_body(fixture->disk, 1, item, &error);
    g_autofree char *found = NULL;

    g_assert_no_error(error);
    found = read_fd(fd);
    close(fd);
    g_assert_cmpstr(found, ==, text);
}

static void assert_no_body(Fixture *fixture, guint64 item, MailError code)
{
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(disk_open_body(fixture->disk, 1, item, &error), ==, -1);
    g_assert_error(error, MAIL_ERROR, (int)code);
}

typedef struct {
    gboolean is_done, is_good;
} Verdict;

static void on_verified(guint16 mailbox, guint64 item, gboolean is_good, gpointer user)
{
    Verdict *verdict = user;

    verdict->is_good = is_good;
    verdict->is_done = TRUE;
}

static gboolean is_good(Fixture *fixture, guint64 item)
{
    Verdict verdict = {0};

    disk_verify_body(fixture->disk, 1, item, on_verified, &verdict);
    wait_for(&verdict.is_done);
    return verdict.is_good;
}

/* -- One body ---------------------------------------------------------------------------------- */

static void test_write(Fixture *fixture, gconstpointer data)
{
    g_autoptr(BodyFile) file = new_body(fixture, "From: a\r\n");
    g_autoptr(GError) error = NULL;
    g_autofree char *early = NULL, *digest = NULL, *expected = NULL;
    guint8 sha256[DIGEST];

    g_assert_cmpuint(body_file_length(file), ==, 9);
    early = read_fd(body_file_fd(file)); /* readers follow while it comes */
    g_assert_cmpstr(early, ==, "From: a\r\n");
    assert_no_body(fixture, 0x123456789, MAIL_ERROR_GONE);
    g_assert_true(body_file_append(file, "\r\nhello", 7, &error));
    g_assert_true(body_file_commit(file, 1, 0x123456789, sha256, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(body_file_length(file), ==, 16);
    expected = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "From: a\r\n\r\nhello", -1);
    digest = g_malloc0(2 * DIGEST + 1);
    for (guint i = 0; i < DIGEST; i++)
        g_snprintf(digest + 2 * i, 3, "%02x", sha256[i]);
    g_assert_cmpstr(digest, ==, expected);
    assert_body(fixture, 0x123456789, "From: a\r\n\r\nhello");
    g_assert_true(exists(fixture->cache, "bodies/0001/123456789"));
}

static void test_modes(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *name;
        guint mode;
    } cases[] = {{"cache", 0700},
                 {"state", 0700},
                 {"cache/index.db", 0600},
                 {"cache/index.db-wal", 0600},
                 {"state/state.db", 0600},
                 {"state/state.db-wal", 0600},
                 {"cache/lock", 0600},
                 {"cache/bodies", 0700},
                 {"cache/bodies/0001", 0700},
                 {"cache/bodies/0001/000000001", 0600}};
    mode_t saved = umask(0);

    fixture_close(fixture);
    remove_tree(fixture->cache);
    remove_tree(fixture->state);
    fixture_open(fixture);
    put_inbox(fixture, 1);
    put_one_body(fixture, 1, "x");
    umask(saved);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = in(fixture->dir, cases[i].name);
        GStatBuf st;

        g_test_message("%s", cases[i].name);
        g_assert_cmpint(g_stat(path, &st), ==, 0);
        g_assert_cmphex(st.st_mode & 07777, ==, cases[i].mode);
    }
}

static guint count_names(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    guint n = 0;

    g_assert_nonnull(dir);
    while (g_dir_read_name(dir))
        n++;
    return n;
}

static void leave_temporary(Fixture *fixture)
{
    (void)new_body(fixture, "half a mess");
}

/* A body that never got whole leaves nothing: not when it is freed, nor when we died. */
static void test_temporary(Fixture *fixture, gconstpointer data)
{
    g_autofree char *bodies = in(fixture->cache, "bodies");

    body_file_free(new_body(fixture, "x"));
    g_assert_cmpuint(count_names(bodies), ==, 0);
    body_file_free(NULL);
    in_dying_child(fixture, leave_temporary);
    g_assert_cmpuint(count_names(bodies), ==, 1);
    fixture_open(fixture);
    g_assert_cmpuint(count_names(bodies), ==, 0);
}

static void test_replace(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *old = NULL;
    int fd;

    put_inbox(fixture, 1);
    put_one_body(fixture, 1, "first");
    g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, 5);
    fd = disk_open_body(fixture->disk, 1, 1, &error);
    g_assert_no_error(error);
    put_one_body(fixture, 1, "the second");
    g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, 10);
    assert_body(fixture, 1, "the second");
    disk_remove_body(fixture->disk, 1, 1);
    disk_remove_body(fixture->disk, 1, 1); /* once more does no harm */
    disk_remove_body(fixture->disk, 2, 1);
    assert_no_body(fixture, 1, MAIL_ERROR_GONE);
    old = read_fd(fd);
    g_assert_cmpstr(old, ==, "first");
    close(fd);
}

/* -- Rows of bodies ---------------------------------------------------------------------------- */

static void test_cached(Fixture *fixture, gconstpointer data)
{
    g_auto(Loaded) loaded = LOADED_INIT, later = LOADED_INIT;
    DiskBatch *batch = disk_batch_new();

    put_inbox(fixture, 3);
    put_one_body(fixture, 2, "body");
    put_message(batch, 1, 2, 2); /* listed again: that says nothing about its body */
    submit(fixture, batch);
    fixture_reopen(fixture);
    g_assert_false(disk_was_unclean(fixture->disk));
    g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, 4);
    load(fixture, 1, &loaded);
    g_assert_false(loaded_at(&loaded, 0)->is_cached);
    g_assert_true(loaded_at(&loaded, 1)->is_cached);
    g_assert_false(loaded_at(&loaded, 1)->is_suspect);

    put_one_body(fixture, 3, "another");
    batch = disk_batch_new();
    disk_batch_body_dropped(batch, 1, 2);
    submit(fixture, batch);
    g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, 7);
    load(fixture, 1, &later);
    g_assert_false(loaded_at(&later, 1)->is_cached);
    g_assert_true(loaded_at(&later, 2)->is_cached);
    g_assert_true(loaded_at(&later, 2)->is_exact);
    g_assert_cmpuint(loaded_at(&later, 2)->size, ==, 7);
}

static void test_message_removed(Fixture *fixture, gconstpointer data)
{
    DiskBatch *batch = disk_batch_new();

    put_inbox(fixture, 3);
    put_one_body(fixture, 1, "one");
    put_one_body(fixture, 2, "two");
    disk_batch_remove_message(batch, 1, 1);
    submit(fixture, batch);
    assert_no_body(fixture, 1, MAIL_ERROR_GONE);
    assert_body(fixture, 2, "two");
    g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, 3);

    /* The body arrives when the message has just gone. */
    put_one_body(fixture, 1, "too late");
    assert_no_body(fixture, 1, MAIL_ERROR_GONE);
    g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, 3);

    /* Removed and put anew in one breath, with a new body: that one stays. */
    batch = disk_batch_new();
    disk_batch_remove_message(batch, 1, 2);
    put_message(batch, 1, 2, 9);
    put_body(fixture, batch, 1, 2, "new");
    submit(fixture, batch);
    assert_body(fixture, 2, "new");
    g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, 3);
}

static void test_mailbox_removed(Fixture *fixture, gconstpointer data)
{
    DiskBatch *batch = disk_batch_new();

    put_inbox(fixture, 3);
    put_one_body(fixture, 1, "one");
    put_one_body(fixture, 2, "two");
    disk_batch_remove_mailbox(batch, 1);
    submit(fixture, batch);
    g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, 0);
    wait_until_gone(fixture->cache, "bodies/0001");
}

/* -- Victims ----------------------------------------------------------------------------------- */

typedef struct {
    gboolean is_done;
    GString *items;
} Victims;

static void on_victims(GArray *victims, gpointer user)
{
    Victims *chosen = user;

    for (guint i = 0; i < victims->len; i++) {
        const DiskVictim *victim = &g_array_index(victims, DiskVictim, i);

        g_assert_cmpuint(victim->mailbox, ==, 1);
        g_string_append_printf(chosen->items, "%d:%d ", (int)victim->item, (int)victim->size);
    }
    chosen->is_done = TRUE;
}

static void test_victims(Fixture *fixture, gconstpointer data)
{
    static const struct {
        guint64 bytes;
        const char *items;
    } cases[] = {
        {0, ""},
        {1, "3:5 "},
        {5, "3:5 "},
        {6, "3:5 1:3 "},
        {9, "3:5 1:3 2:4 "},
        {G_MAXUINT64, "3:5 1:3 2:4 "}, /* more than there is */
    };
    DiskBatch *batch = disk_batch_new();

    put_inbox(fixture, 3);
    put_body(fixture, batch, 1, 1, "111");
    put_body(fixture, batch, 1, 2, "2222");
    put_body(fixture, batch, 1, 3, "33333");
    disk_batch_body_used(batch, 1, 3, 100);
    disk_batch_body_used(batch, 1, 1, 200);
    disk_batch_body_used(batch, 1, 2, 300);
    submit(fixture, batch);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        Victims chosen = {FALSE, g_string_new(NULL)};

        disk_choose_victims(fixture->disk, cases[i].bytes, on_victims, &chosen);
        wait_for(&chosen.is_done);
        g_assert_cmpstr(chosen.items->str, ==, cases[i].items);
        g_string_free(chosen.items, TRUE);
    }
}

/* -- After an unclean end ---------------------------------------------------------------------- */

static void leave_bodies(Fixture *fixture)
{
    DiskBatch *batch = disk_batch_new();

    put_inbox(fixture, 6);
    for (guint i = 1; i <= 5; i++)
        put_body(fixture, batch, 1, i, "sound");
    submit(fixture, batch);
    put_body(fixture, NULL, 1, 6, "stray"); /* and no row */
    put_body(fixture, NULL, 2, 1, "stray"); /* in a mailbox without rows */
    disk_remove_body(fixture->disk, 1, 5);  /* and no word to the index */
}

static void spoil(Fixture *fixture, const char *name, const char *text)
{
    g_autofree char *path = in(fixture->cache, name);

    FILE *file = g_fopen(path, "r+");

    g_assert_nonnull(file);
    g_assert_cmpint(ftruncate(fileno(file), 0), ==, 0);
    g_assert_cmpint(fputs(text, file), >=, 0);
    g_assert_cmpint(fclose(file), ==, 0);
}

static void test_suspect(Fixture *fixture, gconstpointer data)
{
    g_auto(Loaded) loaded = LOADED_INIT, later = LOADED_INIT;

    in_dying_child(fixture, leave_bodies);
    spoil(fixture, "bodies/0001/000000002", "SOUND");
    spoil(fixture, "bodies/0001/000000003", "soun");
    fixture_open(fixture);
    g_assert_true(disk_was_unclean(fixture->disk));
    load(fixture, 1, &loaded);
    for (guint i = 0; i < 4; i++) {
        g_assert_true(loaded_at(&loaded, i)->is_cached);
        g_assert_true(loaded_at(&loaded, i)->is_suspect);
    }
    g_assert_true(is_good(fixture, 1));
    g_assert_false(is_good(fixture, 2)); /* other octets */
    g_assert_false(is_good(fixture, 3)); /* another length */
    g_assert_false(is_good(fixture, 5)); /* no file */
    g_assert_false(is_good(fixture, 6)); /* no row */
    put_one_body(fixture, 2, "fetched again");

    /* Suspicion outlasts a clean end; what was verified or fetched since is trusted. */
    fixture_reopen(fixture);
    g_assert_false(disk_was_unclean(fixture->disk));
    load(fixture, 1, &later);
    g_assert_false(loaded_at(&later, 0)->is_suspect);
    g_assert_false(loaded_at(&later, 1)->is_suspect);
    g_assert_true(loaded_at(&later, 2)->is_suspect);
    g_assert_true(loaded_at(&later, 3)->is_suspect);
}

static void test_sweep(Fixture *fixture, gconstpointer data)
{
    g_auto(Loaded) loaded = LOADED_INIT;
    gint64 end = g_get_monotonic_time() + FIXTURE_SECONDS * G_USEC_PER_SEC;
    Done done = {0};

    in_dying_child(fixture, leave_bodies);
    fixture_open(fixture);
    g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, 25);
    put_body(fixture, NULL, 1, 7, "fresh"); /* its row is on its way: not a stray */
    ask_when_done(fixture, on_done, &done);
    wait_for(&done.is_done);
    wait_until_gone(fixture->cache, "bodies/0001/000000006");
    wait_until_gone(fixture->cache, "bodies/0002");
    while (disk_body_bytes(fixture->disk) != 20) { /* the row of 5 */
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_main_context_iteration(NULL, FALSE);
    }
    g_assert_true(exists(fixture->cache, "bodies/0001/000000007"));
    assert_body(fixture, 4, "sound");
    load(fixture, 1, &loaded);
    g_assert_true(loaded_at(&loaded, 3)->is_cached);
    g_assert_false(loaded_at(&loaded, 4)->is_cached);
}

/* Without the index nothing says whose the bodies are. */
static void test_index_lost(Fixture *fixture, gconstpointer data)
{
    g_autofree char *index = in(fixture->cache, "index.db");
    Done done = {0};

    put_inbox(fixture, 1);
    put_one_body(fixture, 1, "whose?");
    fixture_close(fixture);
    g_assert_cmpint(g_unlink(index), ==, 0);
    fixture_open(fixture);
    g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, 0);
    ask_when_done(fixture, on_done, &done);
    wait_for(&done.is_done);
    wait_until_gone(fixture->cache, "bodies/0001");
}

/* -- Hostile folders --------------------------------------------------------------------------- */

static void test_symlinks(Fixture *fixture, gconstpointer data)
{
    g_autofree char *outside = in(fixture->dir, "outside"), *target = NULL, *folder = NULL;
    g_autofree char *body = NULL, *pipe = NULL, *text = NULL;
    g_autoptr(BodyFile) file = NULL;
    g_autoptr(GError) error = NULL;
    guint8 sha256[DIGEST];

    g_assert_cmpint(g_mkdir(outside, 0700), ==, 0);
    target = in(outside, "000000001");
    g_assert_true(g_file_set_contents(target, "secret", -1, NULL));

    /* A body that is a symlink, or a pipe. */
    put_body(fixture, NULL, 1, 2, "x");
    body = in(fixture->cache, "bodies/0001/000000001");
    pipe = in(fixture->cache, "bodies/0001/000000003");
    g_assert_cmpint(symlink(target, body), ==, 0);
    g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
    assert_no_body(fixture, 1, MAIL_ERROR_CACHE);
    assert_no_body(fixture, 3, MAIL_ERROR_CACHE);
    put_body(fixture, NULL, 1, 1, "mine"); /* replaces the link, not what it points to */
    assert_body(fixture, 1, "mine");

    /* A mailbox's folder that is one. */
    folder = in(fixture->cache, "bodies/0005");
    g_assert_cmpint(symlink(outside, folder), ==, 0);
    g_assert_cmpint(disk_open_body(fixture->disk, 5, 1, &error), ==, -1);
    g_assert_nonnull(error);
    g_clear_error(&error);
    disk_remove_body(fixture->disk, 5, 1);
    file = new_body(fixture, "y");
    g_assert_false(body_file_commit(file, 5, 1, sha256, &error));
    g_assert_nonnull(error);
    g_assert_true(g_file_get_contents(target, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "secret");
}

/* -- Moves and twins --------------------------------------------------------------------------- */

static char *body_text(Fixture *fixture, guint16 mailbox, guint64 item)
{
    int fd = disk_open_body(fixture->disk, mailbox, item, NULL);
    char *text;

    if (fd < 0)
        return g_strdup("none");
    text = read_fd(fd);
    close(fd);
    return text;
}

/* Message 1 of mailbox 2, beside INBOX with two messages, of which the first has a body. */
static void put_two_mailboxes(Fixture *fixture)
{
    DiskBatch *batch = disk_batch_new();

    put_inbox(fixture, 2);
    put_mailbox(batch, 2, "Archive");
    put_message(batch, 2, 1, 1);
    submit(fixture, batch);
    put_one_body(fixture, 1, "A: b");
}

/* Whether the row says that there is a body, and how long it is. */
static void assert_row(Fixture *fixture, guint16 mailbox, gboolean is_cached, guint64 size)
{
    g_auto(Loaded) loaded = LOADED_INIT;

    load(fixture, mailbox, &loaded);
    g_assert_true(loaded_at(&loaded, 0)->is_cached == is_cached);
    g_assert_cmpuint(loaded_at(&loaded, 0)->size, ==, size);
    g_assert_true(loaded_at(&loaded, 0)->is_exact == (size < 1000));
}

static void test_move(Fixture *fixture, gconstpointer data)
{
    for (guint keeps = 0; keeps < 2; keeps++) {
        const DiskBodyMove move = {1, 2, 1, 1, keeps != 0};
        g_autofree char *from = NULL, *to = NULL;
        DiskBatch *batch = disk_batch_new();

        put_two_mailboxes(fixture);
        g_assert_true(disk_move_body(fixture->disk, &move));
        disk_batch_move_body(batch, &move);
        submit(fixture, batch);
        from = body_text(fixture, 1, 1);
        to = body_text(fixture, 2, 1);
        g_assert_cmpstr(from, ==, keeps ? "A: b" : "none");
        g_assert_cmpstr(to, ==, "A: b");
        g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, keeps ? 8 : 4);
        assert_row(fixture, 1, keeps != 0, 4);
        assert_row(fixture, 2, TRUE, 4);
        fixture_reopen(fixture);
        g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, keeps ? 8 : 4);
        assert_row(fixture, 2, TRUE, 4);
    }
}

/* As a move is seen through: the message comes, the body moves, the old message goes.  A body that
 * the target had is replaced. */
static void test_move_whole(Fixture *fixture, gconstpointer data)
{
    const DiskBodyMove move = {1, 2, 1, 1, FALSE};
    g_autofree char *from = NULL, *to = NULL;
    DiskBatch *batch = disk_batch_new();

    put_two_mailboxes(fixture);
    put_body(fixture, batch, 2, 1, "an older one");
    submit(fixture, batch);
    g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, 16);
    g_assert_true(disk_move_body(fixture->disk, &move));
    batch = disk_batch_new();
    put_message(batch, 2, 1, 77);
    disk_batch_move_body(batch, &move);
    disk_batch_remove_message(batch, 1, 1);
    submit(fixture, batch);
    from = body_text(fixture, 1, 1);
    to = body_text(fixture, 2, 1);
    g_assert_cmpstr(from, ==, "none");
    g_assert_cmpstr(to, ==, "A: b");
    g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, 4);
    assert_row(fixture, 2, TRUE, 4);
}

/* Two links to one file: rename(2) would leave both. */
static void test_move_onto_link(Fixture *fixture, gconstpointer data)
{
    DiskBodyMove move = {1, 2, 1, 1, TRUE};
    g_autofree char *from = NULL, *to = NULL;

    put_two_mailboxes(fixture);
    g_assert_true(disk_move_body(fixture->disk, &move));
    g_assert_true(disk_move_body(fixture->disk, &move));
    move.keeps = FALSE;
    g_assert_true(disk_move_body(fixture->disk, &move));
    from = body_text(fixture, 1, 1);
    to = body_text(fixture, 2, 1);
    g_assert_cmpstr(from, ==, "none");
    g_assert_cmpstr(to, ==, "A: b");
    g_assert_false(disk_move_body(fixture->disk, &move)); /* there is none any more */
    move.mailbox = 9;
    g_assert_false(disk_move_body(fixture->disk, &move));
}

/* Files that belong to nobody do not stay: no row to move, or no message to move it to. */
static void test_move_nothing(Fixture *fixture, gconstpointer data)
{
    const DiskBodyMove without_row = {1, 2, 2, 1, FALSE}, without_message = {1, 2, 1, 9, FALSE};
    g_autofree char *first = NULL, *second = NULL, *first_target = NULL;
    DiskBatch *batch = disk_batch_new();

    put_two_mailboxes(fixture);
    put_body(fixture, NULL, 1, 2, "without a row");
    g_assert_true(disk_move_body(fixture->disk, &without_row));
    g_assert_true(disk_move_body(fixture->disk, &without_message));
    disk_batch_move_body(batch, &without_row);
    disk_batch_move_body(batch, &without_message);
    submit(fixture, batch);
    first = body_text(fixture, 1, 1);
    first_target = body_text(fixture, 2, 1);
    second = body_text(fixture, 2, 9);
    g_assert_cmpstr(first, ==, "none");
    g_assert_cmpstr(first_target, ==, "none");
    g_assert_cmpstr(second, ==, "none");
    g_assert_cmpuint(disk_body_bytes(fixture->disk), ==, 0);
    assert_row(fixture, 2, FALSE, 1001);
}

static void leave_moved(Fixture *fixture)
{
    const DiskBodyMove move = {1, 2, 1, 1, FALSE};

    put_two_mailboxes(fixture);
    g_assert_true(disk_move_body(fixture->disk, &move));
}

/* Dead between the file and its row: the sweep removes both, and the body is fetched again. */
static void test_move_crash(Fixture *fixture, gconstpointer data)
{
    Done done = {0};

    in_dying_child(fixture, leave_moved);
    fixture_open(fixture);
    ask_when_done(fixture, on_done, &done); /* starts the thread */
    wait_for(&done.is_done);
    wait_until_gone(fixture->cache, "bodies/0002/000000001");
    wait_until_gone(fixture->cache, "bodies/0001");
    assert_row(fixture, 1, FALSE, 4);
    assert_row(fixture, 2, FALSE, 1001);
}

typedef struct {
    gboolean is_done;
    guint16 mailbox;
    guint64 item;
} Twin;

static void on_twin(guint16 mailbox, guint64 item, gpointer user)
{
    *(Twin *)user = (Twin){TRUE, mailbox, item};
}

/* The item in mailbox 1 that has the same body as @text; 0 for none. */
static guint64 find_twin(Fixture *fixture, const char *text)
{
    g_autoptr(GChecksum) sha256 = g_checksum_new(G_CHECKSUM_SHA256);
    guint8 digest[DIGEST];
    gsize length = DIGEST;
    Twin twin = {0};

    g_checksum_update(sha256, (const guchar *)text, (gssize)strlen(text));
    g_checksum_get_digest(sha256, digest, &length);
    disk_find_twin(fixture->disk, strlen(text), digest, on_twin, &twin);
    wait_for(&twin.is_done);
    g_assert_true((twin.mailbox == 0) == (twin.item == 0));
    g_assert_cmpuint(twin.mailbox, <=, 1);
    return twin.item;
}

static void test_twin(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Message) hidden = message_new();
    DiskBatch *batch = disk_batch_new();

    put_inbox(fixture, 3);
    g_assert_cmpuint(find_twin(fixture, "A: b"), ==, 0);
    put_one_body(fixture, 1, "A: c"); /* as long */
    put_one_body(fixture, 2, "A: b");
    g_assert_cmpuint(find_twin(fixture, "A: b"), ==, 2);
    g_assert_cmpuint(find_twin(fixture, "A: c"), ==, 1);
    g_assert_cmpuint(find_twin(fixture, "A: d"), ==, 0);
    hidden->item = 2;
    hidden->uid = 2;
    hidden->name = g_strdup("x");
    hidden->is_hidden = TRUE;
    disk_batch_put_message(batch, 1, 7, hidden);
    submit(fixture, batch);
    g_assert_cmpuint(find_twin(fixture, "A: b"), ==, 0);
    batch = disk_batch_new();
    put_message(batch, 1, 1, 0); /* no server has it yet */
    submit(fixture, batch);
    g_assert_cmpuint(find_twin(fixture, "A: c"), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fixture_add("/disk/body/write", test_write);
    fixture_add("/disk/body/modes", test_modes);
    fixture_add("/disk/body/temporary", test_temporary);
    fixture_add("/disk/body/replace", test_replace);
    fixture_add("/disk/body/cached", test_cached);
    fixture_add("/disk/body/message-removed", test_message_removed);
    fixture_add("/disk/body/mailbox-removed", test_mailbox_removed);
    fixture_add("/disk/body/victims", test_victims);
    fixture_add("/disk/body/suspect", test_suspect);
    fixture_add("/disk/body/sweep", test_sweep);
    fixture_add("/disk/body/index-lost", test_index_lost);
    fixture_add("/disk/body/symlinks", test_symlinks);
    fixture_add("/disk/body/move", test_move);
    fixture_add("/disk/body/move-whole", test_move_whole);
    fixture_add("/disk/body/move-onto-link", test_move_onto_link);
    fixture_add("/disk/body/move-nothing", test_move_nothing);
    fixture_add("/disk/body/move-crash", test_move_crash);
    fixture_add("/disk/body/twin", test_twin);
    return g_test_run();
}
