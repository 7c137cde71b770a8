/* Attributes of messages and directories, as stat(2) shows them (tree.md's table in code). */
#pragma once

#include <glib.h>
#include <sys/stat.h>

#include "model/mailbox.h"

/* Fills all but st_ino, st_uid and st_gid.
 *
 * - size is the best that is known, st_blocks follows from it: GNU tar -S stored a file with no
 *   blocks as nothing but NULs, unread;
 * - mtime is INTERNALDATE and the mode 0600, unless somebody set them otherwise; ctime when the
 *   entry appeared or changed here;
 * - atime lies before mtime while the message is unseen, the Unix way to say "new mail";
 * - write bits of the default go where MYRIGHTS gives no right to change anything. */
void attr_message(const Mailbox *mailbox, const Message *message, struct stat *ret_stat);

/* A directory has one link whatever lies in it: notmuch skips those with two.  Its mtime moves
 * with every change of membership.  @fallback_time: for a directory that never changed. */
void attr_directory(const Mailbox *mailbox, gint64 fallback_time, struct stat *ret_stat);

/* The name of a message in its directory: its own, or one with a suffix where a mailbox has it.
 * The caller owns it; NULL means "its own", which is nearly always. */
char *attr_shown_name(const Mailbox *mailbox, const Message *message);

/* The message that is shown as @name, or NULL: hidden ones are not. */
Message *attr_find_shown(const Mailbox *mailbox, const char *name);
