/* Making the index follow the state, after an unclean end.
 *
 * A batch is written to the state first, and then to the index.  When the process dies in between,
 * the state knows better which item a UID is, under which name, and which items are no more.  New
 * UIDs are recalled when a sync brings them; but what the index has already, no sync tells of
 * again: a name that was answered for would be the old one, and a message that a sync brought
 * before we knew it for our own would keep the number it got then.
 *
 * So both are read side by side, in the order of UIDs, and the rows that differ are put right.  The
 * bodies of rows that go, or get another item, go with them: which file they mean is not certain.
 * A mailbox that was never listed whole is left alone, for the next listing asks the state anyway.
 *
 * That the state does not know a UID does not prove that its message is gone (the state may be an
 * old one, out of a backup).  So a mailbox that loses rows is compared as a whole by its next sync.
 */
#include "store/disk-internal.h"

/* A row of the index, and what it is to be. */
typedef struct {
    guint16 mailbox;
    guint64 item;
    Message *truth; /* as in the state; owned; NULL: no message any more */
} Correction;

static void correction_clear(gpointer data)
{
    message_free(((Correction *)data)->truth);
}

/* -- Finding ----------------------------------------------------------------------------------- */

typedef struct {
    guint16 number;
    guint32 uidvalidity;
} Listed;

static GArray *listed_mailboxes(Disk *disk, GError **error)
{
    g_autoptr(GPtrArray) all = disk_load_mailboxes(disk, error);
    GArray *listed;

    if (!all)
        return NULL;
    listed = g_array_new(FALSE, FALSE, sizeof(Listed));
    for (guint i = 0; i < all->len; i++) {
        const DiskMailbox *mailbox = g_ptr_array_index(all, i);

        if (mailbox->is_listed)
            g_array_append_vals(listed, &(Listed){mailbox->number, mailbox->uidvalidity}, 1);
    }
    return listed;
}

static gboolean is_the_same(const Message *a, const Message *b)
{
    return a->item == b->item && g_str_equal(a->name, b->name) && a->mtime == b->mtime &&
           a->mode == b->mode && a->is_hidden == b->is_hidden;
}

/* One database's rows of a mailbox, one at a time. */
typedef struct {
    DiskDb *db;
    sqlite3_stmt *statement;
    Message *row; /* owned; NULL at the end */
} Cursor;

static gboolean advance(Cursor *cursor, GError **error)
{
    int more = disk_db_step(cursor->db, cursor->statement, error);

    g_clear_pointer(&cursor->row, message_free);
    if (more > 0)
        cursor->row = disk_read_recalled(cursor->statement);
    return more >= 0;
}

static void add(GArray *corrections, guint16 mailbox, guint64 item, const Message *truth)
{
    Correction correction = {mailbox, item, truth ? message_copy(truth) : NULL};

    g_array_append_val(corrections, correction);
}

/* Both are sorted by UID.  What the state alone knows is new, and comes by a sync. */
static gboolean compare(Cursor *index, Cursor *state, guint16 mailbox, GArray *corrections,
                        GError **error)
{
    while (index->row) {
        if (state->row && state->row->uid < index->row->uid) {
            if (!advance(state, error))
                return FALSE;
            continue;
        }
        if (!state->row || state->row->uid != index->row->uid)
            add(corrections, mailbox, index->row->item, NULL);
        else if (!is_the_same(state->row, index->row))
            add(corrections, mailbox, index->row->item, state->row);
        if (!advance(index, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean find_in(Disk *disk, const Listed *mailbox, GArray *corrections, GError **error)
{
    Cursor index = {&disk->index, disk_db_statement(&disk->index, INDEX_NAMES), NULL};
    Cursor state = {&disk->state, disk_db_statement(&disk->state, STATE_RECALL), NULL};
    gboolean ok;

    disk_db_bind_number(index.statement, 1, mailbox->number);
    disk_db_bind_number(state.statement, 1, mailbox->number);
    disk_db_bind_number(state.statement, 2, mailbox->uidvalidity);
    disk_db_bind_number(state.statement, 3, 1);
    disk_db_bind_number(state.statement, 4, G_MAXUINT32);
    ok = advance(&index, error) && advance(&state, error) &&
         compare(&index, &state, mailbox->number, corrections, error);
    message_free(index.row);
    message_free(state.row);
    sqlite3_reset(index.statement);
    sqlite3_reset(state.statement);
    return ok;
}

/* -- Correcting -------------------------------------------------------------------------------- */

static gboolean run_of(Disk *disk, guint statement, guint16 mailbox, guint64 item, GError **error)
{
    sqlite3_stmt *run = disk_db_statement(&disk->index, statement);

    disk_db_bind_number(run, 1, mailbox);
    disk_db_bind_number(run, 2, item);
    return disk_db_run(&disk->index, run, error);
}

static gboolean compare_again(Disk *disk, guint16 mailbox, GError **error)
{
    sqlite3_stmt *run = disk_db_statement(&disk->index, INDEX_COMPARE);

    disk_db_bind_number(run, 1, mailbox);
    return disk_db_run(&disk->index, run, error);
}

static gboolean rename_row(Disk *disk, const Correction *correction, GError **error)
{
    sqlite3_stmt *put = disk_db_statement(&disk->index, INDEX_RENAME_ITEM);
    const Message *truth = correction->truth;

    disk_db_bind_number(put, 1, correction->mailbox);
    disk_db_bind_number(put, 2, correction->item);
    disk_db_bind_number(put, 3, truth->item);
    disk_db_bind_text(put, 4, truth->name);
    sqlite3_bind_int64(put, 5, truth->mtime);
    disk_db_bind_number(put, 6, truth->mode);
    disk_db_bind_number(put, 7, truth->is_hidden);
    /* What is hidden was marked, and is shown again when a sync tells of other flags than these. */
    disk_db_bind_number(put, 8, truth->is_hidden ? MESSAGE_DELETED : 0);
    return disk_db_run(&disk->index, put, error);
}

static gboolean correct_one(Disk *disk, const Correction *correction, GError **error)
{
    const Message *truth = correction->truth;
    guint16 mailbox = correction->mailbox;

    if (!truth)
        return run_of(disk, INDEX_DROP_BODY, mailbox, correction->item, error) &&
               run_of(disk, INDEX_REMOVE_MESSAGE, mailbox, correction->item, error) &&
               compare_again(disk, mailbox, error);
    if (truth->item != correction->item &&
        (!run_of(disk, INDEX_DROP_BODY, mailbox, correction->item, error) ||
         !run_of(disk, INDEX_DROP_BODY, mailbox, truth->item, error)))
        return FALSE;
    return rename_row(disk, correction, error);
}

/* Those that go first: their items may be wanted by others. */
static gboolean correct(Disk *disk, const GArray *corrections, GError **error)
{
    for (guint pass = 0; pass < 2; pass++)
        for (guint i = 0; i < corrections->len; i++) {
            const Correction *each = &g_array_index(corrections, Correction, i);

            if ((each->truth != NULL) == (pass == 1) && !correct_one(disk, each, error))
                return FALSE;
        }
    return TRUE;
}

gboolean disk_reconcile(Disk *disk, GError **error)
{
    g_autoptr(GArray) listed = listed_mailboxes(disk, error);
    g_autoptr(GArray) corrections = g_array_new(FALSE, TRUE, sizeof(Correction));

    g_array_set_clear_func(corrections, correction_clear);
    if (!listed)
        return FALSE;
    for (guint i = 0; i < listed->len; i++)
        if (!find_in(disk, &g_array_index(listed, Listed, i), corrections, error))
            return FALSE;
    if (corrections->len == 0)
        return TRUE;
    g_message("%s: %u rows of the index were behind when the last run ended", disk->cache_dir,
              corrections->len);
    if (!disk_db_exec(&disk->index, "BEGIN", error))
        return FALSE;
    if (correct(disk, corrections, error) && disk_db_exec(&disk->index, "COMMIT", error))
        return TRUE;
    sqlite3_exec(disk->index.handle, "ROLLBACK", NULL, NULL, NULL);
    return FALSE;
}
