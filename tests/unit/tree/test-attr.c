/* Attributes: what people set goes before what the server says. */
#include "model/account.h"
#include "tree/attr.h"

static void test_overrides(void)
{
    static const struct {
        gboolean is_readonly;
        guint16 mode;
        gint64 mtime;
        guint shown_mode;
        gint64 shown_mtime;
    } cases[] = {
        {FALSE, 0, 0, 0600, 1000},       {TRUE, 0, 0, 0400, 1000},
        {FALSE, 0644, 0, 0644, 1000},    {TRUE, 0644, 0, 0644, 1000},
        {FALSE, 0, 2000, 0600, 2000},    {FALSE, 04755, 1, 0755, 1},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        Mailbox mailbox = {.is_readonly = cases[i].is_readonly};
        Message message = {.date = 1000, .mode = cases[i].mode, .mtime = cases[i].mtime};
        struct stat st;

        attr_message(&mailbox, &message, &st);
        g_assert_cmpuint(st.st_mode & 07777, ==, cases[i].shown_mode);
        g_assert_cmpint(st.st_mtime, ==, cases[i].shown_mtime);
        g_assert_cmpint(st.st_atime, <, st.st_mtime); /* unseen */
    }
}

static void test_hidden(void)
{
    char *path[] = {NULL};
    Mailbox *mailbox = mailbox_new(1, "x", path);
    Message *message = message_new();

    message->name = g_strdup("a.1.eml");
    message->uid = 1;
    g_assert_true(mailbox_add(mailbox, message));
    g_assert_true(attr_find_shown(mailbox, "a.1.eml") == message);
    message->is_hidden = TRUE;
    g_assert_null(attr_find_shown(mailbox, "a.1.eml"));
    mailbox_free(mailbox);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/attr/overrides", test_overrides);
    g_test_add_func("/attr/hidden", test_hidden);
    return g_test_run();
}
