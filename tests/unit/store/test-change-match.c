/* Which message is the copy of which; and keywords merged. */
#include "store/change-internal.h"
#include "store/change-match.h"

static void add(Mailbox *mailbox, guint32 uid, guint64 size, gint64 date, guint64 fingerprint)
{
    Message *message = message_new();

    message->uid = uid;
    message->size = size;
    message->date = date;
    message->fingerprint = fingerprint;
    message->name = g_strdup_printf("%u.eml", uid);
    g_assert_true(mailbox_add(mailbox, message));
}

static void test_match(void)
{
    static const struct {
        const char *what;
        guint64 size;
        gint64 date;
        guint64 fingerprint;
        guint32 proof, guess;
    } cases[] = {
        {"the same Message-ID and size", 100, 7, 11, 20, 20},
        {"the date does not matter then", 100, 8, 11, 20, 20},
        {"another size", 101, 7, 11, 0, 0},
        {"another Message-ID", 100, 7, 12, 0, 0},
        {"only before the command", 300, 7, 13, 0, 0},
        {"no Message-ID: a guess", 400, 9, 0, 0, 22},
        {"no Message-ID, and another date", 400, 8, 0, 0, 0},
        {"two are alike", 500, 5, 0, 0, 0},
    };
    char *path[] = {(char *)"T", NULL};
    Mailbox *target = mailbox_new(1, "T", path);

    add(target, 10, 300, 7, 13);
    add(target, 20, 100, 7, 11);
    add(target, 21, 100, 7, 14);
    add(target, 22, 400, 9, 0);
    add(target, 23, 500, 5, 0);
    add(target, 24, 500, 5, 0);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        Message original = {.size = cases[i].size,
                            .date = cases[i].date,
                            .fingerprint = cases[i].fingerprint};
        JournalMessage entry = {.size = cases[i].size, .date = cases[i].date};
        ChangeMatch match;

        g_test_message("%s", cases[i].what);
        change_match_init(&match, target, 15);
        g_assert_cmpuint(change_match_find(&match, &entry, &original), ==, cases[i].proof);
        change_match_clear(&match);
        change_match_init(&match, target, 15);
        match.with_guess = TRUE;
        g_assert_cmpuint(change_match_find(&match, &entry, &original), ==, cases[i].guess);
        change_match_clear(&match);
    }
    mailbox_free(target);
}

/* Two copies of the same message are two messages: each is found once. */
static void test_taken_once(void)
{
    char *path[] = {(char *)"T", NULL};
    Mailbox *target = mailbox_new(1, "T", path);
    Message original = {.size = 100, .fingerprint = 11};
    JournalMessage entry = {.size = 100};
    ChangeMatch match;

    add(target, 20, 100, 7, 11);
    add(target, 21, 100, 7, 11);
    change_match_init(&match, target, 1);
    g_assert_cmpuint(change_match_find(&match, &entry, &original), ==, 20);
    g_assert_cmpuint(change_match_find(&match, &entry, &original), ==, 21);
    g_assert_cmpuint(change_match_find(&match, &entry, &original), ==, 0);
    change_match_clear(&match);
    mailbox_free(target);
}

static void test_keywords(void)
{
    static const struct {
        const char *now, *add, *remove, *merged;
    } cases[] = {
        {NULL, "b a", NULL, "a b"},
        {"a c", "b", NULL, "a b c"},
        {"a b", NULL, "a", "b"},
        {"$Junk", "$junk", NULL, "$Junk"},
        {"$Junk b", NULL, "$JUNK", "b"},
        {"a", "b", "b", "a"},
        {"a", NULL, "a", ""},
        {NULL, NULL, NULL, ""},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *merged =
            change_merge_keywords(cases[i].now, cases[i].add, cases[i].remove);

        g_assert_cmpstr(merged, ==, cases[i].merged);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/change/match", test_match);
    g_test_add_func("/change/taken-once", test_taken_once);
    g_test_add_func("/change/keywords", test_keywords);
    return g_test_run();
}
