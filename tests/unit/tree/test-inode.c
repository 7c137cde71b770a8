/* Inode numbers and attributes. */
#include "model/account.h"
#include "tree/attr.h"
#include "tree/inode.h"

static void test_round_trip(void)
{
    static const Inode cases[] = {
        {INODE_DIRECTORY, 0, 0, 0},
        {INODE_DIRECTORY, 255, 65535, 0},
        {INODE_MESSAGE, 1, 2, 3},
        {INODE_MESSAGE, 255, 65535, INODE_MAX_ITEM},
        {INODE_VIRTUAL, 0, 0, 4},
        {INODE_TOP, 0, 0, 0},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint64 number = inode_pack(cases[i]);
        Inode back = {0};

        g_assert_cmpuint(number, >, 1); /* FUSE's root */
        g_assert_true(inode_unpack(number, &back));
        g_assert_cmpint(back.kind, ==, cases[i].kind);
        g_assert_cmpuint(back.account, ==, cases[i].account);
        g_assert_cmpuint(back.mailbox, ==, cases[i].mailbox);
        g_assert_cmpuint(back.item, ==, cases[i].item);
    }
}

static void test_not_ours(void)
{
    Inode inode;

    g_assert_false(inode_unpack(0, &inode));
    g_assert_false(inode_unpack(1, &inode));
    g_assert_false(inode_unpack(G_MAXUINT64, &inode));
}

static void test_message(void)
{
    char *path[] = {(char *)"M", NULL};
    Mailbox *mailbox = mailbox_new(1, "M", path);
    Message message = {.size = 513, .date = 1000, .appeared = 2000};
    struct stat st;

    attr_message(mailbox, &message, &st);
    g_assert_cmpint(st.st_size, ==, 513);
    g_assert_cmpint(st.st_blocks, ==, 2); /* GNU tar -S reads nothing of a file without blocks */
    g_assert_cmpuint(st.st_mode, ==, S_IFREG | 0600);
    g_assert_cmpint(st.st_mtime, ==, 1000);
    g_assert_cmpint(st.st_ctime, ==, 2000);
    g_assert_cmpint(st.st_atime, <, st.st_mtime); /* new mail */
    message.flags = MESSAGE_SEEN;
    attr_message(mailbox, &message, &st);
    g_assert_cmpint(st.st_atime, >=, st.st_mtime);
    mailbox->is_readonly = TRUE;
    message.date = -5;
    attr_message(mailbox, &message, &st);
    g_assert_cmpuint(st.st_mode, ==, S_IFREG | 0400);
    g_assert_cmpint(st.st_mtime, ==, 0);
    attr_directory(mailbox, 77, &st);
    g_assert_cmpuint(st.st_mode, ==, S_IFDIR | 0500);
    g_assert_cmpint(st.st_nlink, ==, 1);
    g_assert_cmpint(st.st_mtime, ==, 77);
    mailbox_free(mailbox);
}

static char *show(const char *component, gsize length, gboolean is_top)
{
    return g_strndup(component, length);
}

/* A mailbox that is called like a message has the name. */
static void test_rival(void)
{
    g_autoptr(Account) account = account_new("a", 0, show);
    char *path[] = {(char *)"B", NULL}, *inner[] = {(char *)"B", (char *)"x.1.eml", NULL};
    AccountMailboxSpec outer_spec = {0, "B", path, '/', g_strdup};
    AccountMailboxSpec inner_spec = {0, "B/x.1.eml", inner, '/', g_strdup};
    Mailbox *mailbox = account_add(account, &outer_spec, NULL);
    Message *message = message_new(), *other = message_new();
    g_autofree char *shown = NULL;

    message->uid = 1;
    message->name = g_strdup("x.1.eml");
    other->uid = 2;
    other->name = g_strdup("y.2.eml");
    g_assert_true(mailbox_add(mailbox, message) && mailbox_add(mailbox, other));
    g_assert_true(attr_find_shown(mailbox, "x.1.eml") == message);
    g_assert_nonnull(account_add(account, &inner_spec, NULL));
    shown = attr_shown_name(mailbox, message);
    g_assert_nonnull(shown);
    g_assert_null(attr_find_shown(mailbox, "x.1.eml"));
    g_assert_true(attr_find_shown(mailbox, shown) == message);
    g_assert_null(attr_shown_name(mailbox, other));
    g_assert_true(attr_find_shown(mailbox, "y.2.eml") == other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inode/round-trip", test_round_trip);
    g_test_add_func("/inode/not-ours", test_not_ours);
    g_test_add_func("/attr/message", test_message);
    g_test_add_func("/attr/rival", test_rival);
    return g_test_run();
}
