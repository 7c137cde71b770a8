/* The journal on the disk: every field comes back, numbers never do, nothing of a batch that failed
 * is there, and neither an older file nor a damaged one costs an entry that can be read. */
#include "disk-fixture.h"

#include <signal.h>

#include "store/journal.h"

/* -- Entries ----------------------------------------------------------------------------------- */

static void add_message(JournalEntry *entry, guint64 n)
{
    JournalMessage message = {.item = n, .uid = (guint32)n, .size = 100 * n, .date = -(gint64)n};

    g_array_append_val(entry->messages, message);
}

/* Different in every field from its neighbours, and from what is not set. */
static JournalEntry *full_entry(guint64 id)
{
    JournalEntry *entry = journal_entry_new(JOURNAL_MOVE);
    JournalMessage last = {.item = 68719476735,
                           .new_item = 68719476734,
                           .date = G_MININT64,
                           .size = G_MAXINT64,
                           .uid = 4294967295,
                           .new_uid = 4294967294,
                           .is_done = TRUE};

    entry->id = id;
    entry->state = JOURNAL_HALF;
    entry->mailbox = 65535;
    entry->wire = g_strdup("INBOX/\"\\\xff");
    entry->uidvalidity = 4294967293;
    entry->uidnext = 4294967292;
    entry->target_mailbox = 65534;
    entry->target = g_strdup("Archive");
    entry->target_uidvalidity = 4294967291;
    add_message(entry, 3);
    g_array_append_val(entry->messages, last);
    entry->item = 68719476733;
    entry->name = g_strdup("n\xc3\xa4me'.eml");
    entry->stage = G_MAXINT64;
    entry->size = G_MAXINT64 - 1;
    for (guint i = 0; i < sizeof entry->sha256; i++)
        entry->sha256[i] = (guint8)(i * 8); /* with a NUL, and high ones */
    entry->message_id = g_strdup("<a@b>");
    entry->date = -5;
    entry->flags = 0xffff;
    entry->keywords = g_strdup("$Junk blue");
    entry->flags_removed = 0x8001;
    entry->keywords_removed = g_strdup("");
    entry->verb = 7;
    entry->uid = 4294967290;
    entry->reason = g_strdup("the server said: \"no\"");
    entry->made = G_MAXINT64 - 2;
    entry->n_tries = 4294967295;
    return entry;
}

static void assert_messages(const GArray *got, const GArray *expected)
{
    g_assert_nonnull(got);
    g_assert_cmpuint(got->len, ==, expected->len);
    for (guint i = 0; i < got->len; i++) {
        const JournalMessage *a = &g_array_index(got, JournalMessage, i);
        const JournalMessage *b = &g_array_index(expected, JournalMessage, i);

        g_assert_cmpuint(a->item, ==, b->item);
        g_assert_cmpuint(a->new_item, ==, b->new_item);
        g_assert_cmpint(a->date, ==, b->date);
        g_assert_cmpuint(a->size, ==, b->size);
        g_assert_cmpuint(a->uid, ==, b->uid);
        g_assert_cmpuint(a->new_uid, ==, b->new_uid);
        g_assert_cmpint(a->is_done, ==, b->is_done);
    }
}

static void assert_entry(const JournalEntry *got, const JournalEntry *expected)
{
    g_assert_cmpuint(got->id, ==, expected->id);
    g_assert_cmpint(got->kind, ==, expected->kind);
    g_assert_cmpint(got->state, ==, expected->state);
    g_assert_cmpuint(got->mailbox, ==, expected->mailbox);
    g_assert_cmpstr(got->wire, ==, expected->wire);
    g_assert_cmpuint(got->uidvalidity, ==, expected->uidvalidity);
    g_assert_cmpuint(got->uidnext, ==, expected->uidnext);
    g_assert_cmpuint(got->target_mailbox, ==, expected->target_mailbox);
    g_assert_cmpstr(got->target, ==, expected->target);
    g_assert_cmpuint(got->target_uidvalidity, ==, expected->target_uidvalidity);
    assert_messages(got->messages, expected->messages);
    g_assert_cmpuint(got->item, ==, expected->item);
    g_assert_cmpstr(got->name, ==, expected->name);
    g_assert_cmpuint(got->stage, ==, expected->stage);
    g_assert_cmpuint(got->size, ==, expected->size);
    g_assert_cmpmem(got->sha256, 32, expected->sha256, 32);
    g_assert_cmpstr(got->message_id, ==, expected->message_id);
    g_assert_cmpint(got->date, ==, expected->date);
    g_assert_cmpuint(got->flags, ==, expected->flags);
    g_assert_cmpstr(got->keywords, ==, expected->keywords);
    g_assert_cmpuint(got->flags_removed, ==, expected->flags_removed);
    g_assert_cmpstr(got->keywords_removed, ==, expected->keywords_removed);
    g_assert_cmpuint(got->verb, ==, expected->verb);
    g_assert_cmpuint(got->uid, ==, expected->uid);
    g_assert_cmpstr(got->reason, ==, expected->reason);
    g_assert_cmpint(got->made, ==, expected->made);
    g_assert_cmpuint(got->n_tries, ==, expected->n_tries);
}

static GPtrArray *load_journal(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *entries = journal_load(fixture->disk, &error);

    g_assert_no_error(error);
    return entries;
}

/* Closes and opens, for only then may the journal be loaded. */
static GPtrArray *reload(Fixture *fixture)
{
    fixture_reopen(fixture);
    return load_journal(fixture);
}

static void put_entry(Fixture *fixture, guint64 id)
{
    g_autoptr(JournalEntry) entry = full_entry(id);
    DiskBatch *batch = disk_batch_new();

    disk_batch_put_journal(batch, entry);
    submit(fixture, batch);
}

static void test_entry(Fixture *fixture, gconstpointer data)
{
    g_autoptr(JournalEntry) full = full_entry(1), bare = journal_entry_new(JOURNAL_CREATE);
    g_autoptr(JournalEntry) copy = journal_entry_copy(full);
    g_autoptr(GPtrArray) entries = NULL, later = NULL, last = NULL;
    DiskBatch *batch = disk_batch_new();

    bare->id = 2;
    g_clear_pointer(&bare->messages, g_array_unref); /* as good as none */
    disk_batch_put_journal(batch, bare);
    bare->messages = g_array_new(FALSE, TRUE, sizeof(JournalMessage));
    disk_batch_put_journal(batch, full);
    submit(fixture, batch);
    entries = reload(fixture);
    g_assert_cmpuint(entries->len, ==, 2);
    assert_entry(g_ptr_array_index(entries, 0), copy);
    assert_entry(g_ptr_array_index(entries, 1), bare);

    /* The next step of one: all of it is replaced. */
    g_array_set_size(full->messages, 1);
    full->state = JOURNAL_FAILED;
    g_clear_pointer(&full->keywords, g_free);
    batch = disk_batch_new();
    disk_batch_put_journal(batch, full);
    disk_batch_remove_journal(batch, 2);
    disk_batch_remove_journal(batch, 99); /* none */
    submit(fixture, batch);
    later = reload(fixture);
    g_assert_cmpuint(later->len, ==, 1);
    assert_entry(g_ptr_array_index(later, 0), full);

    batch = disk_batch_new();
    disk_batch_remove_journal(batch, 1);
    submit(fixture, batch);
    last = reload(fixture);
    g_assert_cmpuint(last->len, ==, 0);
    journal_entry_free(NULL);
}

/* Every kind and state that there is gets past the table's checks. */
static void test_kinds(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GPtrArray) entries = NULL;
    DiskBatch *batch = disk_batch_new();
    guint n = 0;

    for (int kind = JOURNAL_CREATE; kind < JOURNAL_N_KINDS; kind++)
        for (int state = JOURNAL_PREP; state <= JOURNAL_FAILED; state++) {
            g_autoptr(JournalEntry) entry = journal_entry_new((JournalKind)kind);

            g_assert_cmpint(entry->state, ==, JOURNAL_PREP);
            g_assert_cmpuint(strlen(journal_kind_name((JournalKind)kind)), >, 3);
            g_assert_cmpuint(strlen(journal_state_name((JournalState)state)), >, 3);
            entry->id = ++n;
            entry->state = (JournalState)state;
            disk_batch_put_journal(batch, entry);
        }
    submit(fixture, batch);
    entries = reload(fixture);
    g_assert_cmpuint(entries->len, ==, n);
    for (guint i = 0; i < n; i++) {
        const JournalEntry *entry = g_ptr_array_index(entries, i);

        g_assert_cmpuint(entry->id, ==, i + 1);
        g_assert_cmpuint(entry->kind, ==, i / 4);
        g_assert_cmpuint(entry->state, ==, i % 4 + 1);
    }
}

static void test_ids(Fixture *fixture, gconstpointer data)
{
    DiskBatch *batch;

    g_assert_cmpuint(journal_next_id(fixture->disk), ==, 1);
    g_assert_cmpuint(journal_next_id(fixture->disk), ==, 2);
    put_entry(fixture, 2);
    put_entry(fixture, 40);
    fixture_reopen(fixture);
    g_assert_cmpuint(journal_next_id(fixture->disk), ==, 41);
    batch = disk_batch_new();
    disk_batch_remove_journal(batch, 2);
    disk_batch_remove_journal(batch, 40);
    submit(fixture, batch);
    fixture_reopen(fixture);
    g_assert_cmpuint(journal_next_id(fixture->disk), ==, 41); /* also when there are none */
}

/* -- Local files and parked messages ----------------------------------------------------------- */

static JournalLocal *load_only_local(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) locals = NULL;

    fixture_reopen(fixture);
    locals = journal_load_locals(fixture->disk, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(locals->len, ==, 1);
    return g_ptr_array_steal_index(locals, 0);
}

static void put_local(Fixture *fixture, const JournalLocal *local)
{
    DiskBatch *batch = disk_batch_new();

    disk_batch_put_local(batch, local);
    submit(fixture, batch);
}

static void assert_local(const JournalLocal *got, const JournalLocal *expected)
{
    g_assert_cmpuint(got->mailbox, ==, expected->mailbox);
    g_assert_cmpuint(got->item, ==, expected->item);
    g_assert_cmpint(got->kind, ==, expected->kind);
    g_assert_cmpstr(got->name, ==, expected->name);
    g_assert_cmpuint(got->stage, ==, expected->stage);
    g_assert_cmpint(got->is_flushed, ==, expected->is_flushed);
    g_assert_cmpint(got->mtime, ==, expected->mtime);
    g_assert_cmpuint(got->mode, ==, expected->mode);
    g_assert_cmpuint(got->replaces, ==, expected->replaces);
}

static void test_local(Fixture *fixture, gconstpointer data)
{
    static char full_name[] = ".x.eml.swp", bare_name[] = "\xff";
    static const JournalLocal full = {.mailbox = 65535,
                                      .item = 68719476735,
                                      .kind = LOCAL_SCRATCH,
                                      .name = full_name,
                                      .stage = G_MAXINT64,
                                      .is_flushed = TRUE,
                                      .mtime = -1,
                                      .mode = 0644,
                                      .replaces = 68719476734};
    static const JournalLocal bare = {
        .mailbox = 65535, .item = 68719476735, .kind = LOCAL_NEW, .name = bare_name, .stage = 1};
    g_autoptr(JournalLocal) first = NULL, second = NULL;
    g_autoptr(GPtrArray) none = NULL;
    DiskBatch *batch = disk_batch_new();

    put_local(fixture, &full);
    first = load_only_local(fixture);
    assert_local(first, &full);
    put_local(fixture, &bare); /* replaces it */
    second = load_only_local(fixture);
    assert_local(second, &bare);
    disk_batch_remove_local(batch, 65535, 68719476735);
    disk_batch_remove_local(batch, 1, 1);
    submit(fixture, batch);
    fixture_reopen(fixture);
    none = journal_load_locals(fixture->disk, NULL);
    g_assert_cmpuint(none->len, ==, 0);
}

static void test_parked(Fixture *fixture, gconstpointer data)
{
    static char old_name[] = "x.eml", new_name[] = "y.eml";
    g_autoptr(GPtrArray) parked = NULL;
    const JournalParked *got;
    DiskBatch *batch = disk_batch_new();

    disk_batch_put_parked(batch, &(JournalParked){.mailbox = 2, .item = 7, .name = old_name});
    disk_batch_put_parked(batch, &(JournalParked){.mailbox = 2, .item = 7, .name = new_name});
    disk_batch_put_parked(batch, &(JournalParked){.mailbox = 2, .item = 8, .name = old_name});
    disk_batch_remove_parked(batch, 2, 8);
    submit(fixture, batch);
    fixture_reopen(fixture);
    parked = journal_load_parked(fixture->disk, NULL);
    g_assert_cmpuint(parked->len, ==, 1);
    got = g_ptr_array_index(parked, 0);
    g_assert_cmpuint(got->mailbox, ==, 2);
    g_assert_cmpuint(got->item, ==, 7);
    g_assert_cmpstr(got->name, ==, "y.eml");
    journal_parked_free(NULL);
    journal_local_free(NULL);
}

/* -- Item numbers ------------------------------------------------------------------------------ */

/* What uses an item takes its number for ever, also when nothing else is left of it. */
static void test_items(Fixture *fixture, gconstpointer data)
{
    static char name[] = "x";
    g_autoptr(JournalEntry) entry = journal_entry_new(JOURNAL_MOVE);
    DiskBatch *batch = disk_batch_new();

    entry->id = 1;
    entry->mailbox = 3;
    entry->target_mailbox = 4;
    add_message(entry, 20);
    g_array_index(entry->messages, JournalMessage, 0).new_item = 30;
    disk_batch_put_journal(batch, entry);
    entry->id = 2;
    entry->mailbox = 5;
    entry->item = 40;
    disk_batch_put_journal(batch, entry);
    entry->id = 3;
    entry->mailbox = entry->target_mailbox = 0; /* nobody's */
    disk_batch_put_journal(batch, entry);
    disk_batch_put_local(batch, &(JournalLocal){
        .mailbox = 6, .item = 50, .kind = LOCAL_NEW, .name = name, .stage = 1});
    submit(fixture, batch);
    for (guint i = 0; i < 2; i++) {
        g_assert_cmpuint(disk_next_item(fixture->disk, 3), ==, 21);
        g_assert_cmpuint(disk_next_item(fixture->disk, 4), ==, 31);
        g_assert_cmpuint(disk_next_item(fixture->disk, 5), ==, 41);
        g_assert_cmpuint(disk_next_item(fixture->disk, 6), ==, 51);
        g_assert_cmpuint(disk_next_item(fixture->disk, 0), ==, 1);
        batch = disk_batch_new();
        for (guint64 id = 1; id <= 3; id++)
            disk_batch_remove_journal(batch, id);
        disk_batch_remove_local(batch, 6, 50);
        submit(fixture, batch);
        fixture_reopen(fixture);
    }
}

/* -- Failures ---------------------------------------------------------------------------------- */

/* An entry of a few MiB, that fails where there is no room. */
static JournalEntry *large_entry(guint64 id)
{
    JournalEntry *entry = full_entry(id);

    for (guint i = 1; i <= 50000; i++)
        add_message(entry, i);
    return entry;
}

/* Nothing of a batch that did not fit is there; its neighbours in the same group are. */
static void test_full(Fixture *fixture, gconstpointer data)
{
    g_autoptr(JournalEntry) small = full_entry(1), large = large_entry(2);
    g_autoptr(GPtrArray) entries = NULL;
    Done done[3] = {0};
    DiskBatch *batch;

    put_inbox(fixture, 1);
    limit_files(256 * 1024);
    for (guint i = 0; i < 3; i++) {
        batch = disk_batch_new();
        small->id = 10 + i;
        disk_batch_put_journal(batch, small);
        if (i == 1) {
            disk_batch_put_journal(batch, large);
            disk_batch_remove_journal(batch, 10); /* is not carried out either */
        }
        disk_submit(fixture->disk, batch, on_done, &done[i]);
    }
    wait_for(&done[2].is_done);
    limit_files(RLIM_INFINITY);
    g_assert_no_error(done[0].error);
    g_assert_error(done[1].error, MAIL_ERROR, MAIL_ERROR_NOSPACE);
    g_assert_no_error(done[2].error);
    g_clear_error(&done[1].error);
    entries = reload(fixture);
    g_assert_cmpuint(entries->len, ==, 2);
    small->id = 10;
    assert_entry(g_ptr_array_index(entries, 0), small);
    small->id = 12;
    assert_entry(g_ptr_array_index(entries, 1), small);
}

/* Who put something into the journal hears whether it is there.  That the index fails is no reason
 * to believe that it is not. */
static void test_index_fails(Fixture *fixture, gconstpointer data)
{
    g_autoptr(JournalEntry) entry = full_entry(1);
    g_autoptr(GPtrArray) entries = NULL;
    g_autoptr(GError) error = NULL;
    DiskBatch *batch = disk_batch_new();

    put_damaged_inbox(fixture);
    put_message(batch, 1, 5000, 5000);
    disk_batch_put_journal(batch, entry);
    error = try_submit(fixture, batch);
    g_assert_no_error(error);
    g_assert_nonnull(disk_failure(fixture->disk));
    entries = reload(fixture);
    g_assert_cmpuint(entries->len, ==, 1);
    assert_entry(g_ptr_array_index(entries, 0), entry);
}

static void put_and_die(Fixture *fixture)
{
    put_entry(fixture, 1);
}

static void test_crash(Fixture *fixture, gconstpointer data)
{
    g_autoptr(JournalEntry) expected = full_entry(1);
    g_autoptr(GPtrArray) entries = NULL;

    in_dying_child(fixture, put_and_die);
    fixture_open(fixture);
    entries = load_journal(fixture);
    g_assert_cmpuint(entries->len, ==, 1);
    assert_entry(g_ptr_array_index(entries, 0), expected);
}

#ifdef MAILFS_FAULTS
static void put_under_fault(Fixture *fixture)
{
    put_inbox(fixture, 2); /* no fault of the journal's */
    put_entry(fixture, 1);
}

static void test_killed(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *fault;
        guint n_entries;
    } cases[] = {{"journal-before-commit", 0}, {"journal-after-commit", 1}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GPtrArray) entries = NULL;

        g_setenv("MAILFS_FAULT", cases[i].fault, TRUE);
        in_child(fixture, put_under_fault, 86);
        g_unsetenv("MAILFS_FAULT");
        fixture_open(fixture);
        entries = load_journal(fixture);
        g_assert_cmpuint(entries->len, ==, cases[i].n_entries);
    }
}

/* J6: what could not be synced is not synced again, and nothing is promised any more. */
static void test_unsynced(Fixture *fixture, gconstpointer data)
{
    g_autoptr(JournalEntry) entry = full_entry(1);
    g_autoptr(GPtrArray) entries = NULL;

    put_inbox(fixture, 2);
    g_setenv("MAILFS_FAULT", "journal-commit=error", TRUE);
    for (guint i = 0; i < 3; i++) {
        g_autoptr(GError) error = NULL;
        DiskBatch *batch = disk_batch_new();

        if (i < 2)
            disk_batch_put_journal(batch, entry);
        else
            put_message(batch, 1, 3, 3);
        error = try_submit(fixture, batch);
        g_assert_error(error, MAIL_ERROR, MAIL_ERROR_CACHE);
        g_unsetenv("MAILFS_FAULT"); /* once is enough */
    }
    entries = reload(fixture);
    g_assert_cmpuint(entries->len, ==, 0);
    put_entry(fixture, 1);
}
#endif

/* -- Files of the version before --------------------------------------------------------------- */

static const char state_1[] =
    "DROP TABLE journal; DROP TABLE local; DROP TABLE parked; DROP TABLE item; DROP TABLE mailbox;"
    "CREATE TABLE mailbox("
    "  number INTEGER PRIMARY KEY CHECK(number BETWEEN 1 AND 65535),"
    "  wire TEXT UNIQUE,"
    "  next_item INTEGER NOT NULL CHECK(next_item > 0)"
    ") STRICT;"
    "CREATE TABLE item("
    "  mailbox INTEGER NOT NULL CHECK(mailbox BETWEEN 1 AND 65535),"
    "  item INTEGER NOT NULL CHECK(item BETWEEN 1 AND 68719476735),"
    "  uidvalidity INTEGER NOT NULL,"
    "  uid INTEGER NOT NULL,"
    "  name TEXT NOT NULL,"
    "  PRIMARY KEY(mailbox, item)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX item_by_uid ON item(mailbox, uidvalidity, uid);"
    "INSERT INTO mailbox VALUES(1, 'INBOX', 90);"
    "INSERT INTO item VALUES(1, 5, 7, 50, 'five.eml');"
    "INSERT INTO item VALUES(1, 6, 7, 60, 'six.eml');"
    "PRAGMA user_version=1";

static const char index_1[] =
    "DROP INDEX body_by_size; DROP TABLE message;"
    "CREATE TABLE message("
    "  mailbox INTEGER NOT NULL CHECK(mailbox BETWEEN 1 AND 65535),"
    "  item INTEGER NOT NULL CHECK(item BETWEEN 1 AND 68719476735),"
    "  uid INTEGER NOT NULL,"
    "  size INTEGER NOT NULL,"
    "  is_exact INTEGER NOT NULL,"
    "  date INTEGER NOT NULL,"
    "  appeared INTEGER NOT NULL,"
    "  fingerprint INTEGER NOT NULL,"
    "  flags INTEGER NOT NULL,"
    "  keywords TEXT,"
    "  name TEXT NOT NULL,"
    "  PRIMARY KEY(mailbox, item)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX message_by_uid ON message(mailbox, uid);"
    "INSERT INTO message VALUES(1, 5, 50, 500, 1, 5000, 5001, 55, 1, 'blue', 'five.eml');"
    "PRAGMA user_version=1";

static void make_version_1(Fixture *fixture)
{
    put_inbox(fixture, 1);
    fixture_close(fixture);
    meddle(fixture->state, "state.db", state_1);
    meddle(fixture->cache, "index.db", index_1);
}

static void assert_upgraded(Fixture *fixture)
{
    g_auto(Loaded) recalled = LOADED_INIT;

    recall(fixture, 1, 7, "1:100", &recalled);
    g_assert_cmpuint(recalled.messages->len, ==, 2);
    g_assert_cmpuint(loaded_at(&recalled, 0)->item, ==, 5);
    g_assert_cmpstr(loaded_at(&recalled, 0)->name, ==, "five.eml");
    g_assert_cmpint(loaded_at(&recalled, 0)->mtime, ==, 0);
    g_assert_cmpstr(loaded_at(&recalled, 1)->name, ==, "six.eml");
    g_assert_cmpuint(disk_next_item(fixture->disk, 1), ==, 90);
}

static void test_upgrade(Fixture *fixture, gconstpointer data)
{
    g_auto(Loaded) loaded = LOADED_INIT;
    g_autoptr(GPtrArray) entries = NULL;

    make_version_1(fixture);
    fixture_open(fixture);
    g_assert_null(disk_warning(fixture->disk));
    g_assert_false(exists(fixture->cache, "index.db.damaged"));
    assert_upgraded(fixture);
    load(fixture, 1, &loaded);
    g_assert_cmpuint(loaded.messages->len, ==, 1);
    g_assert_cmpuint(loaded_at(&loaded, 0)->fingerprint, ==, 55);
    g_assert_cmpstr(loaded_at(&loaded, 0)->name, ==, "five.eml");
    g_assert_false(loaded_at(&loaded, 0)->is_hidden);
    put_entry(fixture, 1);
    entries = reload(fixture); /* once, and for good */
    g_assert_cmpuint(entries->len, ==, 1);
    assert_upgraded(fixture);
}

/* An older file that is damaged as well is saved, and comes out in this version. */
static void test_upgrade_damaged(Fixture *fixture, gconstpointer data)
{
    static const char *const harm[] = {
        "PRAGMA writable_schema=ON; DELETE FROM sqlite_schema WHERE name = 'item_by_uid'",
        "CREATE TABLE journal(x)", /* in the way */
    };

    for (guint i = 0; i < G_N_ELEMENTS(harm); i++) {
        g_test_message("%s", harm[i]);
        make_version_1(fixture);
        meddle(fixture->state, "state.db", harm[i]);
        fixture_open(fixture);
        g_assert_nonnull(disk_warning(fixture->disk));
        assert_upgraded(fixture);
        put_entry(fixture, 1);
    }
}

/* -- Rescue ------------------------------------------------------------------------------------ */

#define N_RESCUED 400

static JournalEntry *numbered_entry(guint64 id)
{
    JournalEntry *entry = full_entry(id);

    for (guint i = 1; i <= 20; i++)
        add_message(entry, id * 100 + i);
    return entry;
}

static void put_many(Fixture *fixture)
{
    DiskBatch *batch = disk_batch_new();

    for (guint i = 1; i <= N_RESCUED; i++) {
        g_autoptr(JournalEntry) entry = numbered_entry(i);
        g_autofree char *name = g_strdup_printf("local file with a long name %u.eml", i);

        disk_batch_put_journal(batch, entry);
        disk_batch_put_local(batch, &(JournalLocal){
            .mailbox = 2, .item = i, .kind = LOCAL_EDIT, .name = name, .stage = i, .mtime = i});
        disk_batch_put_parked(batch, &(JournalParked){.mailbox = 3, .item = i, .name = name});
    }
    submit(fixture, batch);
}

/* Those that are left are whole; both ends of each table are among them. */
static guint check_entries(Fixture *fixture)
{
    g_autoptr(GPtrArray) entries = load_journal(fixture);
    const JournalEntry *last;

    for (guint i = 0; i < entries->len; i++) {
        const JournalEntry *entry = g_ptr_array_index(entries, i);
        g_autoptr(JournalEntry) expected = numbered_entry(entry->id);

        assert_entry(entry, expected);
    }
    g_assert_cmpuint(entries->len, >, 1);
    last = g_ptr_array_index(entries, entries->len - 1);
    g_assert_cmpuint(((const JournalEntry *)g_ptr_array_index(entries, 0))->id, ==, 1);
    g_assert_cmpuint(last->id, ==, N_RESCUED);
    return entries->len;
}

static void check_locals(Fixture *fixture)
{
    g_autoptr(GPtrArray) locals = journal_load_locals(fixture->disk, NULL);
    g_autoptr(GPtrArray) parked = journal_load_parked(fixture->disk, NULL);

    g_assert_cmpuint(locals->len, >, 0);
    g_assert_cmpuint(parked->len, >, 0);
    for (guint i = 0; i < locals->len; i++) {
        const JournalLocal *local = g_ptr_array_index(locals, i);

        g_assert_cmpuint(local->stage, ==, local->item);
        g_assert_cmpint(local->mtime, ==, (gint64)local->item);
    }
}

static void test_rescue(Fixture *fixture, gconstpointer data)
{
    guint n_entries;
    off_t size;

    put_many(fixture);
    fixture_close(fixture);
    remove_tree(fixture->cache);
    size = size_of(fixture->state, "state.db");
    scribble(fixture->state, "state.db", size / 2 / 4096 * 4096, 8 * 4096);
    fixture_open(fixture);
    g_assert_nonnull(disk_warning(fixture->disk));
    n_entries = check_entries(fixture);
    g_test_message("%u of %u entries were kept", n_entries, N_RESCUED);
    g_assert_cmpuint(n_entries, <, N_RESCUED); /* or the damage was elsewhere */
    check_locals(fixture);
    g_assert_cmpuint(journal_next_id(fixture->disk), ==, N_RESCUED + 1);
    fixture_reopen(fixture);
    g_assert_null(disk_warning(fixture->disk));
    g_assert_cmpuint(check_entries(fixture), ==, n_entries);
}

/* A row that says what no row can is left out, the others are kept. */
static void test_absurd(Fixture *fixture, gconstpointer data)
{
    static const char *const absurd[] = {"kind = 6", "kind = -1", "state = 0", "state = 5",
                                         "messages = x'00'", "sha256 = x'0102'",
                                         "mailbox = 70000", "target_mailbox = -1"};

    for (guint i = 0; i < G_N_ELEMENTS(absurd); i++) {
        g_autofree char *sql = g_strdup_printf("PRAGMA ignore_check_constraints=ON;"
                                               "UPDATE journal SET %s WHERE id = 2", absurd[i]);
        g_autoptr(GPtrArray) entries = NULL;

        g_test_message("%s", absurd[i]);
        for (guint64 id = 1; id <= 3; id++)
            put_entry(fixture, id);
        fixture_close(fixture);
        meddle(fixture->state, "state.db", sql);
        fixture_open(fixture);
        g_assert_nonnull(disk_warning(fixture->disk));
        entries = load_journal(fixture);
        g_assert_cmpuint(entries->len, ==, 2);
    }
}

/* What mailbox counts on from where is lost with its row, but not what the journal uses. */
static void test_rescue_items(Fixture *fixture, gconstpointer data)
{
    g_autoptr(JournalEntry) entry = journal_entry_new(JOURNAL_MOVE);
    DiskBatch *batch = disk_batch_new();

    entry->id = 77;
    entry->mailbox = 1;
    entry->target_mailbox = 2;
    add_message(entry, 5);
    g_array_index(entry->messages, JournalMessage, 0).new_item = 66;
    disk_batch_put_journal(batch, entry);
    submit(fixture, batch);
    fixture_close(fixture);
    remove_tree(fixture->cache);
    scribble(fixture->state, "state.db", 4096, 4096); /* the first table's root */
    fixture_open(fixture);
    g_assert_nonnull(disk_warning(fixture->disk));
    g_assert_cmpuint(disk_next_item(fixture->disk, 2), ==, 67);
    g_assert_cmpuint(journal_next_id(fixture->disk), ==, 78);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGXFSZ, SIG_IGN);
    fixture_add("/journal/entry", test_entry);
    fixture_add("/journal/kinds", test_kinds);
    fixture_add("/journal/ids", test_ids);
    fixture_add("/journal/local", test_local);
    fixture_add("/journal/parked", test_parked);
    fixture_add("/journal/items", test_items);
    fixture_add("/journal/full", test_full);
    fixture_add("/journal/index-fails", test_index_fails);
    fixture_add("/journal/crash", test_crash);
#ifdef MAILFS_FAULTS
    fixture_add("/journal/killed", test_killed);
    fixture_add("/journal/unsynced", test_unsynced);
#endif
    fixture_add("/journal/upgrade", test_upgrade);
    fixture_add("/journal/upgrade-damaged", test_upgrade_damaged);
    fixture_add("/journal/rescue", test_rescue);
    fixture_add("/journal/absurd", test_absurd);
    fixture_add("/journal/rescue-items", test_rescue_items);
    return g_test_run();
}
