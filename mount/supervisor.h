/* The supervisor: what stays outside the worker's sandbox.
 *
 * It passes signals on, fetches secrets, starts tunnels, tells systemd and the waiting command
 * how things are, and unmounts at the end.  It speaks to no network and parses nothing but the
 * worker's packets.  One thread, one poll(2) loop.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

#include "mount/notify.h"

/* After READY, how long `mailfs mount` waits for the first logins before it returns anyway. */
#define SUPERVISOR_LOGIN_SECONDS 5
/* Opening the caches: a large index on a slow disk takes seconds, never this long. */
#define SUPERVISOR_START_SECONDS 120

typedef struct {
    pid_t worker;
    int channel;             /* our end */
    int signals;             /* of supervisor_open_signals() */
    GPtrArray *accounts;     /* of const ConfigAccount */
    const char *config_path; /* named in advice */
    const char *mountpoint;
    guint64 mount_id;        /* of MountinfoEntry: what is ours to unmount */
    int report;              /* of detach_begin(); -1 in the foreground */
    Notify *notify;
} SupervisorParams;

/* Blocks the signals that the supervisor reads, before the worker is forked, so that none is
 * lost.  A signalfd; -1 on failure. */
int supervisor_open_signals(GError **error);

/* Until the worker has ended and what it leaves is cleaned up.  The answer is an exit code. */
int supervisor_run(const SupervisorParams *params);
