/* J1 and J2 by what the kernel is asked for: what was answered for has been synced before.
 *
 * A killed process shows nothing of this, for the page cache outlives it, and the power cannot be
 * cut in a test.  So fsync() and fdatasync() are this program's own: they note the file.  SQLite
 * calls them, too. */
#include "disk-fixture.h"

#include <sys/syscall.h>

#include "store/journal.h"
#include "store/stage.h"

static GPtrArray *synced; /* of char: paths */
G_LOCK_DEFINE_STATIC(synced);

static int note(int fd, long number)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    char *path = g_file_read_link(link, NULL);

    G_LOCK(synced);
    if (synced && path)
        g_ptr_array_add(synced, path);
    else
        g_free(path);
    G_UNLOCK(synced);
    return (int)syscall(number, fd);
}

int fsync(int fd)
{
    return note(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return note(fd, SYS_fdatasync);
}

static void forget(void)
{
    G_LOCK(synced);
    g_ptr_array_set_size(synced, 0);
    G_UNLOCK(synced);
}

static gboolean was_synced(const char *end)
{
    gboolean found = FALSE;

    G_LOCK(synced);
    for (guint i = 0; i < synced->len; i++)
        found = found || g_str_has_suffix(g_ptr_array_index(synced, i), end);
    G_UNLOCK(synced);
    return found;
}

typedef struct {
    gboolean is_done;
    guint64 number;
} Answer;

static void on_sealed(const StageSeal *seal, const GError *error, gpointer user)
{
    Answer *answer = user;

    g_assert_no_error(error);
    answer->number = seal->number;
    answer->is_done = TRUE;
}

static void on_durable(const GError *error, gpointer user)
{
    g_assert_no_error(error);
    *(gboolean *)user = TRUE;
}

static int make_stage(Fixture *fixture, guint64 *ret_number)
{
    g_autoptr(GError) error = NULL;
    int fd = stage_new(fixture->disk, ret_number, &error);

    g_assert_no_error(error);
    g_assert_cmpint(write(fd, "A: b\n", 5), ==, 5);
    return fd;
}

static void assert_stage_synced(guint64 number)
{
    g_autofree char *end = g_strdup_printf("/staging/%016" G_GINT64_MODIFIER "x", number);

    g_assert_true(was_synced(end));
    g_assert_true(was_synced("/staging")); /* its name */
}

static void test_seal(Fixture *fixture, gconstpointer data)
{
    Answer answer = {0};
    guint64 number;
    int fd = make_stage(fixture, &number);

    forget();
    stage_seal(fixture->disk, fd, on_sealed, &answer);
    close(fd);
    wait_for(&answer.is_done);
    assert_stage_synced(answer.number);
}

static void test_sync(Fixture *fixture, gconstpointer data)
{
    gboolean is_done = FALSE;
    guint64 number;
    int fd = make_stage(fixture, &number);

    forget();
    stage_sync(fixture->disk, fd, on_durable, &is_done);
    close(fd);
    wait_for(&is_done);
    assert_stage_synced(number);
}

static void test_lose(Fixture *fixture, gconstpointer data)
{
    gboolean is_done = FALSE;
    guint64 number;
    int fd = make_stage(fixture, &number);

    forget();
    stage_lose(fixture->disk, fd, &(StageLost){"INBOX", "x.eml", "why"}, on_durable, &is_done);
    close(fd);
    wait_for(&is_done);
    g_assert_true(was_synced("/staging/lost.new")); /* renamed when it is whole */
    g_assert_true(was_synced("/lost+found/INBOX"));
}

static void test_journal(Fixture *fixture, gconstpointer data)
{
    g_autoptr(JournalEntry) entry = journal_entry_new(JOURNAL_MAILBOX);
    DiskBatch *batch = disk_batch_new();
    gboolean is_done = FALSE;

    entry->id = journal_next_id(fixture->disk);
    entry->wire = g_strdup("A");
    disk_batch_put_journal(batch, entry);
    forget();
    disk_submit(fixture->disk, batch, on_durable, &is_done);
    wait_for(&is_done);
    g_assert_true(was_synced("/state.db-wal"));
}

int main(int argc, char **argv)
{
    synced = g_ptr_array_new_with_free_func(g_free);
    g_test_init(&argc, &argv, NULL);
    fixture_add("/durable/seal", test_seal);
    fixture_add("/durable/sync", test_sync);
    fixture_add("/durable/lose", test_lose);
    fixture_add("/durable/journal", test_journal);
    return g_test_run();
}
