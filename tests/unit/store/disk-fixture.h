/* What the tests of the disk share: two folders below /tmp, the disk over them, and waiting for
 * its answers.  Included by one test program each, therefore all static. */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "store/disk.h"

#define FIXTURE_SECONDS 60

typedef struct {
    char *dir, *cache, *state;
    Disk *disk;
} Fixture;

static inline void fixture_open(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    fixture->disk = disk_open(fixture->cache, fixture->state, &error);
    g_assert_no_error(error);
    g_assert_nonnull(fixture->disk);
}

static inline void fixture_close(Fixture *fixture)
{
    disk_close(g_steal_pointer(&fixture->disk));
}

static inline void fixture_reopen(Fixture *fixture)
{
    fixture_close(fixture);
    fixture_open(fixture);
}

/* @done comes after all that was submitted before. */
static inline void ask_when_done(Fixture *fixture, DiskDoneFunc done, gpointer user)
{
    disk_submit(fixture->disk, disk_batch_new(), done, user);
}

static inline void fixture_set_up(Fixture *fixture, gconstpointer data)
{
    fixture->dir = g_dir_make_tmp("mailfs-disk-XXXXXX", NULL);
    fixture->cache = g_build_filename(fixture->dir, "cache", NULL);
    fixture->state = g_build_filename(fixture->dir, "state", NULL);
    fixture_open(fixture);
}

static inline void remove_tree(const char *path)
{
    GDir *dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_clear_pointer(&dir, g_dir_close);
    (void)remove(path);
}

static inline void fixture_tear_down(Fixture *fixture, gconstpointer data)
{
    fixture_close(fixture);
    remove_tree(fixture->dir);
    g_free(fixture->dir);
    g_free(fixture->cache);
    g_free(fixture->state);
}

/* A test with a fixture of its own. */
static inline void fixture_add(const char *path, void (*func)(Fixture *, gconstpointer))
{
    g_test_add(path, Fixture, NULL, fixture_set_up, func, fixture_tear_down);
}

/* A path below the fixture's folder.  The caller owns it. */
static inline char *in(const char *folder, const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static inline gboolean exists(const char *folder, const char *name)
{
    g_autofree char *path = in(folder, name);

    return g_file_test(path, G_FILE_TEST_EXISTS) || g_file_test(path, G_FILE_TEST_IS_SYMLINK);
}

/* -- Waiting ----------------------------------------------------------------------------------- */

static inline void wait_for(const gboolean *flag)
{
    gint64 end = g_get_monotonic_time() + FIXTURE_SECONDS * G_USEC_PER_SEC;

    while (!*flag) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(200);
    }
}

/* For what the sweep does by itself. */
static inline void wait_until_gone(const char *folder, const char *name)
{
    gint64 end = g_get_monotonic_time() + FIXTURE_SECONDS * G_USEC_PER_SEC;

    while (exists(folder, name)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

typedef struct {
    gboolean is_done;
    GError *error;
} Done;

static inline void on_done(const GError *error, gpointer user)
{
    Done *done = user;

    g_assert_false(done->is_done);
    done->error = error ? g_error_copy(error) : NULL;
    done->is_done = TRUE;
}

/* Submits and waits; the error, owned by the caller, or NULL. */
static inline GError *try_submit(Fixture *fixture, DiskBatch *batch)
{
    Done done = {0};

    disk_submit(fixture->disk, batch, on_done, &done);
    wait_for(&done.is_done);
    return done.error;
}

static inline void submit(Fixture *fixture, DiskBatch *batch)
{
    g_autoptr(GError) error = try_submit(fixture, batch);

    g_assert_no_error(error);
}

typedef struct {
    gboolean is_done;
    GPtrArray *messages;
    GError *error;
    guint n_calls, longest;
} Loaded;

static inline void on_loaded(guint16 mailbox, GPtrArray *messages, gboolean is_last,
                             const GError *error, gpointer user)
{
    Loaded *loaded = user;

    g_assert_false(loaded->is_done);
    loaded->n_calls++;
    loaded->longest = MAX(loaded->longest, messages->len);
    while (messages->len > 0)
        g_ptr_array_add(loaded->messages, g_ptr_array_steal_index(messages, 0));
    loaded->error = error ? g_error_copy(error) : NULL;
    loaded->is_done = is_last;
}

static inline void loaded_clear(Loaded *loaded)
{
    g_clear_pointer(&loaded->messages, g_ptr_array_unref);
    g_clear_error(&loaded->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Loaded, loaded_clear)

#define LOADED_INIT                                                                                \
    {                                                                                              \
        .messages = g_ptr_array_new_with_free_func((GDestroyNotify)message_free)                   \
    }

static inline void load(Fixture *fixture, guint16 mailbox, Loaded *loaded)
{
    disk_load_messages(fixture->disk, mailbox, on_loaded, loaded);
    wait_for(&loaded->is_done);
}

static inline void recall(Fixture *fixture, guint16 mailbox, guint32 uidvalidity, const char *uids,
                          Loaded *loaded)
{
    g_autoptr(UidSet) set = uid_set_parse(uids, strlen(uids));

    disk_recall(fixture->disk, mailbox, uidvalidity, set, on_loaded, loaded);
    wait_for(&loaded->is_done);
}

static inline const Message *loaded_at(const Loaded *loaded, guint i)
{
    g_assert_cmpuint(i, <, loaded->messages->len);
    return g_ptr_array_index(loaded->messages, i);
}

/* -- Things to put ----------------------------------------------------------------------------- */

static inline void put_mailbox(DiskBatch *batch, guint16 number, const char *wire)
{
    char *path[] = {(char *)wire, NULL};
    DiskMailbox mailbox = {.number = number,
                           .wire = (char *)wire,
                           .path = path,
                           .delimiter = '/',
                           .uidvalidity = 7,
                           .uidnext = 1000,
                           .highestmodseq = 4711,
                           .is_listed = TRUE};

    disk_batch_put_mailbox(batch, &mailbox);
}

/* A message whose UID is its item, named after both. */
static inline void put_message(DiskBatch *batch, guint16 mailbox, guint64 item, guint32 uid)
{
    g_autoptr(Message) message = message_new();

    message->item = item;
    message->uid = uid;
    message->size = 1000 + uid;
    message->date = 1700000000 + uid;
    message->name = g_strdup_printf("2026-05-13_2133_alice_Quarterly-report.%u.eml", uid);
    disk_batch_put_message(batch, mailbox, 7, message);
}

/* Mailbox 1, "INBOX", with messages 1 to @n. */
static inline void put_inbox(Fixture *fixture, guint n)
{
    DiskBatch *batch = disk_batch_new();

    put_mailbox(batch, 1, "INBOX");
    for (guint i = 1; i <= n; i++)
        put_message(batch, 1, i, i);
    submit(fixture, batch);
}

/* Runs @func on the fixture in a child that ends with @code. */
static inline void in_child(Fixture *fixture, void (*func)(Fixture *), int code)
{
    int status = 0;
    pid_t pid;

    fixture_close(fixture);
    pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        fixture_open(fixture);
        func(fixture);
        _exit(42);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, code);
}

/* As in_child(), which then ends without closing anything. */
static inline void in_dying_child(Fixture *fixture, void (*func)(Fixture *))
{
    in_child(fixture, func, 42);
}

/* -- Doing damage ------------------------------------------------------------------------------ */

/* Overwrites @length octets at @offset with what is no database. */
static inline void scribble(const char *folder, const char *name, off_t offset, gsize length)
{
    g_autofree char *path = in(folder, name), *noise = g_malloc(length);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    memset(noise, 0xa5, length);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, noise, length, offset), ==, (gssize)length);
    close(fd);
}

static inline off_t size_of(const char *folder, const char *name)
{
    g_autofree char *path = in(folder, name);
    GStatBuf st;

    g_assert_cmpint(g_stat(path, &st), ==, 0);
    return st.st_size;
}

/* An INBOX whose rows in the index are damaged, which is not met before they are used. */
static inline void put_damaged_inbox(Fixture *fixture)
{
    put_inbox(fixture, 2000);
    fixture_close(fixture);
    scribble(fixture->cache, "index.db", 10 * 4096,
             (gsize)size_of(fixture->cache, "index.db") - 10 * 4096);
    fixture_open(fixture);
}

/* Runs SQL on a closed database, as a stranger would. */
static inline void meddle(const char *folder, const char *name, const char *sql)
{
    g_autofree char *path = in(folder, name);
    sqlite3 *db = NULL;

    g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
    sqlite3_close(db);
}

/* Files of this process cannot grow beyond @bytes: what a full disk is played with (SIGXFSZ has to
 * be ignored). */
static inline void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    limit.rlim_cur = bytes;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}
