/* The worker's life: tie it to the supervisor, serve, lock it in as soon as its files are open.
 * See worker.h; the serving itself is fs_serve().
 */
#include "mount/worker.h"
#include "mount/channel.h"
#include "mount/harden.h"
#include "mount/remote-broker.h"
#include "mount/sandbox.h"

#include "base/error.h"
#include "base/io.h"
#include "cli/cli.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

typedef struct {
    const WorkerParams *params;
    FsServeParams serve;
    char *sandbox;
} Worker;

/* Dying with the supervisor: without it there is nobody to unmount, to fetch a password or to
 * forward a signal.  SIGTERM, so that what is pending is drained first. */
static gboolean tie_to_supervisor(pid_t supervisor)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    return getppid() == supervisor; /* FALSE: it died before we could ask for that */
}

/* The supervisor blocked what it reads from a signalfd; a fork inherits that. */
static void unblock_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* a closed connection is an errno */
    /* Until fs_serve() listens for them, these are no reason to die. */
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGUSR1, SIG_IGN);
}

static void allow_endpoint(SandboxRules *rules, const Endpoint *endpoint)
{
    if (!endpoint || endpoint->security == SECURITY_TUNNEL)
        return;
    sandbox_allow_port(rules, endpoint->port);
    sandbox_allow_read(rules, endpoint->tls_ca);
    sandbox_allow_read(rules, endpoint->tls_cert);
    sandbox_allow_read(rules, endpoint->tls_key);
}

/* The account's folder below @base (taken), which is made here: a rule needs something to stand
 * on. */
static void allow_folder(SandboxRules *rules, char *base, const char *id)
{
    g_autofree char *folder = g_build_filename(base, id, NULL);
    g_autoptr(GError) error = NULL;

    g_free(base);
    if (!io_make_dirs(folder, &error))
        g_warning("%s", error->message);
    sandbox_allow_write(rules, folder);
}

/* A sanitizer's report names functions by reading the program itself. */
static void allow_program(SandboxRules *rules)
{
    g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);

    sandbox_allow_read(rules, program);
}

static char *prepare(gpointer user)
{
    Worker *worker = user;
    const WorkerParams *params = worker->params;
    g_autoptr(SandboxRules) rules = sandbox_rules_new();
    g_autofree char *data = config_data_dir();

    sandbox_allow_system(rules);
    if (HARDEN_HAS_SANITIZER)
        allow_program(rules);
    for (guint i = 0; i < params->accounts->len; i++) {
        const ConfigAccount *account = g_ptr_array_index(params->accounts, i);

        allow_endpoint(rules, account->endpoint);
        sandbox_allow_write(rules, account->maildir);
        allow_endpoint(rules, account->smtp);
        allow_folder(rules, config_cache_dir(), account->id);
        allow_folder(rules, config_state_dir(), account->id);
        if (account->protocol == CONFIG_POP3)
            allow_folder(rules, config_data_dir(), account->id);
    }
    sandbox_allow_write(rules, data);
    sandbox_allow_write(rules, params->wirelog_dir);
    worker->sandbox = sandbox_apply(rules);
    g_info("sandbox: %s", worker->sandbox);
    return g_strdup(worker->sandbox);
}

static void ready(gpointer user)
{
    const Worker *worker = user;
    g_autoptr(GError) error = NULL;

    if (!channel_send_text(worker->params->channel, (ChannelHead){.type = CHANNEL_READY}, NULL,
                           &error))
        g_warning("%s", error->message);
}

static void state(const char *line, gpointer user)
{
    const Worker *worker = user;

    /* One that the supervisor has no room for is not missed: the next one says it better. */
    (void)channel_send_text(worker->params->channel, (ChannelHead){.type = CHANNEL_STATE}, line,
                            NULL);
}

int worker_run(const WorkerParams *params)
{
    Worker worker = {.params = params};
    g_autoptr(GError) error = NULL;
    Broker *broker;
    gboolean served;

    if (!tie_to_supervisor(params->supervisor))
        return EX_SOFTWARE;
    /* Ctrl-C is for the supervisor, which passes it on: twice would mean "at once". */
    (void)setsid();
    unblock_signals();
    broker = remote_broker_new(params->channel);
    worker.serve = (FsServeParams){.accounts = params->accounts,
                                   .is_all = params->is_all,
                                   .mountpoint = params->mountpoint,
                                   .wirelog_dir = params->wirelog_dir,
                                   .broker = broker,
                                   .prepare = prepare,
                                   .ready = ready,
                                   .state = state,
                                   .user = &worker};
    served = fs_serve(params->mount, &worker.serve, &error);
    remote_broker_free(broker);
    g_free(worker.sandbox);
    if (served)
        return EX_OK;
    (void)channel_send_text(params->channel,
                            (ChannelHead){.type = CHANNEL_FAILED, .code = (guint32)error->code},
                            error->message, NULL);
    return cli_exit_code(error);
}
