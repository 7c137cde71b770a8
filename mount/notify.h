/* sd_notify(3) by hand: one datagram to $NOTIFY_SOCKET, which is not worth a library. */
#pragma once

#include <glib.h>

typedef struct Notify Notify;

/* Takes NOTIFY_SOCKET out of the environment, so that programs started later do not speak for
 * us.  Never NULL; silent when there is no such socket. */
Notify *notify_new(void);
void notify_free(Notify *notify); /* NULL is fine */

/* "READY=1", "STATUS=..." and so on: a line each, newlines are the caller's. */
void notify_send(Notify *notify, const char *format, ...) G_GNUC_PRINTF(2, 3);
