/* Packets over a SOCK_SEQPACKET pair: one sendmsg(2) or recvmsg(2) each, so that no packet is
 * ever half there and no lock is needed.  See channel.h for what they say.
 */
#include "mount/channel.h"
#include "base/error.h"
#include "base/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

gboolean channel_open(int ret_fds[2], GError **error)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0)
        return mail_fail_errno(error, errno, "cannot make a socket pair");
    return TRUE;
}

/* Room for one descriptor; the union aligns it as cmsg(3) asks. */
typedef union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
} FdSpace;

static void attach_fd(struct msghdr *packet, FdSpace *space, int fd)
{
    struct cmsghdr *control;

    memset(space, 0, sizeof *space);
    packet->msg_control = space->bytes;
    packet->msg_controllen = sizeof space->bytes;
    control = CMSG_FIRSTHDR(packet);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(control), &fd, sizeof fd);
}

static int attached_fd(struct msghdr *packet)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(packet);
    int fd = -1;

    if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS &&
        control->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(control), sizeof fd);
    return fd;
}

gboolean channel_send(int fd, ChannelHead head, const char *text, gsize length, int passed_fd,
                      GError **error)
{
    struct iovec parts[] = {{&head, sizeof head}, {(char *)text, length}};
    struct msghdr packet = {.msg_iov = parts, .msg_iovlen = length > 0 ? 2 : 1};
    FdSpace space;
    ssize_t n;

    if (length > CHANNEL_MAX_TEXT)
        return mail_fail(error, MAIL_ERROR_TOOBIG,
                         "a message between our processes has %" G_GSIZE_FORMAT " bytes", length);
    if (passed_fd >= 0)
        attach_fd(&packet, &space, passed_fd);
    do
        n = sendmsg(fd, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return mail_fail(error, MAIL_ERROR_BUSY, "the other mailfs process does not listen");
    if (n < 0)
        return mail_fail_errno(error, errno, "cannot speak to the other mailfs process");
    return TRUE;
}

gboolean channel_send_text(int fd, ChannelHead head, const char *text, GError **error)
{
    return channel_send(fd, head, text, text ? strlen(text) : 0, -1, error);
}

ChannelResult channel_receive(int fd, ChannelMessage *ret_message)
{
    struct iovec parts[] = {{&ret_message->head, sizeof ret_message->head},
                            {ret_message->text, CHANNEL_MAX_TEXT}};
    FdSpace space;
    struct msghdr packet = {.msg_iov = parts,
                            .msg_iovlen = G_N_ELEMENTS(parts),
                            .msg_control = space.bytes,
                            .msg_controllen = sizeof space.bytes};
    ssize_t n;

    do
        n = recvmsg(fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return CHANNEL_EMPTY;
    if (n <= 0)
        return CHANNEL_CLOSED;
    ret_message->fd = attached_fd(&packet);
    ret_message->length = (gsize)n - MIN((gsize)n, sizeof ret_message->head);
    ret_message->text[ret_message->length] = '\0';
    if ((gsize)n < sizeof ret_message->head || (packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        channel_message_clear(ret_message);
        return CHANNEL_CLOSED;
    }
    return CHANNEL_MESSAGE;
}

void channel_message_clear(ChannelMessage *message)
{
    if (message->fd >= 0)
        (void)close(message->fd);
    message->fd = -1;
    secret_wipe(message->text, message->length);
    message->length = 0;
}
