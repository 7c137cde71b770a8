/* Mounting and serving: the main loop that everything else hangs on.
 *
 * One GMainLoop owns /dev/fuse, the model, timers, signals and all replies (measured against
 * libfuse's own loops: 82-126 thousand requests a second, and no fast request ever behind a
 * slow one).  Up to 32 requests are taken a dispatch, so that events and requests share it
 * fairly.
 */
#include "fs/internal.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/limits.h"
#include "tree/mailbox-name.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    REQUESTS_A_DISPATCH = 32,
    MAX_BACKGROUND = 64, /* read-ahead requests that the kernel may have outstanding */
    NOTIFIER_END_SECONDS = 2,
};

/* libfuse's session is never destroyed: without fuse_session_unmount(), which would take the
 * mount away, fuse_session_destroy() loses memory.  It is kept here to its process's end. */
static struct fuse_session *volatile kept_session;

static void let_go(struct fuse_session *session)
{
    kept_session = session;
    (void)close(fuse_session_fd(session));
}

/* -- Operations -------------------------------------------------------------------------------- */

static void on_init(void *user, struct fuse_conn_info *conn)
{
    FsMount *mount = user;

    /* One thread reads the device: splicing costs more than it saves below 128 KiB. */
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                              FUSE_CAP_SPLICE_MOVE);
    conn->want |= conn->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
                                   FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ |
                                   FUSE_CAP_ATOMIC_O_TRUNC);
    /* Octets are here before write(2) returns: what close(2) sends is what was written. */
    conn->want &= ~(unsigned)FUSE_CAP_WRITEBACK_CACHE;
    conn->max_background = MAX_BACKGROUND;
    if (mount->fs->params.ready)
        mount->fs->params.ready(mount->fs->params.user);
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = fs_op_lookup,
    .forget = fs_op_forget,
    .forget_multi = fs_op_forget_multi,
    .getattr = fs_op_getattr,
    .setattr = fs_op_setattr,
    .opendir = fs_op_opendir,
    .readdir = fs_op_readdir,
    .readdirplus = fs_op_readdirplus,
    .statfs = fs_op_statfs,
    .open = fs_op_open,
    .read = fs_op_read,
    .write = fs_op_write,
    .flush = fs_op_flush,
    .fsync = fs_op_fsync,
    .fsyncdir = fs_op_fsyncdir,
    .release = fs_op_release,
    .copy_file_range = fs_op_copy_file_range,
    .getxattr = fs_op_getxattr,
    .listxattr = fs_op_listxattr,
    .setxattr = fs_op_setxattr,
    .removexattr = fs_op_removexattr,
    .create = fs_op_create,
    .mknod = fs_op_mknod,
    .symlink = fs_op_symlink,
    .link = fs_op_link,
    .unlink = fs_op_unlink,
    .mkdir = fs_op_mkdir,
    .rmdir = fs_op_rmdir,
    .rename = fs_op_rename,
};

/* -- Mounting ---------------------------------------------------------------------------------- */

FsMount *fs_mount(const char *dir, const FsMountOptions *options, GError **error)
{
    FsMount *mount = g_new0(FsMount, 1);
    g_autofree char *text =
        g_strdup_printf("fsname=%s,subtype=mailfs,nosuid,nodev,noexec,default_permissions%s",
                        options->fsname, options->allow_other ? ",allow_other" : "");
    char name[] = "mailfs", o[] = "-o", d[] = "-d";
    char *argv[] = {name, o, text, options->debug_fuse ? d : NULL, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(options->debug_fuse ? 4 : 3, argv);

    mount->session = fuse_session_new(&args, &operations, sizeof operations, mount);
    fuse_opt_free_args(&args);
    if (mount->session && fuse_session_mount(mount->session, dir) == 0)
        return mount;
    if (mount->session)
        fuse_session_destroy(mount->session);
    g_free(mount);
    mail_fail(error, MAIL_ERROR_DENIED,
              "cannot mount on %s: see the line above; /dev/fuse must be accessible and "
              "fusermount3 installed (package fuse3)",
              dir);
    return NULL;
}

void fs_mount_release(FsMount *mount)
{
    let_go(mount->session);
    g_free(mount);
}

/* -- The end ----------------------------------------------------------------------------------- */

static void on_drained(const GError *error, gpointer user)
{
    Fs *fs = user;

    if (error)
        g_message("%s", error->message);
    if (--fs->n_draining == 0)
        g_main_loop_quit(fs->loop);
}

static gboolean on_drain_overdue(gpointer user)
{
    Fs *fs = user;

    fs->drain_timer = 0;
    g_message("not everything could be sent within %d seconds; it is kept for the next mount",
              LIMIT_DRAIN_SECONDS);
    g_main_loop_quit(fs->loop);
    return G_SOURCE_REMOVE;
}

/* What is pending may still go out; what cannot (there is no connection) or does not stays in the
 * journal. */
static void begin_end(Fs *fs)
{
    if (fs->is_ending)
        return;
    fs->is_ending = TRUE;
    for (guint i = 0; i < fs->stores->len; i++) {
        Store *store = g_ptr_array_index(fs->stores, i);
        StoreFacts facts;

        store_facts(store, &facts);
        if (facts.link > LINK_ONLINE)
            continue;
        fs->n_draining++;
        (void)store_drain(store, on_drained, fs);
    }
    if (fs->n_draining > 0)
        fs->drain_timer = g_timeout_add_seconds(LIMIT_DRAIN_SECONDS, on_drain_overdue, fs);
    else
        g_main_loop_quit(fs->loop);
}

/* -- The loop ---------------------------------------------------------------------------------- */

static void count_request(Fs *fs)
{
    const struct fuse_in_header *header = fs->buffer.mem;

    if (header->opcode < FS_MAX_OPCODE)
        fs->counts[header->opcode]++;
}

static gboolean on_requests(gint fd, GIOCondition condition, gpointer user)
{
    Fs *fs = user;

    for (guint i = 0; i < REQUESTS_A_DISPATCH; i++) {
        int n = fuse_session_receive_buf(fs->session, &fs->buffer);

        if (n == -EAGAIN || n == -EINTR)
            return G_SOURCE_CONTINUE;
        if (n <= 0 || fuse_session_exited(fs->session)) {
            begin_end(fs); /* unmounted */
            return G_SOURCE_REMOVE;
        }
        count_request(fs);
        fuse_session_process_buf(fs->session, &fs->buffer);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean on_terminate(gpointer user)
{
    Fs *fs = user;

    if (fs->n_signals++ > 0)
        _exit(EXIT_FAILURE); /* asked twice */
    begin_end(fs);
    return G_SOURCE_CONTINUE;
}

static gboolean on_dump(gpointer user)
{
    g_autofree char *text = fs_status_text(user);
    g_autofree char *json = fs_status_json(user);

    g_message("status on request:\n%s%s", text, json);
    return G_SOURCE_CONTINUE;
}

static gboolean on_hangup(gpointer user)
{
    Fs *fs = user;

    for (guint i = 0; i < fs->stores->len; i++)
        store_reconnect(g_ptr_array_index(fs->stores, i));
    return G_SOURCE_CONTINUE;
}

/* -- Life -------------------------------------------------------------------------------------- */

static gboolean open_stores(Fs *fs, GError **error)
{
    g_autofree char *cache = config_cache_dir();
    g_autofree char *state = config_state_dir();

    for (guint i = 0; i < fs->params.accounts->len; i++) {
        const ConfigAccount *config = g_ptr_array_index(fs->params.accounts, i);
        g_autofree char *cache_dir = g_build_filename(cache, config->id, NULL);
        g_autofree char *state_dir = g_build_filename(state, config->id, NULL);
        StoreParams params = {
            .config = config,
            .number = (guint8)i,
            .broker = fs->params.broker,
            .show = mailbox_name_show,
            .cache_dir = cache_dir,
            .state_dir = state_dir,
            .wirelog_dir = fs->params.wirelog_dir,
            .observer = &fs_observer,
            .user = fs,
        };
        Store *store = store_open(&params, error);

        if (!store)
            return FALSE;
        g_ptr_array_add(fs->stores, store);
    }
    return TRUE;
}

/* Read-ahead holds a descriptor a body; the soft limit is often 1024. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static Fs *fs_new(FsMount *mount, const FsServeParams *params)
{
    Fs *fs = g_new0(Fs, 1);

    fs->mount = mount;
    fs->session = mount->session;
    fs->params = *params;
    fs->stores = g_ptr_array_new_with_free_func((GDestroyNotify)store_close);
    fs->events = fs_events_new();
    fs->virtuals = virtual_nodes_new();
    fs->views = fs_views_new();
    fs->handles = g_hash_table_new(g_direct_hash, g_direct_equal);
    fs->yielded = g_hash_table_new(g_direct_hash, g_direct_equal);
    fs->forwards = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    fs->news = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    fs->jobs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, fs_control_free_job);
    g_queue_init(&fs->waits);
    fs->uid = geteuid();
    fs->gid = getegid();
    fs->started = g_get_real_time() / G_USEC_PER_SEC;
    mount->fs = fs;
    return fs;
}

static void fs_free(Fs *fs)
{
    FsMount *mount = fs->mount;
    g_autoptr(GList) open_handles = g_hash_table_get_keys(fs->handles);

    for (GList *link = open_handles; link; link = link->next)
        fs_handle_end(fs, link->data);
    g_hash_table_unref(fs->handles);
    g_hash_table_unref(fs->jobs);
    g_ptr_array_unref(fs->stores);
    g_hash_table_unref(fs->forwards);
    g_hash_table_unref(fs->news);
    g_hash_table_unref(fs->yielded);
    fs_events_free(fs->events);
    virtual_nodes_free(fs->virtuals);
    fs_views_free(fs->views);
    notifier_free(fs->notifier);
    if (fs->loop)
        g_main_loop_unref(fs->loop);
    free(fs->buffer.mem); /* libfuse's, by malloc() */
    g_free(fs->sandbox);
    g_free(fs);
    let_go(mount->session);
    g_free(mount);
}

/* The notifier first: it may be waiting for the answer to a request.  So they are answered until it
 * has ended, and none waits any more. */
static void end_notifier(Fs *fs)
{
    Deadline deadline = deadline_in(NOTIFIER_END_SECONDS);

    notifier_stop(fs->notifier);
    fs_wait_fail_all(fs, ENODEV);
    while (!notifier_is_ended(fs->notifier)) {
        (void)on_requests(fuse_session_fd(fs->session), G_IO_IN, fs);
        fs_wait_fail_all(fs, ENODEV);
        g_usleep(2000);
        if (deadline_passed(deadline))
            _exit(EXIT_FAILURE); /* the kernel takes the rest */
    }
}

static void serve(Fs *fs)
{
    int fd = fuse_session_fd(fs->session);
    guint sources[] = {
        g_unix_fd_add(fd, G_IO_IN | G_IO_ERR | G_IO_HUP, on_requests, fs),
        g_unix_signal_add(SIGTERM, on_terminate, fs),
        g_unix_signal_add(SIGINT, on_terminate, fs),
        g_unix_signal_add(SIGUSR1, on_dump, fs),
        g_unix_signal_add(SIGHUP, on_hangup, fs),
    };

    fs->notifier = notifier_new(fs->session, fs->params.mountpoint);
    for (guint i = 0; i < fs->stores->len; i++)
        store_start(g_ptr_array_index(fs->stores, i));
    g_main_loop_run(fs->loop);
    if (fs->drain_timer)
        g_source_remove(fs->drain_timer);
    end_notifier(fs);
    /* One of them may have removed itself. */
    for (guint i = 0; i < G_N_ELEMENTS(sources); i++)
        if (g_main_context_find_source_by_id(NULL, sources[i]))
            g_source_remove(sources[i]);
}

gboolean fs_serve(FsMount *mount, const FsServeParams *params, GError **error)
{
    Fs *fs = fs_new(mount, params);
    int fd = fuse_session_fd(mount->session);

    raise_descriptor_limit();
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 || !open_stores(fs, error)) {
        fs_free(fs);
        return FALSE;
    }
    if (params->prepare)
        fs->sandbox = params->prepare(params->user);
    fs->loop = g_main_loop_new(NULL, FALSE);
    serve(fs);
    fs_free(fs);
    return TRUE;
}
