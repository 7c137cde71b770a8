/* Names that come and go: CREATE, UNLINK, MKDIR, RMDIR, and what is refused.
 *
 * A name says what a file is to be: "x.eml" a message, an editor's scratch name something that
 * stays here, any other nothing that a mailbox can hold.  EPERM is the answer then, at once, so
 * that `git init` and the like fail cleanly instead of half way; the same where there is no
 * mailbox to hold a message (the root of an account, a directory above mailboxes).  EACCES and
 * EROFS are left to what the server says.
 */
#include "fs/internal.h"
#include "base/error.h"
#include "fs/errno.h"
#include "tree/maildir-name.h"
#include "tree/mailbox-name.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

FsNameKind fs_name_kind(const char *name)
{
    if (local_is_junk_name(name))
        return NAME_REFUSED;
    if (local_is_scratch_name(name))
        return NAME_SCRATCH;
    return fs_may_be_message(name) ? NAME_MESSAGE : NAME_REFUSED;
}

/* The directory of the task's name, and what has the name now (ret_node->kind is 0 if nothing
 * has).  FALSE: it was answered. */
static gboolean find_name(FsTask *task, FsNode *ret_parent, FsNode *ret_node)
{
    *ret_node = (FsNode){0};
    if (!fs_node(task->fs, task->ino, ret_parent)) {
        fs_task_end(task, ESTALE);
        return FALSE;
    }
    /* .mailfs and the accounts of a mount are not anybody's to change. */
    if ((ret_parent->kind != INODE_DIRECTORY && ret_parent->kind != INODE_VIEW) ||
        (task->ino == FUSE_ROOT_ID && g_str_equal(task->name, VIRTUAL_NAME))) {
        fs_task_end(task, EPERM);
        return FALSE;
    }
    (void)fs_find(task->fs, ret_parent, task->name, ret_node);
    return TRUE;
}

static FsTask *name_task(fuse_req_t req, fuse_ino_t parent, const char *name,
                         void (*run)(FsTask *task))
{
    FsTask *task = fs_task_new(req, run);

    task->ino = parent;
    task->name = g_strdup(name);
    return task;
}

/* -- Create ------------------------------------------------------------------------------------ */

void fs_create_reply(FsTask *task, LocalFile *local)
{
    struct fuse_file_info fi = task->fi;
    FsNode node = fs_node_local(local);
    FsHandle *handle = fs_handle_new(task->req, local->store, &fi);
    struct fuse_entry_param entry;

    fs_handle_set_local(handle, local);
    node.is_viewed = fs_is_view(task->fs, task->ino);
    fs_entry(task->fs, &node, &entry);
    handle->ino = entry.ino;
    task->is_done = TRUE;
    if (!fs_handle_reply(fs_task_take(task), handle, &fi, &entry))
        local_remove(local);
    local_unref(local);
}

static void run_create(FsTask *task)
{
    g_autoptr(GError) error = NULL;
    FsNameKind kind = fs_name_kind(task->name);
    FsNode parent, found;
    LocalFile *local;

    if (!find_name(task, &parent, &found))
        return;
    if (found.kind != 0) {
        /* It came after the kernel had looked: ESTALE makes it look again and open. */
        fs_task_end(task, task->fi.flags & O_EXCL ? EEXIST : ESTALE);
        return;
    }
    if (parent.kind == INODE_VIEW) {
        fs_view_create(task, &parent);
        return;
    }
    if (kind == NAME_REFUSED || parent.mailbox->is_container || !parent.mailbox->parent) {
        fs_task_end(task, EPERM);
        return;
    }
    if (kind == NAME_MESSAGE && !store_is_ready(parent.store, parent.mailbox)) {
        fs_task_listing(task, store_wait(parent.store, parent.mailbox, fs_task_done, task));
        return;
    }
    local = local_create(parent.store, parent.mailbox, task->name,
                         kind == NAME_SCRATCH ? LOCAL_SCRATCH : LOCAL_NEW, &error);
    if (local)
        fs_create_reply(task, local);
    else
        fs_task_fail(task, error);
}

void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *fi)
{
    FsTask *task = name_task(req, parent, name, run_create);

    task->fi = *fi;
    fs_task_run_held(task);
}

void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
    (void)fuse_reply_err(req, EPERM);
}

void fs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    (void)fuse_reply_err(req, EPERM);
}

/* -- Unlink ------------------------------------------------------------------------------------ */

/* An edit that was taken out of the queue is in it again. */
static void on_unlink_refused(FsTask *task, const GError *error)
{
    if (task->local && !task->local->is_gone)
        store_change_forget(store_commit(task->local->store, task->local, NULL, NULL));
}

static void after_unlink(FsTask *task)
{
    if (task->local && !task->local->is_gone)
        local_remove(task->local);
    fs_task_ok(task);
}

/* The file that is about to take the place of a parked message, if it is on its way or has to go
 * out yet; else NULL. */
static LocalFile *find_successor(const FsNode *node)
{
    LocalFile *local;

    for (guint i = 0; (local = local_nth(node->store, node->mailbox, i)); i++)
        if (local->replaces == node->message->item && (local->committing || local_is_dirty(local)))
            return local;
    return NULL;
}

static void run_unlink(FsTask *task)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) messages = NULL;
    FsNode parent, found;
    LocalFile *unsent;

    if (!find_name(task, &parent, &found))
        return;
    if (found.kind == 0 || found.kind == INODE_DIRECTORY || found.kind == INODE_VIEW) {
        fs_task_end(task, found.kind ? EISDIR : ENOENT);
        return;
    }
    if (found.is_linked) {
        fs_view_unlink(task->fs, &parent, task->name);
        fs_task_end(task, 0);
        return;
    }
    if (found.local && found.local->kind == LOCAL_SCRATCH) {
        local_remove(found.local);
        fs_task_end(task, 0);
        return;
    }
    if (!store_may_change(found.store, found.mailbox, &error)) {
        fs_task_fail(task, error);
        return;
    }
    /* What is on its way is waited for, and what comes of it removed; what waits for a server need
     * not be sent for that. */
    if (found.local)
        (void)store_take_back(found.store, found.local);
    unsent = found.local && found.local->committing ? found.local : NULL;
    if (!unsent && found.message)
        unsent = find_successor(&found);
    if (unsent && unsent != found.local && store_is_queued(found.store, unsent)) {
        fs_task_end(task, 0); /* the one that takes its place takes it along */
        return;
    }
    if (unsent) {
        fs_task_change(task, store_commit(found.store, unsent, fs_task_done, task));
        return;
    }
    if (!found.message) {
        local_remove(found.local);
        fs_task_end(task, 0);
        return;
    }
    if (found.local)
        task->local = local_ref(found.local);
    messages = g_ptr_array_new();
    g_ptr_array_add(messages, found.message);
    fs_handle_removed(task->fs, fs_ino_message(found.store, found.mailbox, found.message));
    task->run = after_unlink;
    task->failed = on_unlink_refused;
    fs_task_change(task, store_remove(found.store, found.mailbox, messages, fs_task_done, task));
}

void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (fs_is_virtual(parent))
        virtual_unlink(req, parent, name);
    else
        fs_task_run_held(name_task(req, parent, name, run_unlink));
}

/* -- Directories ------------------------------------------------------------------------------- */

static void after_mkdir(FsTask *task)
{
    FsNode parent, found;
    struct fuse_entry_param entry;

    if (!find_name(task, &parent, &found))
        return;
    if (found.kind != INODE_DIRECTORY && found.kind != INODE_VIEW) {
        fs_task_end(task, EIO);
        return;
    }
    if (found.kind == INODE_VIEW && found.item == VIEW_MAILDIR)
        fs_view_hide(task->fs, &found);
    fs_entry(task->fs, &found, &entry);
    task->is_done = TRUE;
    (void)fuse_reply_entry(fs_task_take(task), &entry);
}

/* The name that a mailbox would have as a directory; NULL for one that none can have. */
static char *mailbox_label(const FsTask *task, const FsNode *parent)
{
    if (*task->name == '.' || local_is_junk_name(task->name))
        return NULL;
    if (parent->kind != INODE_VIEW)
        return g_strdup(task->name);
    return parent->item == VIEW_MAILDIR ? maildir_name_to_label(task->name) : NULL;
}

static void run_mkdir(FsTask *task)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *label = NULL, *component = NULL;
    FsNode parent, found;

    if (!find_name(task, &parent, &found))
        return;
    if (found.kind != 0) {
        fs_task_end(task, EEXIST);
        return;
    }
    if (parent.kind == INODE_VIEW && fs_view_unhide(task->fs, &parent, task->name)) {
        after_mkdir(task);
        return;
    }
    label = mailbox_label(task, &parent);
    if (!label) {
        fs_task_end(task, EPERM);
        return;
    }
    component = mailbox_name_parse(label, !parent.mailbox->parent, &error);
    if (!component) {
        fs_task_fail(task, error);
        return;
    }
    task->run = after_mkdir;
    fs_task_change(task,
                   store_create_mailbox(parent.store, parent.mailbox, component, fs_task_done,
                                        task));
}

void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    fs_task_run_held(name_task(req, parent, name, run_mkdir));
}

/* cur, new and tmp come and go with their Maildir; tools that remove one begin with them. */
static void remove_viewed(FsTask *task, const FsNode *found)
{
    FsViewEntry entry = {0};
    gboolean is_known = store_is_ready(found->store, found->mailbox);
    gboolean is_empty = (is_known || found->mailbox->n_messages == 0) &&
                        !fs_view_next(task->fs, found, &entry);

    g_free(entry.name);
    if (is_empty)
        fs_view_hide(task->fs, found);
    fs_task_end(task, is_empty ? 0 : ENOTEMPTY);
}

static void run_rmdir(FsTask *task)
{
    FsNode parent, found;

    if (!find_name(task, &parent, &found))
        return;
    if (found.kind == INODE_VIEW && found.item != VIEW_MAILDIR) {
        remove_viewed(task, &found);
        return;
    }
    if (found.kind != INODE_DIRECTORY && found.kind != INODE_VIEW) {
        fs_task_end(task, found.kind ? ENOTDIR : ENOENT);
        return;
    }
    /* An editor's scratch lies in it; a server would not know. */
    if (local_nth(found.store, found.mailbox, 0)) {
        fs_task_end(task, ENOTEMPTY);
        return;
    }
    task->run = fs_task_ok;
    fs_task_change(task, store_delete_mailbox(found.store, found.mailbox, fs_task_done, task));
}

void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (fs_is_virtual(parent))
        virtual_rmdir(req, parent, name);
    else
        fs_task_run_held(name_task(req, parent, name, run_rmdir));
}
