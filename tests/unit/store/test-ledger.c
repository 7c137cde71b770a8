/* The ledger: what it remembers, and what is left of it after every kind of end. */
#include "disk-fixture.h"

#include "base/io.h"
#include "store/ledger.h"

#include <zlib.h>

#define NAME "box.ledger"

typedef struct {
    char *folder;
    int fd;
} Place;

static void setup(Place *place, gconstpointer data)
{
    place->folder = g_dir_make_tmp("mailfs-ledger-XXXXXX", NULL);
    place->fd = open(place->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(place->fd, >=, 0);
}

static void teardown(Place *place, gconstpointer data)
{
    (void)close(place->fd);
    remove_tree(place->folder);
    g_free(place->folder);
}

static Ledger *open_ledger(const Place *place)
{
    g_autoptr(GError) error = NULL;
    Ledger *ledger = ledger_open(place->fd, NAME, &error);

    g_assert_no_error(error);
    g_assert_nonnull(ledger);
    return ledger;
}

static void flush(Ledger *ledger)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(ledger_flush(ledger, &error));
    g_assert_no_error(error);
}

static guint32 add(Ledger *ledger, const char *key)
{
    const LedgerEntry entry = {.flags = MESSAGE_SEEN, .date = 1000, .first_seen = 2000};
    g_autoptr(GError) error = NULL;
    guint32 uid = ledger_add(ledger, key, &entry, &error);

    g_assert_no_error(error);
    return uid;
}

static char *path_of(const Place *place)
{
    return g_build_filename(place->folder, NAME, NULL);
}

static char *contents(const Place *place, gsize *ret_length)
{
    g_autofree char *path = path_of(place);
    char *text;

    g_assert_true(g_file_get_contents(path, &text, ret_length, NULL));
    return text;
}

static void write_contents(const Place *place, const char *text, gsize length)
{
    g_autofree char *path = path_of(place);
    autofd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    g_assert_true(io_write_all(fd, text, length, NULL));
}

static void test_memory(Place *place, gconstpointer data)
{
    g_autoptr(Ledger) ledger = open_ledger(place);
    g_autoptr(GError) error = NULL;
    const LedgerEntry *entry;

    g_assert_cmpuint(ledger_uidvalidity(ledger), !=, 0);
    g_assert_cmpuint(ledger_uidnext(ledger), ==, 1);
    g_assert_cmpuint(add(ledger, "f:one"), ==, 1);
    g_assert_cmpuint(add(ledger, "f:two words"), ==, 2);
    g_assert_cmpuint(add(ledger, "u:\xff\x01"), ==, 3);
    g_assert_cmpuint(ledger_add(ledger, "f:one", ledger_find_uid(ledger, 1), &error), ==, 0);
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_EXISTS);
    g_clear_error(&error);
    g_assert_true(ledger_add_key(ledger, 3, "f:three", &error));
    g_assert_false(ledger_add_key(ledger, 3, "f:one", &error));
    g_clear_error(&error);
    g_assert_false(ledger_add_key(ledger, 9, "f:nine", &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_GONE);
    g_assert_cmpstr(ledger_key(ledger, 3, "u:"), ==, "u:\xff\x01");
    g_assert_cmpstr(ledger_key(ledger, 3, "f:"), ==, "f:three");
    g_assert_null(ledger_key(ledger, 1, "u:"));
    g_assert_true(ledger_set_flags(ledger, 2, MESSAGE_FLAGGED, "$Forwarded a"));
    g_assert_false(ledger_set_flags(ledger, 2, MESSAGE_FLAGGED, "$Forwarded a"));
    g_assert_false(ledger_set_flags(ledger, 9, 0, NULL));
    entry = ledger_find_key(ledger, "f:two words");
    g_assert_cmpuint(entry->uid, ==, 2);
    g_assert_cmpuint(entry->flags, ==, MESSAGE_FLAGGED);
    g_assert_cmpstr(entry->keywords, ==, "$Forwarded a");
    g_assert_cmpint(entry->date, ==, 1000);
    g_assert_cmpint(entry->first_seen, ==, 2000);
    ledger_remove_uid(ledger, 1);
    g_assert_null(ledger_find_key(ledger, "f:one"));
    g_assert_cmpuint(ledger_next(ledger, 1)->uid, ==, 2);
    g_assert_cmpuint(ledger_next(ledger, 3)->uid, ==, 3);
    g_assert_null(ledger_next(ledger, 4));
    /* A number is never given twice, also to the same. */
    g_assert_cmpuint(add(ledger, "f:one"), ==, 4);
    g_assert_cmpuint(ledger_n_entries(ledger), ==, 3);
}

static void test_keys(Place *place, gconstpointer data)
{
    static const char *const wrong[] = {"", "f:a\nb", "f:a\rb"};
    g_autoptr(Ledger) ledger = open_ledger(place);
    g_autofree char *longest = g_strnfill(1024, 'x'), *longer = g_strnfill(1025, 'x');
    const LedgerEntry entry = {0};

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_cmpuint(ledger_add(ledger, wrong[i], &entry, &error), ==, 0);
        g_assert_error(error, MAIL_ERROR, MAIL_ERROR_INVALID);
    }
    g_assert_cmpuint(ledger_add(ledger, longer, &entry, NULL), ==, 0);
    g_assert_cmpuint(ledger_add(ledger, longest, &entry, NULL), ==, 1);
    /* More keywords than a line holds are cut at a blank. */
    {
        g_autoptr(GString) words = g_string_new("first");

        for (guint i = 0; i < 5000; i++)
            g_string_append_printf(words, " word%u", i);
        g_assert_true(ledger_set_flags(ledger, 1, 0, words->str));
        g_assert_true(g_str_has_prefix(words->str, ledger_find_uid(ledger, 1)->keywords));
        g_assert_cmpuint(strlen(ledger_find_uid(ledger, 1)->keywords), >, 1000);
    }
    flush(ledger);
    g_clear_pointer(&ledger, ledger_free);
    ledger = open_ledger(place);
    g_assert_nonnull(ledger_find_key(ledger, longest));
    ledger_remove_key(ledger, longest);
    ledger_remove_key(ledger, "f:unknown");
    g_assert_null(ledger_find_key(ledger, longest));
    g_assert_nonnull(ledger_find_uid(ledger, 1));
    flush(ledger);
    g_clear_pointer(&ledger, ledger_free);
    ledger = open_ledger(place);
    g_assert_null(ledger_key(ledger, 1, ""));
}

static void test_lasts(Place *place, gconstpointer data)
{
    Ledger *ledger = open_ledger(place);
    guint32 uidvalidity = ledger_uidvalidity(ledger);

    add(ledger, "f:one");
    add(ledger, "f:two");
    g_assert_true(ledger_add_key(ledger, 2, "u:2", NULL));
    ledger_set_flags(ledger, 2, MESSAGE_DRAFT, "x y");
    add(ledger, "f:three");
    ledger_remove_uid(ledger, 3);
    flush(ledger);
    add(ledger, "f:lost"); /* was not flushed */
    ledger_free(ledger);
    ledger = open_ledger(place);
    g_assert_cmpuint(ledger_uidvalidity(ledger), ==, uidvalidity);
    g_assert_cmpuint(ledger_uidnext(ledger), ==, 4);
    g_assert_cmpuint(ledger_n_entries(ledger), ==, 2);
    g_assert_cmpuint(ledger_find_key(ledger, "u:2")->uid, ==, 2);
    g_assert_cmpstr(ledger_find_uid(ledger, 2)->keywords, ==, "x y");
    g_assert_null(ledger_find_key(ledger, "f:lost"));
    ledger_free(ledger);
}

static void assert_claims(const Ledger *ledger, guint32 uid, guint64 size, guint64 likeness)
{
    g_assert_cmpuint(ledger_find_uid(ledger, uid)->size, ==, size);
    g_assert_cmpuint(ledger_find_uid(ledger, uid)->likeness, ==, likeness);
}

/* What a server said of its messages, and which server it was. */
static void test_claims_last(Place *place, gconstpointer data)
{
    Ledger *ledger = open_ledger(place);

    add(ledger, "u:one");
    add(ledger, "u:two");
    g_assert_true(ledger_set_size(ledger, 1, 17));
    g_assert_true(ledger_set_likeness(ledger, 1, G_MAXUINT64));
    g_assert_false(ledger_set_likeness(ledger, 1, G_MAXUINT64));
    g_assert_true(ledger_set_size(ledger, 1, 18));
    g_assert_true(ledger_set_size(ledger, 2, 19));
    g_assert_null(ledger_origin(ledger));
    ledger_set_origin(ledger, "one place");
    ledger_set_origin(ledger, "another place");
    for (guint round = 0; round < 2; round++) {
        flush(ledger);
        ledger_free(ledger);
        ledger = open_ledger(place);
        assert_claims(ledger, 1, 18, G_MAXUINT64);
        assert_claims(ledger, 2, 19, 0);
        g_assert_cmpstr(ledger_origin(ledger), ==, "another place");
        for (guint i = 0; i < 5000; i++) /* so that it is written anew */
            ledger_set_flags(ledger, 1, (guint16)(i % 2), NULL);
    }
    ledger_free(ledger);
}

/* Before there was a likeness. */
static void test_claims_of_old(Place *place, gconstpointer data)
{
    g_autofree char *text = NULL;
    g_autoptr(GString) old = NULL;
    static const char line[] = "S 1 17";
    Ledger *ledger = open_ledger(place);
    gsize length;

    add(ledger, "u:one");
    flush(ledger);
    ledger_free(ledger);
    text = contents(place, &length);
    old = g_string_new_len(text, (gssize)length);
    g_string_append_printf(old, "%08lx %s\n",
                           crc32(crc32(0, NULL, 0), (const Bytef *)line, sizeof line - 1), line);
    write_contents(place, old->str, old->len);
    ledger = open_ledger(place);
    assert_claims(ledger, 1, 17, 0);
    ledger_free(ledger);
}

/* Whatever end a write had, what was flushed before it is there, and no number comes twice. */
static void test_cut_at_every_octet(Place *place, gconstpointer data)
{
    Ledger *ledger = open_ledger(place);
    g_autofree char *whole = NULL, *first = NULL;
    gsize length, flushed;

    add(ledger, "f:one");
    add(ledger, "f:two");
    flush(ledger);
    first = contents(place, &flushed);
    for (guint i = 0; i < 5; i++) {
        g_autofree char *key = g_strdup_printf("f:later %u", i);

        add(ledger, key);
    }
    ledger_set_flags(ledger, 2, 0, "word");
    ledger_remove_uid(ledger, 1);
    flush(ledger);
    ledger_free(ledger);
    whole = contents(place, &length);
    for (gsize cut = 0; cut <= length; cut++) {
        guint32 uidnext;
        guint n_entries;

        write_contents(place, whole, cut);
        ledger = open_ledger(place);
        uidnext = ledger_uidnext(ledger);
        n_entries = ledger_n_entries(ledger);
        if (cut >= flushed) {
            g_assert_nonnull(ledger_find_uid(ledger, 2));
            g_assert_cmpuint(uidnext, >=, 3);
        }
        ledger_free(ledger);
        /* What was repaired needs no repair. */
        ledger = open_ledger(place);
        g_assert_cmpuint(ledger_uidnext(ledger), ==, uidnext);
        g_assert_cmpuint(ledger_n_entries(ledger), ==, n_entries);
        g_assert_cmpuint(add(ledger, "f:after"), ==, uidnext);
        flush(ledger);
        ledger_free(ledger);
        ledger = open_ledger(place);
        g_assert_cmpuint(ledger_find_key(ledger, "f:after")->uid, ==, uidnext);
        ledger_free(ledger);
    }
}

/* Every octet, damaged in three ways: the others are there, and the numbers of what is not are not
 * given again. */
static void test_damaged_at_every_octet(Place *place, gconstpointer data)
{
    static const char damage[] = {'\0', '\n', 'A'};
    Ledger *ledger = open_ledger(place);
    guint32 uidvalidity = ledger_uidvalidity(ledger);
    g_autofree char *whole = NULL;
    gsize length, first;

    for (guint i = 0; i < 4; i++) {
        g_autofree char *key = g_strdup_printf("f:%u", i);

        add(ledger, key);
    }
    flush(ledger);
    ledger_free(ledger);
    whole = contents(place, &length);
    first = (gsize)(strchr(whole, '\n') - whole) + 1;
    for (gsize at = 0; at < length; at++)
        for (guint i = 0; i < G_N_ELEMENTS(damage); i++) {
            g_autofree char *damaged = g_memdup2(whole, length);
            g_autofree char *aside = g_build_filename(place->folder, NAME ".damaged", NULL);

            if (whole[at] == damage[i])
                continue;
            damaged[at] = damage[i];
            write_contents(place, damaged, length);
            ledger = open_ledger(place);
            if (at < first) {
                g_assert_true(ledger_uidvalidity(ledger) != uidvalidity);
                g_assert_cmpuint(ledger_n_entries(ledger), ==, 0);
                g_assert_cmpint(unlink(aside), ==, 0);
            } else {
                g_assert_cmpuint(ledger_uidvalidity(ledger), ==, uidvalidity);
                g_assert_cmpuint(ledger_n_entries(ledger), >=, 2); /* a line end joins two */
                g_assert_cmpuint(ledger_uidnext(ledger), >=, 5);
            }
            ledger_free(ledger);
        }
}

static void test_garbage(Place *place, gconstpointer data)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(4711);

    for (guint round = 0; round < 200; round++) {
        gsize length = (gsize)g_rand_int_range(rand, 0, 100000);
        g_autofree char *text = g_malloc(length + 1);
        gsize at = 0;

        if (round % 2) /* as if it were one */
            at = g_strlcpy(text, "mailfs-ledger 1 77 1ddc3b06\n", length + 1);
        for (at = MIN(at, length); at < length; at++)
            text[at] = (char)(round % 3 ? g_rand_int_range(rand, 0, 256)
                                        : "\n AKDFRN0123456789"[g_rand_int_range(rand, 0, 17)]);
        write_contents(place, text, length);
        ledger_free(open_ledger(place));
    }
}

/* Lines with a right check that make no sense. */
static void test_nonsense(Place *place, gconstpointer data)
{
    Ledger *ledger = open_ledger(place);
    g_autofree char *whole = NULL;
    gsize length;

    add(ledger, "f:one");
    add(ledger, "f:two");
    flush(ledger);
    ledger_free(ledger);
    whole = contents(place, &length);
    {
        /* An entry that comes again, below what was given. */
        char *second = strchr(strchr(whole, '\n') + 1, '\n') + 1;
        g_autofree char *twice = g_strconcat(whole, second, NULL);

        write_contents(place, twice, strlen(twice));
    }
    ledger = open_ledger(place);
    g_assert_cmpuint(ledger_n_entries(ledger), ==, 2);
    g_assert_cmpuint(ledger_uidnext(ledger), >, 3);
    ledger_free(ledger);
}

static void test_later_version(Place *place, gconstpointer data)
{
    static const char text[] = "mailfs-ledger 2 whatever\nnobody knows\n";
    g_autoptr(GError) error = NULL;
    g_autofree char *after = NULL;
    gsize length;

    write_contents(place, text, strlen(text));
    g_assert_null(ledger_open(place->fd, NAME, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_INVALID);
    after = contents(place, &length);
    g_assert_cmpstr(after, ==, text);
}

static void test_compacts(Place *place, gconstpointer data)
{
    Ledger *ledger = open_ledger(place);
    guint32 uidvalidity = ledger_uidvalidity(ledger);
    g_autofree char *path = path_of(place);
    struct stat st;

    add(ledger, "f:one");
    g_assert_true(ledger_add_key(ledger, 1, "u:1", NULL));
    for (guint i = 0; i < 5000; i++) {
        ledger_set_flags(ledger, 1, (guint16)(i % 2), "word");
        if (i % 100 == 0)
            flush(ledger);
    }
    add(ledger, "f:two");
    ledger_remove_uid(ledger, 2);
    ledger_set_flags(ledger, 1, MESSAGE_SEEN, "word");
    flush(ledger);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, <, 80000);
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    ledger_free(ledger);
    ledger = open_ledger(place);
    g_assert_cmpuint(ledger_uidvalidity(ledger), ==, uidvalidity);
    g_assert_cmpuint(ledger_uidnext(ledger), ==, 3);
    g_assert_cmpuint(ledger_find_key(ledger, "u:1")->uid, ==, 1);
    g_assert_cmpuint(ledger_find_key(ledger, "f:one")->uid, ==, 1);
    g_assert_cmpuint(ledger_find_uid(ledger, 1)->flags, ==, MESSAGE_SEEN);
    g_assert_cmpstr(ledger_find_uid(ledger, 1)->keywords, ==, "word");
    ledger_free(ledger);
}

static void test_names(Place *place, gconstpointer data)
{
    g_autofree char *one = ledger_name("INBOX"), *two = ledger_name("../../etc/\xff");
    g_autoptr(Ledger) ledger = NULL, other = NULL;
    g_autoptr(GError) error = NULL;
    guint32 uidvalidity;

    g_assert_cmpstr(one, !=, two);
    g_assert_null(strchr(two, '/'));
    ledger = ledger_open(place->fd, one, &error);
    g_assert_no_error(error);
    add(ledger, "f:one");
    flush(ledger);
    uidvalidity = ledger_uidvalidity(ledger);
    g_clear_pointer(&ledger, ledger_free);
    g_assert_true(ledger_link(place->fd, one, two, &error));
    /* One that still has two names is written by itself alone. */
    ledger = ledger_open(place->fd, two, &error);
    add(ledger, "f:two");
    flush(ledger);
    other = ledger_open(place->fd, one, &error);
    g_assert_cmpuint(ledger_n_entries(other), ==, 1);
    g_assert_cmpuint(ledger_uidvalidity(other), ==, uidvalidity);
    g_clear_pointer(&other, ledger_free);
    g_assert_true(ledger_remove(place->fd, one, &error));
    g_assert_true(ledger_remove(place->fd, one, &error));
    g_assert_true(ledger_link(place->fd, one, "nothing", &error));
    g_assert_no_error(error);
    other = ledger_open(place->fd, one, &error);
    g_assert_cmpuint(ledger_n_entries(other), ==, 0);
    g_assert_cmpuint(ledger_uidvalidity(other), !=, uidvalidity);
}

static void test_no_file(Place *place, gconstpointer data)
{
    g_autofree char *path = path_of(place);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(mkdir(path, 0700), ==, 0);
    g_assert_null(ledger_open(place->fd, NAME, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_cmpint(rmdir(path), ==, 0);
    g_assert_cmpint(symlink("/etc/passwd", path), ==, 0);
    g_assert_null(ledger_open(place->fd, NAME, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    g_assert_null(ledger_open(place->fd, NAME, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_CACHE);
}

#define ADD(path, func) g_test_add(path, Place, NULL, setup, func, teardown)

static void quiet(const char *domain, GLogLevelFlags level, const char *message, gpointer user)
{
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* That something was damaged is what is tested here. */
    g_log_set_handler("store", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE, quiet, NULL);
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
    ADD("/ledger/memory", test_memory);
    ADD("/ledger/keys", test_keys);
    ADD("/ledger/lasts", test_lasts);
    ADD("/ledger/cut-at-every-octet", test_cut_at_every_octet);
    ADD("/ledger/damaged-at-every-octet", test_damaged_at_every_octet);
    ADD("/ledger/garbage", test_garbage);
    ADD("/ledger/nonsense", test_nonsense);
    ADD("/ledger/later-version", test_later_version);
    ADD("/ledger/claims-last", test_claims_last);
    ADD("/ledger/claims-of-old", test_claims_of_old);
    ADD("/ledger/compacts", test_compacts);
    ADD("/ledger/names", test_names);
    ADD("/ledger/no-file", test_no_file);
    return g_test_run();
}
