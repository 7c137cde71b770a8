/* `mailfs mount`, and what mount.mailfs shares with it. */
#pragma once

#include <glib.h>

#include "mount/options.h"

typedef struct {
    const char *config_path; /* -c FILE; NULL for the standard places */
    const char *account;     /* NULL with is_all */
    gboolean is_all;
    const char *dir;         /* NULL: the account's mountpoint= */
    gboolean in_foreground;
    MountOptions options;
} MountRequest;

/* Carries @request out.  In the foreground it returns when all is over; otherwise when the mount
 * is ready (and lives on in the background).  The answer is an exit code of <sysexits.h>;
 * failures have been told on standard error. */
int mount_request_run(const MountRequest *request);

/* `mount [ACCOUNT | --all] [DIR] [-f] [-o OPTIONS] [--log FILE]`: @argv[0] is "mount". */
int mount_command(int argc, char **argv, const char *config_path);

/* What help shows. */
#define MOUNT_COMMAND_HELP "mount an account's mail on a directory"
#define MOUNT_COMMAND_ARGUMENTS "ACCOUNT|--all [DIR] [-f] [-o OPTIONS] [--log FILE]"
