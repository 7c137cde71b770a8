/* From a host's name to its addresses.
 *
 * getaddrinfo(3) knows everything that the system's administrator configured (hosts file, mDNS,
 * DNS) and cannot be told to stop.  So it runs in a thread of its own, which is left to itself
 * when the deadline passes: it ends when the resolver gives up, and frees what it found.
 */
#include "net/internal.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"

typedef struct {
    int refs; /* atomic: the caller's and the thread's */
    char *host;
    Cancel *done; /* raised by the thread once the rest is set */
    int status;   /* of getaddrinfo(3) */
    struct addrinfo *list;
} Lookup;

static void lookup_unref(Lookup *lookup)
{
    if (!g_atomic_int_dec_and_test(&lookup->refs))
        return;
    if (lookup->list)
        freeaddrinfo(lookup->list);
    cancel_unref(lookup->done);
    g_free(lookup->host);
    g_free(lookup);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lookup, lookup_unref)

static const struct addrinfo hints_any = {.ai_socktype = SOCK_STREAM};
static const struct addrinfo hints_numeric = {
    .ai_socktype = SOCK_STREAM,
    .ai_flags = AI_NUMERICHOST,
};

static gpointer lookup_thread(gpointer data)
{
    Lookup *lookup = data;

    lookup->status = getaddrinfo(lookup->host, NULL, &hints_any, &lookup->list);
    cancel_raise(lookup->done);
    lookup_unref(lookup);
    return NULL;
}

static gboolean lookup_fail(const char *host, int status, GError **error)
{
    switch (status) {
    case EAI_NONAME:
    case EAI_NODATA:
        return mail_fail(error, MAIL_ERROR_OFFLINE,
                         "there is no host %s: check its spelling in the configuration, and "
                         "that the network is up",
                         host);
    case EAI_AGAIN:
        return mail_fail(error, MAIL_ERROR_OFFLINE,
                         "the host %s cannot be looked up: no name server answers; is the "
                         "network up?",
                         host);
    default:
        return mail_fail(error, MAIL_ERROR_OFFLINE, "the host %s cannot be looked up: %s", host,
                         gai_strerror(status));
    }
}

/* Runs a lookup in its thread and waits for it. */
static Lookup *look_up(const char *host, Cancel *cancel, Deadline deadline, GError **error)
{
    g_autoptr(Lookup) lookup = g_new0(Lookup, 1);
    g_autoptr(GThread) thread = NULL;
    NetWait wait;

    lookup->refs = 1;
    lookup->host = g_strdup(host);
    lookup->done = cancel_new();
    g_atomic_int_inc(&lookup->refs);
    thread = g_thread_try_new("resolve", lookup_thread, lookup, NULL);
    if (!thread) {
        lookup_unref(lookup);
        mail_fail(error, MAIL_ERROR_OFFLINE, "no thread to look up %s: the system is at its limit",
                  host);
        return NULL;
    }
    wait = net_poll(-1, POLLIN, cancel, lookup->done, deadline, error);
    if (wait == NET_TIMEOUT)
        mail_fail(error, MAIL_ERROR_TIMEOUT,
                  "the host %s was not found in time: the name servers do not answer", host);
    if (wait != NET_WOKEN || !cancel_is_raised(lookup->done))
        return NULL;
    return g_steal_pointer(&lookup);
}

char *net_host_ascii(const char *host, GError **error)
{
    g_autofree char *ascii = NULL;
    gsize length;

    ascii = g_hostname_is_non_ascii(host) ? g_hostname_to_ascii(host) : g_strdup(host);
    if (!ascii || *ascii == '\0') {
        mail_fail(error, MAIL_ERROR_INVALID, "\"%s\" is not a host name", host);
        return NULL;
    }
    length = strlen(ascii);
    if (length > 1 && ascii[length - 1] == '.')
        ascii[length - 1] = '\0'; /* "example.org." is absolute in DNS only */
    return g_steal_pointer(&ascii);
}

/* The addresses of @family from @from on; NULL when there are no more. */
static const struct addrinfo *next_of(const struct addrinfo *from, gboolean is_family, int family)
{
    while (from && (from->ai_family == family) != is_family)
        from = from->ai_next;
    return from;
}

/* getaddrinfo(3) has sorted by preference (RFC 6724); here the families take turns, so that one
 * that leads nowhere costs a quarter of a second and not one for each of its addresses. */
static GArray *interleave(const struct addrinfo *list, guint16 port)
{
    GArray *addresses = g_array_new(FALSE, TRUE, sizeof(NetAddress));
    int family = list->ai_family;
    const struct addrinfo *next[2] = {list, next_of(list, FALSE, family)};

    for (guint turn = 0; (next[0] || next[1]) && addresses->len < LIMIT_ADDRESSES; turn++) {
        const struct addrinfo **side = &next[turn % 2];
        NetAddress address = {.length = 0};

        if (!*side)
            continue;
        if ((*side)->ai_addrlen <= sizeof address.address) {
            memcpy(&address.address, (*side)->ai_addr, (*side)->ai_addrlen);
            address.length = (*side)->ai_addrlen;
        }
        if (address.address.ss_family == AF_INET)
            ((struct sockaddr_in *)&address.address)->sin_port = htons(port);
        else if (address.address.ss_family == AF_INET6)
            ((struct sockaddr_in6 *)&address.address)->sin6_port = htons(port);
        else
            address.length = 0;
        if (address.length > 0)
            g_array_append_val(addresses, address);
        *side = next_of((*side)->ai_next, turn % 2 == 0, family);
    }
    return addresses;
}

GArray *net_resolve(const char *host, guint16 port, Cancel *cancel, Deadline deadline,
                    GError **error)
{
    g_autofree char *ascii = net_host_ascii(host, error);
    g_autoptr(Lookup) lookup = NULL;
    g_autoptr(GArray) addresses = NULL;
    struct addrinfo *numeric = NULL;

    if (!ascii)
        return NULL;
    if (getaddrinfo(ascii, NULL, &hints_numeric, &numeric) == 0) {
        addresses = interleave(numeric, port);
        freeaddrinfo(numeric);
    } else {
        lookup = look_up(ascii, cancel, deadline, error);
        if (!lookup)
            return NULL;
        if (lookup->status != 0) {
            lookup_fail(host, lookup->status, error);
            return NULL;
        }
        addresses = interleave(lookup->list, port);
    }
    if (addresses->len == 0) {
        lookup_fail(host, EAI_NONAME, error);
        return NULL;
    }
    return g_steal_pointer(&addresses);
}

gboolean net_address_is_loopback(const NetAddress *address)
{
    if (address->address.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address->address;

        return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    if (address->address.ss_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)&address->address)->sin6_addr;

        return IN6_IS_ADDR_LOOPBACK(in6) ||
               (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == IN_LOOPBACKNET);
    }
    return FALSE;
}
