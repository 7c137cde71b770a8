/* From a command line to a running supervisor and worker.
 *
 * The order is the point of this file.  All that can be wrong with the request is looked at in
 * the foreground.  Then the process goes into the background (detach.h), mounts, forks the
 * worker and closes its own /dev/fuse: held by the supervisor it would make requests hang after
 * the worker's death.  With setuid= the mount comes first of all, while we are root.
 */
#include "mount/mount-command.h"
#include "mount/channel.h"
#include "mount/detach.h"
#include "mount/harden.h"
#include "mount/log.h"
#include "mount/mountpoint.h"
#include "mount/privileged.h"
#include "mount/supervisor.h"
#include "mount/unmount.h"
#include "mount/worker.h"

#include "base/error.h"
#include "base/io.h"
#include "base/mountinfo.h"
#include "cli/cli.h"
#include "config/config.h"
#include "fs/fs.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

/* What is known once the request has been looked at. */
typedef struct {
    const MountRequest *request;
    Config *config;
    GPtrArray *accounts; /* of const ConfigAccount */
    char *dir;           /* resolved */
    char *fsname;        /* see base/mountinfo.h */
    char *device;        /* what fs_mount() gets: @dir, or "/dev/fd/N" that is mounted already */
    int fuse_fd;         /* of a privileged mount; -1 */
} Plan;

static void plan_clear(Plan *plan)
{
    config_free(plan->config);
    g_clear_pointer(&plan->accounts, g_ptr_array_unref);
    g_free(plan->dir);
    g_free(plan->fsname);
    g_free(plan->device);
}

/* -- Looking at the request -------------------------------------------------------------------- */

static gboolean choose_accounts(Plan *plan, GError **error)
{
    const ConfigAccount *account;

    plan->accounts = g_ptr_array_new();
    if (!plan->request->is_all) {
        account = config_find(plan->config, plan->request->account, error);
        if (account)
            g_ptr_array_add(plan->accounts, (gpointer)account);
        return account != NULL;
    }
    for (guint i = 0; i < plan->config->accounts->len; i++)
        g_ptr_array_add(plan->accounts, g_ptr_array_index(plan->config->accounts, i));
    if (plan->accounts->len == 0)
        return mail_fail(error, MAIL_ERROR_INVALID, "%s names no account", plan->config->path);
    return TRUE;
}

static gboolean choose_dir(Plan *plan, GError **error)
{
    const MountRequest *request = plan->request;
    const ConfigAccount *account = g_ptr_array_index(plan->accounts, 0);
    const char *dir = request->dir;

    if (!dir && !request->is_all)
        dir = account->mountpoint;
    if (!dir && request->is_all)
        return mail_fail(error, MAIL_ERROR_INVALID, "--all needs a directory to mount on");
    if (!dir)
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "account %s has no mountpoint=; name a directory: mailfs mount %s DIR",
                         account->id, account->id);
    /* The account's own mount point may be missing, also with its parents. */
    if (!request->dir && !mountpoint_create(dir, error))
        return FALSE;
    plan->dir = mountpoint_resolve(dir, error);
    return plan->dir != NULL;
}

/* As root, before anything of the user's is read. */
static int mount_for_user(Plan *plan)
{
    const MountRequest *request = plan->request;
    g_autoptr(GError) error = NULL;

    if (!request->dir) {
        fprintf(stderr, "mailfs: setuid= needs a directory to mount on\n");
        return EX_USAGE;
    }
    plan->dir = mountpoint_resolve(request->dir, &error);
    if (plan->dir)
        plan->fuse_fd = privileged_mount(plan->dir, request->options.setuid, plan->fsname,
                                         request->options.allow_other, &error);
    if (plan->fuse_fd < 0)
        return cli_fail(error);
    plan->device = g_strdup_printf("/dev/fd/%d", plan->fuse_fd);
    return EX_OK;
}

/* Fills in @plan; EX_OK, or the exit code of a failure that has been told. */
static int look_at(Plan *plan)
{
    const MountRequest *request = plan->request;
    const char *config_path = request->options.config_path ? request->options.config_path
                                                            : request->config_path;
    g_autoptr(GError) error = NULL;

    plan->fsname = request->is_all ? g_strdup(MOUNTINFO_SOURCE)
                                   : g_strconcat(MOUNTINFO_SOURCE_OF, request->account, NULL);
    if (request->options.setuid) {
        int code = mount_for_user(plan);

        if (code != EX_OK)
            return code;
    }
    plan->config = config_load(config_path, &error);
    if (!plan->config || !choose_accounts(plan, &error))
        return cli_fail_config(error);
    if (request->options.setuid)
        return EX_OK; /* mounted already */
    if (!choose_dir(plan, &error) || !mountpoint_prepare(plan->dir, &error))
        return cli_fail(error);
    plan->device = g_strdup(plan->dir);
    return EX_OK;
}

/* -- Processes --------------------------------------------------------------------------------- */

typedef struct {
    FsMount *mount;
    int channel[2]; /* supervisor's, worker's */
    int signals;
    int report;
} Start;

/* In the worker's process. */
static G_GNUC_NORETURN void be_worker(const Plan *plan, const Start *start, pid_t supervisor)
{
    WorkerParams params = {.mount = start->mount,
                           .accounts = plan->accounts,
                           .is_all = plan->request->is_all,
                           .mountpoint = plan->dir,
                           .wirelog_dir = g_getenv("MAILFS_WIRELOG"),
                           .channel = start->channel[1],
                           .supervisor = supervisor};

    (void)close(start->channel[0]);
    (void)close(start->signals);
    if (start->report >= 0) {
        /* The terminal is not ours: the command that started us returns while we go on. */
        (void)close(start->report);
        if (log_fd() < 0)
            log_to_syslog();
        detach_streams(log_fd());
    }
    exit(worker_run(&params));
}

/* Mounts, forks the worker, supervises it. */
static int run_processes(const Plan *plan, Start *start, GError **error)
{
    const MountOptions *options = &plan->request->options;
    FsMountOptions fs_options = {.fsname = plan->fsname,
                                 .allow_other = options->allow_other,
                                 .debug_fuse = options->debug_fuse};
    g_autoptr(MountinfoEntry) entry = NULL;
    SupervisorParams params;
    pid_t supervisor = getpid(), worker;
    int code;

    start->signals = supervisor_open_signals(error);
    if (start->signals < 0 || !channel_open(start->channel, error))
        return EX_OSERR;
    start->mount = fs_mount(plan->device, &fs_options, error);
    if (!start->mount)
        return EX_UNAVAILABLE;
    entry = mount_entry_find(plan->dir);
    worker = fork();
    if (worker == 0)
        be_worker(plan, start, supervisor);
    fs_mount_release(start->mount);
    if (plan->fuse_fd >= 0)
        (void)close(plan->fuse_fd);
    (void)close(start->channel[1]);
    if (worker < 0) {
        mail_fail_errno(error, errno, "cannot start the worker");
        return EX_OSERR;
    }
    params = (SupervisorParams){.worker = worker,
                                .channel = start->channel[0],
                                .signals = start->signals,
                                .accounts = plan->accounts,
                                .config_path = plan->config->path,
                                .mountpoint = plan->dir,
                                .mount_id = entry ? entry->id : 0,
                                .report = start->report,
                                .notify = notify_new()};
    code = supervisor_run(&params);
    notify_free(params.notify);
    (void)close(start->channel[0]);
    (void)close(start->signals);
    return code;
}

static int run_plan(const Plan *plan)
{
    const MountRequest *request = plan->request;
    Start start = {.report = -1};
    g_autoptr(GError) error = NULL;
    int code;

    if (!request->in_foreground && !detach_begin(&start.report, &code))
        return code;
    if (request->options.log_path && !log_to_file(request->options.log_path, &error))
        return cli_fail(error);
    code = run_processes(plan, &start, &error);
    if (error)
        return cli_fail(error);
    return code;
}

/* What a privileged mount left when the rest did not come to pass. */
static void undo_mount(const Plan *plan)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(MountinfoEntry) entry = mount_entry_find(plan->dir);

    if (entry && mount_entry_is_ours(entry) && !unmount_lazily(plan->dir, &error))
        fprintf(stderr, "mailfs: %s\n", error->message);
}

int mount_request_run(const MountRequest *request)
{
    Plan plan = {.request = request, .fuse_fd = -1};
    int code;

    harden_process();
    code = look_at(&plan);
    if (code == EX_OK)
        code = run_plan(&plan);
    else if (plan.fuse_fd >= 0)
        undo_mount(&plan);
    plan_clear(&plan);
    return code;
}

/* -- The command line -------------------------------------------------------------------------- */

static int usage(void)
{
    fprintf(stderr, "usage: mailfs mount " MOUNT_COMMAND_ARGUMENTS "\n");
    return EX_USAGE;
}

int mount_command(int argc, char **argv, const char *config_path)
{
    static const struct option longs[] = {{"all", no_argument, NULL, 'a'},
                                          {"foreground", no_argument, NULL, 'f'},
                                          {"log", required_argument, NULL, 'l'},
                                          {NULL, 0, NULL, 0}};
    MountRequest request = {.config_path = config_path};
    g_autoptr(GError) error = NULL;
    int option, code;

    optind = 0; /* main() has used getopt as well */
    while ((option = getopt_long(argc, argv, "fo:", longs, NULL)) != -1) {
        if (option == 'a') {
            request.is_all = TRUE;
        } else if (option == 'f') {
            request.in_foreground = TRUE;
        } else if (option == 'l') {
            g_free(request.options.log_path);
            request.options.log_path = g_strdup(optarg);
        } else if (option != 'o') {
            return usage();
        } else if (!mount_options_parse(optarg, &request.options, &error)) {
            fprintf(stderr, "mailfs: %s\n", error->message);
            return EX_USAGE;
        }
    }
    if (!request.is_all && optind < argc)
        request.account = argv[optind++];
    if (optind < argc)
        request.dir = argv[optind++];
    if (optind < argc || (!request.account && !request.is_all))
        return usage();
    code = mount_request_run(&request);
    mount_options_clear(&request.options);
    return code;
}
