/* `mailfs config show` and `mailfs config path`. */
#include "base/error.h"
#include "cli/commands.h"

#include <stdio.h>
#include <sysexits.h>

static gboolean do_redact;

static const GOptionEntry entries[] = {
    {"redact", 0, 0, G_OPTION_ARG_NONE, &do_redact,
     "Leave out names, hosts, users and addresses", NULL},
    {NULL},
};

static int show(const CliOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = config_load(options->config_path, &error);
    g_autofree char *text = NULL;

    if (!config)
        return cli_fail_config(error);
    text = config_show(config, do_redact);
    printf("%s", text);
    return EX_OK;
}

static int path(const CliOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *found = options->config_path ? g_strdup(options->config_path)
                                                  : config_find_file(&error);

    if (!found)
        return cli_fail_config(error);
    printf("%s\n", found);
    return EX_OK;
}

int cli_main_config(int argc, char **argv, const CliOptions *options)
{
    g_autoptr(GError) error = NULL;

    if (!cli_parse(&argc, &argv, entries, 1, 1, &error))
        return cli_usage("config", error);
    if (g_str_equal(argv[1], "show"))
        return show(options);
    if (g_str_equal(argv[1], "path"))
        return path(options);
    mail_fail(&error, MAIL_ERROR_INVALID, "config: '%s' is neither show nor path", argv[1]);
    return cli_usage("config", error);
}
