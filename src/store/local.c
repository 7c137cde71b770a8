/* Local files.  See local.h.
 *
 * One array a mailbox, by item; there are a handful at any time, so nothing here is indexed.  The
 * row of a file is written when it appears and when something changes that a restart must know;
 * the octets need no row, they are in the stage.
 */
#include "store/local.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/limits.h"
#include "store/change-internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- Names ------------------------------------------------------------------------------------- */

gboolean local_is_junk_name(const char *name)
{
    static const char *const junk[] = {".DS_Store", ".directory",   "Thumbs.db", "desktop.ini",
                                       ".git",      ".hg",          ".svn",      ".bzr",
                                       ".Trash",    ".hidden",      ".nomedia",  ".stfolder",
                                       ".localized", ".AppleDouble", NULL};

    return g_strv_contains(junk, name) || g_str_has_prefix(name, ".Trash-") ||
           g_str_has_prefix(name, "._") || g_str_has_prefix(name, ".fuse_hidden");
}

/* @n characters as mkstemp(3) makes them. */
static gboolean is_random(const char *text, gsize n)
{
    if (strlen(text) != n)
        return FALSE;
    for (const char *c = text; *c; c++)
        if (!g_ascii_isalnum(*c))
            return FALSE;
    return TRUE;
}

/* sed -i, perl -i, dos2unix. */
static gboolean is_tool_name(const char *name)
{
    static const char *const prefixes[] = {"sed", "XX", "d2utmp"};

    for (guint i = 0; i < G_N_ELEMENTS(prefixes); i++)
        if (g_str_has_prefix(name, prefixes[i]) && is_random(name + strlen(prefixes[i]), 6))
            return TRUE;
    return FALSE;
}

/* "x.eml.AbCdEf" (Qt and KDE, GLib), "x.eml.oAbCdEf" and "x.eml.rAbCdEf" (patch),
 * "x.eml.gawk.AbCdEf"; but not a checksum of the file. */
static gboolean is_beside_message(const char *name)
{
    static const char *const known[] = {"md5sum", "sha224", "sha256", "sha384", "sha512", "base64",
                                        NULL};
    static const char *const prefixes[] = {"", "o", "r", "gawk."};
    const char *suffix = g_strrstr(name, ".eml.");

    if (!suffix || suffix == name)
        return FALSE;
    suffix += strlen(".eml.");
    for (guint i = 0; i < G_N_ELEMENTS(prefixes); i++)
        if (g_str_has_prefix(suffix, prefixes[i]) &&
            is_random(suffix + strlen(prefixes[i]), 6))
            return !g_strv_contains(known, suffix);
    return FALSE;
}

gboolean local_is_scratch_name(const char *name)
{
    static const char *const ends[] = {"~",     ".tmp", ".bak",  ".swp",     ".swo",
                                       ".orig", ".rej", ".part", ".partial", ".crdownload"};
    gsize length = strlen(name);

    if (local_is_junk_name(name))
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(ends); i++)
        if (g_str_has_suffix(name, ends[i]))
            return TRUE;
    return name[0] == '.' || (length > 2 && name[0] == '#' && name[length - 1] == '#') ||
           g_str_equal(name, "4913") || is_tool_name(name) || is_beside_message(name);
}

/* -- The table --------------------------------------------------------------------------------- */

static GPtrArray *table_of(const Store *store, const Mailbox *mailbox)
{
    return g_hash_table_lookup(store->locals, GUINT_TO_POINTER(mailbox->number));
}

LocalFile *local_nth(const Store *store, const Mailbox *mailbox, guint i)
{
    const GPtrArray *table = table_of(store, mailbox);

    return table && i < table->len ? g_ptr_array_index(table, i) : NULL;
}

LocalFile *local_find_name(const Store *store, const Mailbox *mailbox, const char *name)
{
    LocalFile *file;

    for (guint i = 0; (file = local_nth(store, mailbox, i)); i++)
        if (g_str_equal(file->name, name))
            return file;
    return NULL;
}

LocalFile *local_find_item(const Store *store, const Mailbox *mailbox, guint64 item)
{
    LocalFile *file;

    for (guint i = 0; (file = local_nth(store, mailbox, i)); i++)
        if (file->item == item)
            return file;
    return NULL;
}

static void insert(LocalFile *file)
{
    GHashTable *locals = file->store->locals;
    gpointer key = GUINT_TO_POINTER(file->mailbox->number);
    GPtrArray *table = g_hash_table_lookup(locals, key);
    guint at = 0;

    if (!table) {
        table = g_ptr_array_new();
        g_hash_table_insert(locals, key, table);
    }
    while (at < table->len && ((LocalFile *)g_ptr_array_index(table, at))->item < file->item)
        at++;
    g_ptr_array_insert(table, (gint)at, file);
}

static void take_out(LocalFile *file)
{
    GPtrArray *table = table_of(file->store, file->mailbox);

    if (table)
        g_ptr_array_remove(table, file);
}

static void tell(LocalFile *file, const char *name)
{
    Store *store = file->store;

    store->params.observer->local_changed(store, file->mailbox, file->item, name,
                                          store->params.user);
}

static void set_name(LocalFile *file, const char *name)
{
    g_free(file->name);
    file->name = g_strdup(name);
    file->is_viewed = g_str_has_prefix(name, LOCAL_VIEWED);
}

/* -- Life -------------------------------------------------------------------------------------- */

static LocalFile *file_new(Store *store, Mailbox *mailbox, LocalKind kind, const char *name)
{
    LocalFile *file = g_new0(LocalFile, 1);

    file->store = store;
    file->mailbox = mailbox;
    file->kind = kind;
    set_name(file, name);
    file->written = store_now();
    file->fd = -1;
    file->n_refs = 1;
    return file;
}

static void file_free(LocalFile *file)
{
    io_close_auto(&file->fd);
    if (file->is_gone && file->stage)
        stage_remove(file->store->disk, file->stage);
    if (file->is_gone && file->flushed)
        stage_remove(file->store->disk, file->flushed);
    g_clear_error(&file->refusal);
    g_free(file->name);
    g_free(file);
}

static void close_fd(LocalFile *file)
{
    io_close_auto(&file->fd);
    file->fd = -1;
}

LocalFile *local_ref(LocalFile *file)
{
    file->n_refs++;
    return file;
}

void local_unref(LocalFile *file)
{
    if (!file)
        return;
    if (--file->n_refs == 0)
        file_free(file);
    else if (file->n_writers == 0)
        close_fd(file);
}

static JournalLocal row_of(const LocalFile *file)
{
    return (JournalLocal){
        .mailbox = file->mailbox->number,
        .item = file->item,
        .kind = file->kind,
        .name = file->name,
        .stage = file->flushed ? file->flushed : file->stage,
        .is_flushed = file->flushed != 0,
        .mtime = file->mtime,
        .mode = file->mode,
        .replaces = file->replaces,
    };
}

void local_put(const LocalFile *file, DiskBatch *batch)
{
    JournalLocal row = row_of(file);

    disk_batch_put_local(batch, &row);
}

static void put(LocalFile *file)
{
    DiskBatch *batch;

    if (file->is_gone)
        return;
    batch = disk_batch_new();
    local_put(file, batch);
    disk_submit(file->store->disk, batch, NULL, NULL);
}

static LocalFile *begin(Store *store, Mailbox *mailbox, LocalKind kind, const char *name,
                        GError **error)
{
    LocalFile *file;

    if (!store_may_change(store, kind == LOCAL_SCRATCH ? NULL : mailbox, error) &&
        kind != LOCAL_SCRATCH)
        return NULL;
    g_clear_error(error);
    file = file_new(store, mailbox, kind, name);
    file->fd = stage_new(store->disk, &file->stage, error);
    if (file->fd >= 0)
        return file;
    file_free(file);
    return NULL;
}

LocalFile *local_create(Store *store, Mailbox *mailbox, const char *name, LocalKind kind,
                        GError **error)
{
    const Message *parked =
        kind == LOCAL_NEW ? store_find_parked(store, mailbox, name) : NULL;
    LocalFile *file = begin(store, mailbox, kind, name, error);

    if (!file)
        return NULL;
    if (parked)
        file->replaces = parked->item;
    file->item = change_new_item(mailbox);
    insert(file);
    FAULT("local-created");
    put(file);
    mailbox_touch(mailbox, store_now());
    tell(file, name);
    return local_ref(file);
}

static void note_size(LocalFile *file)
{
    struct stat st;

    if (fstat(file->fd, &st) == 0)
        file->size = (guint64)st.st_size;
}

/* The first @length octets.  The kernel's page cache does the work; only a disk that is full makes
 * it fail. */
static gboolean copy_octets(int from, int to, guint64 length, GError **error)
{
    enum { CHUNK = 256 * 1024 };
    g_autofree char *buffer = g_malloc(CHUNK);
    goffset offset = 0;
    gssize n;

    while ((guint64)offset < length) {
        gsize wanted = (gsize)MIN((guint64)CHUNK, length - (guint64)offset);

        n = io_pread_all(from, buffer, wanted, offset, error);
        if (n < 0 || !io_pwrite_all(to, buffer, (gsize)n, offset, error))
            return FALSE;
        if ((gsize)n < wanted)
            break;
        offset += n;
    }
    return TRUE;
}

LocalFile *local_edit(Store *store, Mailbox *mailbox, Message *message, int fd, GError **error)
{
    LocalFile *file = local_find_item(store, mailbox, message->item);

    if (file)
        return local_ref(file);
    file = begin(store, mailbox, LOCAL_EDIT, message->name, error);
    if (!file)
        return NULL;
    if (fd >= 0 && !copy_octets(fd, file->fd, G_MAXUINT64, error)) {
        file->is_gone = TRUE;
        file_free(file);
        return NULL;
    }
    note_size(file);
    file->item = message->item;
    file->mode = message->mode;
    insert(file);
    put(file);
    tell(file, file->name);
    return local_ref(file);
}

LocalFile *local_restore(Store *store, const JournalLocal *row, GError **error)
{
    Mailbox *mailbox = account_find_number(store->account, row->mailbox);
    LocalFile *file;
    struct stat st;

    if (!mailbox) {
        mail_fail(error, MAIL_ERROR_GONE, "its mailbox is gone");
        return NULL;
    }
    file = file_new(store, mailbox, row->kind, row->name);
    file->item = row->item;
    file->stage = row->stage;
    file->flushed = row->is_flushed ? row->stage : 0;
    file->mtime = row->mtime;
    file->mode = row->mode;
    file->replaces = row->replaces;
    file->fd = stage_open(store->disk, row->stage, error);
    if (file->fd < 0) {
        file_free(file);
        return NULL;
    }
    if (fstat(file->fd, &st) == 0) {
        file->written = st.st_mtime;
        file->size = (guint64)st.st_size;
        file->revision = file->flushed_revision = st.st_size > 0;
    }
    close_fd(file);
    insert(file);
    return file;
}

/* -- Octets ------------------------------------------------------------------------------------ */

guint64 local_size(const LocalFile *file)
{
    return file->size;
}

int local_fd(LocalFile *file, GError **error)
{
    if (file->fd < 0)
        file->fd = stage_open(file->store->disk, file->stage, error);
    return file->fd;
}

static void was_written(LocalFile *file)
{
    note_size(file);
    file->revision++;
    file->written = store_now();
    file->mtime = 0;
}

/* One stage again: what is held now, under the number that the row names. */
static void forget_flushed(LocalFile *file)
{
    if (file->flushed && file->flushed != file->stage) {
        if (!stage_replace(file->store->disk, file->stage, file->flushed, NULL))
            return;
        file->stage = file->flushed;
    }
    file->flushed = 0;
}

/* Before something is written.  What is being sealed must not change under that, nor what the next
 * start is to send if this process dies now: such a stage is left as it is, and the file goes on in
 * another one, which begins with the first @length octets. */
static gboolean leave_stage(LocalFile *file, guint64 length, GError **error)
{
    Disk *disk = file->store->disk;
    autofd int fd = -1;
    gboolean is_promised;
    guint64 number;

    if (file->kind == LOCAL_SCRATCH) /* is kept in any case, as it is */
        forget_flushed(file);
    is_promised = file->flushed && file->flushed == file->stage;
    if (!is_promised && file->n_sealing == 0)
        return TRUE;
    fd = stage_new(disk, &number, error);
    if (fd < 0)
        return FALSE;
    if (!copy_octets(file->fd, fd, length, error) ||
        (!is_promised && !stage_replace(disk, number, file->stage, error))) {
        stage_remove(disk, number);
        return FALSE;
    }
    io_close_auto(&file->fd);
    file->fd = steal_fd(&fd);
    if (is_promised)
        file->stage = number;
    file->n_sealing = 0;
    file->left = file->revision++;
    FAULT("local-left-stage");
    return TRUE;
}

guint64 local_forget_promise(LocalFile *file, DiskBatch *batch, guint revision)
{
    guint64 stale = file->flushed != file->stage ? file->flushed : 0;

    if (file->is_gone || !file->flushed || file->flushed_revision > revision)
        return 0;
    file->flushed = 0;
    local_put(file, batch);
    return stale;
}

gboolean local_write(LocalFile *file, const void *data, gsize length, goffset offset,
                     GError **error)
{
    gboolean ok;

    if ((guint64)offset + length > LIMIT_MESSAGE)
        return mail_fail(error, MAIL_ERROR_TOOBIG, "%s would be larger than mailfs takes",
                         file->name);
    if (local_fd(file, error) < 0 || !leave_stage(file, G_MAXUINT64, error))
        return FALSE;
    ok = io_pwrite_all(file->fd, data, length, offset, error);
    was_written(file);
    return ok;
}

gboolean local_truncate(LocalFile *file, guint64 size, GError **error)
{
    if (size > LIMIT_MESSAGE)
        return mail_fail(error, MAIL_ERROR_TOOBIG, "%s would be larger than mailfs takes",
                         file->name);
    if (size == local_size(file))
        return TRUE;
    if (local_fd(file, error) < 0 || !leave_stage(file, size, error))
        return FALSE;
    if (ftruncate(file->fd, (off_t)size) < 0)
        return mail_fail_errno(error, errno, "cannot change the length of %s", file->name);
    was_written(file);
    return TRUE;
}

gboolean local_fill(LocalFile *file, int fd, GError **error)
{
    gboolean ok = local_fd(file, error) >= 0 && copy_octets(fd, file->fd, G_MAXUINT64, error);

    was_written(file);
    return ok;
}

void local_set_mtime(LocalFile *file, gint64 mtime)
{
    file->mtime = mtime;
    put(file);
}

void local_set_mode(LocalFile *file, guint16 mode)
{
    file->mode = mode;
    put(file);
}

void local_set_flags(LocalFile *file, guint16 flags, gboolean is_passed)
{
    file->is_flagged = TRUE;
    file->flags = flags;
    file->is_passed = is_passed;
}

/* Zero length is never sent: it is how nearly every program begins to write. */
gboolean local_is_dirty(const LocalFile *file)
{
    return file->kind != LOCAL_SCRATCH && file->revision != file->committed &&
           local_size(file) > 0;
}

/* Being made durable.  Kept in a list of the store, for the disk forgets what is not answered at
 * its end. */
typedef struct {
    LocalFile *file;
    StoreChange *waiter; /* NULL when nobody waits any more */
    guint revision;
    guint64 before; /* the stage that was flushed before, where it is another one */
} Sync;

static void sync_free(gpointer data)
{
    Sync *sync = data;

    local_unref(sync->file);
    g_free(sync);
}

static void end_sync(Sync *sync, const GError *error)
{
    Store *store = sync->file->store;

    if (error)
        change_lose_faith(store, error);
    if (sync->waiter)
        change_waiter_answer(sync->waiter, error);
    store->local_syncs = g_list_remove(store->local_syncs, sync);
    sync_free(sync);
}

static void on_noted(const GError *error, gpointer user)
{
    Sync *sync = user;

    FAULT("local-noted");
    if (!error && sync->before)
        stage_remove(sync->file->store->disk, sync->before);
    end_sync(sync, error);
}

/* If somebody wrote meanwhile, there is no telling apart what is to be sent and what is half
 * written: the octets last, and that is all that a FLUSH from a child promises. */
static void on_synced(const GError *error, gpointer user)
{
    Sync *sync = user;
    LocalFile *file = sync->file;
    DiskBatch *batch;

    FAULT("local-synced");
    if (error || file->is_gone || file->revision != sync->revision) {
        end_sync(sync, error);
        return;
    }
    if (file->flushed != file->stage)
        sync->before = file->flushed;
    file->flushed = file->stage;
    file->flushed_revision = file->revision;
    batch = disk_batch_new();
    local_put(file, batch);
    disk_submit(file->store->disk, batch, on_noted, sync);
}

StoreChange *local_sync(LocalFile *file, StoreFunc func, gpointer user)
{
    Sync *sync = g_new0(Sync, 1);
    StoreChange *waiter = change_waiter(file->store, &sync->waiter, func, user);

    sync->file = local_ref(file);
    sync->revision = file->revision;
    file->store->local_syncs = g_list_prepend(file->store->local_syncs, sync);
    stage_sync(file->store->disk, local_fd(file, NULL), on_synced, sync);
    return waiter;
}

void local_begin_seal(LocalFile *file)
{
    file->n_sealing++;
}

void local_end_seal(LocalFile *file, guint revision)
{
    if (revision > file->left)
        file->n_sealing--;
}

/* -- Moves and ends ---------------------------------------------------------------------------- */

void local_rename(LocalFile *file, const char *name)
{
    g_autofree char *before = g_strdup(file->name);

    set_name(file, name);
    put(file);
    mailbox_touch(file->mailbox, store_now());
    tell(file, before);
    tell(file, name);
}

void local_move(LocalFile *file, Mailbox *to, const char *name)
{
    DiskBatch *batch = disk_batch_new();

    disk_batch_remove_local(batch, file->mailbox->number, file->item);
    take_out(file);
    tell(file, file->name);
    mailbox_touch(file->mailbox, store_now());
    set_name(file, name);
    file->mailbox = to;
    file->item = change_new_item(to);
    file->replaces = 0;
    if (file->kind == LOCAL_EDIT)
        file->kind = LOCAL_NEW;
    insert(file);
    FAULT("local-moved");
    local_put(file, batch);
    disk_submit(file->store->disk, batch, NULL, NULL);
    mailbox_touch(to, store_now());
    tell(file, name);
}

void local_drop(LocalFile *file, DiskBatch *batch)
{
    if (file->is_gone)
        return;
    disk_batch_remove_local(batch, file->mailbox->number, file->item);
    take_out(file);
    file->is_gone = TRUE;
    tell(file, file->name);
    local_unref(file); /* the store's */
}

void local_remove(LocalFile *file)
{
    DiskBatch *batch = disk_batch_new();
    Disk *disk = file->store->disk; /* of what may be freed with the store's reference */

    mailbox_touch(file->mailbox, store_now());
    local_drop(file, batch);
    disk_submit(disk, batch, NULL, NULL);
}

void local_add_writer(LocalFile *file)
{
    file->n_writers++;
}

/* What is committed and has no writer is the message's own affair; so is an edit that came to
 * nothing. */
static gboolean is_over(const LocalFile *file)
{
    if (file->kind == LOCAL_SCRATCH || file->n_writers > 0 || file->committing > 0)
        return FALSE;
    if (file->kind == LOCAL_EDIT)
        return file->committed == file->revision || local_size(file) == 0;
    return file->committed > 0 && file->committed == file->revision;
}

void local_remove_writer(LocalFile *file)
{
    g_assert(file->n_writers > 0);
    file->n_writers--;
    if (file->is_gone || file->n_writers > 0)
        return;
    if (is_over(file))
        local_remove(file);
    else if (file->refusal && file->refused == file->revision && file->committing == 0 &&
             local_is_dirty(file))
        create_lose(file);
}

void local_committed(LocalFile *file, DiskBatch *batch, guint revision)
{
    file->committed = revision;
    if (file->committing == revision)
        file->committing = 0;
    file->replaces = 0;
    if (file->flushed_revision <= revision)
        forget_flushed(file);
    if (file->refused <= revision)
        create_forget_refusal(file, batch);
    file->is_flagged = FALSE; /* from here on the flags are the message's own */
    if (file->is_gone)
        return;
    file->kind = LOCAL_EDIT;
    if (is_over(file)) {
        local_drop(file, batch);
        return;
    }
    local_put(file, batch);
    tell(file, file->name);
}

void local_init(Store *store)
{
    store->locals = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL,
                                          (GDestroyNotify)g_ptr_array_unref);
}

/* Handles are closed by then: the table's references are the last. */
void local_clear(Store *store)
{
    GHashTableIter iter;
    gpointer value;

    g_list_free_full(store->local_syncs, sync_free);
    g_hash_table_iter_init(&iter, store->locals);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        for (guint i = 0; i < ((GPtrArray *)value)->len; i++)
            local_unref(g_ptr_array_index((GPtrArray *)value, i));
    g_hash_table_unref(store->locals);
}
