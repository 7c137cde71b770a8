/* The Maildir view, changed: what its tools do with files, and what that does to the mailbox.
 *
 *   create in tmp/                  a local file that nobody else sees
 *   rename tmp/X -> new/X, cur/X:2,S, and link of the same   it is sent, with the flags
 *   create in cur/ or new/          sent when it is closed
 *   rename cur/X:2, -> cur/X:2,S    STORE of the difference
 *   rename new/X -> cur/X:2,S       the same, and it is not new any more
 *   rename to another base          an alias
 *   rename to another Maildir       STORE, then MOVE: the server carries flags along, while the UID
 *                                   over there may not be known at once
 *   unlink                          as in every directory (names.c)
 *   mkdir, rmdir, rename of Maildirs   CREATE, DELETE, RENAME
 *
 * A message has one name, so link(2) leaves two only for as long as it takes to unlink tmp/X: the
 * old one is kept in memory, for callers compare the two and remove it (maildrop, mutt).
 *
 * A base that is taken is EEXIST, also with other flags: in no Maildir are two files one message.
 */
#include "fs/internal.h"
#include "base/error.h"
#include "fs/errno.h"
#include "tree/maildir-name.h"
#include "tree/mailbox-name.h"

#include <errno.h>
#include <stdio.h>

typedef struct {
    FsNode from, to;       /* the directories */
    FsNode source, target; /* target.kind is 0 where nothing has the name */
    MaildirName name;      /* the new one; for tmp/ with LOCAL_VIEWED */
} Rename;

gboolean fs_is_view(const Fs *fs, fuse_ino_t ino)
{
    FsNode node;

    return fs_node(fs, ino, &node) && node.kind == INODE_VIEW;
}

/* 0, or why no file of the name can be there. */
static int parse_target(const FsNode *view, const char *name, MaildirName *ret_parsed)
{
    if (view->item == VIEW_TMP) {
        *ret_parsed = (MaildirName){.name = g_strconcat(LOCAL_VIEWED, name, NULL)};
        return 0;
    }
    /* Files beside cur, new and tmp, and dot files, are a tool's own: its database, its locks.
     * They would be nobody's mail. */
    if (view->item != VIEW_CUR && view->item != VIEW_NEW)
        return EPERM;
    if (maildir_name_parse(name, ret_parsed, NULL))
        return 0;
    return *name == '.' ? EPERM : EINVAL;
}

/* -- Create ------------------------------------------------------------------------------------ */

static void create_file(FsTask *task, const FsNode *parent, const MaildirName *name)
{
    g_autoptr(GError) error = NULL;
    gboolean is_tmp = parent->item == VIEW_TMP;
    LocalFile *local = local_create(parent->store, parent->mailbox, name->name,
                                    is_tmp ? LOCAL_SCRATCH : LOCAL_NEW, &error);
    FsNode node;

    if (!local) {
        fs_task_fail(task, error);
        return;
    }
    if (!is_tmp) {
        node = fs_node_local(local);
        local_set_flags(local, name->flags, name->is_passed);
        fs_view_place(task->fs, &node, parent->item == VIEW_NEW);
    }
    fs_create_reply(task, local);
}

void fs_view_create(FsTask *task, const FsNode *parent)
{
    MaildirName name = {0};
    int errnum = parse_target(parent, task->name, &name);
    FsNode other;

    if (errnum)
        fs_task_end(task, errnum);
    else if (parent->item != VIEW_TMP && !store_is_ready(parent->store, parent->mailbox))
        fs_task_listing(task, store_wait(parent->store, parent->mailbox, fs_task_done, task));
    else if (fs_view_find_base(parent, name.name, &other))
        fs_task_end(task, EEXIST);
    else
        create_file(task, parent, &name);
    maildir_name_clear(&name);
}

/* -- From tmp ---------------------------------------------------------------------------------- */

/* It is a file in tmp/ again. */
static void on_refused(FsTask *task, const GError *error)
{
    fs_view_left(task->fs, task->local->store, task->local->mailbox, task->local->item);
}

static void commit(FsTask *task, LocalFile *local, const FsNode *to, const MaildirName *name)
{
    FsNode node = fs_node_local(local);

    local_set_flags(local, name->flags, name->is_passed);
    fs_view_place(task->fs, &node, to->item == VIEW_NEW);
    task->local = local_ref(local);
    task->failed = on_refused;
    fs_task_change(task, store_commit_as(local->store, local, name->name, NULL, fs_task_done,
                                         task));
}

/* What the server holds may have another size than what was written. */
static void announce_octets(const FsTask *task)
{
    const LocalFile *local = task->local;

    (void)fuse_lowlevel_notify_inval_inode(
        task->fs->session, fs_ino_item(local->store, local->mailbox, local->item), -1, 0);
}

static void after_commit(FsTask *task)
{
    announce_octets(task);
    fs_task_ok(task);
}

static void rename_in_tmp(FsTask *task, const Rename *rename)
{
    LocalFile *local = rename->source.local;
    fuse_ino_t old = fs_ino_item(local->store, local->mailbox, local->item);

    if (rename->target.local)
        local_remove(rename->target.local);
    if (rename->from.mailbox == rename->to.mailbox) {
        local_rename(local, rename->name.name);
    } else {
        local_move(local, rename->to.mailbox, rename->name.name);
        fs_forward(task->fs, old, fs_ino_item(local->store, local->mailbox, local->item));
    }
    fs_task_end(task, 0);
}

static void rename_from_tmp(FsTask *task, const Rename *rename)
{
    FsNode other;

    if (rename->to.item == VIEW_TMP) {
        rename_in_tmp(task, rename);
    } else if (rename->from.mailbox != rename->to.mailbox) {
        fs_task_end(task, EXDEV); /* tools deliver from the tmp of the same Maildir */
    } else if (fs_view_find_base(&rename->to, rename->name.name, &other)) {
        fs_task_end(task, EEXIST);
    } else {
        task->run = after_commit;
        commit(task, rename->source.local, &rename->to, &rename->name);
    }
}

/* -- Link -------------------------------------------------------------------------------------- */

static void after_link(FsTask *task)
{
    struct fuse_entry_param entry;
    FsNode node;

    if (!fs_node(task->fs, task->ino, &node) || !fs_view_link(task->fs, &node, task->name)) {
        fs_task_end(task, ENOENT);
        return;
    }
    node.is_viewed = TRUE;
    announce_octets(task);
    fs_entry(task->fs, &node, &entry);
    (void)fuse_reply_entry(fs_task_take(task), &entry);
}

static void run_link(FsTask *task)
{
    MaildirName name = {0};
    FsNode node, to, other;
    int errnum;

    if (!fs_node(task->fs, task->ino, &node) || !fs_node(task->fs, task->new_ino, &to)) {
        fs_task_end(task, ENOENT);
        return;
    }
    if (to.kind != INODE_VIEW || to.item == VIEW_TMP || node.kind != INODE_MESSAGE ||
        !node.local || !node.local->is_viewed || node.mailbox != to.mailbox) {
        fs_task_end(task, EPERM); /* tools then rename */
        return;
    }
    errnum = parse_target(&to, task->new_name, &name);
    if (errnum) {
        fs_task_end(task, errnum);
    } else if (!store_is_ready(to.store, to.mailbox)) {
        fs_task_listing(task, store_wait(to.store, to.mailbox, fs_task_done, task));
    } else if (fs_view_find_base(&to, name.name, &other)) {
        fs_task_end(task, EEXIST);
    } else {
        task->name = g_strdup(node.local->name);
        task->run = after_link;
        commit(task, node.local, &to, &name);
    }
    maildir_name_clear(&name);
}

void fs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    FsTask *task = fs_task_new(req, run_link);

    task->ino = ino;
    task->new_ino = parent;
    task->new_name = g_strdup(name);
    run_link(task);
}

/* -- Messages ---------------------------------------------------------------------------------- */

/* The directories, and the message by its base alone: on the way its flags are already new.
 * FALSE: it was answered. */
static gboolean look_again(FsTask *task, Rename *ret_rename)
{
    MaildirName name;
    gboolean found = fs_node(task->fs, task->ino, &ret_rename->from) &&
                     fs_node(task->fs, task->new_ino, &ret_rename->to) &&
                     maildir_name_parse(task->name, &name, NULL);

    if (found) {
        found = fs_view_find_base(&ret_rename->from, name.name, &ret_rename->source) &&
                ret_rename->source.message &&
                parse_target(&ret_rename->to, task->new_name, &ret_rename->name) == 0;
        maildir_name_clear(&name);
    }
    if (!found)
        fs_task_end(task, ENOENT);
    return found;
}

/* It has its new name, or the server has yet to say which UID that is. */
static void after_move(FsTask *task)
{
    MaildirName name;
    FsNode to, node;

    if (fs_node(task->fs, task->new_ino, &to) && parse_target(&to, task->new_name, &name) == 0) {
        if (fs_view_find_base(&to, name.name, &node))
            fs_view_place(task->fs, &node, to.item == VIEW_NEW);
        maildir_name_clear(&name);
    }
    fs_task_ok(task);
}

static void move(FsTask *task, const Rename *rename)
{
    g_autoptr(GPtrArray) messages = g_ptr_array_new();
    StoreTransfer transfer = {
        .from = rename->from.mailbox,
        .messages = messages,
        .to = rename->to.mailbox,
        .name = rename->name.name,
    };

    g_ptr_array_add(messages, rename->source.message);
    fs_task_change(task, store_move(rename->from.store, &transfer, fs_task_done, task));
}

static void relocate(FsTask *task)
{
    Rename rename = {0};
    const FsNode *source = &rename.source;

    if (!look_again(task, &rename))
        return;
    task->run = after_move;
    if (rename.from.mailbox != rename.to.mailbox)
        move(task, &rename);
    else if (!g_str_equal(source->message->name, rename.name.name))
        fs_task_change(task, store_alias(source->store, source->mailbox, source->message,
                                         rename.name.name, fs_task_done, task));
    else
        after_move(task);
    maildir_name_clear(&rename.name);
}

/* FALSE when the flags are what the new name says. */
static gboolean store_difference(FsTask *task, const Rename *rename)
{
    g_autoptr(GPtrArray) messages = g_ptr_array_new();
    const FsNode *source = &rename->source;
    const char *keywords;
    guint16 flags = fs_view_flags(source, &keywords), wanted = rename->name.flags;
    gboolean is_passed = message_has_keyword(keywords, MESSAGE_PASSED);
    StoreFlags change = {
        .add = wanted & (guint16)~flags,
        .remove = flags & (guint16)~wanted,
        .add_keywords = rename->name.is_passed && !is_passed ? MESSAGE_PASSED : NULL,
        .remove_keywords = is_passed && !rename->name.is_passed ? MESSAGE_PASSED : NULL,
    };

    if (!change.add && !change.remove && !change.add_keywords && !change.remove_keywords)
        return FALSE;
    g_ptr_array_add(messages, source->message);
    fs_task_change(task, store_flag(source->store, source->mailbox, messages, &change,
                                    fs_task_done, task));
    return TRUE;
}

static gboolean may_change(FsTask *task, const Rename *rename)
{
    g_autoptr(GError) error = NULL;

    if (store_may_change(rename->from.store, rename->from.mailbox, &error) &&
        store_may_change(rename->to.store, rename->to.mailbox, &error))
        return TRUE;
    fs_task_fail(task, error);
    return FALSE;
}

static void rename_message(FsTask *task, const Rename *rename)
{
    const FsNode *source = &rename->source;
    LocalFile *local = source->local;
    gboolean is_near = rename->from.mailbox == rename->to.mailbox;
    gboolean is_kept = is_near && source->message &&
                       g_str_equal(source->message->name, rename->name.name);
    FsNode other;

    if (rename->to.item == VIEW_TMP) {
        fs_task_end(task, EXDEV);
    } else if (local && !task->is_committed && (local->committing || local_is_dirty(local))) {
        task->is_committed = TRUE;
        fs_task_change(task, store_commit(local->store, local, fs_task_done, task));
    } else if (!source->message || (local && !is_kept)) {
        fs_task_end(task, EBUSY); /* an empty file, or one that is being written */
    } else if (!is_kept && fs_view_find_base(&rename->to, rename->name.name, &other)) {
        fs_task_end(task, EEXIST);
    } else if (is_kept || may_change(task, rename)) {
        task->run = relocate;
        if (!store_difference(task, rename))
            relocate(task);
    }
}

/* -- Maildirs ---------------------------------------------------------------------------------- */

static void rename_maildir(FsTask *task, const Rename *rename)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *label = maildir_name_to_label(task->new_name);
    g_autofree char *component = NULL;

    if (rename->source.item != VIEW_MAILDIR || rename->to.item != VIEW_MAILDIR || !label ||
        *task->new_name == '.') {
        fs_task_end(task, EPERM);
        return;
    }
    if (rename->target.kind != 0) {
        fs_task_end(task, EEXIST);
        return;
    }
    component = mailbox_name_parse(label, !rename->to.mailbox->parent, &error);
    if (!component) {
        fs_task_fail(task, error);
        return;
    }
    task->run = fs_task_ok;
    fs_task_change(task, store_rename_mailbox(rename->source.store, rename->source.mailbox,
                                              rename->to.mailbox, component, fs_task_done,
                                              task));
}

/* -- Rename ------------------------------------------------------------------------------------ */

/* 0, or why there is nothing to rename. */
static int look(FsTask *task, Rename *ret_rename)
{
    if (!fs_node(task->fs, task->ino, &ret_rename->from) ||
        !fs_node(task->fs, task->new_ino, &ret_rename->to))
        return ENOENT;
    if (ret_rename->from.kind != INODE_VIEW || ret_rename->to.kind != INODE_VIEW ||
        ret_rename->from.store != ret_rename->to.store)
        return EXDEV;
    if (!fs_view_find(task->fs, &ret_rename->from, task->name, &ret_rename->source))
        return ENOENT;
    if (fs_view_find(task->fs, &ret_rename->to, task->new_name, &ret_rename->target) &&
        (task->flags & RENAME_NOREPLACE))
        return EEXIST;
    if (ret_rename->source.kind == INODE_VIEW)
        return 0;
    if (ret_rename->source.is_linked)
        return EPERM;
    if (ret_rename->target.kind == INODE_VIEW)
        return EISDIR;
    return parse_target(&ret_rename->to, task->new_name, &ret_rename->name);
}

void fs_view_rename(FsTask *task)
{
    Rename rename = {0};
    int errnum = look(task, &rename);
    const FsNode *to = &rename.to;

    if (errnum)
        fs_task_end(task, errnum);
    else if (rename.source.kind == INODE_VIEW)
        rename_maildir(task, &rename);
    else if (to->item != VIEW_TMP && !store_is_ready(to->store, to->mailbox))
        fs_task_listing(task, store_wait(to->store, to->mailbox, fs_task_done, task));
    else if (rename.source.local && rename.source.local->is_viewed)
        rename_from_tmp(task, &rename);
    else
        rename_message(task, &rename);
    maildir_name_clear(&rename.name);
}
