/* The supervisor's line to its worker: packets over one socketpair.
 *
 * SOCK_SEQPACKET keeps the packets apart and lets several threads of the worker send at once; a
 * tunnel's descriptor travels beside its packet (SCM_RIGHTS).  Both ends run the same program,
 * so the layout is this struct's and has no version.  The supervisor nevertheless believes
 * nothing that comes from the worker, which reads hostile bytes for a living.
 *
 *     worker -> supervisor                     supervisor -> worker
 *     GET_SECRET  id, text = account,          SECRET  id, text = the secret
 *                 code = 1 when it was refused
 *     OPEN_TUNNEL id, text = account           TUNNEL  id, fd
 *     STATE       text = one line              ERROR   id, code = MailError, text = sentence
 *     READY
 *     FAILED      code = MailError, text = sentence: fs_serve() could not begin
 */
#pragma once

#include <glib.h>

typedef enum {
    CHANNEL_GET_SECRET = 1,
    CHANNEL_OPEN_TUNNEL,
    CHANNEL_STATE,
    CHANNEL_READY,
    CHANNEL_FAILED,
    CHANNEL_SECRET,
    CHANNEL_TUNNEL,
    CHANNEL_ERROR,
} ChannelType;

/* The longest text: a secret.  What a password command may print. */
#define CHANNEL_MAX_TEXT (64 * 1024)

typedef struct {
    guint32 type; /* ChannelType; unknown ones are the receiver's to ignore */
    guint32 id;   /* of the request; 0 where there is none */
    guint32 code;
} ChannelHead;

typedef struct {
    ChannelHead head;
    int fd; /* passed along, owned by the message; -1 for none */
    gsize length;
    char text[CHANNEL_MAX_TEXT + 1]; /* NUL-terminated */
} ChannelMessage;

/* Both ends, close-on-exec. */
gboolean channel_open(int ret_fds[2], GError **error);

/* Sends one packet; @text may be NULL, @passed_fd -1.  Never blocks: BUSY when the other end
 * does not read (its queue is full), OFFLINE when it has gone, TOOBIG. */
gboolean channel_send(int fd, ChannelHead head, const char *text, gsize length, int passed_fd,
                      GError **error);
/* The same without a descriptor, for texts that end with NUL. */
gboolean channel_send_text(int fd, ChannelHead head, const char *text, GError **error);

typedef enum { CHANNEL_MESSAGE, CHANNEL_EMPTY, CHANNEL_CLOSED } ChannelResult;

/* Takes one packet if there is one; never blocks.  CLOSED also after a packet that makes no
 * sense.  Only after MESSAGE is there anything for channel_message_clear(). */
ChannelResult channel_receive(int fd, ChannelMessage *ret_message);

/* Wipes the text and closes what was passed and not stolen. */
void channel_message_clear(ChannelMessage *message);
