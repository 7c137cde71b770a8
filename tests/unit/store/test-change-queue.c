/* Changes without a connection, with offline=queue: seen as done at once and after a restart, and
 * done once when there is one again.
 */
#include "change-bed.h"

static void set_down(gboolean is_down)
{
    fake.is_down = is_down;
    fake_connect(NULL);
}

/* What a directory shows: names without what is hidden, in the order of their numbers. */
static char *shown(Bed *bed, const char *wire)
{
    const Mailbox *mailbox = account_find_wire(bed->store->account, wire);
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < mailbox_n_messages(mailbox); i++)
        if (!mailbox_nth(mailbox, i)->is_hidden)
            g_string_append_printf(names, "%s%s", names->len ? " " : "",
                                   mailbox_nth(mailbox, i)->name);
    return g_strdup(names->str);
}

static gboolean is_loaded(Bed *bed)
{
    return account_find_wire(bed->store->account, "INBOX")->load == MAILBOX_LOADED &&
           account_find_wire(bed->store->account, "Box")->load == MAILBOX_LOADED;
}

/* One is moved under a name, one is removed, one is flagged, and a mailbox made. */
static void queue_all(Bed *bed)
{
    StoreFlags flags = {.add = MESSAGE_FLAGGED};
    Mailbox *inbox = account_find_wire(bed->store->account, "INBOX");
    Mailbox *box = account_find_wire(bed->store->account, "Box");
    Mailbox *root = bed->store->account->root;
    g_autoptr(GPtrArray) one = pick(inbox, 1), two = g_ptr_array_new(), three = g_ptr_array_new();
    StoreTransfer what = {.from = inbox, .messages = one, .to = box, .name = "mine.eml"};
    GError *answers[4] = {NULL};

    g_ptr_array_add(two, mailbox_nth(inbox, 1));
    g_ptr_array_add(three, mailbox_nth(inbox, 2));
    store_move(bed->store, &what, on_answered, &answers[0]);
    store_remove(bed->store, inbox, two, on_answered, &answers[1]);
    store_flag(bed->store, inbox, three, &flags, on_answered, &answers[2]);
    store_create_mailbox(bed->store, root, "New", on_answered, &answers[3]);
    for (guint i = 0; i < G_N_ELEMENTS(answers); i++)
        g_assert_no_error(wait_for(&answers[i]));
}

static void check_shown(Bed *bed)
{
    g_autofree char *inbox = shown(bed, "INBOX"), *box = shown(bed, "Box");

    g_assert_cmpstr(inbox, ==, "generated.3.eml");
    g_assert_cmpstr(box, ==, "mine.eml");
    g_assert_nonnull(account_find_wire(bed->store->account, "New"));
}

static void begin_queue(Bed *bed)
{
    Mailbox *inbox = open_mailbox(bed, "INBOX");

    bed->config.offline = CONFIG_OFFLINE_QUEUE;
    put_body(bed, inbox, mailbox_nth(inbox, 0), "Subject: a\r\n");
    g_array_index(fake_find("INBOX")->messages, FakeMessage, 0).size = strlen("Subject: a\r\n");
    open_mailbox(bed, "Box");
    wait_until(is_idle, bed);
    set_down(TRUE);
    queue_all(bed);
}

static void test_queue(Bed *bed, gconstpointer data)
{
    Mailbox *box;

    begin_queue(bed);
    check_shown(bed);
    g_assert_cmpstr(fake.commands->str, ==, "");
    stop(bed);
    start(bed);
    wait_until(is_loaded, bed);
    check_shown(bed);
    box = account_find_wire(bed->store->account, "Box");
    check_body(bed, box, mailbox_nth(box, 0), "Subject: a\r\n");
    set_down(FALSE);
    wait_until(is_idle, bed);
    check_shown(bed);
    check_agrees(bed, "INBOX", 1);
    check_agrees(bed, "Box", 1);
    check_agrees(bed, "Trash", 1);
    check_agrees(bed, "New", 0);
    check_body(bed, box, mailbox_nth(box, 0), "Subject: a\r\n");
    g_assert_cmpuint(mailbox_nth(open_mailbox(bed, "INBOX"), 0)->flags, ==, MESSAGE_FLAGGED);
}

/* Moved on, under another name, before the first move could be made. */
static void test_queue_in_a_row(Bed *bed, gconstpointer data)
{
    g_autoptr(GPtrArray) messages = NULL;
    g_autoptr(GError) moved = NULL, renamed = NULL;
    Mailbox *box, *other;
    StoreTransfer what;

    fake_add_mailbox("Other");
    stop(bed);
    start(bed);
    other = open_mailbox(bed, "Other");
    begin_queue(bed);
    box = account_find_wire(bed->store->account, "Box");
    messages = pick(box, 1);
    store_alias(bed->store, box, mailbox_nth(box, 0), "yours.eml", on_answered, &renamed);
    g_assert_no_error(wait_for(&renamed));
    what = (StoreTransfer){.from = box, .messages = messages, .to = other};
    store_move(bed->store, &what, on_answered, &moved);
    g_assert_no_error(wait_for(&moved));
    set_down(FALSE);
    wait_until(is_idle, bed);
    check_agrees(bed, "Box", 0);
    check_agrees(bed, "Other", 1);
    g_assert_cmpstr(mailbox_nth(other, 0)->name, ==, "yours.eml");
    check_body(bed, other, mailbox_nth(other, 0), "Subject: a\r\n");
}

/* The server refuses: everything is back where it was, and the queue has the reason. */
static void test_queue_refused(Bed *bed, gconstpointer data)
{
    g_autofree char *inbox = NULL;

    begin_queue(bed);
    g_ptr_array_remove(fake.mailboxes, fake_find("Box"));
    fake_add_mailbox("Box2"); /* no Box, which LIST says as well */
    set_down(FALSE);
    wait_until(is_idle, bed);
    inbox = shown(bed, "INBOX");
    g_assert_cmpstr(inbox, ==, "generated.1.eml generated.3.eml");
    check_agrees(bed, "INBOX", 2);
    g_assert_cmpuint(bed->store->failed->len, ==, 1);
}

/* Nothing of the journal is in the cache, which anybody may delete. */
static void test_without_cache(Bed *bed, gconstpointer data)
{
    g_autofree char *cache = g_build_filename(bed->dir, "cache", NULL);
    Mailbox *inbox, *box;
    LocalFile *file;
    g_autoptr(GError) error = NULL, answer = NULL;

    begin_queue(bed);
    inbox = account_find_wire(bed->store->account, "INBOX");
    file = local_create(bed->store, inbox, "new.eml", LOCAL_NEW, &error);
    g_assert_true(local_write(file, "Subject: new\r\n", 14, 0, &error));
    store_commit(bed->store, file, on_answered, &answer);
    g_assert_no_error(wait_for(&answer));
    local_unref(file);
    stop(bed);
    remove_tree(cache);
    start(bed);
    set_down(FALSE);
    wait_until(is_idle, bed);
    check_agrees(bed, "INBOX", 2);
    check_agrees(bed, "Box", 1);
    check_agrees(bed, "Trash", 1);
    box = account_find_wire(bed->store->account, "Box");
    g_assert_cmpstr(mailbox_nth(box, 0)->name, ==, "mine.eml");
    inbox = account_find_wire(bed->store->account, "INBOX");
    g_assert_nonnull(mailbox_find_name(inbox, "new.eml"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal((GLogLevelFlags)(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL));
    bed_add("/change-queue/all", test_queue);
    bed_add("/change-queue/in-a-row", test_queue_in_a_row);
    bed_add("/change-queue/refused", test_queue_refused);
    bed_add("/change-queue/without-cache", test_without_cache);
    return g_test_run();
}
