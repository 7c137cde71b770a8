/* `mailfs check`: goes the way to the server step by step and prints a line for each, so that
 * the first FAIL is the reason and its line the remedy.  Where the mail is in a folder, the way is
 * shorter. */
#include "base/deadline.h"
#include "base/error.h"
#include "base/json-read.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "base/limits.h"
#include "client/imap-probe.h"
#include "client/pop3-probe.h"
#include "store/maildir.h"

#include <stdio.h>
#include <sysexits.h>

enum { MOUNT_SECONDS = 10 }; /* until its session is over, at most */

static void print_step(gpointer user, const char *step, gboolean ok, const char *text)
{
    printf("  %-13s %-4s  %s\n", step, ok ? "ok" : "FAIL", text);
}

/* -- A Maildir --------------------------------------------------------------------------------- */

static gboolean fail_step(const char *step, GError *error)
{
    print_step(NULL, step, FALSE, error->message);
    return FALSE;
}

/* Messages of all folders of @wires; G_MAXUINT64 after an error. */
static guint64 count_messages(MaildirTree *tree, GPtrArray *wires, GError **error)
{
    guint64 n = 0;

    for (guint i = 0; i < wires->len; i++) {
        g_autoptr(MaildirFolder) folder =
            maildir_folder_open(tree, g_ptr_array_index(wires, i), error);
        g_autoptr(GHashTable) files = folder ? maildir_folder_scan(folder, error) : NULL;

        if (!files)
            return G_MAXUINT64;
        n += g_hash_table_size(files);
    }
    return n;
}

static gboolean check_folders(MaildirTree *tree, GError **error)
{
    g_autoptr(GPtrArray) wires = maildir_tree_list(tree, NULL, error);
    gboolean is_plusplus = maildir_tree_layout(tree) == MAILDIR_PLUSPLUS;
    g_autofree char *messages = NULL;
    guint64 n;

    if (!wires)
        return fail_step("folders", *error);
    if (wires->len == 0) {
        print_step(NULL, "folders", TRUE, "none yet; mailfs mount makes an INBOX");
        return TRUE;
    }
    print_step(NULL, "layout", TRUE, is_plusplus ? "Maildir++: folders are .NAME.SUB"
                                                 : "folders are NAME/SUB");
    n = count_messages(tree, wires, error);
    if (n == G_MAXUINT64)
        return fail_step("messages", *error);
    messages = g_strdup_printf("%" G_GUINT64_FORMAT " in %u folder%s", n, wires->len,
                               wires->len == 1 ? "" : "s");
    print_step(NULL, "messages", TRUE, messages);
    return TRUE;
}

static int check_maildir(const ConfigAccount *account)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(MaildirTree) tree = NULL;

    printf("%s  %s\n", account->id, account->maildir);
    tree = maildir_tree_open(account->maildir, FALSE, &error);
    if (!tree) {
        if (mail_error_is(error, MAIL_ERROR_GONE))
            g_prefix_error(&error, "create it, mount its disk, or correct maildir=: ");
        fail_step("folder", error);
        return cli_exit_code(error);
    }
    print_step(NULL, "folder", TRUE, "it is there");
    if (!check_folders(tree, &error))
        return cli_exit_code(error);
    if (maildir_tree_is_writable(tree))
        print_step(NULL, "writable", TRUE, "yes");
    else
        print_step(NULL, "writable", TRUE, "no: the mail can be read, and nothing changed");
    return EX_OK;
}

/* -- A maildrop that is mounted ---------------------------------------------------------------- */

/* TRUE when the daemon of @mount has a connection for the account. */
static gboolean is_connected(const CliMount *mount, const char *id)
{
    g_autoptr(JsonObject) status = cli_daemon_status(mount, NULL);
    JsonArray *accounts = json_read_array(status, "accounts");
    guint n = accounts ? json_array_get_length(accounts) : 0;

    for (guint i = 0; i < n; i++) {
        JsonObject *account = json_read_element(accounts, i);
        g_autofree char *this_id = json_read_text(account, "id");

        if (g_strcmp0(this_id, id) == 0)
            return json_read_number(account, "connections") > 0;
    }
    return FALSE;
}

/* A POP3 server lets one session in at a time, and a mount's lasts a little longer than its use:
 * that is waited for.  TRUE when there is such a mount. */
static gboolean wait_for_mount(const ConfigAccount *account)
{
    g_autoptr(GPtrArray) mounts = cli_mounts_read(NULL);
    const CliMount *mount = mounts ? cli_mounts_serving(mounts, account->id) : NULL;
    Deadline end = deadline_in(MOUNT_SECONDS);

    if (!mount || !cli_mount_is_mine(mount))
        return FALSE;
    while (is_connected(mount, account->id) && !deadline_passed(end))
        g_usleep(50000);
    return TRUE;
}

/* -- A server ---------------------------------------------------------------------------------- */

static gboolean check_server(const ConfigAccount *account, Broker *broker, GError **error)
{
    const SessionParams params = {
        .account = account->id,
        .number = 1,
        .endpoint = account->endpoint,
        .user = account->user,
        .auth = account->auth,
        .is_token = config_uses_token(account),
        .broker = broker,
    };

    return account->protocol == CONFIG_POP3 ? pop3_probe_run(&params, print_step, NULL, error)
                                            : imap_probe_run(&params, print_step, NULL, error);
}

static int check_account(const ConfigAccount *account, Broker *broker)
{
    g_autofree char *server = NULL;
    g_autoptr(GError) error = NULL;
    gboolean is_shared;

    if (account->protocol == CONFIG_MAILDIR)
        return check_maildir(account);
    is_shared = account->protocol == CONFIG_POP3 && wait_for_mount(account);
    server = endpoint_describe(account->endpoint,
                               account->protocol == CONFIG_POP3 ? "pop3" : "imap");
    printf("%s  %s\n", account->id, server);
    if (check_server(account, broker, &error))
        return EX_OK;
    if (is_shared && mail_error_is(error, MAIL_ERROR_BUSY))
        printf("  %-13s it is mounted, and may be in use by mailfs itself: try again\n", "");
    return cli_exit_code(error);
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
