/* A folder and its ledger: what is new gets a number, what is gone leaves, flags are compared.
 *
 * readdir(3) promises nothing of a file that is renamed meanwhile: it may be seen twice, or not at
 * all, and every change of flags is a rename.  So what is missing is looked for again, and believed
 * to be gone only when the folder stood still while it was looked at, twice.  Absence is not
 * deletion.
 */
#include "store/maildir-internal.h"
#include "base/error.h"
#include "base/limits.h"
#include "store/change-internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_LOOKS = 6 };

/* -- Who is missing ---------------------------------------------------------------------------- */

static UidSet *find_missing(const Ledger *ledger, GHashTable *files)
{
    UidSet *missing = uid_set_new();
    const LedgerEntry *entry;

    for (entry = ledger_next(ledger, 1); entry; entry = ledger_next(ledger, entry->uid + 1)) {
        const char *key = ledger_key(ledger, entry->uid, MAILDIR_KEY);

        if (key && !g_hash_table_contains(files, key + strlen(MAILDIR_KEY)))
            uid_set_add(missing, entry->uid);
    }
    return missing;
}

typedef struct {
    guint64 before, after; /* stamps */
    gboolean is_fresh;
    GHashTable *files;
    UidSet *missing;
} Look;

static void look_clear(Look *look)
{
    g_clear_pointer(&look->files, g_hash_table_unref);
    uid_set_free(look->missing);
    look->missing = NULL;
}

static gboolean look_once(MaildirFolder *folder, const Ledger *ledger, Look *look, GError **error)
{
    gboolean is_fresh;

    look_clear(look);
    if (!maildir_folder_stamp(folder, &look->before, &look->is_fresh, error))
        return FALSE;
    look->files = maildir_folder_scan(folder, error);
    if (!look->files || !maildir_folder_stamp(folder, &look->after, &is_fresh, error))
        return FALSE;
    look->is_fresh = look->is_fresh || is_fresh;
    look->missing = find_missing(ledger, look->files);
    return TRUE;
}

/* Looks until nothing is missing, or what is missing is known to be gone; otherwise
 * @ret_is_certain is FALSE. */
static gboolean look_well(MaildirFolder *folder, const Ledger *ledger, Look *look,
                          gboolean *ret_is_certain, GError **error)
{
    guint64 stood_at = 0;

    for (guint i = 0; i < MAX_LOOKS; i++) {
        if (!look_once(folder, ledger, look, error))
            return FALSE;
        *ret_is_certain = uid_set_is_empty(look->missing) ||
                          (look->before == look->after && look->before == stood_at);
        if (*ret_is_certain)
            return TRUE;
        stood_at = look->after;
    }
    return TRUE;
}

/* -- The ledger follows ------------------------------------------------------------------------ */

typedef struct {
    const char *base; /* borrowed */
    const MaildirFile *file;
    struct timespec time;
} Arrival;

static gint compare_arrivals(gconstpointer a, gconstpointer b)
{
    const Arrival *x = a, *y = b;

    if (x->time.tv_sec != y->time.tv_sec)
        return x->time.tv_sec < y->time.tv_sec ? -1 : 1;
    if (x->time.tv_nsec != y->time.tv_nsec)
        return x->time.tv_nsec < y->time.tv_nsec ? -1 : 1;
    return strcmp(x->base, y->base);
}

static char *merge_passed(const char *keywords, gboolean is_passed)
{
    return change_merge_keywords(keywords, is_passed ? MESSAGE_PASSED : NULL,
                                 is_passed ? NULL : MESSAGE_PASSED);
}

static void compare_flags(Ledger *ledger, const LedgerEntry *entry, const MaildirFile *file,
                          UidSet *changed)
{
    g_autofree char *keywords = NULL;
    guint32 uid = entry->uid;

    if (entry->flags == file->flags &&
        message_has_keyword(entry->keywords, MESSAGE_PASSED) == file->is_passed)
        return;
    keywords = merge_passed(entry->keywords, file->is_passed);
    if (ledger_set_flags(ledger, uid, file->flags, keywords))
        uid_set_add(changed, uid);
}

static void take_arrival(const MaildirFolder *folder, const char *base, const MaildirFile *file,
                         GArray *arrivals)
{
    Arrival arrival = {.base = base, .file = file};
    struct stat st;

    if (fstatat(file->is_new ? folder->new : folder->cur, file->name, &st,
                AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return; /* gone again, or no message */
    arrival.time = st.st_mtim;
    g_array_append_val(arrivals, arrival);
}

static gboolean add_arrivals(Ledger *ledger, GArray *arrivals, UidSet *added, GError **error)
{
    g_array_sort(arrivals, compare_arrivals);
    for (guint i = 0; i < arrivals->len; i++) {
        const Arrival *arrival = &g_array_index(arrivals, Arrival, i);
        g_autofree char *key = maildir_file_key(arrival->base);
        LedgerEntry entry = {
            .flags = arrival->file->flags,
            .keywords = arrival->file->is_passed ? MESSAGE_PASSED : NULL,
            .date = arrival->time.tv_sec,
        };
        guint32 uid = ledger_add(ledger, key, &entry, error);

        if (uid == 0)
            return FALSE;
        uid_set_add(added, uid);
    }
    return TRUE;
}

static gboolean follow(const MaildirFolder *folder, Ledger *ledger, const Look *look,
                       MaildirSync *sync, GError **error)
{
    g_autoptr(GArray) arrivals = g_array_new(FALSE, FALSE, sizeof(Arrival));
    GHashTableIter iter;
    gpointer base, file;

    g_hash_table_iter_init(&iter, look->files);
    while (g_hash_table_iter_next(&iter, &base, &file)) {
        g_autofree char *key = maildir_file_key(base);
        const LedgerEntry *entry = ledger_find_key(ledger, key);

        if (entry)
            compare_flags(ledger, entry, file, sync->changed);
        else
            take_arrival(folder, base, file, arrivals);
    }
    return add_arrivals(ledger, arrivals, sync->added, error);
}

void maildir_forget(Ledger *ledger, guint32 uid)
{
    g_autofree char *key = g_strdup(ledger_key(ledger, uid, MAILDIR_KEY));

    if (key)
        ledger_remove_key(ledger, key);
    if (!ledger_key(ledger, uid, ""))
        ledger_remove_uid(ledger, uid);
}

static void forget_vanished(Ledger *ledger, const UidSet *missing)
{
    for (guint r = 0; r < uid_set_n_ranges(missing); r++) {
        UidRange range = uid_set_range(missing, r);

        for (guint64 uid = range.low; uid <= range.high; uid++)
            maildir_forget(ledger, (guint32)uid);
    }
}

static gboolean run(MaildirFolder *folder, Ledger *ledger, Look *look, MaildirSync *sync,
                    GError **error)
{
    gboolean is_certain;

    if (!look_well(folder, ledger, look, &is_certain, error))
        return FALSE;
    if (g_hash_table_size(look->files) > LIMIT_MESSAGES)
        return mail_fail(error, MAIL_ERROR_TOOBIG,
                         "%s has %u messages; mailfs shows mailboxes of up to %d", folder->wire,
                         g_hash_table_size(look->files), LIMIT_MESSAGES);
    if (is_certain) {
        forget_vanished(ledger, look->missing);
        sync->vanished = g_steal_pointer(&look->missing);
    } else {
        sync->vanished = uid_set_new();
    }
    if (!follow(folder, ledger, look, sync, error) || !ledger_flush(ledger, error))
        return FALSE;
    if (is_certain && look->before == look->after)
        sync->stood = look->before;
    sync->stamp = look->is_fresh ? 0 : sync->stood;
    sync->files = g_steal_pointer(&look->files);
    return TRUE;
}

gboolean maildir_sync(MaildirFolder *folder, Ledger *ledger, MaildirSync *ret_sync,
                      GError **error)
{
    Look look = {0};
    gboolean ok;

    *ret_sync = (MaildirSync){.added = uid_set_new(), .changed = uid_set_new()};
    ok = run(folder, ledger, &look, ret_sync, error);
    look_clear(&look);
    if (!ok)
        maildir_sync_clear(ret_sync);
    return ok;
}

void maildir_sync_clear(MaildirSync *sync)
{
    g_clear_pointer(&sync->files, g_hash_table_unref);
    uid_set_free(sync->added);
    uid_set_free(sync->changed);
    uid_set_free(sync->vanished);
    *sync = (MaildirSync){0};
}
