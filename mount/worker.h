/* The worker: the process that serves the file system and speaks to servers.
 *
 * It is forked from the supervisor, so it begins with what that has in memory: the configuration,
 * but no secret, for none is got before.
 */
#pragma once

#include <sys/types.h>

#include "config/config.h"
#include "fs/fs.h"

typedef struct {
    FsMount *mount;         /* taken */
    GPtrArray *accounts;    /* of const ConfigAccount */
    gboolean is_all;
    const char *mountpoint;
    const char *wirelog_dir; /* or NULL */
    int channel;
    pid_t supervisor; /* whose end is to be ours */
} WorkerParams;

/* Runs until the file system is unmounted or a signal ends it.  The answer is the process's exit
 * code; a failure to begin has been told over the channel. */
int worker_run(const WorkerParams *params);
