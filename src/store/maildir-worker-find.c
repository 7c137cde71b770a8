/* FIND: which message is this file?  Asked after a kill, and for proof.
 *
 * The answer is proof or nothing: the octets have the file's SHA-256.  A Maildir keeps octets as
 * they are, so only files of its very length are read, the newest first.
 */
#include "store/maildir-worker-internal.h"
#include "base/error.h"
#include "base/io.h"

#include <string.h>

enum {
    CHUNK_SIZE = 256 * 1024,
    MAX_BODIES = 256, /* of the same length, and others' */
};

/* FALSE as well for what cannot be read: that is not the one. */
static gboolean is_equal(int fd, const JobChange *change)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree guchar *chunk = g_malloc(CHUNK_SIZE);
    guint8 sha256[32];
    gsize length = sizeof sha256;
    goffset offset = 0;
    gssize n;

    while ((n = io_pread_all(fd, chunk, CHUNK_SIZE, offset, NULL)) > 0) {
        g_checksum_update(checksum, chunk, n);
        offset += n;
    }
    g_checksum_get_digest(checksum, sha256, &length);
    return n == 0 && memcmp(sha256, change->sha256, sizeof sha256) == 0;
}

static gboolean is_candidate(const JobChange *change, guint32 uid)
{
    return !change->others || !uid_set_contains(change->others, uid);
}

static void look_among(MaildirWorker *worker, const MaildirFolder *folder,
                       const MaildirState *state, JobChange *change, guint32 from)
{
    g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(guint32));
    const LedgerEntry *entry;
    guint n_read = 0;

    for (entry = ledger_next(state->ledger, from); entry;
         entry = ledger_next(state->ledger, entry->uid + 1))
        if (is_candidate(change, entry->uid))
            g_array_append_val(uids, entry->uid);
    for (guint i = uids->len; i > 0 && n_read < MAX_BODIES; i--) {
        guint32 uid = g_array_index(uids, guint32, i - 1);
        const char *key = ledger_key(state->ledger, uid, MAILDIR_KEY);
        const MaildirFile *file =
            key ? g_hash_table_lookup(state->files, key + strlen(MAILDIR_KEY)) : NULL;
        guint64 size = 0;
        autofd int fd = file ? maildir_folder_open_file(folder, file, &size, NULL, NULL) : -1;

        if (fd < 0 || size != change->size)
            continue;
        n_read++;
        if (is_equal(fd, change)) {
            change->uid = uid;
            change->n_octets = size;
            return;
        }
    }
}

gboolean maildir_worker_find(MaildirWorker *worker, Job *job, GError **error)
{
    JobChange *change = job->change;
    MaildirState *state;
    g_autoptr(MaildirFolder) folder = maildir_worker_enter(worker, job->wire, 0, &state, error);
    guint32 from = MAX(change->uidnext, 1);

    if (!folder || !maildir_worker_catch_up(worker, folder, state, NULL, error))
        return FALSE;
    change->uidvalidity = ledger_uidvalidity(state->ledger);
    if (job->uidvalidity && change->uidvalidity != job->uidvalidity)
        from = 1; /* the numbers that we know say nothing any more */
    look_among(worker, folder, state, change, from);
    return TRUE;
}
