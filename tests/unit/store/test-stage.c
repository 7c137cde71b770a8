/* Stages: what sealing makes of line ends at every border, what it refuses, what is left behind,
 * and names in lost+found that try to get out of it. */
#include "small-disk.h"

#include <signal.h>

#include "base/limits.h"
#include "store/journal.h"
#include "store/stage.h"

#define CHUNK (64 * 1024) /* what sealing reads at once */

/* -- Helpers ----------------------------------------------------------------------------------- */

static int new_stage(Fixture *fixture, const void *octets, gsize length, guint64 *ret_number)
{
    g_autoptr(GError) error = NULL;
    guint64 number = 0;
    int fd = stage_new(fixture->disk, &number, &error);

    g_assert_no_error(error);
    g_assert_cmpint(pwrite(fd, octets, length, 0), ==, (gssize)length);
    if (ret_number)
        *ret_number = number;
    return fd;
}

static guint count_stages(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) numbers = stage_list(fixture->disk, &error);

    g_assert_no_error(error);
    return numbers->len;
}

static GByteArray *read_all(int fd)
{
    GByteArray *octets = g_byte_array_new();
    guint8 buffer[4096];
    ssize_t n;

    while ((n = pread(fd, buffer, sizeof buffer, octets->len)) > 0)
        g_byte_array_append(octets, buffer, (guint)n);
    g_assert_cmpint(n, ==, 0);
    return octets;
}

typedef struct {
    gboolean is_done;
    StageSeal seal;
    char *message_id;
    GError *error;
} Sealed;

static void sealed_clear(Sealed *sealed)
{
    g_clear_pointer(&sealed->message_id, g_free);
    g_clear_error(&sealed->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sealed, sealed_clear)

static void on_sealed(const StageSeal *seal, const GError *error, gpointer user)
{
    Sealed *sealed = user;

    g_assert_true((seal == NULL) == (error != NULL));
    if (seal) {
        sealed->seal = *seal;
        sealed->message_id = g_strdup(seal->message_id);
    }
    sealed->error = error ? g_error_copy(error) : NULL;
    sealed->is_done = TRUE;
}

/* Seals @fd, and closes it at once: the disk has its own. */
static void seal(Fixture *fixture, int fd, Sealed *sealed)
{
    stage_seal(fixture->disk, fd, on_sealed, sealed);
    close(fd);
    wait_for(&sealed->is_done);
}

static void seal_octets(Fixture *fixture, const void *octets, gsize length, Sealed *sealed)
{
    guint64 number;
    int fd = new_stage(fixture, octets, length, &number);

    stage_remove(fixture->disk, number); /* the descriptor is all that it takes */
    seal(fixture, fd, sealed);
}

static void seal_text(Fixture *fixture, const char *text, Sealed *sealed)
{
    seal_octets(fixture, text, strlen(text), sealed);
}

/* The sealed stage holds @octets, and the seal says so; it is removed. */
static void assert_sealed(Fixture *fixture, const Sealed *sealed, const GByteArray *octets)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) found = NULL;
    guint8 digest[32];
    gsize length = sizeof digest;
    g_autoptr(GChecksum) sha256 = g_checksum_new(G_CHECKSUM_SHA256);
    int fd;

    g_assert_no_error(sealed->error);
    fd = stage_open(fixture->disk, sealed->seal.number, &error);
    g_assert_no_error(error);
    found = read_all(fd);
    close(fd);
    g_assert_cmpmem(found->data, found->len, octets->data, octets->len);
    g_assert_cmpuint(sealed->seal.size, ==, octets->len);
    g_checksum_update(sha256, octets->data, octets->len);
    g_checksum_get_digest(sha256, digest, &length);
    g_assert_cmpmem(sealed->seal.sha256, 32, digest, 32);
    stage_remove(fixture->disk, sealed->seal.number);
}

/* -- Stages ------------------------------------------------------------------------------------ */

static void test_numbers(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) numbers = NULL;
    guint64 first, second, third;
    int fd;

    close(new_stage(fixture, "one", 3, &first));
    close(new_stage(fixture, "two", 3, &second));
    g_assert_cmpuint(second, >, first);
    fd = stage_open(fixture->disk, first, &error);
    g_assert_no_error(error);
    g_assert_cmpint(pwrite(fd, "ONE", 3, 0), ==, 3); /* for writing, too */
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
    close(fd);
    stage_remove(fixture->disk, first);
    stage_remove(fixture->disk, first);
    g_assert_cmpint(stage_open(fixture->disk, first, &error), ==, -1);
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_GONE);
    fixture_reopen(fixture);
    close(new_stage(fixture, "three", 5, &third));
    g_assert_cmpuint(third, >, second);
    numbers = stage_list(fixture->disk, NULL);
    g_assert_cmpuint(numbers->len, ==, 2);
    g_assert_cmpuint(g_array_index(numbers, guint64, 0), ==, second);
    g_assert_cmpuint(g_array_index(numbers, guint64, 1), ==, third);
}

/* A row that lost its file must never get the octets of another. */
static void test_numbers_of_rows(Fixture *fixture, gconstpointer data)
{
    static char name[] = "x";
    g_autoptr(JournalEntry) entry = journal_entry_new(JOURNAL_CREATE);
    DiskBatch *batch = disk_batch_new();
    guint64 number;

    entry->id = 1;
    entry->stage = 500;
    disk_batch_put_journal(batch, entry);
    submit(fixture, batch);
    fixture_reopen(fixture);
    close(new_stage(fixture, "", 0, &number));
    g_assert_cmpuint(number, ==, 501);
    batch = disk_batch_new();
    disk_batch_put_local(batch, &(JournalLocal){
        .mailbox = 1, .item = 1, .kind = LOCAL_NEW, .name = name, .stage = 600});
    submit(fixture, batch);
    fixture_reopen(fixture);
    close(new_stage(fixture, "", 0, &number));
    g_assert_cmpuint(number, ==, 601);
}

static void test_folder(Fixture *fixture, gconstpointer data)
{
    static const char *const strangers[] = {"x", "00", "000000000000000A", "0000000000000000",
                                            "ffffffffffffffff", "lost.new"};
    g_autofree char *staging = in(fixture->state, "staging");
    g_autofree char *planted = in(staging, "00000000000000aa"), *one = NULL, *name = NULL;
    g_autoptr(GError) error = NULL;
    guint64 number;
    GStatBuf st;

    close(new_stage(fixture, "x", 1, &number));
    name = g_strdup_printf("%016" G_GINT64_MODIFIER "x", number);
    one = in(staging, name);
    g_assert_cmpint(g_stat(one, &st), ==, 0);
    g_assert_cmphex(st.st_mode & 07777, ==, 0600);
    g_assert_cmpint(g_stat(staging, &st), ==, 0);
    g_assert_cmphex(st.st_mode & 07777, ==, 0700);
    for (guint i = 0; i < G_N_ELEMENTS(strangers); i++) {
        g_autofree char *path = in(staging, strangers[i]);

        g_assert_true(g_file_set_contents(path, "", 0, NULL));
    }
    g_assert_cmpuint(count_stages(fixture), ==, 1);
    g_assert_cmpint(symlink("/etc/passwd", planted), ==, 0);
    g_assert_cmpint(stage_open(fixture->disk, 0xaa, &error), ==, -1);
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_cmpint(g_unlink(planted), ==, 0);
    g_assert_cmpint(mkfifo(planted, 0600), ==, 0); /* would be waited for */
    g_assert_cmpint(stage_open(fixture->disk, 0xaa, &error), ==, -1);
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_CACHE);
    g_assert_cmpstr(stage_lost_dir(fixture->disk), !=, NULL);
    g_assert_true(g_str_has_suffix(stage_lost_dir(fixture->disk), "/state/lost+found"));
}

/* -- Sealing ----------------------------------------------------------------------------------- */

static void test_lines(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *octets, *sealed;
    } cases[] = {
        {"A: b\r\n\r\nc\r\n", NULL},
        {"A: b\n\nc\n", "A: b\r\n\r\nc\r\n"},
        {"A: b\r\n\nc", "A: b\r\n\r\nc"}, /* a last line without an end stays one */
        {"A: b\n\r\nc\r\n", "A: b\r\n\r\nc\r\n"},
        {"A: b\rc\r", NULL}, /* a bare CR is no line end */
        {"A: b\r\r\n\r\r", NULL},
        {"A: \n\n\n", "A: \r\n\r\n\r\n"},
        {"A:", NULL},
        {"A \t: b\n", "A \t: b\r\n"},
        {"!#$%&'*+-.^_`{|}~;\"(): b", NULL}, /* all of RFC 5322's ftext but letters */
        {"A: \xff\x01\x7f", NULL},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *expected = cases[i].sealed ? cases[i].sealed : cases[i].octets;
        g_auto(Sealed) sealed = {0};
        g_autoptr(GByteArray) octets = g_byte_array_new();

        g_test_message("%u", i);
        g_byte_array_append(octets, (const guint8 *)expected, (guint)strlen(expected));
        seal_text(fixture, cases[i].octets, &sealed);
        assert_sealed(fixture, &sealed, octets);
        g_assert_true(sealed.seal.was_canonical == (cases[i].sealed == NULL));
    }
    g_assert_cmpuint(count_stages(fixture), ==, 0);
}

#define ENVELOPE "From a@b Mon Jan  1 10:00:00 2024\n"

/* The line with which an mbox begins a message is left out, once. */
static void test_envelope(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *octets, *sealed;
    } cases[] = {
        {ENVELOPE "A: b\r\n\r\nc\r\n", "A: b\r\n\r\nc\r\n"},
        {ENVELOPE "A: b\n\nc\n", "A: b\r\n\r\nc\r\n"},
        {"From x\r\nA: b\n\n>From c\n", "A: b\r\n\r\n>From c\r\n"}, /* which is not undone */
        {"From x\nA: b\n\nFrom here on at 10:00 in 2024\n",
         "A: b\r\n\r\nFrom here on at 10:00 in 2024\r\n"},
        {"From : b\r\n\r\n", "From : b\r\n\r\n"},
        {"A: b\r\n\r\nFrom a@b Mon Jan  1 10:00:00 2024\r\n", NULL}, /* it begins as a message */
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *expected = cases[i].sealed ? cases[i].sealed : cases[i].octets;
        g_auto(Sealed) sealed = {0};
        g_autoptr(GByteArray) octets = g_byte_array_new();

        g_test_message("%u", i);
        g_byte_array_append(octets, (const guint8 *)expected, (guint)strlen(expected));
        seal_text(fixture, cases[i].octets, &sealed);
        assert_sealed(fixture, &sealed, octets);
        g_assert_true(sealed.seal.was_canonical == g_str_equal(expected, cases[i].octets));
    }
    g_assert_cmpuint(count_stages(fixture), ==, 0);
}

/* A file has one message; where the second one begins need not be in the first chunk. */
static void test_several(Fixture *fixture, gconstpointer data)
{
    for (guint filler = 0; filler <= 2 * CHUNK; filler += filler < 8 ? 1 : CHUNK / 16 - 1) {
        g_autoptr(GString) text = g_string_new(ENVELOPE "A: b\n\n");
        g_auto(Sealed) sealed = {0};

        for (guint i = 0; i < filler; i++)
            g_string_append_c(text, i % 70 == 69 ? '\n' : 'x');
        g_string_append(text, "\n\n" ENVELOPE "A: c\n\n");
        seal_text(fixture, text->str, &sealed);
        g_assert_error(sealed.error, MAIL_ERROR, MAIL_ERROR_INVALID);
        g_assert_nonnull(strstr(sealed.error->message, "git mailsplit or formail -s"));
        g_assert_cmpuint(count_stages(fixture), ==, 0);
    }
}

/* What sealing has to make of @octets: looked at backwards, as it does not. */
static GByteArray *make_canonical(const GByteArray *octets)
{
    GByteArray *canonical = g_byte_array_new();

    for (guint i = 0; i < octets->len; i++) {
        if (octets->data[i] == '\n' && (i == 0 || octets->data[i - 1] != '\r'))
            g_byte_array_append(canonical, (const guint8 *)"\r", 1);
        g_byte_array_append(canonical, &octets->data[i], 1);
    }
    return canonical;
}

/* Line ends of all kinds, each octet of them once at the border of a chunk. */
static void test_borders(Fixture *fixture, gconstpointer data)
{
    static const char pattern[] = "x\r\n\n\r\r\nx\n";

    for (guint shift = 0; shift <= strlen(pattern); shift++) {
        g_auto(Sealed) sealed = {0};
        g_autoptr(GByteArray) octets = g_byte_array_new(), canonical = NULL;

        g_byte_array_append(octets, (const guint8 *)"A: ", 3);
        for (guint chunk = 1; chunk <= 2; chunk++) {
            while (octets->len < chunk * CHUNK - shift)
                g_byte_array_append(octets, (const guint8 *)"y", 1);
            g_byte_array_append(octets, (const guint8 *)pattern, (guint)strlen(pattern));
        }
        canonical = make_canonical(octets);
        seal_octets(fixture, octets->data, octets->len, &sealed);
        assert_sealed(fixture, &sealed, canonical);
        g_assert_false(sealed.seal.was_canonical);
    }
}

static void test_message_id(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) far = g_string_new("A: b\n");
    g_auto(Sealed) with = {0}, without = {0}, too_far = {0}, mended = {0};

    seal_text(fixture, "Subject: x\nMessage-ID: <a@b>\n\nx", &with);
    g_assert_cmpstr(with.message_id, ==, "<a@b>");
    g_assert_cmpuint(with.seal.fingerprint, ==, message_fingerprint("<a@b>"));
    seal_text(fixture, "Subject: x\n\nMessage-ID: <a@b>\n", &without);
    g_assert_no_error(without.error);
    g_assert_null(without.message_id);
    g_assert_cmpuint(without.seal.fingerprint, ==, 0);
    while (far->len < LIMIT_HEADER)
        g_string_append(far, "X-Filler: is what keeps a header growing without an end\n");
    g_string_append(far, "Message-ID: <a@b>\n\n");
    seal_text(fixture, far->str, &too_far);
    g_assert_no_error(too_far.error);
    g_assert_null(too_far.message_id);
    seal_text(fixture, "Subject: x\r\nMessage-ID:\n <c@d>\r\n\r\n", &mended);
    g_assert_cmpstr(mended.message_id, ==, "<c@d>");
}

static void test_refused(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *octets;
        gsize length;
        const char *word; /* in the sentence */
    } cases[] = {
        {"", 0, "empty"},
        {"\n", 1, "no mail message"},
        {"\r\n", 2, "no mail message"},
        {"\nA: b\n", 6, "no mail message"},
        {"hello\n", 6, "no mail message"},
        {"hello", 5, "no mail message"},
        {"hello world: x\n", 15, "no mail message"},
        {"hello\nA: b\n", 11, "no mail message"},
        {": b\n", 4, "no mail message"},
        {" A: b\n", 6, "no mail message"},
        {"\xc3\xa4: b\n", 6, "no mail message"},
        {"\x7f: b\n", 5, "no mail message"},
        {"From a@b Mon Jan  1\n", 20, "no mail message"}, /* nothing follows */
        {"From a@b Mon Jan  1\nFrom a@b Mon Jan  1\nA: b\n", 45, "no mail message"},
        {"From a@b Mon Jan  1\n\nA: b\n", 26, "no mail message"},
        {"From a@b Mon Jan  1\n>From c\nA: b\n", 33, "no mail message"},
        {"From ", 5, "no mail message"},
        {"\0A: b\n", 6, "NUL"},
        {"A: b\n\0", 6, "NUL"},
        {"A: b\0c\n", 7, "NUL"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(Sealed) sealed = {0};

        g_test_message("%u", i);
        seal_octets(fixture, cases[i].octets, cases[i].length, &sealed);
        g_assert_error(sealed.error, MAIL_ERROR, MAIL_ERROR_INVALID);
        g_assert_nonnull(strstr(sealed.error->message, cases[i].word));
        g_assert_cmpuint(count_stages(fixture), ==, 0);
    }
}

/* Far behind the first chunk. */
static void test_late_nul(Fixture *fixture, gconstpointer data)
{
    g_autofree char *octets = g_malloc(3 * CHUNK);
    g_auto(Sealed) sealed = {0};

    memset(octets, 'x', 3 * CHUNK);
    memcpy(octets, "A: ", 3);
    octets[3 * CHUNK - 1] = '\0';
    seal_octets(fixture, octets, 3 * CHUNK, &sealed);
    g_assert_error(sealed.error, MAIL_ERROR, MAIL_ERROR_INVALID);
    g_assert_cmpuint(count_stages(fixture), ==, 0);
}

static void test_too_big(Fixture *fixture, gconstpointer data)
{
    g_auto(Sealed) sealed = {0}, at_limit = {0};
    int fd = new_stage(fixture, "A: b\n", 5, NULL);

    g_assert_cmpint(ftruncate(fd, LIMIT_MESSAGE + 1), ==, 0); /* no octet of it is written */
    seal(fixture, fd, &sealed);
    g_assert_error(sealed.error, MAIL_ERROR, MAIL_ERROR_TOOBIG);
    g_assert_nonnull(strstr(sealed.error->message, "256 MiB"));
    fd = new_stage(fixture, "A: b\n", 5, NULL);
    g_assert_cmpint(ftruncate(fd, LIMIT_MESSAGE), ==, 0);
    seal(fixture, fd, &at_limit);
    g_assert_error(at_limit.error, MAIL_ERROR, MAIL_ERROR_INVALID); /* not for its size */
    g_assert_cmpuint(count_stages(fixture), ==, 2);
}

/* What is written later is another version. */
static void test_versions(Fixture *fixture, gconstpointer data)
{
    g_auto(Sealed) first = {0}, second = {0};
    g_autoptr(GByteArray) one = g_byte_array_new(), two = g_byte_array_new();
    int fd = new_stage(fixture, "A: 1\r\n", 6, NULL);

    g_byte_array_append(one, (const guint8 *)"A: 1\r\n", 6);
    g_byte_array_append(two, (const guint8 *)"A: 2\r\n", 6);
    stage_seal(fixture->disk, fd, on_sealed, &first);
    wait_for(&first.is_done);
    g_assert_cmpint(pwrite(fd, "A: 2", 4, 0), ==, 4);
    seal(fixture, fd, &second);
    g_assert_cmpuint(second.seal.number, >, first.seal.number);
    assert_sealed(fixture, &first, one);
    assert_sealed(fixture, &second, two);
}

static void never(const StageSeal *seal, const GError *error, gpointer user)
{
    g_assert_not_reached();
}

/* Nobody hears of it, so nothing of it is kept. */
static void test_close_unheard(Fixture *fixture, gconstpointer data)
{
    guint64 number;
    int fd = new_stage(fixture, "A: b\n", 5, &number);

    for (guint i = 0; i < 20; i++)
        stage_seal(fixture->disk, fd, never, NULL);
    close(fd);
    g_usleep(20000); /* so that some are answered, and others are not */
    fixture_reopen(fixture);
    g_assert_cmpuint(count_stages(fixture), ==, 1);
    stage_remove(fixture->disk, number);
}

static void test_sync(Fixture *fixture, gconstpointer data)
{
    Done good = {0}, bad = {0};
    int fd = new_stage(fixture, "x", 1, NULL);

    stage_sync(fixture->disk, fd, on_done, &good);
    close(fd);
    wait_for(&good.is_done);
    g_assert_no_error(good.error);
    stage_sync(fixture->disk, -1, on_done, &bad);
    g_assert_false(bad.is_done); /* not from within the call */
    wait_for(&bad.is_done);
    g_assert_error(bad.error, MAIL_ERROR, MAIL_ERROR_BUSY);
    g_clear_error(&bad.error);
}

static void fill_small_disk(Fixture *fixture)
{
    g_autofree char *octets = g_malloc(256 * 1024);
    g_auto(Sealed) full = {0}, again = {0};
    guint64 number;
    int fd;

    memset(octets, 'x', 256 * 1024);
    memcpy(octets, "A: ", 3);
    fd = new_stage(fixture, octets, 256 * 1024, &number);
    take_room(fixture);
    stage_seal(fixture->disk, fd, on_sealed, &full);
    wait_for(&full.is_done);
    g_assert_error(full.error, MAIL_ERROR, MAIL_ERROR_NOSPACE);
    g_assert_cmpuint(count_stages(fixture), ==, 1);
    give_room(fixture);
    seal(fixture, fd, &again);
    g_assert_no_error(again.error);
}

static void test_small_disk(Fixture *fixture, gconstpointer data)
{
    on_small_disk(fixture, fill_small_disk);
}

#ifdef MAILFS_FAULTS
static void seal_one(Fixture *fixture)
{
    g_auto(Sealed) sealed = {0};

    seal(fixture, new_stage(fixture, "A: b\n", 5, NULL), &sealed);
}

/* The source outlives the death of whoever sealed it. */
static void test_killed(Fixture *fixture, gconstpointer data)
{
    static const char *const faults[] = {"seal-before-sync", "seal-after-sync"};

    for (guint i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_autoptr(GArray) numbers = NULL;
        g_autoptr(GByteArray) octets = NULL;
        int fd;

        g_setenv("MAILFS_FAULT", faults[i], TRUE);
        in_child(fixture, seal_one, 86);
        g_unsetenv("MAILFS_FAULT");
        fixture_open(fixture);
        numbers = stage_list(fixture->disk, NULL);
        g_assert_cmpuint(numbers->len, ==, 2);
        fd = stage_open(fixture->disk, g_array_index(numbers, guint64, 0), NULL);
        octets = read_all(fd);
        close(fd);
        g_assert_cmpmem(octets->data, octets->len, "A: b\n", 5);
        for (guint k = 0; k < numbers->len; k++)
            stage_remove(fixture->disk, g_array_index(numbers, guint64, k));
    }
}

static void test_unsynced(Fixture *fixture, gconstpointer data)
{
    g_auto(Sealed) sealed = {0};
    Done synced = {0}, lost = {0};
    int fd = new_stage(fixture, "A: b\n", 5, NULL);

    g_setenv("MAILFS_FAULT", "fsync-stage=error", TRUE);
    stage_sync(fixture->disk, fd, on_done, &synced);
    stage_lose(fixture->disk, fd, &(StageLost){"INBOX", "x.eml", "why"}, on_done, &lost);
    seal(fixture, fd, &sealed);
    g_unsetenv("MAILFS_FAULT");
    g_assert_error(synced.error, MAIL_ERROR, MAIL_ERROR_CACHE);
    g_assert_error(lost.error, MAIL_ERROR, MAIL_ERROR_CACHE);
    g_assert_error(sealed.error, MAIL_ERROR, MAIL_ERROR_CACHE);
    g_assert_cmpuint(count_stages(fixture), ==, 1);
    g_assert_false(exists(fixture->state, "lost+found/INBOX/x.eml"));
    g_clear_error(&synced.error);
    g_clear_error(&lost.error);
}
#endif

/* -- A stage becomes a body -------------------------------------------------------------------- */

static void assert_becomes_body(Fixture *fixture)
{
    g_auto(Sealed) sealed = {0};
    g_auto(Loaded) loaded = LOADED_INIT;
    g_autoptr(GByteArray) octets = NULL;
    DiskBatch *batch = disk_batch_new();
    int fd;

    put_inbox(fixture, 1);
    seal_text(fixture, "A: b\n", &sealed);
    g_assert_true(stage_to_body(fixture->disk, sealed.seal.number, 1, 1));
    disk_batch_body_cached(batch, 1, 1, sealed.seal.size, sealed.seal.sha256);
    submit(fixture, batch);
    g_assert_cmpuint(count_stages(fixture), ==, 0);
    fixture_reopen(fixture);
    load(fixture, 1, &loaded);
    g_assert_true(loaded_at(&loaded, 0)->is_cached);
    g_assert_cmpuint(loaded_at(&loaded, 0)->size, ==, 6);
    fd = disk_open_body(fixture->disk, 1, 1, NULL);
    octets = read_all(fd);
    close(fd);
    g_assert_cmpmem(octets->data, octets->len, "A: b\r\n", 6);
    g_assert_false(stage_to_body(fixture->disk, sealed.seal.number, 1, 1)); /* it is gone */
}

static void test_to_body(Fixture *fixture, gconstpointer data)
{
    assert_becomes_body(fixture);
}

static void test_to_body_elsewhere(Fixture *fixture, gconstpointer data)
{
    char other[] = "/dev/shm/mailfs-stage-XXXXXX";
    GStatBuf here, there;

    if (!g_mkdtemp(other) || g_stat(other, &there) < 0 || g_stat(fixture->dir, &here) < 0 ||
        here.st_dev == there.st_dev) {
        (void)g_rmdir(other);
        g_test_skip("there is no second file system");
        return;
    }
    fixture_close(fixture);
    g_free(fixture->cache);
    fixture->cache = in(other, "cache");
    fixture_open(fixture);
    assert_becomes_body(fixture);
    fixture_close(fixture);
    remove_tree(other);
    g_free(fixture->cache);
    fixture->cache = in(fixture->dir, "cache");
    fixture_open(fixture);
}

/* -- lost+found -------------------------------------------------------------------------------- */

static void lose(Fixture *fixture, const char *folder, const char *name, const char *octets)
{
    Done done = {0};
    int fd = new_stage(fixture, octets, strlen(octets), NULL);

    stage_lose(fixture->disk, fd, &(StageLost){folder, name, "nobody took it"}, on_done, &done);
    close(fd);
    wait_for(&done.is_done);
    g_assert_no_error(done.error);
}

static void assert_lost(Fixture *fixture, const char *name, const char *octets)
{
    g_autofree char *path = in(stage_lost_dir(fixture->disk), name);
    g_autofree char *reason_path = g_strconcat(path, ".reason", NULL);
    g_autofree char *found = NULL, *reason = NULL;
    GStatBuf st;

    g_assert_true(g_file_get_contents(path, &found, NULL, NULL));
    g_assert_cmpstr(found, ==, octets);
    g_assert_true(g_file_get_contents(reason_path, &reason, NULL, NULL));
    g_assert_cmpstr(reason, ==, "nobody took it\n");
    g_assert_cmpint(g_stat(path, &st), ==, 0);
    g_assert_cmphex(st.st_mode & 07777, ==, 0600);
}

static void test_lost(Fixture *fixture, gconstpointer data)
{
    g_autofree char *long_name = g_strnfill(1000, 'n'), *cut = g_strnfill(LIMIT_NAME, 'n');
    g_autofree char *umlauts = NULL, *cut_umlauts = NULL;
    g_autoptr(GString) many = g_string_new("x");
    const struct {
        const char *folder, *name, *path;
    } cases[] = {
        {"INBOX", "a.eml", "INBOX/a.eml"},
        {"INBOX/Projects/2026", "a.eml", "INBOX/Projects/2026/a.eml"},
        {"", "at the top.eml", "at the top.eml"},
        {NULL, NULL, "message"},
        {"/INBOX//Sent/", "a.eml", "INBOX/Sent/a.eml"},
        {"..", "a.eml", "_/a.eml"},
        {"../../x", "a.eml", "_/_/x/a.eml"},
        {"INBOX/./b", "a.eml", "INBOX/_/b/a.eml"},
        {"INBOX", "../x", "INBOX/.._x"},
        {"INBOX", "a/b", "INBOX/a_b"},
        {"INBOX", "", "INBOX/message"},
        {"INBOX", ".", "INBOX/message.2"},
        {"INBOX", "..", "INBOX/message.3"},
        {"INBOX", long_name, NULL},
        {"INBOX", ".vimrc", "INBOX/.vimrc"},
        {"INBOX", "\xff\n\x1b[31m", "INBOX/\xff\n\x1b[31m"},
        {long_name, "a.eml", NULL},
    };
    g_autoptr(GDir) dir = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *octets = g_strdup_printf("octets %u", i);
        g_autofree char *path = cases[i].path ? g_strdup(cases[i].path)
                                : cases[i].name == long_name
                                    ? g_strconcat("INBOX/", cut, NULL)
                                    : g_strconcat(cut, "/a.eml", NULL);

        g_test_message("%u", i);
        lose(fixture, cases[i].folder, cases[i].name, octets);
        assert_lost(fixture, path, octets);
    }
    /* Nothing but what belongs there came into the folders around it. */
    dir = g_dir_open(fixture->dir, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));)
        g_assert_true(g_str_equal(name, "cache") || g_str_equal(name, "state"));
    g_assert_false(exists(fixture->state, "x"));
    g_assert_false(exists(fixture->state, "staging/lost.new"));
    for (guint i = 0; i < 300; i++)
        g_string_append(many, "\xc3\xa4");
    lose(fixture, "", many->str, "umlauts");
    umlauts = g_strndup(many->str, LIMIT_NAME - 1); /* not half a character */
    assert_lost(fixture, umlauts, "umlauts");
    cut_umlauts = g_strndup(many->str, LIMIT_NAME);
    g_assert_false(exists(stage_lost_dir(fixture->disk), cut_umlauts));
}

static void test_lost_taken(Fixture *fixture, gconstpointer data)
{
    lose(fixture, "INBOX", "a.eml", "first");
    lose(fixture, "INBOX", "a.eml", "second");
    lose(fixture, "INBOX", "a.eml", "third");
    lose(fixture, "INBOX", "a", "no dot");
    lose(fixture, "INBOX", "a", "no dot again");
    lose(fixture, "INBOX", "b.eml.reason", "a reason of its own");
    lose(fixture, "INBOX", "b.eml", "whose reason would be that file");
    lose(fixture, "INBOX/a.eml", "c", "below a file");
    assert_lost(fixture, "INBOX/a.eml", "first");
    assert_lost(fixture, "INBOX/a.2.eml", "second");
    assert_lost(fixture, "INBOX/a.3.eml", "third");
    assert_lost(fixture, "INBOX/a", "no dot");
    assert_lost(fixture, "INBOX/a.2", "no dot again");
    assert_lost(fixture, "INBOX/b.eml.reason", "a reason of its own");
    assert_lost(fixture, "INBOX/b.2.eml", "whose reason would be that file");
    assert_lost(fixture, "INBOX/a.4.eml/c", "below a file");
}

/* What was given up is nowhere else by then, so an end at once must not lose it. */
static void test_lost_at_the_end(Fixture *fixture, gconstpointer data)
{
    for (guint i = 0; i < 20; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);
        guint64 number;
        int fd = new_stage(fixture, name, strlen(name), &number);

        stage_lose(fixture->disk, fd, &(StageLost){"INBOX", name, "nobody took it"}, NULL, NULL);
        g_assert_cmpint(close(fd), ==, 0);
        stage_remove(fixture->disk, number);
    }
    fixture_reopen(fixture);
    for (guint i = 0; i < 20; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);
        g_autofree char *path = g_strdup_printf("INBOX/%u", i);

        assert_lost(fixture, path, name);
    }
}

/* A planted symlink is a name that is taken. */
static void test_lost_symlinks(Fixture *fixture, gconstpointer data)
{
    g_autofree char *elsewhere = in(fixture->dir, "elsewhere");
    g_autofree char *link = in(stage_lost_dir(fixture->disk), "INBOX");
    g_autofree char *dangling = in(stage_lost_dir(fixture->disk), "a.eml");
    Done done = {0};
    int fd;

    lose(fixture, "", "first", "x");
    g_assert_cmpint(g_mkdir(elsewhere, 0700), ==, 0);
    g_assert_cmpint(symlink(elsewhere, link), ==, 0);
    g_assert_cmpint(symlink("nowhere", dangling), ==, 0);
    lose(fixture, "INBOX", "a.eml", "x");
    lose(fixture, "", "a.eml", "y");
    assert_lost(fixture, "INBOX.2/a.eml", "x");
    assert_lost(fixture, "a.2.eml", "y");
    g_assert_false(exists(elsewhere, "a.eml"));

    remove_tree(stage_lost_dir(fixture->disk));
    g_assert_cmpint(symlink(elsewhere, stage_lost_dir(fixture->disk)), ==, 0);
    fd = new_stage(fixture, "z", 1, NULL);
    stage_lose(fixture->disk, fd, &(StageLost){"", "z", ""}, on_done, &done);
    close(fd);
    wait_for(&done.is_done);
    g_assert_nonnull(done.error);
    g_clear_error(&done.error);
    g_assert_false(exists(elsewhere, "z"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGXFSZ, SIG_IGN);
    fixture_add("/stage/numbers", test_numbers);
    fixture_add("/stage/numbers-of-rows", test_numbers_of_rows);
    fixture_add("/stage/folder", test_folder);
    fixture_add("/stage/seal/lines", test_lines);
    fixture_add("/stage/seal/borders", test_borders);
    fixture_add("/stage/seal/envelope", test_envelope);
    fixture_add("/stage/seal/several", test_several);
    fixture_add("/stage/seal/message-id", test_message_id);
    fixture_add("/stage/seal/refused", test_refused);
    fixture_add("/stage/seal/late-nul", test_late_nul);
    fixture_add("/stage/seal/too-big", test_too_big);
    fixture_add("/stage/seal/versions", test_versions);
    fixture_add("/stage/seal/close-unheard", test_close_unheard);
    fixture_add("/stage/sync", test_sync);
    fixture_add("/stage/small-disk", test_small_disk);
#ifdef MAILFS_FAULTS
    fixture_add("/stage/killed", test_killed);
    fixture_add("/stage/unsynced", test_unsynced);
#endif
    fixture_add("/stage/to-body", test_to_body);
    fixture_add("/stage/to-body-elsewhere", test_to_body_elsewhere);
    fixture_add("/stage/lost", test_lost);
    fixture_add("/stage/lost-taken", test_lost_taken);
    fixture_add("/stage/lost-at-the-end", test_lost_at_the_end);
    fixture_add("/stage/lost-symlinks", test_lost_symlinks);
    return g_test_run();
}
