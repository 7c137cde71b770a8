/* The commands other than `mount`: one file a command or family, one table for all.
 *
 * main() takes the options that every command shares (-c, -v, --help, --version) off the command
 * line wherever they stand, finds the command here and calls it.  A command parses the rest of
 * its line itself, prints its results on stdout and its failures on stderr, and answers the
 * process's exit code: 0 or one of <sysexits.h>.
 *
 * Commands about a mounted account speak to its daemon through the files of `.mailfs` under the
 * mount point (see "cli/daemon.h"); `check` speaks to the server itself.
 */
#pragma once

#include <glib.h>

#include "base/broker.h"
#include "config/config.h"

/* What a command needs of the program around it. */
typedef struct {
    const char *config_path; /* -c FILE; NULL for the standard places */

    /* Passwords and tunnels of the accounts of @config, which is borrowed until broker_free().
     * NULL on failure. */
    Broker *(*broker_new)(const Config *config, GError **error);
    void (*broker_free)(Broker *broker); /* NULL is fine */

    /* Unmounts the directory of a mountinfo line: fusermount3 -u, or umount2() for root.  BUSY
     * when something still uses it, otherwise DENIED or CACHE. */
    gboolean (*unmount)(const char *dir, GError **error);
} CliOptions;

typedef struct {
    const char *name;      /* "status" */
    const char *arguments; /* "[-w] [--json] [ACCOUNT]" */
    const char *help;      /* one line, no full stop */

    /* @argv[0] is the command's name.  Both are the command's to change. */
    int (*run)(int argc, char **argv, const CliOptions *options);
} CliCommand;

/* All of them, in the order in which help shows them; the last has a NULL name.  Static. */
const CliCommand *cli_commands(void);

/* INVALID with "did you mean", which may be `mount`, for an unknown name. */
const CliCommand *cli_find(const char *name, GError **error);

/* The code of <sysexits.h> that fits @error: OFFLINE EX_UNAVAILABLE, AUTH EX_NOPERM and so on. */
int cli_exit_code(const GError *error);

/* Prints "mailfs: SENTENCE" on stderr, each line of the message for itself, and answers
 * cli_exit_code(). */
int cli_fail(const GError *error);

/* As cli_fail(), but for the configuration: the answer is EX_CONFIG. */
int cli_fail_config(const GError *error);
