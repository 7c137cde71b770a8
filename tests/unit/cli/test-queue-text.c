/* Lines of the queue, also of entries that make no sense. */
#include "cli/queue.h"

static void test_lines(void)
{
    static const struct {
        const char *entry, *line;
    } cases[] = {
        {"{\"id\":12,\"kind\":\"create\",\"state\":\"failed\",\"mailbox\":\"INBOX\","
         "\"name\":\"x.eml\",\"size\":2048,\"made\":810,\"reason\":\"full\",\"account\":\"work\"}",
         "12  failed   3m 10s  create INBOX/x.eml (2.0K): full"},
        {"{\"id\":1,\"kind\":\"move\",\"state\":\"waiting\",\"mailbox\":\"A/B\",\"target\":\"C\","
         "\"messages\":3,\"made\":1000,\"reason\":null}",
         "1  waiting  0s  move 3 messages of A/B to C"},
        {"{\"id\":1,\"kind\":\"move\",\"state\":\"sent\",\"mailbox\":\"A\",\"target\":\"C\","
         "\"name\":\"y.eml\",\"messages\":1,\"made\":1000}",
         "1  sent     0s  move 1 message of A to C/y.eml"},
        {"{\"id\":1,\"kind\":\"copy\",\"state\":\"sent\",\"messages\":1,\"made\":1000}",
         "1  sent     0s  copy 1 message of ? to ?"},
        {"{\"id\":2,\"kind\":\"expunge\",\"state\":\"waiting\",\"mailbox\":\"Trash\","
         "\"messages\":12000,\"made\":2000}",
         "2  waiting  0s  remove 12 000 messages of Trash"},
        {"{\"id\":2,\"kind\":\"flags\",\"state\":\"waiting\",\"mailbox\":\"A\",\"messages\":1,"
         "\"made\":999}",
         "2  waiting  1s  flags of 1 message of A"},
        {"{\"id\":3,\"kind\":\"mkdir\",\"state\":\"waiting\",\"mailbox\":\"New\",\"made\":999}",
         "3  waiting  1s  mkdir New"},
        {"{\"id\":3,\"kind\":\"rename\",\"state\":\"waiting\",\"mailbox\":\"A\",\"target\":\"B\","
         "\"made\":999}",
         "3  waiting  1s  rename A to B"},
        {"{\"id\":3,\"kind\":\"create\",\"mailbox\":\"A\\u001b[2J\",\"made\":1000}",
         "3  ?        0s  create A\\x1b[2J/? (0B)"},
        {"{\"id\":\"x\",\"kind\":[],\"state\":7,\"made\":null,\"messages\":{}}",
         "0  ?        16m 40s  change ?"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(JsonNode) root = json_from_string(cases[i].entry, NULL);
        g_autofree char *line = NULL;

        g_assert_nonnull(root);
        line = cli_queue_line(json_node_get_object(root), FALSE, 1000);
        g_assert_cmpstr(line, ==, cases[i].line);
    }
}

static void test_account(void)
{
    g_autoptr(JsonNode) root = json_from_string(
        "{\"id\":3,\"kind\":\"mkdir\",\"state\":\"waiting\",\"mailbox\":\"A\",\"made\":1000,"
        "\"account\":\"work\"}",
        NULL);
    g_autofree char *line = cli_queue_line(json_node_get_object(root), TRUE, 1000);

    g_assert_cmpstr(line, ==, "3  work  waiting  0s  mkdir A");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/queue-text/lines", test_lines);
    g_test_add_func("/queue-text/account", test_account);
    return g_test_run();
}
