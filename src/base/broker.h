/* What the lower floors ask of the process that started them.
 *
 * The worker may neither run programs nor open files outside its cache, so passwords and tunnel
 * processes come from the supervisor.  `mount` fills this table in; commands that run in one
 * process (check) fill it with direct implementations.  Both calls block, up to the deadline,
 * and may be made from any thread.
 */
#pragma once

#include <glib.h>

#include "base/deadline.h"
#include "base/secret.h"

typedef struct Broker Broker;

struct Broker {
    /* The password or token of @account.  @stale: the last one was refused, get a fresh one.
     * The caller owns the reference.  LOCKED when the keyring is locked or the command failed,
     * AUTH when nothing is configured. */
    Secret *(*get_secret)(Broker *broker, const char *account, gboolean stale, Deadline deadline,
                          GError **error);

    /* A connected socket to a fresh tunnel process of @account.  The caller owns it; -1 on
     * failure. */
    int (*open_tunnel)(Broker *broker, const char *account, Deadline deadline, GError **error);
};
