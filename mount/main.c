/* mailfs: the program.  Options that all commands share, then the command; called as
 * mount.mailfs it is mount(8)'s helper instead.
 */
#include "mount/direct-broker.h"
#include "mount/log.h"
#include "mount/mount-command.h"
#include "mount/mount-helper.h"
#include "mount/unmount.h"

#include "cli/cli.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static int help(void)
{
    printf("usage: mailfs [-c FILE] [-v|-vv] COMMAND ...\n\n"
           "  mount %s\n      %s\n",
           MOUNT_COMMAND_ARGUMENTS, MOUNT_COMMAND_HELP);
    for (const CliCommand *command = cli_commands(); command->name; command++)
        printf("  %s %s\n      %s\n", command->name, command->arguments, command->help);
    printf("\n  -c FILE       read this configuration\n"
           "  -v, -vv       tell states, tell the protocol\n"
           "  --help, --version\n");
    return EX_OK;
}

static int version(void)
{
    printf("mailfs %s\n", MAILFS_VERSION);
    return EX_OK;
}

typedef struct {
    const char *config_path;
    int verbosity;
    gboolean wants_help;
    gboolean wants_version;
} Shared;

static int help_for(const char *name, const char *arguments, const char *text)
{
    printf("usage: mailfs %s %s\n%s\n", name, arguments, text);
    return EX_OK;
}

/* Runs argv[0], a command's name. */
static int run_command(int argc, char **argv, const Shared *shared)
{
    const char *config_path = shared->config_path;
    CliOptions options = {.config_path = config_path,
                          .broker_new = direct_broker_new,
                          .broker_free = direct_broker_free,
                          .unmount = unmount};
    g_autoptr(GError) error = NULL;
    const CliCommand *command;

    if (strcmp(argv[0], "mount") == 0 && shared->wants_help)
        return help_for("mount", MOUNT_COMMAND_ARGUMENTS, MOUNT_COMMAND_HELP);
    if (strcmp(argv[0], "mount") == 0)
        return mount_command(argc, argv, config_path);
    command = cli_find(argv[0], &error);
    if (!command) {
        fprintf(stderr, "mailfs: %s\n", error->message);
        return EX_USAGE;
    }
    if (shared->wants_help)
        return help_for(command->name, command->arguments, command->help);
    return command->run(argc, argv, &options);
}

/* The shared options may stand anywhere before "--"; what is not one of them is kept for the
 * command, in its order.  Answers how many words are kept. */
static int take_shared_options(int argc, char **argv, Shared *ret_shared)
{
    int n = 0;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (i < argc)
                argv[n++] = argv[i++];
        } else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
            ret_shared->config_path = argv[++i];
        } else if (strcmp(argv[i], "-v") == 0) {
            ret_shared->verbosity++;
        } else if (strcmp(argv[i], "-vv") == 0) {
            ret_shared->verbosity += 2;
        } else if (strcmp(argv[i], "--help") == 0) {
            ret_shared->wants_help = TRUE;
        } else if (strcmp(argv[i], "--version") == 0) {
            ret_shared->wants_version = TRUE;
        } else {
            argv[n++] = argv[i];
        }
    }
    argv[n] = NULL;
    return n;
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    Shared shared = {.config_path = NULL};

    (void)setlocale(LC_ALL, "");
    name = name ? name + 1 : argv[0];
    if (g_str_has_prefix(name, "mount."))
        return mount_helper_run(argc, argv);

    argc = take_shared_options(argc - 1, argv + 1, &shared);
    argv++;
    log_init(shared.verbosity);
    if (shared.wants_version)
        return version();
    if (argc > 0 && strcmp(argv[0], "help") != 0)
        return run_command(argc, argv, &shared);
    (void)help();
    return argc > 0 || shared.wants_help ? EX_OK : EX_USAGE;
}
