/* See notify.h and sd_notify(3).  A lost datagram is no failure of ours. */
#include "mount/notify.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct Notify {
    int fd; /* -1: nobody listens */
    struct sockaddr_un address;
    socklen_t length;
};

Notify *notify_new(void)
{
    Notify *notify = g_new0(Notify, 1);
    g_autofree char *path = g_strdup(g_getenv("NOTIFY_SOCKET"));
    gsize n = path ? strlen(path) : 0;

    g_unsetenv("NOTIFY_SOCKET");
    notify->fd = -1;
    if (n < 2 || n >= sizeof notify->address.sun_path || (path[0] != '/' && path[0] != '@'))
        return notify;
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, path, n);
    if (path[0] == '@')
        notify->address.sun_path[0] = '\0'; /* the abstract name space */
    notify->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return notify;
}

void notify_free(Notify *notify)
{
    if (!notify)
        return;
    if (notify->fd >= 0)
        (void)close(notify->fd);
    g_free(notify);
}

void notify_send(Notify *notify, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    if (notify->fd < 0)
        return;
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    (void)sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                 (const struct sockaddr *)&notify->address, notify->length);
}
