/* Between the files of fs/:
 *
 *   serve.c     mounting, the main loop, the life of everything
 *   node.c      from inode numbers to what they name, and back; the observer
 *   directory.c lookup, getattr, readdir
 *   file.c      open, read, release of messages and local files
 *   write.c     write, setattr, copy_file_range
 *   commit.c    flush, fsync, release: when what was written is sent
 *   names.c     create, unlink, mkdir, rmdir, and what is refused
 *   rename.c    all that rename(2) can mean
 *   view.c      the same mail as a Maildir: names, directories; view-change.c what changes it
 *   xattr.c     extended attributes
 *   wait.c      requests that cannot be answered yet: deadlines and interrupts
 *   task.c      requests that take several steps
 *   process.c   what /proc tells of callers
 *   virtual.c   .mailfs and what lies in it; virtual-dir.c its directories
 *   control*.c  requests of the command line, as JSON (control.h)
 *   status.c    the same facts as text and as JSON
 *   notifier.c  what the kernel is told
 *
 * All on the main thread but the notifier's own.
 */
#pragma once

#include <fuse_lowlevel.h>

#include "fs/fs.h"
#include "fs/notifier.h"
#include "store/change.h"
#include "store/local.h"
#include "store/store.h"
#include "tree/inode.h"

typedef struct Fs Fs;
typedef struct FsWait FsWait;
typedef struct FsTask FsTask;
typedef struct FsEvents FsEvents;
typedef struct VirtualNodes VirtualNodes;
typedef struct FsViews FsViews;

enum { FS_MAX_OPCODE = 64 };

/* A day: what changes is announced.  Names that do not exist are not cached at all, for kernels
 * from 6.19 on keep them in spite of an announcement. */
#define FS_TIMEOUT 86400.0
/* Directories of the Maildir view: nothing is announced there. */
#define FS_VIEW_TIMEOUT 1.0

struct FsMount {
    struct fuse_session *session;
    Fs *fs; /* once served */
};

struct Fs {
    FsMount *mount;
    struct fuse_session *session;
    FsServeParams params;
    GMainLoop *loop;
    GPtrArray *stores; /* of Store, by account number */
    Notifier *notifier;
    FsEvents *events;
    VirtualNodes *virtuals;
    FsViews *views;
    GQueue waits; /* of FsWait */
    guint wait_timer, wait_look; /* GLib sources, or 0 */
    guint64 counts[FS_MAX_OPCODE]; /* requests by opcode */
    struct fuse_buf buffer;
    char *sandbox;
    uid_t uid;
    gid_t gid;
    gint64 started; /* Unix time */
    guint n_signals;
    GHashTable *jobs; /* control.c: what commands wait for */
    GHashTable *handles; /* open files -> what frees them, should the end come before RELEASE */
    GHashTable *forwards; /* inode numbers of messages that moved -> their new ones */
    GHashTable *news;     /* inode numbers whose octets are not those the kernel may keep */
    GHashTable *yielded; /* threads whose request was asked to come again */
    gboolean is_ending;   /* unmounted, or asked to end */
    guint n_draining;     /* stores that have not said yet that nothing is pending */
    guint drain_timer;    /* a GLib source, or 0 */
    guint64 last_job;
};

static inline Fs *fs_of(fuse_req_t req)
{
    return ((FsMount *)fuse_req_userdata(req))->fs;
}

/* What fi->fh names is known to the Fs from OPEN to RELEASE. */
static inline void fs_handle_add(Fs *fs, gpointer handle, void (*free_handle)(gpointer))
{
    g_hash_table_insert(fs->handles, handle, (gpointer)free_handle);
}

static inline void fs_handle_end(Fs *fs, gpointer handle)
{
    void (*free_handle)(gpointer) = g_hash_table_lookup(fs->handles, handle);

    g_hash_table_remove(fs->handles, handle);
    free_handle(handle);
}

/* -- node.c ------------------------------------------------------------------------------------ */

typedef struct {
    InodeKind kind;
    Store *store;     /* DIRECTORY, MESSAGE, VIEW */
    Mailbox *mailbox; /* DIRECTORY, MESSAGE, VIEW */
    Message *message; /* MESSAGE: or NULL while only a local file has the number */
    LocalFile *local; /* MESSAGE: what everybody sees instead of the message, or NULL */
    guint item;       /* VIRTUAL, VIEW */
    gboolean is_viewed; /* MESSAGE: by its name in a Maildir, which the kernel may not keep */
    gboolean is_linked; /* and one that it had in tmp/ */
} FsNode;

/* Something below .mailfs. */
static inline gboolean fs_is_virtual(fuse_ino_t ino)
{
    Inode inode;

    return inode_unpack(ino, &inode) && inode.kind == INODE_VIRTUAL;
}

/* FALSE when what the number named is gone.  A message that moved is found in its new place.  The
 * answer is ESTALE then, with which the kernel looks the path up once more before it tells anybody:
 * the name may be another's by now, and the announcement on its way. */
gboolean fs_node(const Fs *fs, fuse_ino_t ino, FsNode *ret_node);

fuse_ino_t fs_ino_mailbox(const Fs *fs, const Store *store, const Mailbox *mailbox);
fuse_ino_t fs_ino_message(const Store *store, const Mailbox *mailbox, const Message *message);
fuse_ino_t fs_ino_item(const Store *store, const Mailbox *mailbox, guint64 item);
fuse_ino_t fs_ino_virtual(guint item);

void fs_stat(const Fs *fs, const FsNode *node, struct stat *ret_stat);
void fs_entry(const Fs *fs, const FsNode *node, struct fuse_entry_param *ret_entry);
double fs_attr_timeout(const FsNode *node);
FsNode fs_node_account(Store *store); /* its directory, as layout= says */
FsNode fs_node_mailbox(Store *store, Mailbox *mailbox);
FsNode fs_node_message(Store *store, Mailbox *mailbox, Message *message);
FsNode fs_node_local(LocalFile *local);
/* What a file is to us: "new", "edited" or "scratch" for local ones, "parked" (under an editor's
 * backup name) or "stored". */
const char *fs_node_state(const FsNode *node);

/* The kernel goes on using @old for what has the number @now. */
void fs_forward(Fs *fs, fuse_ino_t old, fuse_ino_t now);
/* The kernel will not use the number any more unless it looks it up again. */
void fs_forget(Fs *fs, fuse_ino_t ino);

extern const StoreObserver fs_observer; /* its user data is the Fs */

/* -- wait.c ------------------------------------------------------------------------------------ */

/* What a waiting request is about; each takes the data given to fs_wait_new(). */
typedef struct {
    gint64 (*progress)(gpointer data); /* when something last moved; NULL: no deadline at all */
    gint64 (*longest)(gpointer data);  /* seconds altogether, whatever moves; 0 or NULL: any */
    void (*give_up)(gpointer data);    /* the deadline passed; may be NULL */
    void (*cancel)(gpointer data);     /* stop waiting and free; the request has its answer */
} FsWaitOps;

/* Registers @req: it gets ETIMEDOUT after LIMIT_REQUEST_SECONDS without progress, and EINTR when
 * its caller has a fatal signal pending; then ops->cancel is called.  @hold: a directory whose
 * announcements wait meanwhile, or 0. */
FsWait *fs_wait_new(Fs *fs, fuse_req_t req, const FsWaitOps *ops, fuse_ino_t hold,
                    gpointer data);
/* It can be answered: takes it off the list.  The caller replies and frees its data. */
fuse_req_t fs_wait_end(FsWait *wait);
/* At the end: all of them get @errnum. */
void fs_wait_fail_all(Fs *fs, int errnum);

/* -- task.c ------------------------------------------------------------------------------------ */

/* A request that may take several steps, most of them a wait for a server.  Its run() looks at
 * the model afresh and either asks for one step, after which it runs again, or answers; an error
 * of a step is the answer.  The fields are the request's own: what it does not need is NULL or 0.
 */
struct FsTask {
    Fs *fs;
    fuse_req_t req;
    void (*run)(FsTask *task);
    /* Called before an error of a step is answered; may be NULL. */
    void (*failed)(FsTask *task, const GError *error);

    fuse_ino_t ino, new_ino; /* the file, or the directories of the names */
    char *name, *new_name;
    guint flags;
    struct fuse_file_info fi;
    struct stat attr;
    struct FsHandle *handle; /* borrowed: what is open stays so while a request on it waits */
    struct FsHandle *source;
    off_t offset, source_offset;
    size_t size;
    LocalFile *local; /* a reference, or NULL */
    Body *body;       /* a reference, or NULL */
    guint revision;        /* commit.c: of what is sent */
    gboolean is_committed; /* rename.c: what was being written has been sent */
    gboolean is_durable;   /* rename.c: what waits in the queue is on the disk */
    gboolean keeps_number; /* rename.c: what has the new name has the inode number it had */
    gboolean is_done;      /* it went well */

    /* task.c's own. */
    struct {
        FsWait *wait;
        StoreChange *change;
        StoreWait *listing;
        BodyWait *octets;
        gint64 began; /* the step; a Deadline's clock */
        guint n;
        gboolean is_holding;
    } step;
};

FsTask *fs_task_new(fuse_req_t req, void (*run)(FsTask *task));

/* Calls run(), for a request that holds the locks of the directories task->ino and task->new_ino
 * in the kernel: announcements for them wait until it is answered.  Those for the names themselves
 * are dropped then, if it went well. */
void fs_task_run_held(FsTask *task);

/* Steps; fs_task_done() and the task are the StoreFunc and its user data. */
void fs_task_done(const GError *error, gpointer user);
void fs_task_change(FsTask *task, StoreChange *change);
void fs_task_listing(FsTask *task, StoreWait *listing);
/* task->body, which is set, becomes whole.  FALSE if it is already: no step was made. */
gboolean fs_task_body(FsTask *task);

/* Answers.  The task is gone then. */
void fs_task_end(FsTask *task, int errnum);
void fs_task_fail(FsTask *task, const GError *error);
void fs_task_ok(FsTask *task); /* fs_task_end() with 0: for run() */
/* For other answers: ends the wait and frees the task; the caller replies. */
fuse_req_t fs_task_take(FsTask *task);

/* -- directory.c ------------------------------------------------------------------------------- */

/* What @name is in a directory of an account or of its view, as far as memory knows. */
gboolean fs_find(const Fs *fs, const FsNode *directory, const char *name, FsNode *ret_node);
/* Of a name that was not found there: a listing of the directory's mailbox, which there was none of
 * yet, may bring it. */
gboolean fs_is_unlisted(const FsNode *directory, const char *name);

/* Names that tools probe for (.git, .hidden, Makefile) are no reason to list a mailbox. */
gboolean fs_may_be_message(const char *name);

void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n_lookups);
void fs_op_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *forgets);
void fs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                   struct fuse_file_info *fi);
void fs_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi);
void fs_op_statfs(fuse_req_t req, fuse_ino_t ino);

/* -- file.c ------------------------------------------------------------------------------------ */

/* An open message or local file. */
typedef struct FsHandle {
    fuse_ino_t ino; /* by which the kernel knows what is open */
    Store *store;
    Body *body;       /* the message's octets as they were when it was opened, or NULL */
    guint32 uid;      /* of the message then */
    Mailbox *mailbox; /* where it was then, and its name: for writers, until it was removed here */
    char *name;
    LocalFile *local; /* a reference; what is read and written once it is there */
    gboolean is_writer;
    gboolean is_counted; /* among local->n_writers */
    gboolean is_seen;    /* \Seen was set for it (mark-seen=on-read) */
    pid_t opener;        /* the process; 0 when it could not be told */
    guint refused;       /* the revision whose commit failed: whoever closed it has heard of it */
    gint64 gave_up; /* when a request on it ended with ETIMEDOUT; a Deadline's clock */

    /* COPY_FILE_RANGE: what the octets from 0 to n_twin are a copy of. */
    Mailbox *twin_mailbox;
    guint64 twin_item;
    guint64 n_twin;
    guint twin_revision; /* of the local file then: nobody else wrote in between */
} FsHandle;

/* For @req, with nothing to read or write yet. */
FsHandle *fs_handle_new(fuse_req_t req, Store *store, const struct fuse_file_info *fi);
/* Answers it with @fi, which names @handle from then on: for OPEN, and with @entry for CREATE.
 * FALSE: nobody waited, and the handle is gone. */
gboolean fs_handle_reply(fuse_req_t req, FsHandle *handle, struct fuse_file_info *fi,
                         const struct fuse_entry_param *entry);
/* Somebody removed here what @ino names: what is written to it from now on goes nowhere. */
void fs_handle_removed(const Fs *fs, fuse_ino_t ino);
/* The attributes of what was removed while it is open. */
gboolean fs_handle_stat(const Fs *fs, fuse_ino_t ino, struct stat *ret_stat);
void fs_handle_free(gpointer handle);
static inline FsHandle *fs_handle_of(const struct fuse_file_info *fi)
{
    return (FsHandle *)(uintptr_t)fi->fh;
}
/* It has @local from now on, of which it takes a reference. */
void fs_handle_set_local(FsHandle *handle, LocalFile *local);
/* What is to be written to: the local file that is there, or a new version of the message, empty
 * or with its octets.  Borrowed. */
LocalFile *fs_handle_edit(Fs *fs, fuse_ino_t ino, FsHandle *handle, gboolean is_empty,
                          GError **error);

void fs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                struct fuse_file_info *fi);

/* -- write.c ----------------------------------------------------------------------------------- */

void fs_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
                 struct fuse_file_info *fi);
void fs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                   struct fuse_file_info *fi);
void fs_op_copy_file_range(fuse_req_t req, fuse_ino_t source, off_t source_offset,
                           struct fuse_file_info *source_fi, fuse_ino_t ino, off_t offset,
                           struct fuse_file_info *fi, size_t size, int flags);

/* -- commit.c ---------------------------------------------------------------------------------- */

void fs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void fs_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void fs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* -- names.c, rename.c ------------------------------------------------------------------------- */

/* What a name is good for in a mailbox. */
typedef enum { NAME_MESSAGE, NAME_SCRATCH, NAME_REFUSED } FsNameKind;
FsNameKind fs_name_kind(const char *name);

/* Answers CREATE with @local, whose reference it takes. */
void fs_create_reply(FsTask *task, LocalFile *local);

void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *fi);
void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev);
void fs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void fs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                  const char *new_name, unsigned int flags);

/* -- view.c, view-change.c --------------------------------------------------------------------- */

enum {
    VIEW_MAILDIR = 1, /* what holds cur, new and tmp, and the mailboxes below */
    VIEW_CUR,
    VIEW_NEW,
    VIEW_TMP,
    VIEW_ACCOUNTS, /* above the accounts, where all are mounted */
};

FsViews *fs_views_new(void);
void fs_views_free(FsViews *views);

FsNode fs_node_view(Store *store, Mailbox *mailbox, guint item);
fuse_ino_t fs_ino_view(const Fs *fs, const FsNode *node);
gboolean fs_is_view(const Fs *fs, fuse_ino_t ino);
/* What VIEW_NAME in .mailfs is; FALSE where the mount itself is a view. */
gboolean fs_view_top(const Fs *fs, FsNode *ret_node);
void fs_view_stat(const Fs *fs, const FsNode *node, struct stat *ret_stat);
gboolean fs_view_find(const Fs *fs, const FsNode *view, const char *name, FsNode *ret_node);
/* By the name that a message (or a local file) has as an .eml file, whatever its flags. */
gboolean fs_view_find_base(const FsNode *view, const char *name, FsNode *ret_node);
guint16 fs_view_flags(const FsNode *node, const char **ret_keywords);

typedef struct {
    off_t offset;
    FsNode node;
    char *name; /* owned by who began; NULL at the end */
} FsViewEntry;

/* The entry after the one with entry->offset, which takes its place. */
gboolean fs_view_next(const Fs *fs, const FsNode *view, FsViewEntry *entry);

/* The observer's: something changed that a name or a directory shows. */
void fs_view_touch(Fs *fs, const Store *store, const Mailbox *mailbox);
void fs_view_arrived(Fs *fs, Store *store, Mailbox *mailbox, Message *message);
void fs_view_left(Fs *fs, const Store *store, const Mailbox *mailbox, guint64 item);
/* A tool put it into new/, or into cur/. */
void fs_view_place(Fs *fs, const FsNode *node, gboolean is_new);

/* The message is called @name (with LOCAL_VIEWED) in tmp/ as well, until that is unlinked. */
gboolean fs_view_link(Fs *fs, const FsNode *node, const char *name);
void fs_view_unlink(Fs *fs, const FsNode *tmp, const char *name);

/* cur, new or tmp (or all of a new Maildir) are not seen for a while; until they are made.  FALSE
 * where @name is not hidden. */
void fs_view_hide(Fs *fs, const FsNode *node);
gboolean fs_view_unhide(Fs *fs, const FsNode *maildir, const char *name);

void fs_view_create(FsTask *task, const FsNode *parent);
void fs_view_rename(FsTask *task);

/* -- xattr.c ----------------------------------------------------------------------------------- */

void fs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void fs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void fs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                    size_t size, int flags);
void fs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* -- virtual.c --------------------------------------------------------------------------------- */

enum {
    VIRTUAL_DIRECTORY = 1, /* .mailfs itself */
    VIRTUAL_STATUS,
    VIRTUAL_STATUS_JSON,
    VIRTUAL_EVENTS,
    VIRTUAL_CONTROL,
    VIRTUAL_PENDING, /* directories: virtual-dir.c */
    VIRTUAL_LOST,
    VIRTUAL_END /* from here on numbers are given out for the run */
};

#define VIRTUAL_NAME ".mailfs"
#define VIEW_NAME "maildir"

const char *virtual_name(const Fs *fs, guint item); /* of an item that was listed */
guint virtual_find(const Fs *fs, guint directory, const char *name); /* 0: there is none */
GArray *virtual_list(const Fs *fs, guint directory); /* items (guint), ascending */
gboolean virtual_is_directory(const Fs *fs, guint item);
/* FALSE when it is gone. */
gboolean virtual_stat(const Fs *fs, guint item, struct stat *ret_stat);
void virtual_open(fuse_req_t req, guint item, struct fuse_file_info *fi);
void virtual_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi);
void virtual_write(fuse_req_t req, const char *data, size_t size, struct fuse_file_info *fi);

/* For parents below .mailfs: EPERM but for what lies in lost+found. */
void virtual_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void virtual_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);

/* virtual-dir.c, for virtual.c: the same for pending/, lost+found/ and what is in them. */
VirtualNodes *virtual_nodes_new(void);
void virtual_nodes_free(VirtualNodes *nodes);
const char *virtual_dir_name(const Fs *fs, guint item);
guint virtual_dir_find(const Fs *fs, guint directory, const char *name);
GArray *virtual_dir_list(const Fs *fs, guint directory);
gboolean virtual_dir_stat(const Fs *fs, guint item, struct stat *ret_stat);
int virtual_dir_open(const Fs *fs, guint item, GError **error); /* for reading; -1 on failure */

FsEvents *fs_events_new(void);
void fs_events_free(FsEvents *events);
/* One line for .mailfs/events: "TIME<tab>WHAT<tab>PATH". */
void fs_event(Fs *fs, const char *what, const Store *store, const Mailbox *mailbox,
              const char *name);
/* "TIME<tab>moved<tab>OLD PATH<tab>NEW PATH". */
void fs_event_moved(Fs *fs, const Store *store, const StoreMoved *moved);

/* -- status.c, control.c ----------------------------------------------------------------------- */

char *fs_status_text(const Fs *fs);
char *fs_status_json(const Fs *fs);
char *fs_status_line(const Fs *fs); /* for sd_notify */

/* Carries out one request; never blocks.  The caller owns the answer, which ends in a line
 * feed. */
char *fs_control(Fs *fs, const char *request, gsize length);
void fs_control_free_job(gpointer job);
