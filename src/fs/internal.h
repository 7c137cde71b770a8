/* Between the files of fs/:
 *
 *   serve.c     mounting, the main loop, the life of everything
 *   node.c      from inode numbers to what they name, and back; the observer
 *   directory.c lookup, getattr, readdir
 *   file.c      open, read, release of messages
 *   xattr.c     extended attributes
 *   wait.c      requests that cannot be answered yet: deadlines and interrupts
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
#include "store/store.h"
#include "tree/inode.h"

typedef struct Fs Fs;
typedef struct FsWait FsWait;
typedef struct FsEvents FsEvents;
typedef struct VirtualNodes VirtualNodes;

enum { FS_MAX_OPCODE = 64 };

/* A day: what changes is announced.  Names that do not exist are not cached at all, for kernels
 * from 6.19 on keep them in spite of an announcement. */
#define FS_TIMEOUT 86400.0

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

static inline void fs_handle_free(Fs *fs, gpointer handle)
{
    void (*free_handle)(gpointer) = g_hash_table_lookup(fs->handles, handle);

    g_hash_table_remove(fs->handles, handle);
    free_handle(handle);
}

/* -- node.c ------------------------------------------------------------------------------------ */

typedef struct {
    InodeKind kind;
    Store *store;     /* DIRECTORY, MESSAGE */
    Mailbox *mailbox; /* DIRECTORY, MESSAGE */
    Message *message; /* MESSAGE */
    guint item;       /* VIRTUAL */
} FsNode;

/* FALSE when what the number named is gone. */
gboolean fs_node(const Fs *fs, fuse_ino_t ino, FsNode *ret_node);

fuse_ino_t fs_ino_mailbox(const Fs *fs, const Store *store, const Mailbox *mailbox);
fuse_ino_t fs_ino_message(const Store *store, const Mailbox *mailbox, const Message *message);
fuse_ino_t fs_ino_virtual(guint item);

void fs_stat(const Fs *fs, const FsNode *node, struct stat *ret_stat);
void fs_entry(const Fs *fs, const FsNode *node, struct fuse_entry_param *ret_entry);
FsNode fs_node_mailbox(Store *store, Mailbox *mailbox);
FsNode fs_node_message(Store *store, Mailbox *mailbox, Message *message);

extern const StoreObserver fs_observer; /* its user data is the Fs */

/* -- wait.c ------------------------------------------------------------------------------------ */

/* What a waiting request is about; each takes the data given to fs_wait_new(). */
typedef struct {
    gint64 (*progress)(gpointer data); /* when something last moved; NULL: no deadline at all */
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

/* -- directory.c, file.c ----------------------------------------------------------------------- */

void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n_lookups);
void fs_op_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *forgets);
void fs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                   struct fuse_file_info *fi);
void fs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                   struct fuse_file_info *fi);
void fs_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi);
void fs_op_statfs(fuse_req_t req, fuse_ino_t ino);

void fs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                struct fuse_file_info *fi);
void fs_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
                 struct fuse_file_info *fi);
void fs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* -- xattr.c ----------------------------------------------------------------------------------- */

void fs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void fs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

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

/* -- status.c, control.c ----------------------------------------------------------------------- */

char *fs_status_text(const Fs *fs);
char *fs_status_json(const Fs *fs);
char *fs_status_line(const Fs *fs); /* for sd_notify */

/* Carries out one request; never blocks.  The caller owns the answer, which ends in a line
 * feed. */
char *fs_control(Fs *fs, const char *request, gsize length);
void fs_control_free_job(gpointer job);
