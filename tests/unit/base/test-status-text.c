/* status.json as people see it. */
#include "base/status-text.h"

#include <string.h>

static char *text_of(const char *json, const char *account)
{
    g_autoptr(JsonNode) root = json_from_string(json, NULL);

    g_assert_nonnull(root);
    return status_text(json_node_get_object(root), account);
}

#define TWO_ACCOUNTS                                                                               \
    "{\"format\":1,\"accounts\":[{\"id\":\"work\",\"state\":\"online\",\"reason\":null,"           \
    "\"connections\":3,\"connections_max\":4,\"mailboxes\":[{\"name\":\"Sent\",\"messages\":1},"   \
    "{\"name\":\"INBOX\",\"messages\":50000,\"unseen\":12}],\"progress\":{\"what\":\"headers\","   \
    "\"mailbox\":\"INBOX\",\"n\":64,\"total\":100,\"rate\":12400.5,\"eta\":2},"                    \
    "\"cache\":{\"bytes\":1288490189,\"max\":2147483648},"                                         \
    "\"quota\":{\"used\":81,\"limit\":100},\"password\":\"ok\"},"                                  \
    "{\"id\":\"home\",\"state\":\"offline\",\"reason\":\"no\\u001b[2Jroute\","                     \
    "\"progress\":null,\"quota\":null}]}"

static void test_all(void)
{
    g_autofree char *text = text_of(TWO_ACCOUNTS, NULL);

    g_assert_cmpstr(text, ==,
                    "work  online · INBOX 50 000, 12 unseen\n"
                    "headers [########------]  64%  12 400/s  ETA 2s  INBOX\n"
                    "cache   1.2G/2.0G   quota 81%   connections 3/4   password ok\n"
                    "home  offline: no\\x1b[2Jroute\n"
                    "cache   0B/0B   connections 0/0   password unknown\n");
}

static void test_one(void)
{
    g_autofree char *text = text_of(TWO_ACCOUNTS, "home");

    g_assert_cmpstr(text, ==,
                    "home  offline: no\\x1b[2Jroute\n"
                    "cache   0B/0B   connections 0/0   password unknown\n");
    g_assert_null(text_of(TWO_ACCOUNTS, "nobody"));
}

static void test_idle(void)
{
    g_autofree char *text =
        text_of("{\"accounts\":[{\"id\":\"a\",\"state\":\"online\",\"mailboxes\":[]}]}", NULL);

    g_assert_true(g_str_has_prefix(text, "a  online · idle\ncache "));
}

static void test_upload(void)
{
    static const struct {
        const char *upload, *line;
    } cases[] = {
        {"{\"pending\":2,\"oldest\":14,\"failed\":1,\"reason\":\"quota\"}",
         "upload  2 pending (oldest 14s)  1 failed: quota -> mailfs queue\n"},
        {"{\"pending\":1,\"oldest\":0,\"failed\":0,\"reason\":null,\"sent\":1,\"total\":2}",
         "upload  [#######-------]  50%  1 pending (oldest 0s)\n"},
        {"{\"pending\":0,\"failed\":3,\"reason\":null}",
         "upload  3 failed -> mailfs queue\n"},
        {"null", NULL},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *json = g_strdup_printf(
            "{\"accounts\":[{\"id\":\"a\",\"state\":\"online\",\"upload\":%s}]}",
            cases[i].upload);
        g_autofree char *text = text_of(json, NULL);
        const char *line = strchr(text, '\n') + 1;

        if (cases[i].line)
            g_assert_true(g_str_has_prefix(line, cases[i].line));
        else
            g_assert_true(g_str_has_prefix(line, "cache "));
        /* what is refused waits for a person, not for the network */
        g_assert_cmpint(strstr(text, "idle") != NULL, ==, i >= 2);
    }
}

/* A daemon of another make must not bring the command down. */
static void test_odd(void)
{
    static const char *const odd[] = {
        "{}",
        "{\"accounts\":7}",
        "{\"accounts\":[1,null,[],\"x\"]}",
        "{\"accounts\":[{\"id\":1,\"state\":{},\"mailboxes\":{},\"progress\":[],\"cache\":\"x\"}]}",
        "{\"accounts\":[{\"mailboxes\":[null,3,{\"name\":\"INBOX\",\"messages\":\"many\"}],"
        "\"quota\":{\"used\":null,\"limit\":-1},\"progress\":{}}]}",
    };

    for (guint i = 0; i < G_N_ELEMENTS(odd); i++) {
        g_autofree char *text = text_of(odd[i], NULL);

        g_assert_nonnull(text);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/status-text/all", test_all);
    g_test_add_func("/status-text/one", test_one);
    g_test_add_func("/status-text/idle", test_idle);
    g_test_add_func("/status-text/upload", test_upload);
    g_test_add_func("/status-text/odd", test_odd);
    return g_test_run();
}
