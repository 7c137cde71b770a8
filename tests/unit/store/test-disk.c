/* The disk as the model sees it: what was put comes back, in order, and answers arrive where and
 * when disk.h says. */
#include "disk-fixture.h"

/* -- Mailboxes --------------------------------------------------------------------------------- */

static DiskMailbox *find_mailbox(GPtrArray *mailboxes, guint16 number)
{
    for (guint i = 0; i < mailboxes->len; i++) {
        DiskMailbox *mailbox = g_ptr_array_index(mailboxes, i);

        if (mailbox->number == number)
            return mailbox;
    }
    return NULL;
}

static GPtrArray *load_mailboxes(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *mailboxes = disk_load_mailboxes(fixture->disk, &error);

    g_assert_no_error(error);
    return mailboxes;
}

static void add_number(guint16 number, const char *wire, gpointer user)
{
    g_string_append_printf(user, "%u=%s ", number, wire);
}

static void assert_numbers(Fixture *fixture, const char *expected)
{
    g_autoptr(GString) numbers = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(disk_load_numbers(fixture->disk, add_number, numbers, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(numbers->str, ==, expected);
}

static void test_mailboxes(Fixture *fixture, gconstpointer data)
{
    char *path[] = {(char *)"Arch/ive", (char *)"\xc3\xa4", NULL};
    char *flat[] = {(char *)"INBOX", NULL};
    DiskMailbox first = {.number = 65535, .wire = (char *)"Arch/ive.\xff&", .path = path,
                         .delimiter = '.', .list_flags = 0xfffffffe, .uidvalidity = 4294967295,
                         .uidnext = 4294967294, .highestmodseq = 9223372036854775807,
                         .n_messages = 12, .n_unseen = 3, .is_listed = TRUE, .used = 1,
                         .compared = -2, .changed = 1700000000};
    DiskMailbox second = {.number = 1, .wire = (char *)"INBOX", .path = flat};
    g_autoptr(GPtrArray) mailboxes = NULL;
    DiskBatch *batch = disk_batch_new();
    const DiskMailbox *got;

    g_assert_true(disk_batch_is_empty(batch));
    disk_batch_put_mailbox(batch, &first);
    disk_batch_put_mailbox(batch, &second);
    g_assert_false(disk_batch_is_empty(batch));
    submit(fixture, batch);
    fixture_reopen(fixture);

    mailboxes = load_mailboxes(fixture);
    g_assert_cmpuint(mailboxes->len, ==, 2);
    got = find_mailbox(mailboxes, 65535);
    g_assert_cmpstr(got->wire, ==, first.wire);
    g_assert_cmpuint(g_strv_length(got->path), ==, 2);
    g_assert_cmpstr(got->path[0], ==, path[0]);
    g_assert_cmpstr(got->path[1], ==, path[1]);
    g_assert_cmpint(got->delimiter, ==, '.');
    g_assert_cmpuint(got->list_flags, ==, first.list_flags);
    g_assert_cmpuint(got->uidvalidity, ==, first.uidvalidity);
    g_assert_cmpuint(got->uidnext, ==, first.uidnext);
    g_assert_cmpuint(got->highestmodseq, ==, first.highestmodseq);
    g_assert_cmpuint(got->n_messages, ==, 12);
    g_assert_cmpuint(got->n_unseen, ==, 3);
    g_assert_true(got->is_listed);
    g_assert_cmpint(got->used, ==, 1);
    g_assert_cmpint(got->compared, ==, -2);
    g_assert_cmpint(got->changed, ==, 1700000000);
    got = find_mailbox(mailboxes, 1);
    g_assert_cmpint(got->delimiter, ==, '\0');
    g_assert_false(got->is_listed);
}

/* A number is kept for ever; what else was known of a removed mailbox goes. */
static void test_mailbox_removed(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GPtrArray) mailboxes = NULL;
    g_auto(Loaded) loaded = LOADED_INIT;
    DiskBatch *batch = disk_batch_new();

    put_inbox(fixture, 3);
    put_mailbox(batch, 2, "Sent");
    put_message(batch, 2, 1, 1);
    disk_batch_remove_mailbox(batch, 1);
    submit(fixture, batch);
    fixture_reopen(fixture);

    mailboxes = load_mailboxes(fixture);
    g_assert_cmpuint(mailboxes->len, ==, 1);
    g_assert_cmpstr(find_mailbox(mailboxes, 2)->wire, ==, "Sent");
    assert_numbers(fixture, "1=INBOX 2=Sent ");
    load(fixture, 1, &loaded);
    g_assert_cmpuint(loaded.messages->len, ==, 0);
    g_assert_cmpuint(disk_next_item(fixture->disk, 1), ==, 4);
}

/* Two mailboxes trade names: no number may be lost on the way. */
static void test_mailbox_renamed(Fixture *fixture, gconstpointer data)
{
    DiskBatch *batch = disk_batch_new();

    put_mailbox(batch, 1, "a");
    put_mailbox(batch, 2, "b");
    put_mailbox(batch, 3, "c");
    submit(fixture, batch);
    batch = disk_batch_new();
    put_mailbox(batch, 1, "b");
    put_mailbox(batch, 2, "a");
    put_mailbox(batch, 3, "a");
    submit(fixture, batch);
    fixture_reopen(fixture);

    assert_numbers(fixture, "1=b 2= 3=a ");
}

/* -- Messages ---------------------------------------------------------------------------------- */

static void assert_own(const Message *message)
{
    g_assert_cmpint(message->mtime, ==, -2);
    g_assert_cmpuint(message->mode, ==, 0777);
    g_assert_true(message->is_hidden);
}

static void test_messages(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Message) message = message_new();
    g_auto(Loaded) loaded = LOADED_INIT, recalled = LOADED_INIT;
    DiskBatch *batch = disk_batch_new();
    const Message *got;

    message->item = (G_GUINT64_CONSTANT(1) << 36) - 1;
    message->uid = 4294967295;
    message->size = G_GUINT64_CONSTANT(5000000000);
    message->date = -1;
    message->appeared = 1700000001;
    message->fingerprint = G_MAXUINT64;
    message->name = g_strdup("n\xc3\xa4me'\"\xff.eml");
    message->flags = MESSAGE_SEEN | MESSAGE_DRAFT;
    message->is_exact = TRUE;
    message->mtime = -2;
    message->mode = 0777;
    message->is_hidden = TRUE;
    message_set_keywords(message, "$Junk blue");
    disk_batch_put_message(batch, 9, 7, message);
    put_message(batch, 9, 5, 20); /* UID order is not item order */
    put_message(batch, 9, 6, 10);
    submit(fixture, batch);
    fixture_reopen(fixture);

    load(fixture, 9, &loaded);
    g_assert_no_error(loaded.error);
    g_assert_cmpuint(loaded.messages->len, ==, 3);
    g_assert_cmpuint(loaded_at(&loaded, 0)->uid, ==, 10);
    g_assert_cmpuint(loaded_at(&loaded, 0)->item, ==, 6);
    g_assert_null(loaded_at(&loaded, 0)->keywords);
    g_assert_cmpuint(loaded_at(&loaded, 1)->uid, ==, 20);
    got = loaded_at(&loaded, 2);
    g_assert_cmpuint(got->item, ==, message->item);
    g_assert_cmpuint(got->uid, ==, message->uid);
    g_assert_cmpuint(got->size, ==, message->size);
    g_assert_cmpint(got->date, ==, -1);
    g_assert_cmpint(got->appeared, ==, 1700000001);
    g_assert_cmpuint(got->fingerprint, ==, G_MAXUINT64);
    g_assert_cmpstr(got->name, ==, message->name);
    g_assert_cmpstr(got->keywords, ==, "$Junk blue");
    g_assert_cmpuint(got->flags, ==, MESSAGE_SEEN | MESSAGE_DRAFT);
    g_assert_true(got->is_exact);
    g_assert_false(got->is_cached);
    g_assert_false(got->is_suspect);
    assert_own(got);
    g_assert_cmpint(loaded_at(&loaded, 0)->mtime, ==, 0);
    g_assert_cmpuint(disk_next_item(fixture->disk, 9), ==, message->item + 1);

    recall(fixture, 9, 7, "4294967295", &recalled); /* what no server knows */
    assert_own(loaded_at(&recalled, 0));
}

static void test_changes(Fixture *fixture, gconstpointer data)
{
    g_autoptr(Message) flags = message_new();
    g_auto(Loaded) loaded = LOADED_INIT, recalled = LOADED_INIT;
    DiskBatch *batch = disk_batch_new();

    put_inbox(fixture, 4);
    flags->item = 2;
    flags->flags = MESSAGE_FLAGGED;
    message_set_keywords(flags, "todo");
    disk_batch_put_flags(batch, 1, flags);
    disk_batch_remove_message(batch, 1, 3);
    put_message(batch, 1, 1, 4); /* item 1 is now what UID 4 is: item 4 has lost it */
    submit(fixture, batch);

    load(fixture, 1, &loaded);
    g_assert_cmpuint(loaded.messages->len, ==, 2);
    g_assert_cmpuint(loaded_at(&loaded, 0)->item, ==, 2);
    g_assert_cmpuint(loaded_at(&loaded, 0)->flags, ==, MESSAGE_FLAGGED);
    g_assert_cmpstr(loaded_at(&loaded, 0)->keywords, ==, "todo");
    g_assert_cmpuint(loaded_at(&loaded, 0)->size, ==, 1002);
    g_assert_cmpuint(loaded_at(&loaded, 1)->item, ==, 1);
    g_assert_cmpuint(loaded_at(&loaded, 1)->uid, ==, 4);
    recall(fixture, 1, 7, "1:1000", &recalled);
    g_assert_cmpuint(recalled.messages->len, ==, 2);
    g_assert_cmpuint(loaded_at(&recalled, 1)->item, ==, 1);
    /* Item 4 is gone, its number is not given again. */
    g_assert_cmpuint(disk_next_item(fixture->disk, 1), ==, 5);
}

static void test_empty(Fixture *fixture, gconstpointer data)
{
    g_auto(Loaded) loaded = LOADED_INIT, recalled = LOADED_INIT;

    load(fixture, 3, &loaded);
    g_assert_cmpuint(loaded.n_calls, ==, 1);
    g_assert_cmpuint(loaded.messages->len, ==, 0);
    g_assert_no_error(loaded.error);
    recall(fixture, 3, 1, "1:4294967295", &recalled);
    g_assert_cmpuint(recalled.n_calls, ==, 1);
    g_assert_cmpuint(disk_next_item(fixture->disk, 3), ==, 1);
}

static void test_chunks(Fixture *fixture, gconstpointer data)
{
    static const guint counts[] = {1023, 1024, 1025, 2048, 2500};

    for (guint k = 0; k < G_N_ELEMENTS(counts); k++) {
        g_auto(Loaded) loaded = LOADED_INIT;

        put_inbox(fixture, counts[k]);
        load(fixture, 1, &loaded);
        g_assert_cmpuint(loaded.messages->len, ==, counts[k]);
        g_assert_cmpuint(loaded.longest, <=, 1024);
        for (guint i = 0; i < counts[k]; i++)
            g_assert_cmpuint(loaded_at(&loaded, i)->uid, ==, i + 1);
    }
}

/* After the cache was lost, messages get their items and names back. */
static void test_recall(Fixture *fixture, gconstpointer data)
{
    g_auto(Loaded) loaded = LOADED_INIT, recalled = LOADED_INIT, other = LOADED_INIT;
    g_autoptr(GPtrArray) mailboxes = NULL;
    DiskBatch *batch = disk_batch_new();

    put_inbox(fixture, 20);
    put_message(batch, 1, 77, 21);
    submit(fixture, batch);
    fixture_close(fixture);
    remove_tree(fixture->cache);
    fixture_open(fixture);

    mailboxes = load_mailboxes(fixture);
    g_assert_cmpuint(mailboxes->len, ==, 0);
    assert_numbers(fixture, "1=INBOX ");
    g_assert_cmpuint(disk_next_item(fixture->disk, 1), ==, 78);
    load(fixture, 1, &loaded);
    g_assert_cmpuint(loaded.messages->len, ==, 0);
    recall(fixture, 1, 7, "3,19:30,4294967295", &recalled);
    g_assert_no_error(recalled.error);
    g_assert_cmpuint(recalled.messages->len, ==, 4);
    g_assert_cmpuint(loaded_at(&recalled, 0)->uid, ==, 3);
    g_assert_cmpuint(loaded_at(&recalled, 3)->uid, ==, 21);
    g_assert_cmpuint(loaded_at(&recalled, 3)->item, ==, 77);
    g_assert_cmpstr(loaded_at(&recalled, 3)->name, ==,
                    "2026-05-13_2133_alice_Quarterly-report.21.eml");
    recall(fixture, 1, 8, "1:100", &other); /* another UIDVALIDITY: other messages */
    g_assert_cmpuint(other.messages->len, ==, 0);
}

/* -- Order, and where answers arrive ----------------------------------------------------------- */

typedef struct {
    GThread *thread;
    guint n_done;
} Order;

typedef struct {
    Order *order;
    guint number;
} Turn;

static void on_turn(const GError *error, gpointer user)
{
    Turn *turn = user;

    g_assert_no_error(error);
    g_assert_true(g_thread_self() == turn->order->thread);
    g_assert_cmpuint(turn->order->n_done, ==, turn->number);
    turn->order->n_done++;
}

/* Many batches at once, each putting the same mailbox anew: they end in order, the empty one after
 * all of them, and a load that was asked for after a batch sees what it put. */
static void test_order(Fixture *fixture, gconstpointer data)
{
    enum { N = 300 };
    Order order = {.thread = g_thread_self()};
    g_autofree Turn *turns = g_new(Turn, N + 1);
    g_auto(Loaded) loaded = LOADED_INIT;
    Done last = {0};

    for (guint i = 0; i < N; i++) {
        DiskBatch *batch = disk_batch_new();

        put_message(batch, 1, 1, i + 1);
        put_message(batch, 1, i + 2, 100000 + i);
        turns[i] = (Turn){&order, i};
        disk_submit(fixture->disk, batch, on_turn, &turns[i]);
    }
    g_assert_cmpuint(disk_next_item(fixture->disk, 1), ==, N + 2);
    g_assert_cmpuint(order.n_done, ==, 0); /* nothing before the main context runs */
    ask_when_done(fixture, on_done, &last);
    load(fixture, 1, &loaded);
    g_assert_true(last.is_done);
    g_assert_no_error(last.error);
    g_assert_cmpuint(order.n_done, ==, N);
    g_assert_cmpuint(loaded.messages->len, ==, N + 1);
    g_assert_cmpuint(loaded_at(&loaded, 0)->uid, ==, N); /* the last of them holds */
}

static void on_never(const GError *error, gpointer user)
{
    g_assert_not_reached();
}

static void on_never_loaded(guint16 mailbox, GPtrArray *messages, gboolean is_last,
                            const GError *error, gpointer user)
{
    g_assert_not_reached();
}

/* What was submitted is carried out by disk_close(), but nobody is called any more. */
static void test_close(Fixture *fixture, gconstpointer data)
{
    g_auto(Loaded) loaded = LOADED_INIT;

    for (guint i = 1; i <= 50; i++) {
        DiskBatch *batch = disk_batch_new();

        put_message(batch, 1, i, i);
        disk_submit(fixture->disk, batch, on_never, NULL);
        disk_load_messages(fixture->disk, 1, on_never_loaded, NULL);
    }
    fixture_close(fixture);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    fixture_open(fixture);
    g_assert_false(disk_was_unclean(fixture->disk));
    load(fixture, 1, &loaded);
    g_assert_cmpuint(loaded.messages->len, ==, 50);
}

static void close_from_callback(const GError *error, gpointer user)
{
    Fixture *fixture = user;

    fixture_close(fixture);
}

static void test_close_from_callback(Fixture *fixture, gconstpointer data)
{
    DiskBatch *batch = disk_batch_new();

    put_message(batch, 1, 1, 1);
    disk_submit(fixture->disk, batch, NULL, NULL);
    ask_when_done(fixture, close_from_callback, fixture);
    ask_when_done(fixture, on_never, NULL);
    while (fixture->disk)
        g_main_context_iteration(NULL, TRUE);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    fixture_open(fixture);
    g_assert_false(disk_was_unclean(fixture->disk));
}

/* -- Size -------------------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_INSTRUMENTED 1
#else
#define IS_INSTRUMENTED 0
#endif

static guint64 resident_bytes(void)
{
    g_autofree char *statm = NULL;
    char **fields;
    guint64 pages;

    g_assert_true(g_file_get_contents("/proc/self/statm", &statm, NULL, NULL));
    fields = g_strsplit(statm, " ", 3);
    pages = g_ascii_strtoull(fields[1], NULL, 10);
    g_strfreev(fields);
    return pages * (guint64)sysconf(_SC_PAGESIZE);
}

/* In a process of its own, for what the listing left in the allocator. */
static void load_many(Fixture *fixture)
{
    g_auto(Loaded) loaded = LOADED_INIT;
    gint64 start = g_get_monotonic_time();
    guint64 resident;

    load(fixture, 1, &loaded);
    resident = resident_bytes();
    g_assert_cmpuint(loaded.messages->len, ==, 100000);
    g_test_message("100,000 messages loaded in %.2f s, %.1f MiB resident",
                   (double)(g_get_monotonic_time() - start) / 1e6, (double)resident / 1048576);
    if (!IS_INSTRUMENTED)
        g_assert_cmpuint(resident, <, 64 * 1024 * 1024);
}

static void test_many(Fixture *fixture, gconstpointer data)
{
    gint64 start = g_get_monotonic_time();
    Done done = {0};
    double seconds;

    for (guint i = 1; i <= 100000;) {
        DiskBatch *batch = disk_batch_new();

        for (guint k = 0; k < 256 && i <= 100000; k++, i++)
            put_message(batch, 1, i, i);
        disk_submit(fixture->disk, batch, NULL, NULL);
    }
    ask_when_done(fixture, on_done, &done);
    wait_for(&done.is_done);
    g_assert_no_error(done.error);
    seconds = (double)(g_get_monotonic_time() - start) / 1e6;
    g_test_message("100,000 messages kept in %.2f s", seconds);
    /* An fsync a batch would already take longer on a busy disk; sanitizers cost 3 times. */
    g_assert_cmpfloat(seconds, <, IS_INSTRUMENTED ? 60 : 15);
    in_dying_child(fixture, load_many);
    fixture_open(fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fixture_add("/disk/mailboxes", test_mailboxes);
    fixture_add("/disk/mailbox-removed", test_mailbox_removed);
    fixture_add("/disk/mailbox-renamed", test_mailbox_renamed);
    fixture_add("/disk/messages", test_messages);
    fixture_add("/disk/changes", test_changes);
    fixture_add("/disk/empty", test_empty);
    fixture_add("/disk/chunks", test_chunks);
    fixture_add("/disk/recall", test_recall);
    fixture_add("/disk/order", test_order);
    fixture_add("/disk/close", test_close);
    fixture_add("/disk/close-from-callback", test_close_from_callback);
    fixture_add("/disk/many", test_many);
    return g_test_run();
}
