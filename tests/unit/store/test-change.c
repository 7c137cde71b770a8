/* The machines of changing, against a server that loses commands and answers, with and without the
 * extensions, and with a process that dies in between. */
#include "fake-server.h"

enum { PATIENCE_SECONDS = 20 };

typedef struct {
    char *dir;
    ConfigAccount config;
    char *folders[2];
    Store *store;
} Bed;

/* -- The bed ----------------------------------------------------------------------------------- */

static void no_mailbox(Store *store, Mailbox *mailbox, gpointer user)
{
}

static void no_message(Store *store, Mailbox *mailbox, Message *message, gpointer user)
{
    g_assert_nonnull(message->name);
}

static guint n_added, n_removed;

static void count_added(Store *store, Mailbox *mailbox, Message *message, gpointer user)
{
    n_added++;
}

static void count_removed(Store *store, Mailbox *mailbox, Message *message, gpointer user)
{
    g_assert_nonnull(message->name);
    n_removed++;
}

static void count_mailbox(Store *store, Mailbox *mailbox, gpointer user)
{
    n_removed++;
}

static void no_move(Store *store, const StoreMoved *moved, gpointer user)
{
    g_assert_true(mailbox_find_item(moved->to, moved->message->item) == moved->message);
}

static void no_local(Store *store, Mailbox *mailbox, guint64 item, const char *name, gpointer user)
{
}

static void no_state(Store *store, gpointer user)
{
}

static const StoreObserver observer = {
    .mailbox_added = no_mailbox,
    .mailbox_removed = count_mailbox,
    .message_added = count_added,
    .message_removed = count_removed,
    .message_changed = no_message,
    .message_moved = no_move,
    .local_changed = no_local,
    .mailbox_changed = no_mailbox,
    .state_changed = no_state,
};

static char *show(const char *component, gsize length, gboolean is_top)
{
    return g_strndup(component, length);
}

static void wait_until(gboolean (*is_so)(Bed *bed), Bed *bed)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_SECONDS * G_USEC_PER_SEC;

    while (!is_so(bed)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_main_context_iteration(NULL, FALSE);
    }
}

static gboolean is_listed(Bed *bed)
{
    return bed->store->was_polled;
}

static gboolean is_idle(Bed *bed)
{
    return !bed->store->changes && g_hash_table_size(bed->store->syncs) == 0 &&
           !bed->store->list_job && !bed->store->renames;
}

static void start(Bed *bed)
{
    g_autofree char *cache = g_build_filename(bed->dir, "cache", NULL);
    g_autofree char *state = g_build_filename(bed->dir, "state", NULL);
    g_autoptr(GError) error = NULL;
    StoreParams params = {.config = &bed->config,
                          .number = 1,
                          .show = show,
                          .cache_dir = cache,
                          .state_dir = state,
                          .observer = &observer};

    bed->store = store_open(&params, &error);
    g_assert_no_error(error);
    bed->store->ops = &fake_ops;
    store_start(bed->store);
    wait_until(is_listed, bed);
}

static void stop(Bed *bed)
{
    g_clear_pointer(&bed->store, store_close);
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

static void on_answered(const GError *error, gpointer user)
{
    *(GError **)user = error ? g_error_copy(error)
                             : g_error_new_literal(MAIL_ERROR, MAIL_ERROR_N_CODES, "fine");
}

/* Runs until @func was called; "fine" is no error. */
static GError *wait_for(GError **answer)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_SECONDS * G_USEC_PER_SEC;

    while (!*answer) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_main_context_iteration(NULL, FALSE);
    }
    if (g_error_matches(*answer, MAIL_ERROR, MAIL_ERROR_N_CODES))
        g_clear_error(answer);
    return *answer;
}

static Mailbox *open_mailbox(Bed *bed, const char *wire)
{
    Mailbox *mailbox = account_find_wire(bed->store->account, wire);
    g_autoptr(GError) answer = NULL;

    g_assert_nonnull(mailbox);
    store_sync(bed->store, mailbox, on_answered, &answer);
    wait_for(&answer);
    g_assert_no_error(answer);
    return mailbox;
}

/* Three messages in INBOX, and an empty mailbox. */
static void set_up(Bed *bed, gconstpointer data)
{
    FakeMailbox *inbox;

    memset(&fake, 0, sizeof fake);
    fake.mailboxes = g_ptr_array_new_with_free_func(fake_mailbox_free);
    fake.commands = g_string_new(NULL);
    fake.next_uidvalidity = 100;
    fake.has_move = fake.has_uidplus = TRUE;
    inbox = fake_add_mailbox("INBOX");
    fake_add_mailbox("Box");
    for (guint i = 1; i <= 3; i++)
        fake_deliver(inbox, (FakeMessage){.size = 1000 + i, .date = 5000 + i,
                                          .fingerprint = 77 + i});
    bed->dir = g_dir_make_tmp("mailfs-change-XXXXXX", NULL);
    bed->folders[0] = (char *)"*";
    bed->config = (ConfigAccount){.id = (char *)"test",
                                  .folders = bed->folders,
                                  .poll_seconds = 3600,
                                  .cache_max = G_MAXUINT64,
                                  .names = CONFIG_NAMES_FULL};
    start(bed);
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_remove(path);
}

static void tear_down(Bed *bed, gconstpointer data)
{
    stop(bed);
    remove_tree(bed->dir);
    g_free(bed->dir);
    g_ptr_array_unref(fake.mailboxes);
    g_string_free(fake.commands, TRUE);
}

/* -- What is to be seen ------------------------------------------------------------------------ */

/* The model says what the server has, no more and no less. */
static void check_agrees(Bed *bed, const char *wire, guint n)
{
    const FakeMailbox *there = fake_find(wire);
    Mailbox *here = open_mailbox(bed, wire);

    g_assert_cmpuint(there->messages->len, ==, n);
    g_assert_cmpuint(mailbox_n_messages(here), ==, n);
    for (guint i = 0; i < n; i++) {
        const FakeMessage *message = &g_array_index(there->messages, FakeMessage, i);
        const Message *row = mailbox_find_uid(here, message->uid);

        g_assert_nonnull(row);
        g_assert_cmpuint(row->size, ==, message->size);
        g_assert_cmpuint(row->flags, ==, message->flags);
    }
}

static void check_body(Bed *bed, const Mailbox *mailbox, const Message *message, const char *text)
{
    g_autoptr(GError) error = NULL;
    char octets[64] = {0};
    int fd = disk_open_body(bed->store->disk, mailbox->number, message->item, &error);

    g_assert_no_error(error);
    g_assert_cmpint(read(fd, octets, sizeof octets - 1), ==, (gssize)strlen(text));
    g_assert_cmpstr(octets, ==, text);
    close(fd);
    g_assert_true(message->is_cached);
}

static void put_body(Bed *bed, Mailbox *mailbox, Message *message, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BodyFile) file = body_file_new(bed->store->disk, &error);
    DiskBatch *batch = disk_batch_new();
    guint8 sha256[32];

    g_assert_true(body_file_append(file, text, strlen(text), &error));
    g_assert_true(body_file_commit(file, mailbox->number, message->item, sha256, &error));
    message->is_cached = message->is_exact = TRUE;
    message->size = strlen(text);
    disk_batch_body_cached(batch, mailbox->number, message->item, message->size, sha256);
    disk_submit(bed->store->disk, batch, NULL, NULL);
}

static GPtrArray *pick(Mailbox *mailbox, guint n)
{
    GPtrArray *messages = g_ptr_array_new();

    for (guint i = 0; i < n; i++)
        g_ptr_array_add(messages, mailbox_nth(mailbox, i));
    return messages;
}

/* -- Transfers --------------------------------------------------------------------------------- */

typedef StoreChange *(*Transfer)(Store *, const StoreTransfer *, StoreFunc, gpointer);

typedef struct {
    gboolean has_move, has_uidplus;
    FakeLoss loss;
    JobKind loses;
    gboolean is_killed; /* the process, when the loss comes */
} Case;

static gboolean was_lost(Bed *bed)
{
    return fake.loss == LOSE_NOTHING;
}

/* Begins, and waits for the end, in this process or in the next. */
static void transfer(Bed *bed, Transfer how, const Case *each, const StoreTransfer *what)
{
    g_autoptr(GError) answer = NULL;

    fake.has_move = each->has_move;
    fake.has_uidplus = each->has_uidplus;
    fake.loss = each->loss;
    fake.loses = each->loses;
    fake.is_mute = each->is_killed;
    how(bed->store, what, on_answered, &answer);
    if (each->is_killed) {
        wait_until(was_lost, bed);
        g_assert_null(answer);
        stop(bed);
        fake.is_mute = FALSE;
        start(bed);
        wait_until(is_idle, bed);
        return;
    }
    wait_for(&answer);
    g_assert_no_error(answer);
    wait_until(is_idle, bed);
}

/* A kind of loss can come only where the command is sent. */
static gboolean makes_sense(const Case *each)
{
    return !(each->loses == JOB_EXPUNGE && each->has_move) && !(each->is_killed && !each->loss);
}

static void for_each_case(Bed *bed, void (*func)(Bed *bed, const Case *each))
{
    static const JobKind kinds[] = {JOB_COPY, JOB_EXPUNGE};
    gboolean is_first = TRUE;

    for (guint bits = 0; bits < 8; bits++)
        for (guint loss = LOSE_NOTHING; loss <= LOSE_ANSWER; loss++)
            for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
                Case each = {bits & 1, (bits & 2) != 0, (FakeLoss)loss, kinds[i],
                             (bits & 4) != 0};

                if (!makes_sense(&each))
                    continue;
                g_test_message("MOVE %d UIDPLUS %d loss %u of %d killed %d", each.has_move,
                               each.has_uidplus, loss, each.loses, each.is_killed);
                if (!is_first) {
                    tear_down(bed, NULL);
                    set_up(bed, NULL);
                }
                is_first = FALSE;
                func(bed, &each);
            }
}

/* Two of three go, exactly once; body, and in this process name and inode, go along. */
static void move_case(Bed *bed, const Case *each)
{
    static const char text[] = "Subject: one\r\n\r\nbody\r\n";
    Mailbox *from = open_mailbox(bed, "INBOX"), *to = open_mailbox(bed, "Box");
    g_autoptr(GPtrArray) messages = pick(from, 2);
    StoreTransfer what = {.from = from, .messages = messages, .to = to};
    Message *first = mailbox_nth(from, 0), *moved;
    FakeMailbox *inbox = fake_find("INBOX");

    g_array_index(inbox->messages, FakeMessage, 0).size = strlen(text);
    put_body(bed, from, first, text);
    transfer(bed, store_move, each, &what);
    check_agrees(bed, "INBOX", 1);
    check_agrees(bed, "Box", 2);
    to = account_find_wire(bed->store->account, "Box");
    moved = mailbox_nth(to, 0);
    check_body(bed, to, moved, text);
    g_assert_cmpstr(moved->name, ==, "generated.1.eml");
}

static void test_move(Bed *bed, gconstpointer data)
{
    for_each_case(bed, move_case);
}

static void copy_case(Bed *bed, const Case *each)
{
    Mailbox *from = open_mailbox(bed, "INBOX"), *to = open_mailbox(bed, "Box");
    g_autoptr(GPtrArray) messages = pick(from, 2);
    StoreTransfer what = {.from = from, .messages = messages, .to = to};

    if (each->loses == JOB_EXPUNGE)
        return;
    transfer(bed, store_copy, each, &what);
    check_agrees(bed, "INBOX", 3);
    check_agrees(bed, "Box", 2);
}

static void test_copy(Bed *bed, gconstpointer data)
{
    for_each_case(bed, copy_case);
}

/* One command for a set, and none more. */
static void test_one_command(Bed *bed, gconstpointer data)
{
    Mailbox *from = open_mailbox(bed, "INBOX"), *to = open_mailbox(bed, "Box");
    g_autoptr(GPtrArray) messages = pick(from, 3);
    StoreTransfer what = {.from = from, .messages = messages, .to = to};
    const Case plain = {TRUE, TRUE, LOSE_NOTHING, JOB_COPY, FALSE};

    transfer(bed, store_move, &plain, &what);
    g_assert_cmpstr(fake.commands->str, ==, "COPY");
}

static gboolean was_copied(Bed *bed)
{
    return g_str_has_suffix(fake.commands->str, "COPY");
}

/* A sync that sees the copies before we are told of them does not take them for news. */
static void test_sync_waits(Bed *bed, gconstpointer data)
{
    Mailbox *from = open_mailbox(bed, "INBOX"), *to = open_mailbox(bed, "Box");
    g_autoptr(GPtrArray) messages = pick(from, 3);
    StoreTransfer what = {.from = from, .messages = messages, .to = to};
    g_autoptr(GError) answer = NULL;

    n_added = n_removed = 0;
    fake.is_change_late = TRUE;
    store_move(bed->store, &what, on_answered, &answer);
    wait_until(was_copied, bed);
    store_request_sync(bed->store, to, JOB_WAITED);
    store_request_sync(bed->store, from, JOB_WAITED);
    wait_for(&answer);
    g_assert_no_error(answer);
    wait_until(is_idle, bed);
    g_assert_cmpuint(n_added, ==, 0);
    g_assert_cmpuint(n_removed, ==, 0);
    check_agrees(bed, "Box", 3);
}

/* What nobody has looked at yet has the file under its name and with its body all the same. */
static void test_never_listed(Bed *bed, gconstpointer data)
{
    static const char text[] = "Subject: one\r\n\r\nbody\r\n";
    const Case plain = {TRUE, TRUE, LOSE_NOTHING, JOB_COPY, FALSE};
    Mailbox *from = open_mailbox(bed, "INBOX");
    Mailbox *to = account_find_wire(bed->store->account, "Box");
    g_autoptr(GPtrArray) messages = pick(from, 1);
    StoreTransfer what = {.from = from, .messages = messages, .to = to, .name = "mine.eml"};

    g_array_index(fake_find("INBOX")->messages, FakeMessage, 0).size = strlen(text);
    put_body(bed, from, mailbox_nth(from, 0), text);
    transfer(bed, store_move, &plain, &what);
    g_assert_false(to->is_listed);
    check_agrees(bed, "Box", 1);
    g_assert_cmpstr(mailbox_nth(to, 0)->name, ==, "mine.eml");
    check_body(bed, to, mailbox_nth(to, 0), text);
}

static void test_replaces(Bed *bed, gconstpointer data)
{
    const Case plain = {TRUE, TRUE, LOSE_NOTHING, JOB_COPY, FALSE};
    Mailbox *from, *to;
    g_autoptr(GPtrArray) messages = NULL;
    StoreTransfer what;

    fake_deliver(fake_find("Box"), (FakeMessage){.size = 9, .date = 9, .fingerprint = 9});
    from = open_mailbox(bed, "INBOX");
    to = open_mailbox(bed, "Box");
    messages = pick(from, 1);
    what = (StoreTransfer){from, messages, to, mailbox_nth(to, 0)->name, mailbox_nth(to, 0)};
    transfer(bed, store_move, &plain, &what);
    check_agrees(bed, "Box", 1);
    check_agrees(bed, "Trash", 1);
    g_assert_cmpstr(mailbox_nth(to, 0)->name, ==, "generated.1.eml");
    g_assert_cmpuint(mailbox_nth(to, 0)->size, ==, 1001);
}

/* Gone from the source and not in the target: from the cache. */
static void test_rescue(Bed *bed, gconstpointer data)
{
    static const char text[] = "Message-ID: <a@b>\r\nSubject: one\r\n\r\nbody\r\n";
    Mailbox *from = open_mailbox(bed, "INBOX"), *to = open_mailbox(bed, "Box");
    g_autoptr(GPtrArray) messages = pick(from, 1);
    g_autoptr(GError) answer = NULL;
    StoreTransfer what = {.from = from, .messages = messages, .to = to};

    put_body(bed, from, mailbox_nth(from, 0), text);
    fake.loss = LOSE_COMMAND;
    fake.loses = JOB_COPY;
    store_move(bed->store, &what, on_answered, &answer);
    wait_until(was_lost, bed);
    fake_remove(fake_find("INBOX"), 1);
    wait_for(&answer);
    wait_until(is_idle, bed);
    check_agrees(bed, "INBOX", 2);
    check_agrees(bed, "Box", 1);
}

static void test_target_gone(Bed *bed, gconstpointer data)
{
    Mailbox *from = open_mailbox(bed, "INBOX"), *to = open_mailbox(bed, "Box");
    g_autoptr(GPtrArray) messages = pick(from, 1);
    g_autoptr(GError) answer = NULL;
    StoreTransfer what = {.from = from, .messages = messages, .to = to};

    g_ptr_array_remove(fake.mailboxes, fake_find("Box"));
    store_move(bed->store, &what, on_answered, &answer);
    wait_for(&answer);
    g_assert_error(answer, MAIL_ERROR, MAIL_ERROR_GONE);
    wait_until(is_idle, bed);
    check_agrees(bed, "INBOX", 3);
}

/* -- Removals ---------------------------------------------------------------------------------- */

static void remove_first(Bed *bed, Mailbox *mailbox, GError **answer)
{
    g_autoptr(GPtrArray) messages = pick(mailbox, 1);

    store_remove(bed->store, mailbox, messages, on_answered, answer);
    wait_for(answer);
    wait_until(is_idle, bed);
}

static void test_trash(Bed *bed, gconstpointer data)
{
    Mailbox *inbox = open_mailbox(bed, "INBOX");
    g_autoptr(GError) answer = NULL;

    remove_first(bed, inbox, &answer);
    g_assert_no_error(answer);
    check_agrees(bed, "INBOX", 2);
    check_agrees(bed, "Trash", 1);
    g_assert_cmpstr(fake.commands->str, ==, "MAILBOX COPY");
    remove_first(bed, open_mailbox(bed, "Trash"), &answer);
    g_assert_no_error(answer);
    check_agrees(bed, "Trash", 0);
    g_assert_cmpstr(fake.commands->str, ==, "MAILBOX COPY EXPUNGE");
}

static void test_expunge(Bed *bed, gconstpointer data)
{
    for (guint loss = LOSE_NOTHING; loss <= LOSE_ANSWER; loss++) {
        g_autoptr(GError) answer = NULL;
        Mailbox *inbox = open_mailbox(bed, "INBOX");

        bed->config.delete = CONFIG_DELETE_EXPUNGE;
        fake.loss = (FakeLoss)loss;
        fake.loses = JOB_EXPUNGE;
        remove_first(bed, inbox, &answer);
        g_assert_no_error(answer);
        check_agrees(bed, "INBOX", 2 - loss);
    }
}

/* The number is another message's now: it stays. */
static void test_guard(Bed *bed, gconstpointer data)
{
    Mailbox *inbox = open_mailbox(bed, "INBOX");
    g_autoptr(GError) answer = NULL;

    bed->config.delete = CONFIG_DELETE_EXPUNGE;
    g_array_index(fake_find("INBOX")->messages, FakeMessage, 0).date = 1;
    remove_first(bed, inbox, &answer);
    g_assert_error(answer, MAIL_ERROR, MAIL_ERROR_GONE);
    check_agrees(bed, "INBOX", 3);
}

static void test_brake(Bed *bed, gconstpointer data)
{
    Mailbox *inbox = open_mailbox(bed, "INBOX");

    g_assert_true(change_may_expunge(bed->store, inbox, 50));
    g_assert_false(change_may_expunge(bed->store, inbox, 1));
    bed->config.delete = CONFIG_DELETE_EXPUNGE;
    g_assert_true(change_may_expunge(bed->store, inbox, 1000));
}

/* -- Flags ------------------------------------------------------------------------------------- */

static void test_flags(Bed *bed, gconstpointer data)
{
    StoreFlags add = {.add = MESSAGE_SEEN | MESSAGE_FLAGGED, .add_keywords = "b a"};
    StoreFlags remove = {.remove = MESSAGE_FLAGGED, .remove_keywords = "a"};
    Mailbox *inbox = open_mailbox(bed, "INBOX");
    g_autoptr(GPtrArray) messages = pick(inbox, 2);
    g_autoptr(GError) answer = NULL;

    fake.loss = LOSE_ANSWER;
    fake.loses = JOB_FLAGS;
    store_flag(bed->store, inbox, messages, &add, on_answered, &answer);
    wait_for(&answer);
    g_assert_no_error(answer);
    g_assert_cmpuint(mailbox_nth(inbox, 0)->flags, ==, MESSAGE_SEEN | MESSAGE_FLAGGED);
    g_assert_cmpstr(mailbox_nth(inbox, 1)->keywords, ==, "a b");
    g_assert_cmpuint(inbox->n_unseen, ==, 1);
    store_flag(bed->store, inbox, messages, &remove, on_answered, &answer);
    wait_for(&answer);
    g_assert_no_error(answer);
    g_assert_cmpstr(mailbox_nth(inbox, 1)->keywords, ==, "b");
    check_agrees(bed, "INBOX", 3);
}

/* -- Mailboxes --------------------------------------------------------------------------------- */

static gboolean is_gone(Bed *bed, const char *wire)
{
    return !account_find_wire(bed->store->account, wire) && !fake_find(wire);
}

static void test_mailboxes(Bed *bed, gconstpointer data)
{
    for (guint loss = LOSE_NOTHING; loss <= LOSE_ANSWER; loss++) {
        Mailbox *root = bed->store->account->root, *made;
        g_autoptr(GError) answer = NULL;

        fake.loses = JOB_MAILBOX;
        fake.loss = (FakeLoss)loss;
        store_create_mailbox(bed->store, root, "New", on_answered, &answer);
        wait_for(&answer);
        g_assert_no_error(answer);
        made = account_find_wire(bed->store->account, "New");
        g_assert_nonnull(made);
        store_create_mailbox(bed->store, root, "New", on_answered, &answer);
        wait_for(&answer);
        g_assert_error(answer, MAIL_ERROR, MAIL_ERROR_EXISTS);
        g_clear_error(&answer);
        fake.loss = (FakeLoss)loss;
        store_delete_mailbox(bed->store, made, on_answered, &answer);
        wait_for(&answer);
        g_assert_no_error(answer);
        wait_until(is_idle, bed);
        g_assert_true(is_gone(bed, "New"));
    }
}

/* A LIST from before does not take away what was made since. */
static void test_late_list(Bed *bed, gconstpointer data)
{
    g_autoptr(GError) answer = NULL;

    wait_until(is_idle, bed);
    n_removed = 0;
    fake.is_list_late = TRUE;
    store_ask_list(bed->store, JOB_WAITED);
    store_create_mailbox(bed->store, bed->store->account->root, "New", on_answered, &answer);
    wait_for(&answer);
    g_assert_no_error(answer);
    wait_until(is_idle, bed);
    g_assert_nonnull(account_find_wire(bed->store->account, "New"));
    g_assert_cmpuint(n_removed, ==, 0);
}

static void test_refused(Bed *bed, gconstpointer data)
{
    Mailbox *root = bed->store->account->root;
    Mailbox *inbox = open_mailbox(bed, "INBOX"), *box = open_mailbox(bed, "Box");
    g_autoptr(GError) busy = NULL, full = NULL, invalid = NULL, itself = NULL;

    store_delete_mailbox(bed->store, inbox, on_answered, &busy);
    g_assert_error(wait_for(&busy), MAIL_ERROR, MAIL_ERROR_BUSY);
    store_create_mailbox(bed->store, root, "a/b", on_answered, &invalid);
    g_assert_error(wait_for(&invalid), MAIL_ERROR, MAIL_ERROR_INVALID);
    store_rename_mailbox(bed->store, box, box, "c", on_answered, &itself);
    g_assert_error(wait_for(&itself), MAIL_ERROR, MAIL_ERROR_INVALID);
    fake_deliver(fake_find("Box"), (FakeMessage){.size = 9, .date = 9});
    box = open_mailbox(bed, "Box");
    store_delete_mailbox(bed->store, box, on_answered, &full);
    g_assert_error(wait_for(&full), MAIL_ERROR, MAIL_ERROR_NOTEMPTY);
    g_assert_cmpstr(fake.commands->str, ==, "");
}

/* Numbers, items and rows stay, whatever became of the answer, and whoever dies. */
static void rename_case(Bed *bed, FakeLoss loss, gboolean is_killed)
{
    g_autoptr(GError) answer = NULL;
    Mailbox *box, *below;
    guint16 number, number_below;
    guint64 item;

    fake_add_mailbox("Box/Sub");
    fake_deliver(fake_find("Box"), (FakeMessage){.size = 9, .date = 9});
    stop(bed);
    start(bed);
    box = open_mailbox(bed, "Box");
    below = account_find_wire(bed->store->account, "Box/Sub");
    number = box->number;
    number_below = below->number;
    item = mailbox_nth(box, 0)->item;
    fake.loses = JOB_MAILBOX;
    fake.loss = loss;
    fake.is_mute = is_killed;
    store_rename_mailbox(bed->store, box, bed->store->account->root, "Chest", on_answered,
                         &answer);
    if (is_killed) {
        wait_until(was_lost, bed);
        stop(bed);
        fake.is_mute = FALSE;
        start(bed);
    } else {
        wait_for(&answer);
        g_assert_no_error(answer);
    }
    wait_until(is_idle, bed);
    g_assert_true(is_gone(bed, "Box"));
    check_agrees(bed, "Chest", 1);
    box = account_find_wire(bed->store->account, "Chest");
    below = account_find_wire(bed->store->account, "Chest/Sub");
    g_assert_cmpuint(box->number, ==, number);
    g_assert_cmpuint(below->number, ==, number_below);
    g_assert_cmpuint(mailbox_nth(box, 0)->item, ==, item);
}

static void test_rename(Bed *bed, gconstpointer data)
{
    for (guint loss = LOSE_NOTHING; loss <= LOSE_ANSWER; loss++)
        for (guint is_killed = 0; is_killed <= (loss > 0); is_killed++) {
            g_test_message("loss %u killed %u", loss, is_killed);
            rename_case(bed, (FakeLoss)loss, is_killed != 0);
            tear_down(bed, NULL);
            set_up(bed, NULL);
        }
}

/* -- Names ------------------------------------------------------------------------------------- */

static void test_names(Bed *bed, gconstpointer data)
{
    Mailbox *inbox = open_mailbox(bed, "INBOX");
    Message *message = mailbox_nth(inbox, 0);
    g_autoptr(GError) taken = NULL, fine = NULL;
    g_autofree char *free_name = NULL;

    store_alias(bed->store, inbox, message, "generated.2.eml", on_answered, &taken);
    g_assert_error(wait_for(&taken), MAIL_ERROR, MAIL_ERROR_EXISTS);
    store_alias(bed->store, inbox, message, "mine.eml", on_answered, &fine);
    wait_for(&fine);
    g_assert_no_error(fine);
    free_name = change_free_name(bed->store, inbox, "mine.eml");
    g_assert_cmpstr(free_name, ==, "mine-@1.eml");
    stop(bed);
    start(bed);
    inbox = open_mailbox(bed, "INBOX");
    g_assert_cmpstr(mailbox_nth(inbox, 0)->name, ==, "mine.eml");
}

/* Parked when the process ends: it has its name back. */
static void test_parked(Bed *bed, gconstpointer data)
{
    Mailbox *inbox = open_mailbox(bed, "INBOX");
    Message *message = mailbox_nth(inbox, 0);
    g_autoptr(GError) answer = NULL;

    put_body(bed, inbox, message, "Subject: one\r\n\r\n");
    store_park(bed->store, inbox, message, "generated.1.eml~", on_answered, &answer);
    wait_for(&answer);
    g_assert_no_error(answer);
    g_assert_true(store_find_parked(bed->store, inbox, "generated.1.eml") == message);
    g_assert_cmpstr(message->name, ==, "generated.1.eml~");
    stop(bed);
    start(bed);
    inbox = open_mailbox(bed, "INBOX");
    g_assert_null(store_find_parked(bed->store, inbox, "generated.1.eml"));
    g_assert_cmpstr(mailbox_nth(inbox, 0)->name, ==, "generated.1.eml");
}

static void add(const char *path, void (*func)(Bed *bed, gconstpointer data))
{
    g_test_add(path, Bed, NULL, set_up, func, tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal((GLogLevelFlags)(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL));
    add("/change/move", test_move);
    add("/change/copy", test_copy);
    add("/change/one-command", test_one_command);
    add("/change/sync-waits", test_sync_waits);
    add("/change/never-listed", test_never_listed);
    add("/change/replaces", test_replaces);
    add("/change/rescue", test_rescue);
    add("/change/target-gone", test_target_gone);
    add("/change/trash", test_trash);
    add("/change/expunge", test_expunge);
    add("/change/guard", test_guard);
    add("/change/brake", test_brake);
    add("/change/flags", test_flags);
    add("/change/mailboxes", test_mailboxes);
    add("/change/late-list", test_late_list);
    add("/change/refused", test_refused);
    add("/change/rename", test_rename);
    add("/change/names", test_names);
    add("/change/parked", test_parked);
    return g_test_run();
}
