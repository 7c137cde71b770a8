/* The commands' entry points, for the table in cli.c, and what they share. */
#pragma once

#include "cli/cli.h"
#include "cli/mounts.h"

int cli_main_umount(int argc, char **argv, const CliOptions *options);
int cli_main_status(int argc, char **argv, const CliOptions *options);
int cli_main_check(int argc, char **argv, const CliOptions *options);
int cli_main_info(int argc, char **argv, const CliOptions *options);
int cli_main_sync(int argc, char **argv, const CliOptions *options);
int cli_main_fetch(int argc, char **argv, const CliOptions *options);
int cli_main_evict(int argc, char **argv, const CliOptions *options);
int cli_main_mv(int argc, char **argv, const CliOptions *options);
int cli_main_rm(int argc, char **argv, const CliOptions *options);
int cli_main_flag(int argc, char **argv, const CliOptions *options);
int cli_main_queue(int argc, char **argv, const CliOptions *options);
int cli_main_events(int argc, char **argv, const CliOptions *options);
int cli_main_config(int argc, char **argv, const CliOptions *options);

/* Takes @entries (NULL for none) and --help off the line of the command @argv[0].  What is left
 * are the operands, argv[1] to argv[argc - 1]; INVALID unless there are @min to @max of them. */
gboolean cli_parse(int *argc, char ***argv, const GOptionEntry *entries, int min, int max,
                   GError **error);

/* "mailfs: SENTENCE" and the command's usage on stderr; EX_USAGE. */
int cli_usage(const char *command, const GError *error);

/* Reads the mounts and finds @argument's (see cli_mounts_find()).  @ret_mounts owns the result. */
const CliMount *cli_find_mount(const char *argument, char **ret_relative,
                               GPtrArray **ret_mounts, GError **error);
