/* The INBOX of a POP3 account: which message of the maildrop is which, what is removed there and
 * what stays here.  The server is a list of slots, as a session would leave it. */
#include "maildir-fixture.h"

#include "base/error.h"
#include "base/io.h"
#include "store/ledger-internal.h"
#include "store/pop3-internal.h"

typedef struct {
    Fixture fixture; /* the disk */
    char *root, *ledgers;
    ConfigAccount config;
    Pop3Backend backend;
    MaildirWorker *worker; /* entered for as long as the test lasts */
    Ledger *ledger;
    guint n_owed; /* as was told last */
} Bed;

/* -- The bed ----------------------------------------------------------------------------------- */

static void on_event(Event *event, gpointer user)
{
    if (event->kind == EVENT_OWED)
        ((Bed *)user)->n_owed = event->n_messages;
    event_free(event);
}

static void enter(Bed *bed)
{
    g_autoptr(GError) error = NULL;

    bed->worker = maildir_backend_enter(bed->backend.local);
    g_assert_true(maildir_worker_open(bed->worker, &error));
    bed->ledger = pop3_inbox(bed->worker, &error);
    g_assert_no_error(error);
}

static void start(Bed *bed)
{
    Pop3Backend *backend = &bed->backend;
    const BackendParams params = {
        .config = &bed->config,
        .disk = bed->fixture.disk,
        .state_dir = bed->fixture.state,
        .event = on_event,
        .user = bed,
    };
    const MaildirBackendParts parts = {bed->root, pop3_local_run, backend};

    *backend = (Pop3Backend){.params = params};
    backend->queue = job_queue_new();
    backend->wake = cancel_new();
    backend->slots = g_ptr_array_new_with_free_func(pop3_slot_free);
    backend->by_uid = g_hash_table_new(NULL, NULL);
    backend->missing = uid_set_new();
    backend->fresh = uid_set_new();
    backend->doomed = uid_set_new();
    pop3_troubles_init(backend);
    g_mutex_init(&backend->lock);
    backend->local = maildir_backend_start(&params, &parts);
    enter(bed);
}

static void end(Bed *bed)
{
    Pop3Backend *backend = &bed->backend;

    maildir_backend_leave(backend->local);
    maildir_backend_ops.stop(backend->local);
    job_queue_free(backend->queue);
    cancel_unref(backend->wake);
    g_ptr_array_unref(backend->slots);
    g_hash_table_unref(backend->by_uid);
    uid_set_free(backend->missing);
    uid_set_free(backend->fresh);
    uid_set_free(backend->doomed);
    g_clear_error(&backend->away);
    pop3_troubles_clear(backend);
    g_mutex_clear(&backend->lock);
}

static void setup(Bed *bed, gconstpointer data)
{
    fixture_set_up(&bed->fixture, NULL);
    bed->root = in(bed->fixture.dir, "Mail");
    bed->ledgers = in(bed->fixture.state, "ledgers");
    bed->config = (ConfigAccount){.id = (char *)"test", .protocol = CONFIG_POP3};
    start(bed);
}

static void teardown(Bed *bed, gconstpointer data)
{
    end(bed);
    g_free(bed->root);
    g_free(bed->ledgers);
    fixture_tear_down(&bed->fixture, NULL);
}

/* As after a kill: what was not flushed is lost. */
static void restart(Bed *bed)
{
    end(bed);
    start(bed);
}

/* -- Messages ---------------------------------------------------------------------------------- */

static guint32 add(Bed *bed, const char *key, guint64 size)
{
    const LedgerEntry entry = {.date = 1000, .first_seen = 2000};
    g_autoptr(GError) error = NULL;
    guint32 uid = ledger_add(bed->ledger, key, &entry, &error);

    g_assert_no_error(error);
    ledger_set_size(bed->ledger, uid, size);
    g_assert_true(ledger_flush(bed->ledger, &error));
    return uid;
}

static int open_letter(const Bed *bed, const char *text)
{
    g_autofree char *path = in(bed->fixture.dir, "letter");

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* A file that the ledger knows under this UID. */
static void put_here(Bed *bed, guint32 uid, const char *text)
{
    g_autoptr(GError) error = NULL;
    autofd int fd = open_letter(bed, text);

    g_assert_true(maildir_worker_keep(bed->worker, POP3_INBOX, uid, fd, strlen(text), &error));
    g_assert_no_error(error);
    bed->ledger = pop3_inbox(bed->worker, NULL);
}

/* All keys of an entry but a file's, which is "f:", joined with blanks; "" without any. */
static void assert_keys(const Bed *bed, guint32 uid, const char *expected)
{
    static const char *const prefixes[] = {MAILDIR_KEY, POP3_HERE, POP3_OWED, POP3_GONE,
                                           POP3_VAGUE};
    g_autoptr(GString) found = g_string_new(NULL);

    for (guint i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        const char *key = ledger_key(bed->ledger, uid, prefixes[i]);

        if (key)
            g_string_append_printf(found, "%s%s", found->len > 0 ? " " : "",
                                   i == 0 ? MAILDIR_KEY : key);
    }
    g_assert_cmpstr(found->str, ==, expected);
}

static void list_slot(Bed *bed, const char *key, guint64 size)
{
    Pop3Slot *slot = g_new0(Pop3Slot, 1);

    slot->number = bed->backend.slots->len + 1;
    slot->size = size;
    slot->key = g_strdup(key);
    g_ptr_array_add(bed->backend.slots, slot);
}

static gboolean match_listed(Bed *bed)
{
    g_autoptr(GError) error = NULL;
    gboolean has_news;

    g_assert_true(pop3_inbox_match(&bed->backend, bed->ledger, &has_news, &error));
    g_assert_no_error(error);
    return has_news;
}

/* A session that lists these keys, all of 10 octets. */
static gboolean match(Bed *bed, const char *const *keys)
{
    g_ptr_array_set_size(bed->backend.slots, 0);
    for (; *keys; keys++)
        list_slot(bed, *keys, 10);
    return match_listed(bed);
}

static guint32 nth_uid(const Bed *bed, guint i)
{
    return ((const Pop3Slot *)g_ptr_array_index(bed->backend.slots, i))->uid;
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void doom(Bed *bed, guint32 uid)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(pop3_inbox_doom(&bed->backend, bed->ledger, uid, &error));
    g_assert_no_error(error);
    g_assert_true(ledger_flush(bed->ledger, &error));
}

static void assert_owed(Bed *bed, guint expected)
{
    g_assert_cmpint(g_atomic_int_get(&bed->backend.n_owed), ==, (int)expected);
    g_assert_cmpuint(pop3_inbox_count_owed(bed->ledger), ==, expected);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_cmpuint(bed->n_owed, ==, expected);
}

/* -- Keys -------------------------------------------------------------------------------------- */

static void test_doom_and_settle(Bed *bed, gconstpointer data)
{
    guint32 one = add(bed, "u:one", 10), two = add(bed, "u:two", 10);
    g_autoptr(UidSet) done = uid_set_new();

    doom(bed, two);
    pop3_owe(&bed->backend);
    assert_keys(bed, one, "u:one");
    assert_keys(bed, two, "d:two");
    assert_owed(bed, 1);
    g_assert_false(pop3_inbox_shows(bed->ledger, two));
    doom(bed, two); /* once is enough */
    assert_owed(bed, 1);
    uid_set_add(done, one); /* which is not owed */
    uid_set_add(done, two);
    uid_set_add(done, 77);
    pop3_inbox_settle(&bed->backend, bed->ledger, done);
    assert_owed(bed, 0);
    assert_keys(bed, one, "u:one");
    g_assert_null(ledger_find_uid(bed->ledger, two));
}

/* What was answered is owed after a kill, and is not shown. */
static void test_doom_lasts(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "u:one", 10);

    doom(bed, uid);
    restart(bed);
    assert_keys(bed, uid, "d:one");
    g_assert_false(match(bed, LIST("u:one")));
    g_assert_cmpuint(nth_uid(bed, 0), ==, uid);
    assert_owed(bed, 1);
}

/* Wherever a crash cuts the ledger: the message is in it, as what it was or as owed. */
static void test_half_a_turn(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "u:one", 10);
    g_autofree char *name = ledger_name(POP3_INBOX), *path = in(bed->ledgers, name);
    g_autofree char *whole = NULL;
    gsize before, after;

    g_assert_true(g_file_get_contents(path, &whole, &before, NULL));
    g_clear_pointer(&whole, g_free);
    doom(bed, uid);
    g_assert_true(g_file_get_contents(path, &whole, &after, NULL));
    g_assert_cmpuint(after, >, before);
    for (gsize length = before; length <= after; length++) {
        end(bed);
        g_assert_true(g_file_set_contents(path, whole, (gssize)length, NULL));
        start(bed);
        g_assert_true(ledger_key(bed->ledger, uid, POP3_HERE) ||
                      ledger_key(bed->ledger, uid, POP3_OWED));
        match(bed, LIST("u:one"));
        g_assert_cmpuint(nth_uid(bed, 0), ==, uid);
    }
    assert_keys(bed, uid, "d:one");
}

static void test_vague(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "x:abc-10-1", 10);
    g_autoptr(GError) error = NULL;

    g_assert_true(pop3_inbox_shows(bed->ledger, uid));
    g_assert_false(pop3_inbox_doom(&bed->backend, bed->ledger, uid, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_READONLY);
    assert_keys(bed, uid, "x:abc-10-1");
    assert_owed(bed, 0);
}

/* -- A session's list -------------------------------------------------------------------------- */

static void test_match(Bed *bed, gconstpointer data)
{
    guint32 one = add(bed, "u:one", 10), two = add(bed, "u:two", 10);

    g_assert_false(match(bed, LIST("u:two", "u:one")));
    g_assert_cmpuint(nth_uid(bed, 0), ==, two);
    g_assert_cmpuint(nth_uid(bed, 1), ==, one);
    g_assert_true(match(bed, LIST("u:one", "u:two", "u:three")));
    g_assert_cmpuint(nth_uid(bed, 2), ==, 0);
    g_assert_true(match(bed, LIST("u:two"))); /* one is not there */
    assert_keys(bed, one, "u:one");           /* which only a SYNC may believe */
    doom(bed, two);
    g_assert_false(match(bed, LIST("u:one", "u:two")));
    g_assert_cmpuint(nth_uid(bed, 1), ==, two); /* so that it gets its DELE */
    assert_owed(bed, 1);
    g_assert_false(match(bed, LIST("u:one")));
    g_assert_null(ledger_find_uid(bed->ledger, two));
    assert_owed(bed, 0);
}

/* Known as one, and two by the time of the session: nothing of it is removed. */
static void test_doubles(Bed *bed, gconstpointer data)
{
    guint32 one = add(bed, "u:one", 10), two = add(bed, "u:two", 10);

    doom(bed, two);
    g_assert_true(match(bed, LIST("u:one", "x:abc-10-1", "x:abc-10-2")));
    g_assert_cmpuint(nth_uid(bed, 0), ==, one);
    g_assert_cmpuint(nth_uid(bed, 1), ==, 0);
    g_assert_cmpuint(nth_uid(bed, 2), ==, 0);
    g_assert_false(g_hash_table_contains(bed->backend.by_uid, GUINT_TO_POINTER(two)));
    assert_owed(bed, 0);
}

static void test_reappearance(Bed *bed, gconstpointer data)
{
    guint32 one = add(bed, "u:one", 10), two = add(bed, "u:two", 11);

    put_here(bed, one, "A: b\n\n");
    put_here(bed, two, "A: c\n\n");
    pop3_inbox_turn(bed->ledger, one, POP3_HERE, POP3_GONE);
    pop3_inbox_turn(bed->ledger, two, POP3_HERE, POP3_GONE);
    assert_keys(bed, one, "f: v:one");
    match(bed, LIST("u:three"));
    assert_keys(bed, one, "f: v:one");
    match(bed, LIST("u:one", "u:two")); /* of 10 octets each */
    g_assert_cmpuint(nth_uid(bed, 0), ==, one);
    assert_keys(bed, one, "f: u:one");
    /* The unique-id was given to another message, which must not pass for the one that is here. */
    g_assert_cmpuint(nth_uid(bed, 1), ==, 0);
    assert_keys(bed, two, "f:");
    g_assert_cmpuint(add(bed, "u:two", 10), >, two);
}

/* -- Unique-ids that mean another message ------------------------------------------------------ */

static guint32 add_like(Bed *bed, const char *key, guint64 size, guint64 likeness)
{
    guint32 uid = add(bed, key, size);

    ledger_set_likeness(bed->ledger, uid, likeness);
    return uid;
}

/* As after a session that has looked at the header. */
static void list_like(Bed *bed, const char *key, guint64 size, guint64 likeness)
{
    list_slot(bed, key, size);
    ((Pop3Slot *)g_ptr_array_index(bed->backend.slots, bed->backend.slots->len - 1))->likeness =
        likeness;
}

static void forget_list(Bed *bed)
{
    g_ptr_array_set_size(bed->backend.slots, 0);
}

static void expect_dropped(const char *n)
{
    g_autofree char *pattern = g_strdup_printf("* %s removals *", n);

    g_test_expect_message("store", G_LOG_LEVEL_WARNING, pattern);
}

static void expect_anew(void)
{
    g_test_expect_message("store", G_LOG_LEVEL_MESSAGE, "* 0 removals *");
}

/* Another size: the one that was known is not this one, and is not removed in its place. */
static void test_anew_by_size(Bed *bed, gconstpointer data)
{
    guint32 one = add(bed, "u:one", 11), two = add(bed, "u:two", 10);
    guint32 kept = add(bed, "u:kept", 12);

    put_here(bed, kept, "A: b\n\n");
    expect_anew();
    g_assert_true(match(bed, LIST("u:one", "u:two", "u:kept")));
    g_test_assert_expected_messages();
    g_assert_cmpuint(nth_uid(bed, 0), ==, 0);
    g_assert_cmpuint(nth_uid(bed, 1), ==, two);
    g_assert_cmpuint(nth_uid(bed, 2), ==, 0);
    g_assert_true(pop3_inbox_shows(bed->ledger, one)); /* only a SYNC may believe that it is gone */
    g_assert_null(ledger_key(bed->ledger, one, POP3_HERE));
    assert_keys(bed, kept, "f:");
    g_assert_cmpuint(add(bed, "u:one", 10), >, kept);
    g_assert_true(match(bed, LIST("u:one", "u:two")));
    g_assert_cmpuint(nth_uid(bed, 0), >, kept);
}

/* One size that differs puts all removals in doubt, also that of one with its old size. */
static void test_anew_and_owed(Bed *bed, gconstpointer data)
{
    guint32 one = add(bed, "u:one", 10), two = add(bed, "u:two", 11);

    doom(bed, one);
    doom(bed, two);
    expect_dropped("2");
    g_assert_true(match(bed, LIST("u:one", "u:two")));
    g_test_assert_expected_messages();
    g_assert_cmpuint(nth_uid(bed, 0), ==, 0);
    g_assert_cmpuint(nth_uid(bed, 1), ==, 0);
    assert_owed(bed, 0);
    g_assert_cmpuint(ledger_n_entries(bed->ledger), ==, 0);
}

/* A message that never gave its header has another size: a removal whose header is the same is
 * carried out all the same, and one that cannot be compared is not. */
static void test_anew_and_compared(Bed *bed, gconstpointer data)
{
    guint32 two = add_like(bed, "u:two", 10, 78), three = add_like(bed, "u:three", 10, 79);

    add(bed, "u:one", 11);
    doom(bed, two);
    doom(bed, three);
    list_slot(bed, "u:one", 10);
    list_like(bed, "u:two", 10, 78);
    list_slot(bed, "u:three", 10);
    expect_dropped("1");
    g_assert_true(match_listed(bed));
    g_test_assert_expected_messages();
    g_assert_cmpuint(nth_uid(bed, 0), ==, 0);
    assert_keys(bed, two, "d:two");
    g_assert_null(ledger_find_uid(bed->ledger, three));
}

/* The same size, and another header. */
static void test_anew_by_header(Bed *bed, gconstpointer data)
{
    guint32 uid = add_like(bed, "u:one", 10, 77);

    doom(bed, uid);
    list_like(bed, "u:one", 10, 78);
    expect_dropped("1");
    g_assert_true(match_listed(bed));
    g_test_assert_expected_messages();
    g_assert_cmpuint(nth_uid(bed, 0), ==, 0);
    assert_owed(bed, 0);
}

/* A size is a claim: the header says that it is the same. */
static void test_another_claim(Bed *bed, gconstpointer data)
{
    guint32 one = add_like(bed, "u:one", 10, 77), two = add_like(bed, "u:two", 10, 78);

    doom(bed, two);
    list_like(bed, "u:one", 12, 77);
    list_like(bed, "u:two", 13, 78);
    g_assert_false(match_listed(bed));
    g_assert_cmpuint(nth_uid(bed, 0), ==, one);
    g_assert_cmpuint(nth_uid(bed, 1), ==, two);
    assert_owed(bed, 1);
    g_assert_cmpuint(ledger_find_uid(bed->ledger, one)->size, ==, 12);
}

/* A server that counts positions: the first went, and all others keep names and flags. */
static void test_shift(Bed *bed, gconstpointer data)
{
    guint32 first_one = add_like(bed, "u:1", 10, 71), second = add_like(bed, "u:2", 20, 72);
    guint32 third = add_like(bed, "u:3", 20, 73);

    list_like(bed, "u:1", 20, 72);
    list_like(bed, "u:2", 20, 73);
    expect_anew();
    g_assert_true(match_listed(bed));
    g_test_assert_expected_messages();
    g_assert_cmpuint(nth_uid(bed, 0), ==, second);
    g_assert_cmpuint(nth_uid(bed, 1), ==, third);
    assert_keys(bed, second, "u:1");
    assert_keys(bed, third, "u:2");
    g_assert_null(ledger_key(bed->ledger, first_one, POP3_HERE));
    g_assert_true(pop3_inbox_shows(bed->ledger, first_one));
    restart(bed);
    assert_keys(bed, third, "u:2");
}

static void lead_to(Bed *bed, Endpoint *endpoint)
{
    bed->config.endpoint = endpoint;
}

/* Nothing that the old server was owed is removed from another one, where the unique-ids and the
 * sizes are the same. */
static void test_another_server(Bed *bed, gconstpointer data)
{
    Endpoint old = {.host = (char *)"a.example.org", .port = 995};
    Endpoint new = {.host = (char *)"b.example.org", .port = 995};
    guint32 owed = add(bed, "u:1", 10), read = add(bed, "u:2", 10), here = add(bed, "u:3", 10);
    guint32 known = add_like(bed, "u:4", 10, 74);

    put_here(bed, read, "A: b\n\n");
    lead_to(bed, &old);
    g_assert_false(match(bed, LIST("u:1", "u:2", "u:3", "u:4")));
    doom(bed, owed);
    restart(bed);
    lead_to(bed, &new);
    list_slot(bed, "u:1", 10);
    list_slot(bed, "u:2", 10);
    list_slot(bed, "u:3", 10);
    list_like(bed, "u:4", 10, 74);
    expect_dropped("1");
    g_assert_true(match_listed(bed));
    g_test_assert_expected_messages();
    for (guint i = 0; i < 3; i++)
        g_assert_cmpuint(nth_uid(bed, i), ==, 0);
    g_assert_cmpuint(nth_uid(bed, 3), ==, known); /* the server has another name, perhaps */
    assert_owed(bed, 0);
    assert_keys(bed, read, "f:");
    g_assert_null(ledger_key(bed->ledger, here, POP3_HERE));
    g_assert_null(ledger_find_uid(bed->ledger, owed));
    forget_list(bed);
    list_slot(bed, "u:1", 10);
    g_assert_true(match_listed(bed)); /* and is said once */
}

/* Of what is neither there nor here nothing is left, or the ledger would grow for ever. */
static void test_nothing_left(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "u:one", 10);

    pop3_inbox_turn(bed->ledger, uid, POP3_HERE, POP3_GONE);
    match(bed, LIST("u:two"));
    g_assert_null(ledger_find_uid(bed->ledger, uid));
    g_assert_cmpuint(ledger_n_entries(bed->ledger), ==, 0);
}

/* -- Jobs without a server --------------------------------------------------------------------- */

static Job *new_job(const Bed *bed, JobKind kind, guint32 uid)
{
    const ChangeMessage message = {.uid = uid};
    Job *job = job_new(kind, JOB_INTERACTIVE);

    job->mailbox = 1;
    job->wire = g_strdup(POP3_INBOX);
    job->uidvalidity = ledger_uidvalidity(bed->ledger);
    if (job->change) {
        job->change->messages = g_array_new(FALSE, TRUE, sizeof message);
        g_array_append_val(job->change->messages, message);
    } else {
        job->items = g_array_new(FALSE, FALSE, sizeof(FetchItem));
        g_array_append_vals(job->items, &(FetchItem){1, uid}, 1);
    }
    return job;
}

static ChangeMessage *first(const Job *job)
{
    return &g_array_index(job->change->messages, ChangeMessage, 0);
}

static gboolean run(Bed *bed, Job *job, GError **error)
{
    gboolean is_passed_on = FALSE;
    gboolean ok = pop3_local_run(bed->worker, job, &is_passed_on, &bed->backend, error);

    g_assert_false(is_passed_on);
    bed->ledger = pop3_inbox(bed->worker, NULL);
    return ok;
}

/* A number of a ledger that was lost is somebody else's. */
static void test_another_ledger(Bed *bed, gconstpointer data)
{
    static const JobKind kinds[] = {JOB_EXPUNGE, JOB_FLAGS, JOB_COPY, JOB_FETCH};
    guint32 uid = add(bed, "u:one", 10);

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(Job) job = new_job(bed, kinds[i], uid);
        g_autoptr(GError) error = NULL;

        job->uidvalidity++;
        g_assert_false(run(bed, job, &error));
        g_assert_error(error, MAIL_ERROR, MAIL_ERROR_GONE);
        assert_keys(bed, uid, "u:one");
    }
    assert_owed(bed, 0);
}

static void append(Job *job, guint32 uid)
{
    const ChangeMessage message = {.uid = uid};

    g_array_append_val(job->change->messages, message);
}

static gboolean is_done(const Job *job, guint i)
{
    return g_array_index(job->change->messages, ChangeMessage, i).is_done;
}

/* The others are not to suffer. */
static void test_expunge_with_a_vague_one(Bed *bed, gconstpointer data)
{
    guint32 one = add(bed, "u:one", 10), vague = add(bed, "x:abc-10-1", 10);
    guint32 two = add(bed, "u:two", 10);
    g_autoptr(Job) job = new_job(bed, JOB_EXPUNGE, one);
    g_autoptr(GError) error = NULL;

    append(job, vague);
    append(job, two);
    g_assert_false(run(bed, job, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_READONLY);
    g_assert_true(is_done(job, 0) && !is_done(job, 1) && is_done(job, 2));
    assert_keys(bed, one, "d:one");
    assert_keys(bed, vague, "x:abc-10-1");
    assert_keys(bed, two, "d:two");
    assert_owed(bed, 2);
}

static void test_move_with_a_vague_one(Bed *bed, gconstpointer data)
{
    guint32 one = add(bed, "u:one", 10), vague = add(bed, "x:abc-10-1", 10);
    guint32 two = add(bed, "u:two", 10);
    g_autoptr(Job) job = new_job(bed, JOB_COPY, one);
    g_autoptr(GError) error = NULL;

    put_here(bed, one, "A: b\n\n");
    put_here(bed, vague, "A: c\n\n");
    put_here(bed, two, "A: d\n\n");
    g_assert_true(maildir_tree_create(maildir_worker_tree(bed->worker), "Box", &error));
    append(job, vague);
    append(job, two);
    job->change->target = g_strdup("Box");
    job->change->is_move = TRUE;
    g_assert_false(run(bed, job, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_READONLY);
    g_assert_true(is_done(job, 0) && !is_done(job, 1) && is_done(job, 2));
    assert_keys(bed, one, "d:one");
    assert_keys(bed, vague, "f: x:abc-10-1");
    assert_keys(bed, two, "d:two");
}

/* What was answered with an error must not be removed later. */
static void test_expunge_on_a_full_disk(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "u:one", 10);
    g_autoptr(Job) job = new_job(bed, JOB_EXPUNGE, uid);
    g_autoptr(GError) error = NULL;
    int fd = bed->ledger->fd;

    bed->ledger->fd = open("/dev/full", O_RDWR | O_CLOEXEC);
    g_assert_false(run(bed, job, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_NOSPACE);
    g_assert_false(first(job)->is_done);
    assert_keys(bed, uid, "u:one");
    assert_owed(bed, 0);
    close(bed->ledger->fd);
    bed->ledger->fd = fd;
    g_assert_false(match(bed, LIST("u:one")));
    restart(bed);
    assert_keys(bed, uid, "u:one");
}

static void test_expunge(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "u:one", 10);
    g_autoptr(Job) other = new_job(bed, JOB_EXPUNGE, uid), job = new_job(bed, JOB_EXPUNGE, uid);
    g_autoptr(GError) error = NULL;

    first(other)->date = 999; /* it was another one that was seen */
    g_assert_true(run(bed, other, &error));
    g_assert_false(first(other)->is_done);
    assert_keys(bed, uid, "u:one");
    first(job)->date = 1000;
    g_assert_true(run(bed, job, &error));
    g_assert_true(first(job)->is_done);
    assert_keys(bed, uid, "d:one");
    assert_owed(bed, 1);
}

/* The claim of the server was another: that is no reason to keep the file. */
static void test_expunge_of_a_file(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "u:one", 10);
    g_autoptr(Job) job = new_job(bed, JOB_EXPUNGE, uid);
    g_autoptr(GError) error = NULL;

    put_here(bed, uid, "A: another size\n\n");
    first(job)->size = 10;
    g_assert_true(run(bed, job, &error));
    g_assert_no_error(error);
    g_assert_true(first(job)->is_done);
    assert_keys(bed, uid, "d:one");
}

/* What is here alone goes where the job says; without that it goes for good. */
static void test_expunge_of_what_is_here(Bed *bed, gconstpointer data)
{
    static const char *const targets[] = {"INBOX/Bin", NULL};

    for (guint i = 0; i < G_N_ELEMENTS(targets); i++) {
        guint32 uid = add(bed, "u:one", 10);
        g_autoptr(Job) job = new_job(bed, JOB_EXPUNGE, uid);
        g_autofree char *bin = g_build_filename(bed->root, "INBOX", "Bin", NULL);
        g_autofree char *place = g_build_filename(bin, "new", NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(GDir) dir = NULL;
        guint n = 0;

        put_here(bed, uid, "A: b\n\n");
        pop3_inbox_forget(bed->ledger, uid, POP3_HERE);
        job->change->target = g_strdup(targets[i]);
        g_assert_true(run(bed, job, &error));
        g_assert_no_error(error);
        g_assert_true(first(job)->is_done);
        assert_keys(bed, uid, "");
        dir = g_dir_open(place, 0, &error);
        g_assert_no_error(error);
        while (g_dir_read_name(dir))
            n++;
        g_assert_cmpuint(n, ==, 1);
    }
    assert_owed(bed, 0);
}

/* Who fails is told once, and waits; until it is over. */
static void test_turns(Bed *bed, gconstpointer data)
{
    Pop3Backend *backend = &bed->backend;
    g_autoptr(GError) error = NULL;

    mail_fail(&error, MAIL_ERROR_PROTOCOL, "it is damaged");
    for (guint32 uid = 1; uid <= 3; uid++) {
        g_assert_cmpint(pop3_turn(backend, uid), ==, POP3_TURN_FIRST);
        for (guint i = 0; i < 40; i++) { /* for no longer than forever */
            pop3_set_back(backend, uid, error);
            g_assert_cmpint(pop3_turn(backend, uid), ==, POP3_TURN_LATER);
            g_assert_cmpuint(backend->noted[POP3_NOT_TAKEN].n, ==, uid);
        }
    }
    pop3_setback_over(backend, 2);
    g_assert_cmpint(pop3_turn(backend, 2), ==, POP3_TURN_FIRST);
    g_assert_cmpint(pop3_turn(backend, 3), ==, POP3_TURN_LATER);
}

/* A flag needs no file; the server does not know of any. */
static void test_flags(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "u:one", 10);
    g_autoptr(Job) job = new_job(bed, JOB_FLAGS, uid);
    g_autoptr(GError) error = NULL;

    job->change->flags = MESSAGE_SEEN;
    g_assert_true(run(bed, job, &error));
    restart(bed);
    g_assert_cmpuint(ledger_find_uid(bed->ledger, uid)->flags, ==, MESSAGE_SEEN);
}

/* While the server is tried again: those who need it hear of it at once. */
static void test_away(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "u:one", 10);
    Job *job = new_job(bed, JOB_FETCH, uid), *taken;
    static const JobRoles all = G_MAXUINT;

    pop3_pass_on(&bed->backend, job);
    taken = job_queue_take(bed->backend.queue, &all, 1, NULL);
    g_assert_true(taken == job);
    mail_fail(&bed->backend.away, MAIL_ERROR_OFFLINE, "it is not there");
    pop3_pass_on(&bed->backend, job); /* back to the main thread, by an event */
    g_assert_null(job_queue_take(bed->backend.queue, &all, 1, NULL));
}

/* -- What is listed no more -------------------------------------------------------------------- */

/* In the cache, as item @uid. */
static void put_body(Bed *bed, guint32 uid, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BodyFile) file = body_file_new(bed->fixture.disk, &error);
    g_autoptr(Message) message = message_new();
    DiskBatch *batch = disk_batch_new();
    guint8 sha256[32];

    message->uid = uid;
    message->item = uid;
    message->name = g_strdup_printf("%u.eml", uid);
    disk_batch_put_message(batch, 1, 1, message);
    g_assert_true(body_file_append(file, text, strlen(text), &error));
    g_assert_true(body_file_commit(file, 1, uid, sha256, &error));
    disk_batch_body_cached(batch, 1, uid, strlen(text), sha256);
    submit(&bed->fixture, batch);
}

/* A SYNC on a session that lists @keys; @cached: UIDs of what is in the cache, to 0. */
static void settle(Bed *bed, const char *const *keys, const guint64 *cached)
{
    g_autoptr(GHashTable) items = g_hash_table_new(NULL, NULL);
    Job job = {.mailbox = 1};
    const Pop3Sync sync = {.backend = &bed->backend, .job = &job, .items = items};
    g_autoptr(GError) error = NULL;

    match(bed, keys);
    for (; cached && *cached; cached++)
        g_hash_table_insert(items, GUINT_TO_POINTER((guint32)*cached), (gpointer)cached);
    g_assert_true(pop3_settle_unlisted(&sync, bed->worker, &error));
    g_assert_no_error(error);
    bed->ledger = pop3_inbox(bed->worker, NULL);
}

static void test_unlisted(Bed *bed, gconstpointer data)
{
    guint32 read = add(bed, "u:read", 10), unread = add(bed, "u:unread", 10);
    const guint64 cached[] = {read, 0};

    put_body(bed, read, "A: b\r\n\r\n");
    settle(bed, LIST("u:other"), cached);
    assert_keys(bed, read, "f: v:read");
    assert_keys(bed, unread, "v:unread");
    restart(bed);
    assert_keys(bed, read, "f: v:read");
    g_assert_false(pop3_inbox_shows(bed->ledger, unread));
    match(bed, LIST("u:other"));
    assert_keys(bed, read, "f: v:read");
    g_assert_null(ledger_find_uid(bed->ledger, unread));
}

/* A kill between the name and the file: the name is no file, and the cache has the only octets. */
static void test_named_only(Bed *bed, gconstpointer data)
{
    guint32 read = add(bed, "u:read", 10);
    const guint64 cached[] = {read, 0};
    autofd int fd = -1;
    guint64 size;

    put_body(bed, read, "A: b\r\n\r\n");
    g_assert_true(ledger_add_key(bed->ledger, read, "f:1.never", NULL));
    settle(bed, LIST("u:other"), cached);
    assert_keys(bed, read, "f: v:read");
    fd = maildir_worker_open_message(bed->worker, POP3_INBOX, read, &size, NULL);
    g_assert_cmpint(fd, >=, 0);
}

/* Removed while it was on its way: taking it must not bring it back. */
static void test_take_of_a_removed_one(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "u:one", 6);
    g_autoptr(GError) error = NULL;
    autofd int fd = open_letter(bed, "A: b\n\n");

    doom(bed, uid);
    g_assert_false(pop3_take(&bed->backend, bed->worker, uid, fd, 6, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_GONE);
    assert_keys(bed, uid, "d:one");
}

/* One list was odd: who is back in the next one is who it was. */
static void test_unlisted_once(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "u:one", 10);

    ledger_set_flags(bed->ledger, uid, MESSAGE_FLAGGED, NULL);
    settle(bed, LIST("u:other"), NULL);
    g_assert_false(pop3_inbox_shows(bed->ledger, uid));
    g_assert_true(match(bed, LIST("u:other", "u:one")));
    g_assert_cmpuint(nth_uid(bed, 1), ==, uid);
    assert_keys(bed, uid, "u:one");
    g_assert_cmpuint(ledger_find_uid(bed->ledger, uid)->flags, ==, MESSAGE_FLAGGED);
}

/* The only octets there are, and no place for them: they are not those of one that was never
 * read. */
static void test_no_place(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "u:read", 10);
    const guint64 cached[] = {uid, 0};
    g_autofree char *folder = in(bed->root, "INBOX/tmp"), *aside = in(bed->root, "aside");

    put_body(bed, uid, "A: b\r\n\r\n");
    g_assert_cmpint(rename(folder, aside), ==, 0);
    g_assert_true(g_file_set_contents(folder, "in the way", -1, NULL));
    g_test_expect_message("store", G_LOG_LEVEL_WARNING, "*in the cache alone*");
    settle(bed, LIST("u:other"), cached);
    g_test_assert_expected_messages();
    settle(bed, LIST("u:other"), cached); /* is not said again */
    assert_keys(bed, uid, "u:read");
    g_assert_cmpint(remove(folder), ==, 0);
    g_assert_cmpint(rename(aside, folder), ==, 0);
    settle(bed, LIST("u:other"), cached);
    assert_keys(bed, uid, "f: v:read");
}

/* What may be in the cache, and cannot be opened now, does not go past Trash. */
static void test_expunge_beside_the_cache(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "u:read", 10);
    g_autoptr(Job) job = new_job(bed, JOB_EXPUNGE, uid);
    g_autofree char *path = in(bed->fixture.cache, "bodies/0001/000000001");
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
    first(job)->item = 1;
    job->change->target = g_strdup("INBOX/Bin");
    g_assert_false(run(bed, job, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_CACHE);
    g_assert_false(first(job)->is_done);
    assert_keys(bed, uid, "u:read");
}

static void test_damaged(Bed *bed, gconstpointer data)
{
    guint32 uid = add(bed, "u:read", 10);
    const guint64 cached[] = {uid, 0};
    g_autofree char *path = in(bed->fixture.cache, "bodies/0001/000000001");

    g_assert_cmpuint(uid, ==, 1);
    put_body(bed, uid, "A: b\r\n\r\n");
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_set_contents(path, "A: c\r\n\r\n", -1, NULL));
    settle(bed, LIST("u:other"), cached);
    assert_keys(bed, uid, "v:read");
}

/* Many at once only when a second session says so, too. */
static void test_too_many(Bed *bed, gconstpointer data)
{
    guint32 last = 0;

    for (guint i = 0; i < 20; i++) {
        g_autofree char *key = g_strdup_printf("u:%u", i);

        last = add(bed, key, 10);
    }
    settle(bed, LIST("u:0"), NULL);
    assert_keys(bed, last - 1, "u:18");
    settle(bed, LIST("u:0", "u:19"), NULL);
    assert_keys(bed, last - 1, "v:18");
    assert_keys(bed, last, "u:19");
    match(bed, LIST("u:0", "u:19"));
    g_assert_cmpuint(ledger_n_entries(bed->ledger), ==, 2);
}

/* -- Numbers ----------------------------------------------------------------------------------- */

static void test_slots(Bed *bed, gconstpointer data)
{
    g_assert_null(pop3_slot(&bed->backend, 1));
    for (guint32 number = 2; number < 20; number += 3) {
        list_slot(bed, "u:x", 10);
        ((Pop3Slot *)g_ptr_array_index(bed->backend.slots, bed->backend.slots->len - 1))->number =
            number;
    }
    for (guint32 number = 0; number < 22; number++) {
        const Pop3Slot *slot = pop3_slot(&bed->backend, number);

        g_assert_true((slot != NULL) == (number >= 2 && number < 20 && number % 3 == 2));
        g_assert_true(!slot || slot->number == number);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add("/pop3-inbox/" name, Bed, NULL, setup, func, teardown)
    ADD("doom-and-settle", test_doom_and_settle);
    ADD("doom-lasts", test_doom_lasts);
    ADD("half-a-turn", test_half_a_turn);
    ADD("vague", test_vague);
    ADD("match", test_match);
    ADD("doubles", test_doubles);
    ADD("reappearance", test_reappearance);
    ADD("anew-by-size", test_anew_by_size);
    ADD("anew-and-owed", test_anew_and_owed);
    ADD("anew-and-compared", test_anew_and_compared);
    ADD("anew-by-header", test_anew_by_header);
    ADD("another-claim", test_another_claim);
    ADD("shift", test_shift);
    ADD("another-server", test_another_server);
    ADD("nothing-left", test_nothing_left);
    ADD("another-ledger", test_another_ledger);
    ADD("expunge", test_expunge);
    ADD("expunge-with-a-vague-one", test_expunge_with_a_vague_one);
    ADD("move-with-a-vague-one", test_move_with_a_vague_one);
    ADD("expunge-on-a-full-disk", test_expunge_on_a_full_disk);
    ADD("expunge-of-a-file", test_expunge_of_a_file);
    ADD("expunge-of-what-is-here", test_expunge_of_what_is_here);
    ADD("turns", test_turns);
    ADD("flags", test_flags);
    ADD("away", test_away);
    ADD("unlisted", test_unlisted);
    ADD("named-only", test_named_only);
    ADD("take-of-a-removed-one", test_take_of_a_removed_one);
    ADD("unlisted-once", test_unlisted_once);
    ADD("no-place", test_no_place);
    ADD("expunge-beside-the-cache", test_expunge_beside_the_cache);
    ADD("damaged", test_damaged);
    ADD("too-many", test_too_many);
    ADD("slots", test_slots);
#undef ADD
    return g_test_run();
}
