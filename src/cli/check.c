/* `mailfs check`: goes the way to the server step by step and prints a line for each, so that
 * the first FAIL is the reason and its line the remedy. */
#include "base/error.h"
#include "cli/commands.h"
#include "base/limits.h"
#include "client/imap-probe.h"

#include <stdio.h>
#include <sysexits.h>

static void print_step(gpointer user, const char *step, gboolean ok, const char *text)
{
    printf("  %-13s %-4s  %s\n", step, ok ? "ok" : "FAIL", text);
}

static int check_account(const ConfigAccount *account, Broker *broker)
{
    ImapSessionParams params = {
        .account = account->id,
        .number = 1,
        .endpoint = account->endpoint,
        .user = account->user,
        .auth = account->auth,
        .is_token = config_uses_token(account),
        .compress = FALSE,
        .broker = broker,
    };
    g_autofree char *server = endpoint_describe(account->endpoint, "imap");
    g_autoptr(GError) error = NULL;

    printf("%s  %s\n", account->id, server);
    return imap_probe_run(&params, print_step, NULL, &error) ? EX_OK : cli_exit_code(error);
}

/* The accounts that are named, or all.  All are checked; the first failure is the exit code. */
static int check_accounts(int n, char **ids, const Config *config, Broker *broker)
{
    guint n_accounts = n > 0 ? (guint)n : config->accounts->len;
    int code = EX_OK;

    for (guint i = 0; i < n_accounts; i++) {
        g_autoptr(GError) error = NULL;
        const ConfigAccount *account = n > 0 ? config_find(config, ids[i], &error)
                                             : g_ptr_array_index(config->accounts, i);
        int this_code = account ? check_account(account, broker) : cli_fail_config(error);

        code = code ? code : this_code;
    }
    return code;
}

int cli_main_check(int argc, char **argv, const CliOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = NULL;
    Broker *broker;
    int code;

    if (!cli_parse(&argc, &argv, NULL, 0, LIMIT_ACCOUNTS, &error))
        return cli_usage("check", error);
    config = config_load(options->config_path, &error);
    if (!config)
        return cli_fail_config(error);
    broker = options->broker_new(config, &error);
    if (!broker)
        return cli_fail(error);
    code = check_accounts(argc - 1, argv + 1, config, broker);
    options->broker_free(broker);
    return code;
}
