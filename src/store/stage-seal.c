/* Sealing: a copy of what somebody wrote, in the form in which a server will hold it, with its
 * length and hash, on the disk to stay.
 *
 * The octets stream through: read, looked at, every bare LF made a CRLF, hashed, written.  A bare
 * CR stays: it is no line end, and servers keep it.  Where messages are files
 * (stage_keep_octets()), they are left as they are.  An mbox's "From " line at the beginning is no
 * part of the message and is left out, everywhere.  The first LIMIT_HEADER octets are kept aside to
 * see whether this is a message at all, and which Message-ID it has.
 *
 * What a server refuses is refused here, where the person who wrote it still waits for close():
 * an IMAP literal holds no NUL (RFC 3501 section 9, CHAR8), and what does not begin with a header
 * field some servers take and others do not.
 */
#include "store/disk-internal.h"

#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/limits.h"
#include "mime/header.h"
#include "mime/mbox.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_SIZE (64 * 1024)

typedef struct {
    const Disk *disk;
    int to;
    GChecksum *sha256;
    GByteArray *header;  /* the first LIMIT_HEADER octets */
    guint8 *out;         /* a chunk, canonical: twice as long at most */
    gboolean was_cr;     /* the octet before this chunk */
    gboolean is_changed; /* a line end was mended, or a line left out */
    gboolean is_mbox;    /* it begins with an envelope line */
    MboxScan scan;       /* for others that follow */
    guint64 size;
} Sealing;

/* -- Octets ------------------------------------------------------------------------------------ */

/* Into sealing->out; its length. */
static gsize canonicalise(Sealing *sealing, const guint8 *octets, gsize length)
{
    guint8 *p = sealing->out;

    for (gsize i = 0; i < length; i++) {
        if (octets[i] == '\n' && !sealing->was_cr) {
            *p++ = '\r';
            sealing->is_changed = TRUE;
        }
        *p++ = octets[i];
        sealing->was_cr = octets[i] == '\r';
    }
    return (gsize)(p - sealing->out);
}

static gboolean fail_too_big(GError **error)
{
    return mail_fail(error, MAIL_ERROR_TOOBIG, "a message may have %llu MiB at most",
                     LIMIT_MESSAGE / (1024 * 1024));
}

static gboolean seal_chunk(Sealing *sealing, const guint8 *octets, gsize length, GError **error)
{
    gboolean keeps_octets = sealing->disk->keeps_octets;
    gsize n;

    if (!keeps_octets && memchr(octets, '\0', length))
        return mail_fail(error, MAIL_ERROR_INVALID, "this holds NUL octets, which no IMAP server "
                         "takes: it is no mail message, or it was damaged");
    if (keeps_octets)
        memcpy(sealing->out, octets, n = length);
    else
        n = canonicalise(sealing, octets, length);
    sealing->size += n;
    if (sealing->size > LIMIT_MESSAGE)
        return fail_too_big(error);
    if (sealing->header->len < LIMIT_HEADER)
        g_byte_array_append(sealing->header, sealing->out,
                            (guint)MIN(n, LIMIT_HEADER - sealing->header->len));
    g_checksum_update(sealing->sha256, sealing->out, (gssize)n);
    if (io_write_all(sealing->to, sealing->out, n, error))
        return TRUE;
    g_prefix_error(error, "in %s/staging: ", sealing->disk->state_dir);
    return FALSE;
}

/* The length of the envelope line that the file begins with, which is not part of the message. */
static gsize skip_envelope(Sealing *sealing, const guint8 *octets, gsize length)
{
    gsize n = mbox_envelope_length(octets, length);

    if (n > 0)
        sealing->is_mbox = sealing->is_changed = TRUE;
    return n;
}

static gboolean check_single(Sealing *sealing, const guint8 *octets, gsize length, GError **error)
{
    if (!sealing->is_mbox || !mbox_scan(&sealing->scan, octets, length))
        return TRUE;
    return mail_fail(error, MAIL_ERROR_INVALID,
                     "this is an mbox of several messages, and a file here is one message; split "
                     "it first, with git mailsplit or formail -s, and copy the parts");
}

static gboolean seal_all(Sealing *sealing, int from, GError **error)
{
    g_autofree guint8 *chunk = g_malloc(CHUNK_SIZE);
    goffset offset = 0;
    gssize n;

    while ((n = io_pread_all(from, chunk, CHUNK_SIZE, offset, error)) > 0) {
        gsize skipped = offset == 0 ? skip_envelope(sealing, chunk, (gsize)n) : 0;
        const guint8 *octets = chunk + skipped;
        gsize length = (gsize)n - skipped;

        if (!check_single(sealing, octets, length, error) ||
            !seal_chunk(sealing, octets, length, error))
            return FALSE;
        offset += n;
        FAULT("seal-chunk");
    }
    return n == 0;
}

/* -- Is it a message? -------------------------------------------------------------------------- */

/* "Name:" at the very beginning; blanks before the colon as RFC 5322 section 4.5 allows them. */
static gboolean has_field(const guint8 *octets, gsize length)
{
    gsize i = 0;

    while (i < length && octets[i] > ' ' && octets[i] < 0x7f && octets[i] != ':')
        i++;
    if (i == 0)
        return FALSE;
    while (i < length && (octets[i] == ' ' || octets[i] == '\t'))
        i++;
    return i < length && octets[i] == ':';
}

static gboolean check_message(const Sealing *sealing, GError **error)
{
    static const char remedy[] = "a message begins with header fields such as \"Subject: hello\", "
                                 "and an empty line follows them";
    const GByteArray *header = sealing->header;

    if (sealing->size == 0 && !sealing->is_mbox)
        return mail_fail(error, MAIL_ERROR_INVALID, "an empty file is no message; %s", remedy);
    if (has_field(header->data, header->len))
        return TRUE;
    return mail_fail(error, MAIL_ERROR_INVALID, "this is no mail message; %s", remedy);
}

/* -- Sealing ----------------------------------------------------------------------------------- */

static gboolean check_size(int fd, GError **error)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return mail_fail_errno(error, errno, "cannot look at the file");
    return (guint64)st.st_size <= LIMIT_MESSAGE || fail_too_big(error);
}

static void fill_seal(const Sealing *sealing, StageSeal *seal)
{
    gsize length = DISK_SHA256;
    g_autofree char *id = header_message_id((const char *)sealing->header->data,
                                            sealing->header->len);

    seal->size = sealing->size;
    g_checksum_get_digest(sealing->sha256, seal->sha256, &length);
    seal->fingerprint = message_fingerprint(id);
    seal->message_id = *id ? g_steal_pointer(&id) : NULL;
    seal->was_canonical = !sealing->is_changed;
}

static gboolean make_durable(Disk *disk, int fd, GError **error)
{
    FAULT("seal-before-sync");
    if (!stage_make_durable(disk, fd, error))
        return FALSE;
    FAULT("seal-after-sync");
    return TRUE;
}

gboolean stage_make_seal(Disk *disk, int fd, StageSeal *ret_seal, GError **error)
{
    g_autoptr(GByteArray) header = g_byte_array_new();
    g_autoptr(GChecksum) sha256 = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree guint8 *out = g_malloc(2 * CHUNK_SIZE);
    Sealing sealing = {.disk = disk, .sha256 = sha256, .header = header, .out = out};
    autofd int to = -1;
    guint64 number;

    if (!check_size(fd, error))
        return FALSE;
    sealing.to = to = stage_new(disk, &number, error);
    if (to < 0)
        return FALSE;
    if (!seal_all(&sealing, fd, error) || !check_message(&sealing, error) ||
        !make_durable(disk, to, error)) {
        stage_remove(disk, number);
        return FALSE;
    }
    ret_seal->number = number;
    fill_seal(&sealing, ret_seal);
    return TRUE;
}
