/* A store with its disk, above a fake server (fake-server.h): INBOX with three messages, and an
 * empty Box.  Included by one test program each, therefore all static. */
#pragma once

#include "fake-server.h"

enum { PATIENCE_SECONDS = 20 };

typedef struct {
    char *dir;
    ConfigAccount config;
    char *folders[2];
    Store *store;
} Bed;

/* -- The bed ----------------------------------------------------------------------------------- */

static inline void no_mailbox(Store *store, Mailbox *mailbox, gpointer user)
{
}

static inline void no_message(Store *store, Mailbox *mailbox, Message *message, gpointer user)
{
    g_assert_nonnull(message->name);
}

static guint n_added, n_removed;

static inline void count_added(Store *store, Mailbox *mailbox, Message *message, gpointer user)
{
    n_added++;
}

static inline void count_removed(Store *store, Mailbox *mailbox, Message *message, gpointer user)
{
    g_assert_nonnull(message->name);
    n_removed++;
}

static inline void count_mailbox(Store *store, Mailbox *mailbox, gpointer user)
{
    n_removed++;
}

static inline void no_move(Store *store, const StoreMoved *moved, gpointer user)
{
    g_assert_true(mailbox_find_item(moved->to, moved->message->item) == moved->message);
}

static inline void no_local(Store *store, Mailbox *mailbox, guint64 item, const char *name,
                            gpointer user)
{
}

static inline void no_state(Store *store, gpointer user)
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

static inline char *show(const char *component, gsize length, gboolean is_top)
{
    return g_strndup(component, length);
}

static inline void wait_until(gboolean (*is_so)(Bed *bed), Bed *bed)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_SECONDS * G_USEC_PER_SEC;

    while (!is_so(bed)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_main_context_iteration(NULL, FALSE);
    }
}

static inline gboolean is_listed(Bed *bed)
{
    return bed->store->was_polled || bed->store->link == LINK_OFFLINE;
}

static inline gboolean is_idle(Bed *bed)
{
    return !bed->store->changes && g_hash_table_size(bed->store->syncs) == 0 &&
           !bed->store->list_job && !bed->store->renames;
}

static inline void start(Bed *bed)
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

static inline void stop(Bed *bed)
{
    g_clear_pointer(&bed->store, store_close);
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

static inline void on_answered(const GError *error, gpointer user)
{
    *(GError **)user = error ? g_error_copy(error)
                             : g_error_new_literal(MAIL_ERROR, MAIL_ERROR_N_CODES, "fine");
}

/* Runs until @func was called; "fine" is no error. */
static inline GError *wait_for(GError **answer)
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

static inline Mailbox *open_mailbox(Bed *bed, const char *wire)
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
static inline void set_up(Bed *bed, gconstpointer data)
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

static inline void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_remove(path);
}

static inline void tear_down(Bed *bed, gconstpointer data)
{
    stop(bed);
    remove_tree(bed->dir);
    g_free(bed->dir);
    g_ptr_array_unref(fake.mailboxes);
    g_string_free(fake.commands, TRUE);
}

/* -- What is to be seen ------------------------------------------------------------------------ */

/* The model says what the server has, no more and no less. */
static inline void check_agrees(Bed *bed, const char *wire, guint n)
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

static inline void check_body(Bed *bed, const Mailbox *mailbox, const Message *message,
                              const char *text)
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

static inline void put_body(Bed *bed, Mailbox *mailbox, Message *message, const char *text)
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

static inline GPtrArray *pick(Mailbox *mailbox, guint n)
{
    GPtrArray *messages = g_ptr_array_new();

    for (guint i = 0; i < n; i++)
        g_ptr_array_add(messages, mailbox_nth(mailbox, i));
    return messages;
}

static inline void bed_add(const char *path, void (*func)(Bed *bed, gconstpointer data))
{
    g_test_add(path, Bed, NULL, set_up, func, tear_down);
}
