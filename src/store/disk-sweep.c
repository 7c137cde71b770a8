/* Making the rows and the files of bodies agree.
 *
 * They may not after an unclean end, without an index, and for the files of a mailbox that was
 * removed.  The thread looks at one mailbox at a time, whenever it has nothing else to do.  What
 * was begun and not ended is begun anew at the next start.
 */
#include "store/disk-internal.h"

static gboolean begin_sweep(Disk *disk, GError **error)
{
    g_autoptr(GArray) rows = disk_read_body_mailboxes(disk, error);
    g_autoptr(GHashTable) numbers = g_hash_table_new(NULL, NULL);
    GHashTableIter iter;
    gpointer number;

    if (!rows)
        return FALSE;
    for (guint i = 0; i < rows->len; i++)
        g_hash_table_add(numbers, GUINT_TO_POINTER(g_array_index(rows, guint16, i)));
    if (!disk_body_list_mailboxes(disk, numbers, error))
        return FALSE;
    g_hash_table_iter_init(&iter, numbers);
    while (g_hash_table_iter_next(&iter, &number, NULL)) {
        guint16 mailbox = (guint16)GPOINTER_TO_UINT(number);

        g_array_append_val(disk->unswept, mailbox);
    }
    disk->sweep = SWEEP_ON;
    return TRUE;
}

/* Makes the rows and the files of one mailbox agree.  Rows are written by this thread alone, and
 * only after their files, so a row without a file has lost it. */
static gboolean sweep_mailbox(Disk *disk, guint16 mailbox, GError **error)
{
    g_autoptr(GArray) rows = disk_read_body_items(disk, mailbox, error);
    g_autoptr(GArray) files = rows ? disk_body_list(disk, mailbox, error) : NULL;
    g_autoptr(GPtrArray) batches = g_ptr_array_new_with_free_func((GDestroyNotify)disk_batch_free);
    DiskBatch *drops = disk_batch_new();
    guint row = 0, file = 0;

    g_ptr_array_add(batches, drops);
    if (!files)
        return FALSE;
    while (row < rows->len || file < files->len) {
        guint64 in_rows = row < rows->len ? g_array_index(rows, guint64, row) : G_MAXUINT64;
        guint64 in_files = file < files->len ? g_array_index(files, guint64, file) : G_MAXUINT64;

        if (in_rows < in_files)
            disk_batch_body_dropped(drops, mailbox, in_rows);
        else if (in_files < in_rows)
            disk_body_remove_stray(disk, mailbox, in_files);
        row += in_rows <= in_files;
        file += in_files <= in_rows;
    }
    disk_body_remove_folder(disk, mailbox);
    return disk_batch_is_empty(drops) || disk_carry_out_index(disk, batches, error);
}

void disk_sweep(Disk *disk)
{
    g_autoptr(GError) error = NULL;
    gboolean is_done;

    if (disk->unswept->len > 0) {
        guint16 mailbox = g_array_index(disk->unswept, guint16, disk->unswept->len - 1);

        g_array_set_size(disk->unswept, disk->unswept->len - 1);
        is_done = sweep_mailbox(disk, mailbox, &error);
    } else {
        is_done = begin_sweep(disk, &error);
    }
    if (!is_done) {
        g_message("cannot tidy up %s/bodies now, the next start will: %s", disk->cache_dir,
                  error->message);
        disk->sweep = SWEEP_FAILED;
    } else if (disk->unswept->len == 0 && disk->sweep == SWEEP_ON) {
        disk->sweep = SWEEP_DONE;
    }
}

gboolean disk_wants_sweep(const Disk *disk)
{
    return disk->sweep == SWEEP_DUE || disk->unswept->len > 0;
}
