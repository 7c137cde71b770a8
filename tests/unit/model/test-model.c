/* The model: a mailbox's table, and the tree of an account's mailboxes. */
#include "model/account.h"

#include <string.h>

static Message *make(guint32 uid, const char *name)
{
    Message *message = message_new();

    message->uid = uid;
    message->name = g_strdup(name);
    return message;
}

static Mailbox *empty_mailbox(void)
{
    char *path[] = {(char *)"M", NULL};

    return mailbox_new(1, "M", path);
}

static void test_table_order(void)
{
    Mailbox *mailbox = empty_mailbox();
    g_autoptr(GRand) random = g_rand_new_with_seed(3);
    guint32 before = 0;

    for (guint i = 0; i < 500; i++) {
        guint32 uid = (guint32)g_rand_int_range(random, 1, 5000);
        g_autofree char *name = g_strdup_printf("n.%u.eml", uid);

        mailbox_add(mailbox, make(uid, name));
    }
    for (guint i = 0; i < mailbox_n_messages(mailbox); i++) {
        Message *message = mailbox_nth(mailbox, i);

        g_assert_cmpuint(message->uid, >, before);
        before = message->uid;
        g_assert_true(mailbox_find_uid(mailbox, message->uid) == message);
        g_assert_true(mailbox_find_name(mailbox, message->name) == message);
        g_assert_true(mailbox_find_item(mailbox, message->item) == message);
        g_assert_cmpuint(mailbox_lower_bound(mailbox, message->uid), ==, i);
    }
    mailbox_free(mailbox);
}

static void test_table_refuses(void)
{
    Mailbox *mailbox = empty_mailbox();
    Message *same_item = make(3, "c.3.eml");
    Message *too_far = make(4, "d.4.eml");

    g_assert_true(mailbox_add(mailbox, make(1, "a.1.eml")));
    g_assert_false(mailbox_add(mailbox, make(1, "b.1.eml")));
    g_assert_false(mailbox_add(mailbox, make(2, "a.1.eml")));
    g_assert_false(mailbox_add(mailbox, make(2, "")));
    same_item->item = 1;
    g_assert_false(mailbox_add(mailbox, same_item));
    too_far->item = 1ULL << 36;
    g_assert_false(mailbox_add(mailbox, too_far));
    g_assert_cmpuint(mailbox_n_messages(mailbox), ==, 1);
    mailbox_free(mailbox);
}

static void test_table_steal(void)
{
    Mailbox *mailbox = empty_mailbox();
    g_autoptr(Message) stolen = NULL;
    guint64 item;

    for (guint32 uid = 1; uid <= 5; uid++) {
        g_autofree char *name = g_strdup_printf("%u.eml", uid);

        g_assert_true(mailbox_add(mailbox, make(uid, name)));
    }
    stolen = mailbox_steal(mailbox, mailbox_find_uid(mailbox, 3));
    item = stolen->item;
    g_assert_null(mailbox_find_uid(mailbox, 3));
    g_assert_null(mailbox_find_name(mailbox, "3.eml"));
    g_assert_null(mailbox_find_item(mailbox, item));
    g_assert_cmpuint(mailbox_n_messages(mailbox), ==, 4);
    /* An item is never given twice. */
    g_assert_true(mailbox_add(mailbox, make(9, "9.eml")));
    g_assert_cmpuint(mailbox_find_uid(mailbox, 9)->item, ==, 6);
    mailbox_free(mailbox);
}

static void test_table_rename(void)
{
    Mailbox *mailbox = empty_mailbox();
    Message *message = make(1, "a.eml");

    g_assert_true(mailbox_add(mailbox, message));
    mailbox_rename(mailbox, message, "b.eml");
    g_assert_null(mailbox_find_name(mailbox, "a.eml"));
    g_assert_true(mailbox_find_name(mailbox, "b.eml") == message);
    g_assert_true(mailbox_add(mailbox, make(2, "a.eml")));
    mailbox_free(mailbox);
}

static void test_touch(void)
{
    Mailbox *mailbox = empty_mailbox();

    mailbox_touch(mailbox, 100);
    g_assert_cmpint(mailbox->changed, ==, 100);
    mailbox_touch(mailbox, 100);
    g_assert_cmpint(mailbox->changed, ==, 100);
    g_assert_cmpint(mailbox->changed_nsec, ==, 1);
    mailbox_touch(mailbox, 50); /* the clock was set back */
    g_assert_cmpint(mailbox->changed, ==, 100);
    g_assert_cmpint(mailbox->changed_nsec, ==, 2);
    mailbox->changed_nsec = 999999999;
    mailbox_touch(mailbox, 100);
    g_assert_cmpint(mailbox->changed, ==, 101);
    mailbox_touch(mailbox, 102);
    g_assert_cmpint(mailbox->changed, ==, 102);
    g_assert_cmpint(mailbox->changed_nsec, ==, 0);
    mailbox_free(mailbox);
}

static char *show(const char *component, gsize length, gboolean is_top)
{
    return g_strndup(component, length);
}

static char *encode(const char *component)
{
    return g_strdup(component);
}

static Mailbox *add(Account *account, const char *wire, GPtrArray *made)
{
    g_auto(GStrv) path = g_strsplit(wire, "/", -1);
    AccountMailboxSpec spec = {0, wire, path, '/', encode};

    return account_add(account, &spec, made);
}

static void test_tree(void)
{
    g_autoptr(Account) account = account_new("a", 0, show);
    g_autoptr(GPtrArray) made = g_ptr_array_new();
    Mailbox *june = add(account, "Work/2026/June", made);
    Mailbox *work = account_find_wire(account, "Work");
    g_autofree char *path = mailbox_shown_path(june);

    g_assert_cmpstr(path, ==, "Work/2026/June");
    g_assert_cmpuint(made->len, ==, 2);
    g_assert_true(work && work->is_container);
    g_assert_true(account_find_path(account, "Work/2026/June") == june);
    g_assert_true(account_find_path(account, "") == account->root);
    g_assert_null(account_find_path(account, "Work/2027"));
    /* Listed later: the same directory, with the number it had. */
    g_assert_true(add(account, "Work", NULL) == work);
    g_assert_true(add(account, "inbox", NULL) == add(account, "INBOX", NULL));
}

static void test_remove(void)
{
    g_autoptr(Account) account = account_new("a", 0, show);
    Mailbox *inner = add(account, "A/B", NULL);
    guint16 number = inner->number;

    account_remove(account, account_find_wire(account, "A"));
    g_assert_true(inner->is_gone);
    g_assert_null(account_find_number(account, number));
    g_assert_null(account_find_wire(account, "A/B"));
    g_assert_cmpuint(account->root->children->len, ==, 0);
    g_assert_cmpuint(add(account, "A/B", NULL)->number, ==, number);
}

static void test_same_label(void)
{
    g_autoptr(Account) account = account_new("a", 0, show);
    char *path[] = {(char *)"same", NULL};
    AccountMailboxSpec first = {0, "wire1", path, '/', encode};
    AccountMailboxSpec second = {0, "wire2", path, '/', encode};
    Mailbox *a = account_add(account, &first, NULL);
    Mailbox *b = account_add(account, &second, NULL);

    g_assert_cmpstr(a->label, ==, "same");
    g_assert_cmpstr(b->label, ==, "same~2");
    g_assert_true(account_find_label(account->root, "same~2") == b);
}

static void test_too_deep(void)
{
    g_autoptr(Account) account = account_new("a", 0, show);
    g_autoptr(GString) wire = g_string_new("d");

    for (guint i = 0; i < 32; i++)
        g_string_append(wire, "/d");
    g_assert_null(add(account, wire->str, NULL));
    g_assert_cmpuint(account->root->children->len, ==, 0);
}

static void test_reserve(void)
{
    g_autoptr(Account) account = account_new("a", 0, show);

    account_reserve(account, 7, "Old");
    g_assert_null(account_find_wire(account, "Old"));
    g_assert_cmpuint(add(account, "New", NULL)->number, ==, 8);
    g_assert_cmpuint(add(account, "Old", NULL)->number, ==, 7);
    /* In the order of their numbers, as a listing goes on by number. */
    g_assert_cmpstr(((Mailbox *)account->root->children->pdata[0])->wire, ==, "Old");
}

static void test_rename(void)
{
    static const struct {
        const char *from, *parent, *component, *wire, *below, *shown_below;
    } cases[] = {
        {"Work/2026", "Work", "2027", "Work/2027", "Work/2027/June", "Work/2027/June"},
        {"Work/2026", "", "Old", "Old", "Old/June", "Old/June"},
        {"Work", "Home", "Work", "Home/Work", "Home/Work/2026/June", "Home/Work/2026/June"},
        {"Work", "", "h\303\251", "h&AOk-", "h&AOk-/2026/June", "h\303\251/2026/June"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Account) account = account_new("a", 0, show);
        Mailbox *june = add(account, "Work/2026/June", NULL);
        Mailbox *home = add(account, "Home", NULL);
        Mailbox *parent = account_find_path(account, cases[i].parent);
        Mailbox *mailbox = account_find_wire(account, cases[i].from);
        guint16 number = june->number;
        g_autofree char *shown = NULL;

        account_rename(account, mailbox, parent, cases[i].component, cases[i].wire);
        shown = mailbox_shown_path(june);
        g_assert_cmpstr(june->wire, ==, cases[i].below);
        g_assert_cmpstr(shown, ==, cases[i].shown_below);
        g_assert_true(account_find_wire(account, cases[i].below) == june);
        g_assert_true(account_find_path(account, shown) == june);
        g_assert_null(account_find_wire(account, cases[i].from));
        g_assert_null(account_find_wire(account, "Work/2026/June"));
        g_assert_true(account_find_number(account, number) == june);
        g_assert_cmpuint(home->number, !=, mailbox->number);
    }
}

static void test_rename_takes_name_over(void)
{
    g_autoptr(Account) account = account_new("a", 0, show);
    Mailbox *old = add(account, "B", NULL);
    guint16 number = old->number;
    Mailbox *mailbox = add(account, "A", NULL);

    account_remove(account, old);
    account_rename(account, mailbox, account->root, "B", "B");
    account_remove(account, mailbox);
    /* The last one that was called so comes back, not the first. */
    g_assert_cmpuint(add(account, "B", NULL)->number, ==, mailbox->number);
    g_assert_cmpuint(mailbox->number, !=, number);
}

static void test_fingerprint(void)
{
    g_assert_cmpuint(message_fingerprint(""), ==, 0);
    g_assert_cmpuint(message_fingerprint(NULL), ==, 0);
    g_assert_cmpuint(message_fingerprint("<a@b>"), !=, message_fingerprint("<a@c>"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mailbox/order", test_table_order);
    g_test_add_func("/mailbox/refuses", test_table_refuses);
    g_test_add_func("/mailbox/steal", test_table_steal);
    g_test_add_func("/mailbox/rename", test_table_rename);
    g_test_add_func("/mailbox/touch", test_touch);
    g_test_add_func("/account/tree", test_tree);
    g_test_add_func("/account/remove", test_remove);
    g_test_add_func("/account/same-label", test_same_label);
    g_test_add_func("/account/too-deep", test_too_deep);
    g_test_add_func("/account/reserve", test_reserve);
    g_test_add_func("/account/rename", test_rename);
    g_test_add_func("/account/rename-takes-name-over", test_rename_takes_name_over);
    g_test_add_func("/message/fingerprint", test_fingerprint);
    return g_test_run();
}
