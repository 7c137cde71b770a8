/* All that rename(2) can mean.
 *
 *   what                   to a message's name                to a scratch name
 *   an editor's scratch    sent, in the place of a message    renamed here
 *   a file not yet sent    takes the name, or moves           sent, then as below
 *   a message              an alias; elsewhere a MOVE         parked, its octets at hand
 *   a mailbox              RENAME with all below it
 *
 * What has the new name is in the way.  A file that nobody sent yet is sent first, so that what
 * goes is a message and goes as unlink(2) would have it: to Trash, as a rule.  Where this would
 * need two places at once (a scratch file to another mailbox under a message's name) the answer
 * is EXDEV, for then mv and others copy and unlink, which does.
 *
 * Each step looks at everything anew (task.c).
 */
#include "fs/internal.h"
#include "base/error.h"
#include "fs/errno.h"
#include "tree/mailbox-name.h"

#include <errno.h>
#include <stdio.h>

typedef struct {
    FsNode from, to;       /* the directories */
    FsNode source, target; /* target.kind is 0 where nothing has the name */
    FsNameKind kind;       /* of the new name, for files */
    gboolean is_near;      /* within one directory */
} Rename;

/* -- Steps ------------------------------------------------------------------------------------- */

static void after_rename(FsTask *task)
{
    if (task->local) /* what the server holds may have another size than what was written */
        (void)fuse_lowlevel_notify_inval_inode(
            task->fs->session,
            fs_ino_item(task->local->store, task->local->mailbox, task->local->item), -1, 0);
    fs_task_ok(task);
}

/* A new version that is being written follows its message. */
static void after_alias(FsTask *task)
{
    if (task->local && !task->local->is_gone && !g_str_equal(task->local->name, task->new_name))
        local_rename(task->local, task->new_name);
    fs_task_ok(task);
}

static void commit_first(FsTask *task, LocalFile *local)
{
    task->is_committed = TRUE;
    fs_task_change(task, store_commit(local->store, local, fs_task_done, task));
}

static void remove_first(FsTask *task, const FsNode *node)
{
    g_autoptr(GPtrArray) messages = g_ptr_array_new();

    g_ptr_array_add(messages, node->message);
    fs_task_change(task, store_remove(node->store, node->mailbox, messages, fs_task_done, task));
}

/* Takes a local file that has the new name out of the way.  TRUE: a step was made first, and the
 * rename will be looked at again. */
static gboolean clear_local(FsTask *task, Rename *rename)
{
    LocalFile *local = rename->target.local;
    gboolean is_unsent;

    if (!local)
        return FALSE;
    if (store_is_queued(local->store, local)) {
        gboolean is_kept = store_config(local->store)->delete == CONFIG_DELETE_TRASH;

        store_give_up(local->store, local,
                      is_kept ? "another file took its place before it was sent" : NULL);
        rename->target.local = NULL;
        return FALSE;
    }
    is_unsent = local->committing ||
                (local->kind == LOCAL_NEW && !rename->target.message && local_is_dirty(local));
    if (is_unsent && !task->is_committed) {
        commit_first(task, local);
        return TRUE;
    }
    local_remove(local);
    rename->target.local = NULL;
    return FALSE;
}

static gboolean may_change(FsTask *task, const Rename *rename)
{
    g_autoptr(GError) error = NULL;

    if (store_may_change(rename->from.store, rename->from.mailbox, &error) &&
        (rename->is_near || store_may_change(rename->to.store, rename->to.mailbox, &error)))
        return TRUE;
    fs_task_fail(task, error);
    return FALSE;
}

/* -- Local files ------------------------------------------------------------------------------- */

/* The name is free. */
static void place_local(FsTask *task, const Rename *rename)
{
    LocalFile *local = rename->source.local;
    fuse_ino_t old = fs_ino_item(local->store, local->mailbox, local->item);

    if (rename->is_near) {
        local_rename(local, task->new_name);
    } else {
        local_move(local, rename->to.mailbox, task->new_name);
        fs_forward(task->fs, old, fs_ino_item(local->store, local->mailbox, local->item));
    }
    fs_task_end(task, 0);
}

static void rename_scratch(FsTask *task, Rename *rename)
{
    LocalFile *local = rename->source.local;
    Message *replaced;

    if (rename->kind == NAME_MESSAGE && !rename->is_near) {
        fs_task_end(task, EXDEV);
        return;
    }
    if (rename->kind == NAME_MESSAGE && !may_change(task, rename))
        return;
    if (clear_local(task, rename))
        return;
    if (rename->kind == NAME_SCRATCH) {
        if (rename->target.message)
            remove_first(task, &rename->target); /* a parked message */
        else
            place_local(task, rename);
        return;
    }
    replaced = rename->target.message;
    if (!replaced)
        replaced = store_find_parked(rename->to.store, rename->to.mailbox, task->new_name);
    task->local = local_ref(local);
    task->run = after_rename;
    fs_task_change(
        task, store_commit_as(local->store, local, task->new_name, replaced, fs_task_done, task));
}

/* Out of the queue it is a file as any other; under its new name, or in its new place, it is in the
 * queue again. */
static void queue_anew(FsTask *task, const Rename *rename)
{
    LocalFile *local = rename->source.local;
    fuse_ino_t old = fs_ino_item(local->store, local->mailbox, local->item);
    Message *replaced = rename->target.message;

    task->run = fs_task_ok;
    if (rename->is_near) {
        fs_task_change(task, store_commit_as(local->store, local, task->new_name, replaced,
                                             fs_task_done, task));
        return;
    }
    local_move(local, rename->to.mailbox, task->new_name);
    fs_forward(task->fs, old, fs_ino_item(local->store, local->mailbox, local->item));
    fs_task_change(task, store_commit(local->store, local, fs_task_done, task));
}

/* A file that waits for a server: it need not be sent to get another name, to move, or to become
 * an editor's backup.  Its octets are made durable first, for the queue had promised them. */
static void rename_queued(FsTask *task, Rename *rename)
{
    LocalFile *local = rename->source.local;
    gboolean is_taken = rename->kind == NAME_SCRATCH && rename->target.message;

    if (is_taken || (!rename->is_near && (rename->kind == NAME_SCRATCH || rename->target.kind))) {
        fs_task_end(task, rename->is_near ? EBUSY : EXDEV);
        return;
    }
    if (!task->is_durable) {
        task->is_durable = TRUE;
        fs_task_change(task, local_sync(local, fs_task_done, task));
        return;
    }
    if (clear_local(task, rename))
        return;
    (void)store_take_back(local->store, local);
    if (rename->kind == NAME_MESSAGE) {
        queue_anew(task, rename);
        return;
    }
    local->kind = LOCAL_SCRATCH;
    local_rename(local, task->new_name);
    fs_task_end(task, 0);
}

/* A file that was created as a message and is none yet. */
static void rename_unsent(FsTask *task, Rename *rename)
{
    LocalFile *local = rename->source.local;
    gboolean is_simple = rename->kind == NAME_MESSAGE && rename->target.kind == 0 &&
                         (rename->is_near || !local->committing);

    if (!rename->is_near && !may_change(task, rename))
        return;
    if (!is_simple && store_is_queued(local->store, local)) {
        rename_queued(task, rename);
        return;
    }
    if (is_simple || (task->is_committed && rename->target.kind == 0 &&
                      rename->kind == NAME_MESSAGE)) {
        place_local(task, rename);
    } else if (!task->is_committed && (local->committing || local_is_dirty(local))) {
        commit_first(task, local);
    } else if (!task->is_committed && rename->kind == NAME_MESSAGE && !rename->target.message) {
        /* An empty file onto one that was not sent. */
        if (!clear_local(task, rename))
            place_local(task, rename);
    } else {
        /* Nothing never replaces a message, and is none that could be parked. */
        fs_task_end(task, task->is_committed ? EBUSY : EINVAL);
    }
}

/* -- Messages ---------------------------------------------------------------------------------- */

static void park(FsTask *task, Rename *rename)
{
    g_autoptr(GError) error = NULL;
    const FsNode *source = &rename->source;

    if (!task->body)
        task->body = store_open_body(source->store, source->mailbox, source->message, &error);
    if (!task->body) {
        fs_task_fail(task, error);
        return;
    }
    if (fs_task_body(task) || clear_local(task, rename))
        return;
    if (rename->target.message) {
        remove_first(task, &rename->target);
        return;
    }
    task->run = fs_task_ok;
    fs_task_change(task,
                   store_park(source->store, source->mailbox, source->message, task->new_name,
                              fs_task_done, task));
}

static void alias(FsTask *task, Rename *rename)
{
    const FsNode *source = &rename->source;

    if (rename->target.kind != 0 && !may_change(task, rename))
        return;
    if (clear_local(task, rename))
        return;
    if (rename->target.message) {
        remove_first(task, &rename->target);
        return;
    }
    if (source->local)
        task->local = local_ref(source->local);
    task->run = after_alias;
    fs_task_change(task,
                   store_alias(source->store, source->mailbox, source->message, task->new_name,
                               fs_task_done, task));
}

static void move(FsTask *task, Rename *rename)
{
    g_autoptr(GPtrArray) messages = g_ptr_array_new();
    StoreTransfer transfer = {
        .from = rename->from.mailbox,
        .messages = messages,
        .to = rename->to.mailbox,
        .name = task->new_name,
        .replaced = rename->target.message,
    };

    if (!may_change(task, rename) || clear_local(task, rename))
        return;
    g_ptr_array_add(messages, rename->source.message);
    task->run = fs_task_ok;
    fs_task_change(task, store_move(rename->from.store, &transfer, fs_task_done, task));
}

static void rename_message(FsTask *task, Rename *rename)
{
    LocalFile *local = rename->source.local;

    gboolean is_queued = local && store_is_queued(local->store, local);

    if (local && !task->is_committed && !is_queued &&
        (local->committing || local_is_dirty(local)))
        commit_first(task, local);
    else if (rename->is_near && rename->kind == NAME_MESSAGE)
        alias(task, rename);
    else if (local) /* somebody has it open, and would go on writing to what is elsewhere */
        fs_task_end(task, EBUSY);
    else if (rename->is_near)
        park(task, rename);
    else if (rename->kind == NAME_MESSAGE)
        move(task, rename);
    else
        fs_task_end(task, EXDEV);
}

static void rename_file(FsTask *task, Rename *rename)
{
    rename->kind = fs_name_kind(task->new_name);
    if (rename->target.kind == INODE_DIRECTORY)
        fs_task_end(task, EISDIR);
    else if (rename->kind == NAME_REFUSED || rename->to.mailbox->is_container ||
             !rename->to.mailbox->parent)
        fs_task_end(task, EPERM);
    else if (rename->kind == NAME_MESSAGE && !store_is_ready(rename->to.store, rename->to.mailbox))
        fs_task_listing(
            task, store_wait(rename->to.store, rename->to.mailbox, fs_task_done, task));
    else if (rename->source.local && rename->source.local->kind == LOCAL_SCRATCH)
        rename_scratch(task, rename);
    else if (!rename->source.message)
        rename_unsent(task, rename);
    else
        rename_message(task, rename);
}

/* -- Directories ------------------------------------------------------------------------------- */

/* Onto an empty directory: that one goes first.  One that is not empty refuses (ENOTEMPTY), and so
 * would the source if it is the INBOX, but after the other is gone. */
static void replace_directory(FsTask *task, const Rename *rename)
{
    if (g_str_equal(rename->source.mailbox->wire, "INBOX"))
        fs_task_end(task, EBUSY);
    else
        fs_task_change(task, store_delete_mailbox(rename->target.store, rename->target.mailbox,
                                                  fs_task_done, task));
}

static void rename_directory(FsTask *task, const Rename *rename)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *component = NULL;

    if (rename->target.kind == INODE_DIRECTORY) {
        replace_directory(task, rename);
        return;
    }
    if (rename->target.kind != 0) {
        fs_task_end(task, ENOTDIR);
        return;
    }
    if (*task->new_name == '.' || local_is_junk_name(task->new_name)) {
        fs_task_end(task, EPERM);
        return;
    }
    component = mailbox_name_parse(task->new_name, !rename->to.mailbox->parent, &error);
    if (!component) {
        fs_task_fail(task, error);
        return;
    }
    task->run = fs_task_ok;
    fs_task_change(task,
                   store_rename_mailbox(rename->source.store, rename->source.mailbox,
                                        rename->to.mailbox, component, fs_task_done, task));
}

/* -- The request ------------------------------------------------------------------------------- */

static gboolean is_reserved(fuse_ino_t directory, const char *name)
{
    return directory == FUSE_ROOT_ID && g_str_equal(name, VIRTUAL_NAME);
}

/* 0, or why there is nothing to rename. */
static int look(FsTask *task, Rename *ret_rename)
{
    *ret_rename = (Rename){0};
    if (!fs_node(task->fs, task->ino, &ret_rename->from) ||
        !fs_node(task->fs, task->new_ino, &ret_rename->to))
        return ESTALE;
    /* What was lost may be found again: mv(1) then copies it and removes it there. */
    if (ret_rename->from.kind == INODE_VIRTUAL && ret_rename->to.kind == INODE_DIRECTORY)
        return EXDEV;
    if (ret_rename->from.kind != INODE_DIRECTORY || ret_rename->to.kind != INODE_DIRECTORY ||
        is_reserved(task->ino, task->name) || is_reserved(task->new_ino, task->new_name))
        return EPERM;
    if (ret_rename->from.store != ret_rename->to.store)
        return EXDEV;
    ret_rename->is_near = ret_rename->from.mailbox == ret_rename->to.mailbox;
    if (!fs_find(task->fs, &ret_rename->from, task->name, &ret_rename->source))
        return ENOENT;
    if (fs_find(task->fs, &ret_rename->to, task->new_name, &ret_rename->target) &&
        (task->flags & RENAME_NOREPLACE))
        return EEXIST;
    return 0;
}

static void run_rename(FsTask *task)
{
    Rename rename;
    int errnum = look(task, &rename);

    task->keeps_number = rename.is_near || rename.source.kind == INODE_DIRECTORY;
    if (errnum)
        fs_task_end(task, errnum);
    else if (rename.source.kind == INODE_DIRECTORY)
        rename_directory(task, &rename);
    else
        rename_file(task, &rename);
}

void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                  const char *new_name, unsigned int flags)
{
    FsTask *task;

    if (flags & ~(unsigned)RENAME_NOREPLACE) {
        (void)fuse_reply_err(req, EINVAL); /* RENAME_EXCHANGE, RENAME_WHITEOUT */
        return;
    }
    task = fs_task_new(req, fs_is_view(fs_of(req), parent) || fs_is_view(fs_of(req), new_parent)
                                ? fs_view_rename
                                : run_rename);
    task->ino = parent;
    task->name = g_strdup(name);
    task->new_ino = new_parent;
    task->new_name = g_strdup(new_name);
    task->flags = flags;
    fs_task_run_held(task);
}
