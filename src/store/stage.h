/* Files in staging/ (XDG_STATE_HOME/mailfs/ACCOUNT): octets that exist nowhere else.
 *
 * A stage is one file with a number for a name.  While somebody writes it is plain: the main thread
 * writes with pwrite(), which waits for no disk.  To be sent it is sealed: the disk's thread copies
 * what is there at that moment into a stage of its own, in the form that a server will hold (every
 * line ends in CRLF, RFC 3501 section 2.2), takes its hash and syncs it.  So what is on its way
 * does not change under it, and what is written meanwhile is another version.
 *
 * One "From " line of an mbox at the beginning (RFC 4155) is left out: it is of the format of a
 * file that holds several messages, and no part of any.
 *
 * Why always in CRLF, and not only where a server insists: Dovecot and Courier show CRLF whatever
 * they were given, Cyrus refuses a bare LF.  With one form the octets that come back are known
 * beforehand, and a message can be recognised by their hash.
 */
#pragma once

#include "store/disk.h"

/* A new empty stage, opened for reading and writing (O_CLOEXEC, 0600); the caller owns the
 * descriptor.  Main thread; creates a file, syncs nothing.  -1: NOSPACE and so on. */
int stage_new(Disk *disk, guint64 *ret_number, GError **error);

/* An existing one, for reading and writing; -1 (GONE). */
int stage_open(Disk *disk, guint64 number, GError **error);

/* The stage @number takes the place of @other: from now on @other is the number of its octets.  Who
 * has the octets of @other open keeps them.  Main thread; durable with the next stage_sync(). */
gboolean stage_replace(Disk *disk, guint64 number, guint64 other, GError **error);

/* Removes it; one that is not there is fine.  Any thread. */
void stage_remove(Disk *disk, guint64 number);

/* Numbers of all stages there are (guint64): at the start, to find what no row names. */
GArray *stage_list(Disk *disk, GError **error);

/* From now on sealed stages hold the very octets of their source, line ends and NULs as they are,
 * without an envelope line: for accounts whose messages are files.  Before the first
 * stage_seal(). */
void stage_keep_octets(Disk *disk);

/* What sealing found. */
typedef struct {
    guint64 number; /* of the sealed stage */
    guint64 size;
    guint8 sha256[32];
    guint64 fingerprint; /* message_fingerprint() of its Message-ID */
    char *message_id;    /* "<a@b>", or NULL; owned by the caller of the callback */
    gboolean was_canonical; /* the octets are the same as those of the source */
} StageSeal;

/* Seals what @fd (a duplicate is taken) holds now.  Answers on the main context with a seal, or
 * with why not: INVALID for what is no message (no header field in front of the first empty line:
 * RFC 5322 section 2.2; a NUL; nothing at all) or several (an mbox), TOOBIG over LIMIT_MESSAGE,
 * NOSPACE, CACHE for a failed fsync (J6: the caller makes the account read-only and does not try
 * again).  Nothing is left behind on failure. */
typedef void (*StageSealFunc)(const StageSeal *seal, const GError *error, gpointer user);
void stage_seal(Disk *disk, int fd, StageSealFunc func, gpointer user);

/* Makes the octets of @fd (a duplicate is taken) durable, with its name. */
void stage_sync(Disk *disk, int fd, DiskDoneFunc func, gpointer user);

/* A sealed stage becomes the cached body of a message (a rename, or a copy where state and cache
 * are on different file systems); the stage is gone then.  Synchronous, main thread: one rename.
 * The caller adds disk_batch_body_cached().  FALSE: the stage is gone all the same, the body will
 * be fetched. */
gboolean stage_to_body(Disk *disk, guint64 number, guint16 mailbox, guint64 item);

/* Puts the octets of @fd into lost+found/@folder/@name beside staging/, with NAME.reason holding
 * @reason and a line end; a name that is taken gets a number.  @folder may have several levels
 * ("INBOX/Projects"); names are refused and replaced if they would leave lost+found.  On the disk's
 * thread, durable when answered. */
typedef struct {
    const char *folder, *name, *reason;
} StageLost;
void stage_lose(Disk *disk, int fd, const StageLost *lost, DiskDoneFunc func, gpointer user);

/* The folder itself, for those who show it: a path below the state's.  Borrowed. */
const char *stage_lost_dir(const Disk *disk);
