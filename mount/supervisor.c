/* One loop over signals, the worker's packets, password commands and tunnels.
 *
 * How it ends decides who cleans up:
 *
 * - The worker exits by itself (somebody unmounted), or because we were told to stop: what is
 *   left of the mount is taken away, and the directory is an empty directory again.
 * - The worker never became ready: the same, for nobody has seen files there yet.
 * - The worker crashes or is killed: the dead mount STAYS, and every access answers ENOTCONN
 *   until the next `mailfs mount` replaces it.  An unmount would turn a mailbox into an empty
 *   directory under the eyes of whatever reads it, and `rsync --delete` or a backup would carry
 *   that on as "all mail was deleted".  For the same reason nothing is mounted anew in place.
 *
 * A killed worker may leave a thread behind (fs/notifier.h): one that announces something waits in
 * the kernel for a request which nobody will answer now, and /dev/fuse stays open with it, so that
 * everybody else waits, too.  That thread holds no end of our channel: when the channel is
 * closed and the worker not gone, the requests are ended for it.
 *
 * States come as lines "ACCOUNT WORD ..., ACCOUNT WORD ...": WORD is "connecting" while the first
 * login is under way, "online" when it succeeded, anything else is told to the person who waits.
 */
#include "mount/supervisor.h"
#include "mount/channel.h"
#include "mount/credentials.h"
#include "mount/detach.h"
#include "mount/log.h"
#include "mount/program.h"
#include "mount/unmount.h"

#include "base/error.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    TUNNELS_PER_ACCOUNT = 16, /* the most connections that an account may have */
    MAX_STATE = 400,          /* bytes of a state line that are shown */
    ABORT_AFTER_SECONDS = 1, /* between the channel's end and the worker's */
    KILL_AFTER_SECONDS = LIMIT_DRAIN_SECONDS + 15, /* below systemd's TimeoutStopSec=90 */
};

typedef enum {
    STARTING, /* no answer to any file request yet */
    SETTLING, /* serving; the first logins are awaited */
    RUNNING,  /* and in the background, where that was asked for */
} Phase;

typedef struct {
    const SupervisorParams *params;
    Phase phase;
    Deadline phase_deadline; /* of STARTING and SETTLING */
    int report;

    Credentials *credentials;
    GPtrArray *tunnels;  /* of Program */
    GHashTable *settled; /* ids of accounts whose first login is decided */

    gboolean was_ready;
    gboolean is_ending;      /* we asked the worker to end */
    Deadline kill_deadline;  /* then; DEADLINE_NEVER before */
    gboolean is_silent;      /* the worker has closed the channel */
    Deadline abort_deadline; /* then; DEADLINE_NEVER before */
    gboolean has_told;       /* the worker said why it could not begin */
} Supervisor;

int supervisor_open_signals(GError **error)
{
    sigset_t ours;
    int fd;

    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGHUP);
    sigaddset(&ours, SIGUSR1);
    (void)sigprocmask(SIG_BLOCK, &ours, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        mail_fail_errno(error, errno, "cannot listen for signals");
    return fd;
}

/* To the person who waits, or to the log when nobody does. */
static void tell(const Supervisor *s, const char *sentence)
{
    if (s->phase == RUNNING)
        g_warning("%s", sentence);
    else
        fprintf(stderr, "mailfs: %s\n", sentence);
}

static void end_worker(Supervisor *s, int signal_number)
{
    if (!s->is_ending)
        notify_send(s->params->notify, "STOPPING=1");
    s->is_ending = TRUE;
    if (s->kill_deadline == DEADLINE_NEVER)
        s->kill_deadline = deadline_in(KILL_AFTER_SECONDS);
    credentials_stop(s->credentials); /* a connection that waits for one could not end */
    (void)kill(s->params->worker, signal_number);
}

/* -- Answers to the worker ------------------------------------------------------------------- */

static void send_answer(const Supervisor *s, ChannelHead head, const char *text, gsize length,
                        int fd)
{
    g_autoptr(GError) error = NULL;

    /* A worker that does not read its answers has asked for more than it waits for. */
    if (!channel_send(s->params->channel, head, text, length, fd, &error))
        g_warning("%s", error->message);
}

static void send_error(const Supervisor *s, guint32 id, const GError *error)
{
    send_answer(s, (ChannelHead){CHANNEL_ERROR, id, (guint32)error->code}, error->message,
                MIN(strlen(error->message), CHANNEL_MAX_TEXT), -1);
}

static void answer_secret(guint32 id, Secret *secret, const GError *error, gpointer user)
{
    const Supervisor *s = user;

    if (secret)
        send_answer(s, (ChannelHead){CHANNEL_SECRET, id, 0}, secret_text(secret),
                    secret_length(secret), -1);
    else
        send_error(s, id, error);
}

static const ConfigAccount *find_account(const Supervisor *s, const char *id)
{
    for (guint i = 0; i < s->params->accounts->len; i++) {
        const ConfigAccount *account = g_ptr_array_index(s->params->accounts, i);

        if (strcmp(account->id, id) == 0)
            return account;
    }
    return NULL;
}

static int start_tunnel(Supervisor *s, const char *id, GError **error)
{
    const ConfigAccount *account = find_account(s, id);
    g_autofree char *what = NULL;
    Program *tunnel;
    int fd;

    if (!account || !account->tunnel) {
        mail_fail(error, MAIL_ERROR_INVALID, "this mount has no account with such a tunnel");
        return -1;
    }
    if (s->tunnels->len >= TUNNELS_PER_ACCOUNT * s->params->accounts->len) {
        mail_fail(error, MAIL_ERROR_BUSY, "too many tunnels of account %s are open", id);
        return -1;
    }
    what = g_strdup_printf("the tunnel of account %s", id);
    tunnel = program_start_tunnel(what, (const char *const *)account->tunnel, &fd, error);
    if (!tunnel)
        return -1;
    g_ptr_array_add(s->tunnels, tunnel);
    return fd;
}

static void open_tunnel(Supervisor *s, const ChannelMessage *message)
{
    g_autoptr(GError) error = NULL;
    autofd int fd = start_tunnel(s, message->text, &error);

    if (fd < 0)
        send_error(s, message->head.id, error);
    else
        send_answer(s, (ChannelHead){CHANNEL_TUNNEL, message->head.id, 0}, NULL, 0, fd);
}

/* -- What the worker tells -------------------------------------------------------------------- */

static void set_phase(Supervisor *s, Phase phase, Deadline deadline)
{
    s->phase = phase;
    s->phase_deadline = deadline;
}

/* @part begins a state line or follows a comma in it: one account's state, or something else. */
static void take_account_state(Supervisor *s, const char *part)
{
    g_auto(GStrv) words = g_strsplit_set(part, " ,:", 3);
    const ConfigAccount *account = words[0] ? find_account(s, words[0]) : NULL;

    if (!account || !words[1] || g_hash_table_contains(s->settled, account->id) ||
        strcmp(words[1], "connecting") == 0)
        return;
    g_hash_table_add(s->settled, account->id);
    if (s->phase != RUNNING && strcmp(words[1], "online") != 0)
        tell(s, part);
}

static void take_state(Supervisor *s, const char *text, gsize length)
{
    g_autofree char *line = text_printable(text, length, MAX_STATE);

    notify_send(s->params->notify, "STATUS=%s", line);
    for (const char *part = line; part; part = strstr(part, ", ")) {
        part += part == line ? 0 : strlen(", ");
        take_account_state(s, part);
    }
}

static void take_ready(Supervisor *s)
{
    if (s->was_ready)
        return;
    s->was_ready = TRUE;
    notify_send(s->params->notify, "READY=1\nMAINPID=%d", (int)getpid());
    g_info("mounted on %s", s->params->mountpoint);
    if (s->report >= 0)
        set_phase(s, SETTLING, deadline_in(SUPERVISOR_LOGIN_SECONDS));
    else
        set_phase(s, RUNNING, DEADLINE_NEVER);
}

static void take_failure(Supervisor *s, const ChannelMessage *message)
{
    g_auto(GStrv) lines = g_strsplit(message->text, "\n", -1);

    s->has_told = TRUE;
    for (guint i = 0; lines[i]; i++) {
        g_autofree char *line = text_printable(lines[i], strlen(lines[i]), CHANNEL_MAX_TEXT);

        tell(s, line);
    }
}

static void take_messages(Supervisor *s)
{
    ChannelMessage message;
    ChannelResult result;

    while ((result = channel_receive(s->params->channel, &message)) == CHANNEL_MESSAGE) {
        switch (message.head.type) {
        case CHANNEL_GET_SECRET:
            credentials_get(s->credentials, message.text, message.head.code != 0, message.head.id);
            break;
        case CHANNEL_OPEN_TUNNEL:
            open_tunnel(s, &message);
            break;
        case CHANNEL_STATE:
            take_state(s, message.text, message.length);
            break;
        case CHANNEL_READY:
            take_ready(s);
            break;
        case CHANNEL_FAILED:
            take_failure(s, &message);
            break;
        default:
            g_warning("the worker sent a packet of type %u", message.head.type);
        }
        channel_message_clear(&message);
    }
    if (result == CHANNEL_CLOSED && !s->is_silent) {
        s->is_silent = TRUE;
        s->abort_deadline = deadline_in(ABORT_AFTER_SECONDS);
    }
}

/* -- Time and signals ------------------------------------------------------------------------- */

static void take_signals(Supervisor *s)
{
    struct signalfd_siginfo info;

    while (read(s->params->signals, &info, sizeof info) == sizeof info) {
        int number = (int)info.ssi_signo;
        gboolean has_hung_up =
            number == SIGHUP && s->params->report < 0 && isatty(STDIN_FILENO);

        /* In the foreground of a terminal, SIGHUP says that the terminal has been closed;
         * elsewhere it asks for new connections. */
        if (number == SIGTERM || number == SIGINT || has_hung_up)
            end_worker(s, has_hung_up ? SIGTERM : number);
        else
            (void)kill(s->params->worker, number);
    }
}

/* Lets the waiting command go. */
static void go_to_background(Supervisor *s)
{
    credentials_set_prompting(s->credentials, FALSE);
    if (log_fd() < 0)
        log_to_syslog();
    detach_finish(steal_fd(&s->report), log_fd());
    set_phase(s, RUNNING, DEADLINE_NEVER);
}

static void look_at_phase(Supervisor *s)
{
    gboolean is_late = deadline_passed(s->phase_deadline);

    if (s->report >= 0 && detach_is_orphaned(s->report)) {
        (void)close(steal_fd(&s->report));
        if (!s->is_ending) /* Ctrl-C ends the parent and reaches us too: once is enough */
            end_worker(s, SIGTERM);
    }
    if (s->is_ending || s->phase == RUNNING)
        return;
    if (credentials_is_prompting(s->credentials)) {
        /* A person's time does not count; the question has its own limit. */
        s->phase_deadline = deadline_in(SUPERVISOR_LOGIN_SECONDS);
        return;
    }
    if (s->phase == STARTING && is_late) {
        tell(s, "the file system did not start in time; see the log");
        end_worker(s, SIGKILL);
    } else if (s->phase == SETTLING) {
        if (g_hash_table_size(s->settled) >= s->params->accounts->len) {
            go_to_background(s);
        } else if (is_late) {
            tell(s, "mounted; the login is not through yet and goes on in the background");
            go_to_background(s);
        }
    }
}

static void look_at_kill(Supervisor *s)
{
    if (!deadline_passed(s->kill_deadline))
        return;
    g_warning("the worker did not end in %d s and is killed", KILL_AFTER_SECONDS);
    s->kill_deadline = DEADLINE_NEVER;
    (void)kill(s->params->worker, SIGKILL);
}

/* "7 (mailfs) Z 1 ...": all that is left of the process are other threads. */
static gboolean is_zombie(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid);
    g_autofree char *text = NULL;
    const char *end;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return FALSE;
    end = strrchr(text, ')');
    return end && g_str_has_prefix(end, ") Z");
}

static void look_at_silence(Supervisor *s)
{
    g_autoptr(MountinfoEntry) entry = NULL;
    g_autoptr(GError) error = NULL;

    if (!deadline_passed(s->abort_deadline))
        return;
    s->abort_deadline = deadline_in(ABORT_AFTER_SECONDS);
    if (!is_zombie(s->params->worker))
        return;
    entry = mount_entry_find(s->params->mountpoint);
    if (entry && entry->id == s->params->mount_id && !mount_abort(entry, &error)) {
        s->abort_deadline = DEADLINE_NEVER;
        tell(s, error->message);
    }
}

static void handle_tunnels(Supervisor *s)
{
    for (guint i = s->tunnels->len; i-- > 0;) {
        Program *tunnel = g_ptr_array_index(s->tunnels, i);

        program_handle(tunnel);
        if (program_has_ended(tunnel))
            g_ptr_array_remove_index_fast(s->tunnels, i);
    }
}

/* -- The loop and its end ---------------------------------------------------------------------- */

static void wait_for_something(const Supervisor *s, int worker_pidfd, GArray *fds)
{
    struct pollfd own[] = {{.fd = s->params->signals, .events = POLLIN},
                           {.fd = s->is_silent ? -1 : s->params->channel, .events = POLLIN},
                           {.fd = worker_pidfd, .events = POLLIN},
                           {.fd = s->report}};
    Deadline first = s->is_ending ? s->kill_deadline : s->phase_deadline;

    g_array_set_size(fds, 0);
    g_array_append_vals(fds, own, G_N_ELEMENTS(own));
    credentials_poll(s->credentials, fds);
    for (guint i = 0; i < s->tunnels->len; i++)
        program_poll(g_ptr_array_index(s->tunnels, i), fds);
    first = deadline_earlier(first, s->abort_deadline);
    first = deadline_earlier(first, credentials_deadline(s->credentials));
    (void)poll((struct pollfd *)(void *)fds->data, fds->len, deadline_poll_ms(first));
}

/* waitpid()'s status of the worker. */
static int run_until_worker_ends(Supervisor *s)
{
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    autofd int pidfd = pidfd_open(s->params->worker, 0);
    int status = 0;
    pid_t pid = 0;

    while (pid == 0) {
        wait_for_something(s, pidfd, fds);
        /* First the end, then what was said before it. */
        pid = waitpid(s->params->worker, &status, WNOHANG);
        take_signals(s);
        if (!s->is_silent)
            take_messages(s);
        credentials_handle(s->credentials);
        handle_tunnels(s);
        look_at_phase(s);
        look_at_kill(s);
        look_at_silence(s);
    }
    return status;
}

/* FALSE when it was unmounted already, or what is there is somebody else's by now. */
static gboolean is_mounted(const Supervisor *s)
{
    g_autoptr(MountinfoEntry) entry = mount_entry_find(s->params->mountpoint);

    return entry && entry->id == s->params->mount_id;
}

static void clean_up_mount(const Supervisor *s)
{
    g_autoptr(GError) error = NULL;

    if (!is_mounted(s))
        return;
    /* Nobody answers there any more, so what still has a file open loses nothing by "lazily". */
    if (!unmount_lazily(s->params->mountpoint, &error))
        tell(s, error->message);
}

static int conclude(const Supervisor *s, int status)
{
    gboolean is_clean = WIFEXITED(status) && WEXITSTATUS(status) == EX_OK;
    g_autofree char *how = WIFSIGNALED(status)
                               ? g_strdup_printf("ended by signal %d", WTERMSIG(status))
                               : g_strdup_printf("ended with exit code %d", WEXITSTATUS(status));
    g_autofree char *sentence = NULL;

    if (is_clean || s->is_ending || !s->was_ready)
        clean_up_mount(s);
    if (is_clean || (s->is_ending && s->was_ready))
        return EX_OK;
    if (s->was_ready && is_mounted(s))
        sentence = g_strdup_printf("the worker %s; %s stays unreadable until: mailfs mount", how,
                                   s->params->mountpoint);
    else if (s->was_ready)
        sentence = g_strdup_printf("the worker %s", how);
    else if (!s->has_told)
        sentence = g_strdup_printf("the worker %s before it was ready", how);
    if (sentence) {
        notify_send(s->params->notify, "STATUS=%s", sentence);
        tell(s, sentence);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) != EX_OK ? WEXITSTATUS(status) : EX_SOFTWARE;
}

int supervisor_run(const SupervisorParams *params)
{
    Supervisor s = {.params = params,
                    .phase = STARTING,
                    .phase_deadline = deadline_in(SUPERVISOR_START_SECONDS),
                    .report = params->report,
                    .kill_deadline = DEADLINE_NEVER,
                    .abort_deadline = DEADLINE_NEVER};
    int status, code;

    s.credentials = credentials_new(params->accounts, params->config_path, answer_secret, &s);
    credentials_set_prompting(s.credentials, TRUE);
    s.tunnels = g_ptr_array_new_with_free_func((GDestroyNotify)program_free);
    s.settled = g_hash_table_new(g_str_hash, g_str_equal);

    status = run_until_worker_ends(&s);

    credentials_free(s.credentials);
    g_ptr_array_unref(s.tunnels);
    g_hash_table_unref(s.settled);
    code = conclude(&s, status);
    if (s.report >= 0)
        (void)close(s.report); /* the waiting command takes over our exit code */
    return code;
}
