/* The table of commands and what they share: option parsing, exit codes, failing. */
#include "cli/cli.h"
#include "base/error.h"
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const CliCommand commands[] = {
    {"umount", "ACCOUNT|DIR [--flush[=TIME]]", "unmount and wait until it is done",
     cli_main_umount},
    {"status", "[-w] [--json] [ACCOUNT|PATH]", "show what the mounted accounts are doing",
     cli_main_status},
    {"check", "[ACCOUNT...]", "test the way to the servers step by step", cli_main_check},
    {"info", "FILE...", "show what is known of messages", cli_main_info},
    {"mv", "FILE... DIR | FILE FILE", "move messages, as sets", cli_main_mv},
    {"rm", "FILE...", "remove messages, as sets", cli_main_rm},
    {"flag", "FILE... [+FLAG|-FLAG...]", "show or change the flags of messages", cli_main_flag},
    {"queue", "[list | retry [ID...] | drop ID...] [-a ACCOUNT] [--json]",
     "show what the server has not taken yet, try it again, give it up", cli_main_queue},
    {"sync", "[ACCOUNT|PATH...]", "look for changes on the server now", cli_main_sync},
    {"fetch", "ACCOUNT|PATH...", "make messages available offline", cli_main_fetch},
    {"evict", "ACCOUNT|PATH...", "free the disk space of cached messages", cli_main_evict},
    {"events", "[ACCOUNT|PATH]", "print a line for each change, for ever", cli_main_events},
    {"config", "show [--redact] | path", "show the configuration, or where it is",
     cli_main_config},
    {NULL},
};

const CliCommand *cli_commands(void)
{
    return commands;
}

const CliCommand *cli_find(const char *name, GError **error)
{
    const char *names[G_N_ELEMENTS(commands) + 1] = {"mount"}; /* the program's own command */
    const char *meant;

    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        names[i + 1] = commands[i].name;
        if (g_strcmp0(commands[i].name, name) == 0)
            return &commands[i];
    }
    meant = config_did_you_mean(name, names);
    if (meant)
        mail_fail(error, MAIL_ERROR_INVALID, "there is no command '%s' (did you mean '%s'?)",
                  name, meant);
    else
        mail_fail(error, MAIL_ERROR_INVALID, "there is no command '%s'; see mailfs --help", name);
    return NULL;
}

/* -- Failing ----------------------------------------------------------------------------------- */

int cli_exit_code(const GError *error)
{
    if (!error || error->domain != MAIL_ERROR)
        return EX_SOFTWARE;
    switch ((MailError)error->code) {
    case MAIL_ERROR_INVALID:
        return EX_DATAERR;
    case MAIL_ERROR_GONE:
    case MAIL_ERROR_EXISTS:
    case MAIL_ERROR_NOTEMPTY:
        return EX_NOINPUT;
    case MAIL_ERROR_DENIED:
    case MAIL_ERROR_READONLY:
    case MAIL_ERROR_AUTH:
    case MAIL_ERROR_LOCKED:
        return EX_NOPERM;
    case MAIL_ERROR_OFFLINE:
    case MAIL_ERROR_UNSUPPORTED:
        return EX_UNAVAILABLE;
    case MAIL_ERROR_BUSY:
    case MAIL_ERROR_TIMEOUT:
    case MAIL_ERROR_CANCELLED:
        return EX_TEMPFAIL;
    case MAIL_ERROR_TOOBIG:
    case MAIL_ERROR_QUOTA:
    case MAIL_ERROR_NOSPACE:
        return EX_CANTCREAT;
    case MAIL_ERROR_PROTOCOL:
    case MAIL_ERROR_DAMAGED:
        return EX_PROTOCOL;
    case MAIL_ERROR_CACHE:
        return EX_IOERR;
    case MAIL_ERROR_N_CODES:
        break;
    }
    return EX_SOFTWARE;
}

int cli_fail(const GError *error)
{
    g_auto(GStrv) lines = g_strsplit(error->message, "\n", -1);

    for (char **line = lines; *line; line++)
        fprintf(stderr, "%s%s\n", **line == ' ' ? "" : "mailfs: ", *line); /* an example's */
    return cli_exit_code(error);
}

int cli_fail_config(const GError *error)
{
    cli_fail(error);
    return EX_CONFIG;
}

int cli_usage(const char *command, const GError *error)
{
    const CliCommand *entry = cli_find(command, NULL);

    cli_fail(error);
    if (entry)
        fprintf(stderr, "usage: mailfs %s %s\n", entry->name, entry->arguments);
    return EX_USAGE;
}

/* -- The command line -------------------------------------------------------------------------- */

gboolean cli_parse(int *argc, char ***argv, const GOptionEntry *entries, int min, int max,
                   GError **error)
{
    const CliCommand *command = cli_find((*argv)[0], NULL);
    g_autoptr(GOptionContext) context = g_option_context_new(command ? command->arguments : NULL);
    g_autofree char *prgname = g_strconcat("mailfs ", (*argv)[0], NULL);
    g_autoptr(GError) reason = NULL;

    g_set_prgname(prgname); /* for --help */
    g_option_context_set_summary(context, command ? command->help : NULL);
    if (entries)
        g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, &reason))
        return mail_fail(error, MAIL_ERROR_INVALID, "%s", reason->message);
    if (*argc > 1 && g_str_equal((*argv)[1], "--")) { /* GOption leaves it before "-x" only */
        memmove(*argv + 1, *argv + 2, sizeof(char *) * (gsize)(*argc - 1));
        (*argc)--;
    }
    if (*argc - 1 < min)
        return mail_fail(error, MAIL_ERROR_INVALID, "%s: something is missing", (*argv)[0]);
    if (*argc - 1 > max)
        return mail_fail(error, MAIL_ERROR_INVALID, "%s: '%s' is too much", (*argv)[0],
                         (*argv)[max + 1]);
    return TRUE;
}

const CliMount *cli_find_mount(const char *argument, char **ret_relative,
                               GPtrArray **ret_mounts, GError **error)
{
    g_autoptr(GPtrArray) mounts = cli_mounts_read(error);
    const CliMount *mount;

    if (!mounts)
        return NULL;
    mount = cli_mounts_find(mounts, argument, ret_relative, error);
    if (mount)
        *ret_mounts = g_steal_pointer(&mounts);
    return mount;
}
