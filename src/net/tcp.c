/* A TCP connection to the first of a host's addresses that answers (RFC 8305, "happy
 * eyeballs").
 *
 * The attempts run beside each other: a new one starts when the last has failed or has not
 * answered for LIMIT_ADDRESS_STAGGER_MS.  The first that connects wins and the others are
 * closed, so a broken IPv6 route costs a quarter of a second.
 */
#include "net/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"
#include "base/limits.h"

typedef struct {
    const Endpoint *endpoint;
    GArray *addresses; /* of NetAddress */
    guint n_started;
    guint n_running;
    struct pollfd fds[1 + LIMIT_ADDRESSES]; /* [0] is the cancel descriptor; -1: not running */
    int errnum;                             /* of the first attempt that failed, or 0 */
    int winner;                             /* -1 until there is one */
} Race;

/* Half-open connections are noticed by keepalive (nothing to send: 60 s of silence, then a
 * probe each 10 s) and by TCP_USER_TIMEOUT, which ends both unanswered probes and
 * unacknowledged data after 90 s.  TCP_NOTSENT_LOWAT keeps an upload's octets out of the kernel
 * until they can go out: megabytes that wait there would count as sent, and on a slow line the
 * deadline for the answer would pass before they have left. */
static void set_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},   {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60}, {IPPROTO_TCP, TCP_KEEPINTVL, 10},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},   {IPPROTO_TCP, TCP_USER_TIMEOUT, 90 * 1000},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 64 * 1024},
    };

    /* Each is a help, none a need: a kernel or sandbox without it still connects. */
    for (guint i = 0; i < G_N_ELEMENTS(options); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static void note_failure(Race *race, int errnum)
{
    /* "Network is unreachable" only says that there is no IPv6 here: any other reason tells
     * more. */
    if (race->errnum == 0 || race->errnum == ENETUNREACH)
        race->errnum = errnum;
}

static void start_next(Race *race)
{
    guint i = race->n_started++;
    const NetAddress *to = &g_array_index(race->addresses, NetAddress, i);
    autofd int fd =
        socket(to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

    if (fd < 0) {
        note_failure(race, errno);
        return;
    }
    set_options(fd);
    if (connect(fd, (const struct sockaddr *)&to->address, to->length) == 0) {
        race->winner = steal_fd(&fd);
    } else if (errno == EINPROGRESS || errno == EINTR) {
        race->fds[1 + i].fd = steal_fd(&fd);
        race->fds[1 + i].events = POLLOUT;
        race->n_running++;
    } else {
        note_failure(race, errno);
    }
}

/* Looks which attempts have come to an end. */
static void collect(Race *race)
{
    for (guint i = 1; i <= race->n_started && race->winner < 0; i++) {
        int errnum = 0;
        socklen_t length = sizeof errnum;

        if (race->fds[i].fd < 0 || !race->fds[i].revents)
            continue;
        if (getsockopt(race->fds[i].fd, SOL_SOCKET, SO_ERROR, &errnum, &length) < 0)
            errnum = errno;
        if (errnum == 0) {
            race->winner = steal_fd(&race->fds[i].fd);
        } else {
            note_failure(race, errnum);
            (void)close(steal_fd(&race->fds[i].fd));
        }
        race->n_running--;
    }
}

static gboolean race_fail(const Race *race, GError **error)
{
    const Endpoint *to = race->endpoint;

    if (race->errnum == ECONNREFUSED)
        return mail_fail(error, MAIL_ERROR_OFFLINE,
                         "%s refuses connections to port %u: check the port, and that the "
                         "server runs",
                         to->host, to->port);
    if (race->errnum == ETIMEDOUT)
        return mail_fail(error, MAIL_ERROR_TIMEOUT,
                         "%s port %u does not answer: a firewall, a wrong port, or the server "
                         "is down",
                         to->host, to->port);
    return mail_fail(error, MAIL_ERROR_OFFLINE, "%s port %u cannot be reached: %s", to->host,
                     to->port, g_strerror(race->errnum));
}

/* Waits for any attempt to end, at most until the next may start.  FALSE on the race's end. */
static gboolean race_wait(Race *race, Deadline deadline, Deadline stagger, GError **error)
{
    gboolean has_next = race->n_started < race->addresses->len;
    Deadline until = has_next ? deadline_earlier(deadline, stagger) : deadline;
    int n = poll(race->fds, 1 + race->n_started, deadline_poll_ms(until));

    if (n < 0 && errno != EINTR)
        return mail_fail(error, MAIL_ERROR_OFFLINE, "poll failed: %s", g_strerror(errno));
    if (n < 0)
        return TRUE;
    if (race->fds[0].revents)
        return mail_fail(error, MAIL_ERROR_CANCELLED, "given up, for nothing came");
    collect(race);
    if (race->winner < 0 && deadline_passed(deadline))
        return mail_fail(error, MAIL_ERROR_TIMEOUT,
                         "%s port %u did not answer in time: a firewall, a wrong port, or the "
                         "server is down",
                         race->endpoint->host, race->endpoint->port);
    return TRUE;
}

static gboolean race_run(Race *race, Deadline deadline, GError **error)
{
    Deadline stagger = 0;

    while (race->winner < 0) {
        if (race->n_started < race->addresses->len &&
            (race->n_running == 0 || deadline_passed(stagger))) {
            start_next(race);
            stagger = deadline_in_ms(LIMIT_ADDRESS_STAGGER_MS);
            continue;
        }
        if (race->n_running == 0)
            return race_fail(race, error);
        if (!race_wait(race, deadline, stagger, error))
            return FALSE;
    }
    return TRUE;
}

/* Clear text goes to this machine only.  What a name resolves to can be forged, so the addresses
 * are looked at, not the name. */
static gboolean keep_loopback(GArray *addresses, const Endpoint *endpoint, GError **error)
{
    for (guint i = addresses->len; i-- > 0;)
        if (!net_address_is_loopback(&g_array_index(addresses, NetAddress, i)))
            g_array_remove_index(addresses, i);
    if (addresses->len == 0)
        return mail_fail(error, MAIL_ERROR_DENIED,
                         "%s is not this machine, and mail is not sent in clear text over a "
                         "network: use imaps:// or imap:// (pop3s://, pop3://)",
                         endpoint->host);
    return TRUE;
}

int net_tcp_connect(const Endpoint *endpoint, Cancel *cancel, Deadline deadline, GError **error)
{
    g_autoptr(GArray) addresses =
        net_resolve(endpoint->host, endpoint->port, cancel, deadline, error);
    Race race = {.endpoint = endpoint, .addresses = addresses, .winner = -1};

    if (!addresses)
        return -1;
    if (endpoint->security == SECURITY_PLAIN && !keep_loopback(addresses, endpoint, error))
        return -1;
    for (guint i = 0; i < G_N_ELEMENTS(race.fds); i++)
        race.fds[i].fd = -1;
    race.fds[0].fd = cancel_fd(cancel);
    race.fds[0].events = POLLIN;

    if (!race_run(&race, deadline, error))
        race.winner = -1;
    for (guint i = 1; i < G_N_ELEMENTS(race.fds); i++)
        if (race.fds[i].fd >= 0)
            (void)close(race.fds[i].fd);
    return race.winner;
}
