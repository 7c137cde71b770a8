/* Copies and words for an Endpoint.  See endpoint.h. */
#include "base/endpoint.h"

#include <string.h>

Endpoint *endpoint_copy(const Endpoint *endpoint)
{
    Endpoint *copy = g_new0(Endpoint, 1);

    copy->security = endpoint->security;
    copy->host = g_strdup(endpoint->host);
    copy->port = endpoint->port;
    copy->tls_ca = g_strdup(endpoint->tls_ca);
    for (guint i = 0; i < ENDPOINT_MAX_PINS; i++)
        copy->tls_pins[i] = g_strdup(endpoint->tls_pins[i]);
    copy->tls_cert = g_strdup(endpoint->tls_cert);
    copy->tls_key = g_strdup(endpoint->tls_key);
    return copy;
}

void endpoint_free(Endpoint *endpoint)
{
    if (!endpoint)
        return;
    g_free(endpoint->host);
    g_free(endpoint->tls_ca);
    for (guint i = 0; i < ENDPOINT_MAX_PINS; i++)
        g_free(endpoint->tls_pins[i]);
    g_free(endpoint->tls_cert);
    g_free(endpoint->tls_key);
    g_free(endpoint);
}

char *endpoint_describe(const Endpoint *endpoint, const char *protocol)
{
    static const char *const suffix[] = {"s", "", "+plain"};

    if (endpoint->security == SECURITY_TUNNEL)
        return g_strdup_printf("tunnel %s", endpoint->host);
    if (strchr(endpoint->host, ':')) /* an IPv6 address (RFC 3986 section 3.2.2) */
        return g_strdup_printf("%s%s://[%s]:%u", protocol, suffix[endpoint->security],
                               endpoint->host, endpoint->port);
    return g_strdup_printf("%s%s://%s:%u", protocol, suffix[endpoint->security], endpoint->host,
                           endpoint->port);
}
