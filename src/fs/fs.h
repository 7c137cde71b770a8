/* The file system as the program sees it: mount, serve, end.
 *
 * Two processes use this.  The supervisor calls fs_mount() and, after it has forked the worker,
 * fs_mount_release(): it must not hold /dev/fuse, or requests would hang after the worker's
 * death.  The worker calls fs_serve() with the mount it inherited.  Neither unmounts through
 * libfuse; the supervisor does that by looking at mountinfo.
 */
#pragma once

#include <glib.h>

#include "base/broker.h"
#include "config/config.h"

typedef struct FsMount FsMount;

typedef struct {
    const char *fsname;   /* as base/mountinfo.h writes it: of one account or of all */
    gboolean allow_other; /* only when asked for */
    gboolean debug_fuse;  /* libfuse's own trace on stderr */
} FsMountOptions;

/* Mounts on @dir through libfuse (fusermount3 when not root), or takes over "/dev/fd/N" that is
 * mounted already.  nosuid, nodev, noexec, default_permissions.  Before any thread exists. */
FsMount *fs_mount(const char *dir, const FsMountOptions *options, GError **error);

/* The supervisor's half of the fork: closes /dev/fuse, frees. */
void fs_mount_release(FsMount *mount);

typedef struct {
    GPtrArray *accounts; /* of const ConfigAccount: one, shown at the root, or with is_all each
                            in a directory of its own */
    gboolean is_all;
    const char *mountpoint; /* for messages, and notifier_new() */
    const char *wirelog_dir; /* or NULL */
    Broker *broker;

    /* Called once the caches are open (locks taken, databases read) and before any thread or
     * network is used: the worker locks itself in here (Landlock, seccomp) and returns what
     * `status` shall say of it.  The caller owns the string.  May be NULL. */
    char *(*prepare)(gpointer user);
    /* Called from the main loop when requests are answered: the supervisor may let its parent
     * go. */
    void (*ready)(gpointer user);
    /* A new one-line state ("work online, INBOX 50 000"): sd_notify STATUS=. */
    void (*state)(const char *line, gpointer user);
    gpointer user;
} FsServeParams;

/* Serves until the file system is unmounted, or SIGTERM/SIGINT came and what was pending has
 * been drained (60 s at most; a second signal ends at once).  SIGUSR1 logs connections, jobs and
 * cache; SIGHUP reconnects all accounts at once.  Takes @mount.  FALSE when it could not begin:
 * BUSY (exit 75) when another daemon has the cache, CACHE, NOSPACE ... */
gboolean fs_serve(FsMount *mount, const FsServeParams *params, GError **error);
