/* The machines of changing, against a server that loses commands and answers, with and without the
 * extensions, and with a process that dies in between. */
#include "change-bed.h"

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

/* Into a mailbox whose rows are on the disk only, where the name is taken: both are shown when it
 * is loaded, and not only when a sync finds one missing. */
static void test_name_taken_unseen(Bed *bed, gconstpointer data)
{
    Mailbox *from, *to;
    g_autoptr(GPtrArray) messages = NULL;
    g_autoptr(GError) answer = NULL;
    StoreTransfer what = {.name = NULL};

    fake_deliver(fake_find("Box"), (FakeMessage){.size = 5, .date = 5, .fingerprint = 5});
    open_mailbox(bed, "Box");
    stop(bed);
    start(bed);
    from = open_mailbox(bed, "INBOX");
    messages = pick(from, 1);
    to = account_find_wire(bed->store->account, "Box");
    what = (StoreTransfer){.from = from, .messages = messages, .to = to};
    store_move(bed->store, &what, on_answered, &answer);
    wait_for(&answer);
    g_assert_no_error(answer);
    g_assert_cmpint(to->load, ==, MAILBOX_UNLOADED);
    store_wait(bed->store, to, on_answered, &answer);
    wait_for(&answer);
    g_assert_no_error(answer);
    g_assert_cmpuint(mailbox_n_messages(to), ==, 2);
    g_assert_cmpstr(mailbox_nth(to, 0)->name, ==, "generated.1.eml");
    check_agrees(bed, "Box", 2);
}

/* Into a mailbox that nobody had listed, and killed twice when the copy had been made: of the first
 * one nothing tells, but the second is found. */
static void test_killed_twice(Bed *bed, gconstpointer data)
{
    Mailbox *from = open_mailbox(bed, "INBOX");
    g_autoptr(GPtrArray) messages = pick(from, 1);
    g_autoptr(GError) answer = NULL;
    StoreTransfer what = {.from = from, .messages = messages,
                          .to = account_find_wire(bed->store->account, "Box")};

    fake.has_move = fake.has_uidplus = FALSE;
    fake_deliver(fake_find("Box"), (FakeMessage){.size = 1, .date = 1, .fingerprint = 1});
    fake.loses = JOB_COPY;
    fake.is_mute = TRUE;
    fake.loss = LOSE_ANSWER;
    store_move(bed->store, &what, on_answered, &answer);
    for (guint i = 0; i < 2; i++) {
        wait_until(was_lost, bed);
        stop(bed);
        fake.loss = i == 0 ? LOSE_ANSWER : LOSE_NOTHING;
        fake.is_mute = i == 0;
        start(bed);
    }
    wait_until(is_idle, bed);
    check_agrees(bed, "INBOX", 2);
    check_agrees(bed, "Box", 3);
}

/* A file with the octets of a message that went on the server, which nobody here knows yet: there
 * is nothing to be copied, so it is uploaded. */
static void test_twin_gone(Bed *bed, gconstpointer data)
{
    static const char text[] = "Message-ID: <a@b>\r\nSubject: one\r\n\r\nbody\r\n";
    Mailbox *from = open_mailbox(bed, "INBOX"), *to = open_mailbox(bed, "Box");
    g_autoptr(GError) answer = NULL, error = NULL;
    LocalFile *file;

    put_body(bed, from, mailbox_nth(from, 0), text);
    fake_remove(fake_find("INBOX"), 1);
    file = local_create(bed->store, to, "copy.eml", LOCAL_NEW, &error);
    g_assert_no_error(error);
    g_assert_true(local_write(file, text, strlen(text), 0, &error));
    local_set_mtime(file, mailbox_nth(from, 0)->date);
    store_commit(bed->store, file, on_answered, &answer);
    local_unref(file);
    wait_for(&answer);
    g_assert_no_error(answer);
    wait_until(is_idle, bed);
    g_assert_cmpstr(fake.commands->str, ==, "COPY APPEND");
    check_agrees(bed, "Box", 1);
}

/* A copy of one that is marked \Deleted would be marked, too: it is uploaded, without the mark. */
static void test_twin_marked(Bed *bed, gconstpointer data)
{
    static const char text[] = "Message-ID: <a@b>\r\nSubject: one\r\n\r\nbody\r\n";
    Mailbox *from, *to = open_mailbox(bed, "Box");
    g_autoptr(GError) answer = NULL, error = NULL;
    LocalFile *file;

    g_array_index(fake_find("INBOX")->messages, FakeMessage, 0).flags = MESSAGE_DELETED;
    from = open_mailbox(bed, "INBOX");
    put_body(bed, from, mailbox_nth(from, 0), text);
    file = local_create(bed->store, to, "copy.eml", LOCAL_NEW, &error);
    g_assert_no_error(error);
    g_assert_true(local_write(file, text, strlen(text), 0, &error));
    local_set_mtime(file, mailbox_nth(from, 0)->date);
    store_note_twin(bed->store, file, from, mailbox_nth(from, 0));
    store_commit(bed->store, file, on_answered, &answer);
    local_unref(file);
    wait_for(&answer);
    g_assert_no_error(answer);
    wait_until(is_idle, bed);
    g_assert_cmpstr(fake.commands->str, ==, "APPEND");
    check_agrees(bed, "Box", 1);
    g_assert_cmpuint(mailbox_nth(to, 0)->flags, ==, 0);
}

/* Moved, but without a word under which UID, and then the connection is lost: the answer is "done",
 * and the name is given later. */
static void test_named_later(Bed *bed, gconstpointer data)
{
    Mailbox *from = open_mailbox(bed, "INBOX"), *to = open_mailbox(bed, "Box");
    g_autoptr(GPtrArray) messages = pick(from, 1);
    g_autoptr(GError) answer = NULL;
    StoreTransfer what = {.from = from, .messages = messages, .to = to, .name = "mine.eml"};

    fake.has_move = GPOINTER_TO_INT(data);
    fake.has_uidplus = FALSE;
    fake.is_sync_lost = TRUE;
    store_move(bed->store, &what, on_answered, &answer);
    wait_for(&answer);
    g_assert_no_error(answer);
    g_assert_nonnull(mailbox_find_name(to, "mine.eml"));
    g_assert_true(mailbox_nth(from, 0)->is_hidden);
    wait_until(is_idle, bed);
    check_agrees(bed, "INBOX", 2);
    check_agrees(bed, "Box", 1);
    g_assert_cmpstr(mailbox_nth(to, 0)->name, ==, "mine.eml");
    g_assert_false(mailbox_nth(to, 0)->is_pending);
}

/* The same listing twice, with a change in between, is the same mailbox. */
static void test_listed_twice(Bed *bed, gconstpointer data)
{
    Mailbox *inbox = account_find_wire(bed->store->account, "INBOX");
    g_autoptr(GError) answer = NULL;

    fake.is_sync_repeated = TRUE;
    store_wait(bed->store, inbox, on_answered, &answer);
    wait_for(&answer);
    store_alias(bed->store, inbox, mailbox_nth(inbox, 0), "mine.eml", on_answered, &answer);
    n_added = n_removed = 0;
    wait_for(&answer);
    g_assert_no_error(answer);
    wait_until(is_idle, bed);
    g_assert_cmpstr(mailbox_nth(inbox, 0)->name, ==, "mine.eml");
    g_assert_cmpuint(n_added + n_removed, ==, 0);
    check_agrees(bed, "INBOX", 3);
    g_assert_cmpstr(mailbox_nth(inbox, 0)->name, ==, "mine.eml");
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

static void list_again(Bed *bed)
{
    stop(bed);
    start(bed);
}

/* A name that is only a guess is a Trash where there is none of a better name. */
static void test_trash_guessed(Bed *bed, gconstpointer data)
{
    g_autoptr(GError) answer = NULL;

    fake_add_mailbox("Bin");
    list_again(bed);
    remove_first(bed, open_mailbox(bed, "INBOX"), &answer);
    g_assert_no_error(answer);
    check_agrees(bed, "Bin", 1);
    fake_add_mailbox("trash");
    fake_add_mailbox("Trash");
    list_again(bed);
    remove_first(bed, open_mailbox(bed, "INBOX"), &answer);
    g_assert_no_error(answer);
    check_agrees(bed, "Trash", 1);
    check_agrees(bed, "Bin", 1);
    remove_first(bed, open_mailbox(bed, "Bin"), &answer);
    g_assert_no_error(answer);
    check_agrees(bed, "Bin", 0);
    check_agrees(bed, "Trash", 2);
    g_assert_cmpstr(fake.commands->str, ==, "COPY COPY COPY");
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

/* Hidden here, also in the next run, until somebody takes the mark away. */
static void test_hidden(Bed *bed, gconstpointer data)
{
    Mailbox *inbox = open_mailbox(bed, "INBOX");
    g_autoptr(GError) answer = NULL;

    bed->config.delete = CONFIG_DELETE_EXPUNGE;
    fake.hides = TRUE;
    remove_first(bed, inbox, &answer);
    g_assert_no_error(answer);
    g_assert_true(mailbox_nth(inbox, 0)->is_hidden);
    stop(bed);
    start(bed);
    inbox = open_mailbox(bed, "INBOX");
    g_assert_true(mailbox_nth(inbox, 0)->is_hidden);
    g_assert_false(mailbox_nth(inbox, 1)->is_hidden);
    g_array_index(fake_find("INBOX")->messages, FakeMessage, 0).flags = 0;
    open_mailbox(bed, "INBOX");
    g_assert_false(mailbox_nth(inbox, 0)->is_hidden);
    check_agrees(bed, "INBOX", 3);
}

/* The cache is lost, and meanwhile somebody takes the mark away: nothing is hidden any more. */
static void test_hidden_and_lost(Bed *bed, gconstpointer data)
{
    g_autofree char *cache = g_build_filename(bed->dir, "cache", NULL);
    Mailbox *inbox = open_mailbox(bed, "INBOX");
    g_autoptr(GPtrArray) messages = pick(inbox, 2);
    g_autoptr(GError) answer = NULL;

    bed->config.delete = CONFIG_DELETE_EXPUNGE;
    fake.hides = TRUE;
    store_remove(bed->store, inbox, messages, on_answered, &answer);
    wait_for(&answer);
    g_assert_no_error(answer);
    stop(bed);
    remove_tree(cache);
    g_array_index(fake_find("INBOX")->messages, FakeMessage, 0).flags = 0;
    start(bed);
    inbox = open_mailbox(bed, "INBOX");
    g_assert_false(mailbox_nth(inbox, 0)->is_hidden);
    g_assert_true(mailbox_nth(inbox, 1)->is_hidden);
    check_agrees(bed, "INBOX", 3);
}

/* Moved by COPY, and the source can only be marked: the copy is not marked, and not hidden. */
static void test_move_hidden(Bed *bed, gconstpointer data)
{
    static const char text[] = "Subject: one\r\n";
    const Case plain = {FALSE, TRUE, LOSE_NOTHING, JOB_COPY, FALSE};
    Mailbox *from = open_mailbox(bed, "INBOX"), *to = open_mailbox(bed, "Box");
    g_autoptr(GPtrArray) messages = pick(from, 1);
    StoreTransfer what = {.from = from, .messages = messages, .to = to};

    fake.hides = TRUE;
    g_array_index(fake_find("INBOX")->messages, FakeMessage, 0).size = strlen(text);
    put_body(bed, from, mailbox_nth(from, 0), text);
    transfer(bed, store_move, &plain, &what);
    g_assert_true(mailbox_nth(from, 0)->is_hidden);
    check_agrees(bed, "INBOX", 3);
    check_agrees(bed, "Box", 1);
    g_assert_false(mailbox_nth(to, 0)->is_hidden);
    g_assert_cmpuint(mailbox_nth(to, 0)->flags, ==, 0);
    check_body(bed, to, mailbox_nth(to, 0), text);
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal((GLogLevelFlags)(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL));
    bed_add("/change/move", test_move);
    bed_add("/change/copy", test_copy);
    bed_add("/change/one-command", test_one_command);
    bed_add("/change/sync-waits", test_sync_waits);
    bed_add("/change/never-listed", test_never_listed);
    bed_add("/change/replaces", test_replaces);
    bed_add("/change/rescue", test_rescue);
    bed_add("/change/killed-twice", test_killed_twice);
    bed_add("/change/name-taken-unseen", test_name_taken_unseen);
    bed_add("/change/twin-gone", test_twin_gone);
    bed_add("/change/twin-marked", test_twin_marked);
    bed_add("/change/listed-twice", test_listed_twice);
    g_test_add("/change/named-later/copy", Bed, GINT_TO_POINTER(FALSE), set_up, test_named_later,
               tear_down);
    g_test_add("/change/named-later/move", Bed, GINT_TO_POINTER(TRUE), set_up, test_named_later,
               tear_down);
    bed_add("/change/target-gone", test_target_gone);
    bed_add("/change/trash", test_trash);
    bed_add("/change/trash-guessed", test_trash_guessed);
    bed_add("/change/expunge", test_expunge);
    bed_add("/change/guard", test_guard);
    bed_add("/change/hidden", test_hidden);
    bed_add("/change/hidden-and-lost", test_hidden_and_lost);
    bed_add("/change/move-hidden", test_move_hidden);
    bed_add("/change/flags", test_flags);
    bed_add("/change/mailboxes", test_mailboxes);
    bed_add("/change/late-list", test_late_list);
    bed_add("/change/refused", test_refused);
    bed_add("/change/rename", test_rename);
    bed_add("/change/names", test_names);
    bed_add("/change/parked", test_parked);
    return g_test_run();
}
