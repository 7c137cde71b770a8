/* The supervisor's credentials without a supervisor: the caller's thread polls them itself.
 * One question at a time; whoever comes meanwhile waits for the lock.
 */
#include "mount/direct-broker.h"
#include "mount/credentials.h"
#include "mount/program.h"

#include "base/error.h"

#include <poll.h>

typedef struct {
    Broker broker; /* first: a Broker * is a DirectBroker * */
    const Config *config;

    GMutex lock; /* over what follows */
    Credentials *credentials;
    GPtrArray *tunnels; /* of Program */

    /* The answer to the question that is open. */
    gboolean is_answered;
    Secret *secret;
    GError *error;
} DirectBroker;

static void take_answer(guint32 id, Secret *secret, const GError *error, gpointer user)
{
    DirectBroker *direct = user;

    if (direct->is_answered)
        return; /* one whose asker gave up */
    direct->is_answered = TRUE;
    direct->secret = secret ? secret_ref(secret) : NULL;
    direct->error = error ? g_error_copy(error) : NULL;
}

/* Tunnels write to the log too, and end; both are looked at whenever there is an occasion. */
static void handle_tunnels(DirectBroker *direct)
{
    for (guint i = direct->tunnels->len; i-- > 0;) {
        program_handle(g_ptr_array_index(direct->tunnels, i));
        if (program_has_ended(g_ptr_array_index(direct->tunnels, i)))
            g_ptr_array_remove_index_fast(direct->tunnels, i);
    }
}

static void wait_for_answer(DirectBroker *direct, Deadline deadline)
{
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(struct pollfd));

    while (!direct->is_answered && !deadline_passed(deadline)) {
        Deadline first = deadline_earlier(deadline, credentials_deadline(direct->credentials));

        g_array_set_size(fds, 0);
        credentials_poll(direct->credentials, fds);
        (void)poll((struct pollfd *)(void *)fds->data, fds->len, deadline_poll_ms(first));
        credentials_handle(direct->credentials);
    }
}

static Secret *get_secret(Broker *broker, const char *account, gboolean stale, Deadline deadline,
                          GError **error)
{
    DirectBroker *direct = (DirectBroker *)broker;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&direct->lock);

    handle_tunnels(direct);
    direct->is_answered = FALSE;
    credentials_get(direct->credentials, account, stale, 1);
    wait_for_answer(direct, deadline);
    if (!direct->is_answered) {
        direct->is_answered = TRUE;
        mail_fail(error, MAIL_ERROR_TIMEOUT, "no password for account %s in time", account);
        return NULL;
    }
    if (direct->error)
        g_propagate_error(error, g_steal_pointer(&direct->error));
    return g_steal_pointer(&direct->secret);
}

static int open_tunnel(Broker *broker, const char *account, Deadline deadline, GError **error)
{
    DirectBroker *direct = (DirectBroker *)broker;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&direct->lock);
    const ConfigAccount *found = config_find(direct->config, account, error);
    g_autofree char *what = NULL;
    Program *tunnel;
    int fd;

    handle_tunnels(direct);
    if (!found)
        return -1;
    if (!found->tunnel) {
        mail_fail(error, MAIL_ERROR_INVALID, "account %s has no tunnel", account);
        return -1;
    }
    what = g_strdup_printf("the tunnel of account %s", account);
    tunnel = program_start_tunnel(what, (const char *const *)found->tunnel, &fd, error);
    if (!tunnel)
        return -1;
    g_ptr_array_add(direct->tunnels, tunnel);
    return fd;
}

Broker *direct_broker_new(const Config *config, GError **error)
{
    DirectBroker *direct = g_new0(DirectBroker, 1);

    direct->broker.get_secret = get_secret;
    direct->broker.open_tunnel = open_tunnel;
    direct->config = config;
    g_mutex_init(&direct->lock);
    direct->credentials =
        credentials_new(config->accounts, config->path, take_answer, direct);
    credentials_set_prompting(direct->credentials, TRUE);
    direct->tunnels = g_ptr_array_new_with_free_func((GDestroyNotify)program_free);
    direct->is_answered = TRUE; /* no question is open */
    return &direct->broker;
}

void direct_broker_free(Broker *broker)
{
    DirectBroker *direct = (DirectBroker *)broker;

    if (!direct)
        return;
    credentials_free(direct->credentials);
    g_ptr_array_unref(direct->tunnels);
    g_mutex_clear(&direct->lock);
    g_free(direct);
}
