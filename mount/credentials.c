/* Where the secrets come from.  See credentials.h.
 *
 * Each account has at most one job at a time, a command or a question on the terminal; files are
 * read at once.  Questions are asked one after the other, for there is one terminal.
 */
#include "mount/credentials.h"
#include "mount/program.h"
#include "mount/terminal.h"

#include "base/error.h"
#include "base/io.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const ConfigAccount *account;
    Secret *secret;    /* the last one; or NULL */
    Program *command;  /* running; or NULL */
    GArray *waiting;   /* guint32 ids */
    gboolean wants_prompt; /* waits for its turn on the terminal */
} Keeper;

struct Credentials {
    GPtrArray *keepers;
    const char *config_path;
    CredentialsAnswer answer;
    gpointer user;

    gboolean may_prompt;
    gboolean is_stopped;
    Terminal *terminal; /* the open question; or NULL */
    Keeper *asked;      /* whose it is */
    Deadline prompt_deadline;
};

static void keeper_free(gpointer data)
{
    Keeper *keeper = data;

    secret_unref(keeper->secret);
    program_free(keeper->command);
    g_array_unref(keeper->waiting);
    g_free(keeper);
}

Credentials *credentials_new(GPtrArray *accounts, const char *config_path,
                             CredentialsAnswer answer, gpointer user)
{
    Credentials *credentials = g_new0(Credentials, 1);

    credentials->keepers = g_ptr_array_new_with_free_func(keeper_free);
    credentials->config_path = config_path;
    credentials->answer = answer;
    credentials->user = user;
    for (guint i = 0; i < accounts->len; i++) {
        Keeper *keeper = g_new0(Keeper, 1);

        keeper->account = g_ptr_array_index(accounts, i);
        keeper->waiting = g_array_new(FALSE, FALSE, sizeof(guint32));
        g_ptr_array_add(credentials->keepers, keeper);
    }
    return credentials;
}

void credentials_free(Credentials *credentials)
{
    if (!credentials)
        return;
    terminal_free(credentials->terminal);
    g_ptr_array_unref(credentials->keepers);
    g_free(credentials);
}

static Keeper *keeper_at(const Credentials *credentials, guint i)
{
    return g_ptr_array_index(credentials->keepers, i);
}

static Keeper *find_keeper(const Credentials *credentials, const char *account)
{
    for (guint i = 0; i < credentials->keepers->len; i++)
        if (strcmp(keeper_at(credentials, i)->account->id, account) == 0)
            return keeper_at(credentials, i);
    return NULL;
}

/* Tells all who wait; takes both, one of which is NULL. */
static void settle(Credentials *credentials, Keeper *keeper, Secret *secret, GError *error)
{
    g_autoptr(GArray) waiting = g_steal_pointer(&keeper->waiting);

    keeper->waiting = g_array_new(FALSE, FALSE, sizeof(guint32));
    secret_unref(keeper->secret);
    keeper->secret = secret;
    for (guint i = 0; i < waiting->len; i++)
        credentials->answer(g_array_index(waiting, guint32, i), secret, error, credentials->user);
    g_clear_error(&error);
}

/* The first line of @bytes without its end. */
static Secret *first_line(const char *bytes, gsize length, const char *what, GError **error)
{
    const char *end = length > 0 ? memchr(bytes, '\n', length) : NULL;
    gsize n = end ? (gsize)(end - bytes) : length;

    if (n > 0 && bytes[n - 1] == '\r')
        n--;
    if (n == 0) {
        mail_fail(error, MAIL_ERROR_LOCKED, "%s gave an empty first line", what);
        return NULL;
    }
    if (memchr(bytes, '\0', n)) {
        mail_fail(error, MAIL_ERROR_LOCKED, "%s gave a NUL byte", what);
        return NULL;
    }
    return secret_new(bytes, n);
}

/* Reads a whole small file into a secret, wiping what it was read into. */
static Secret *read_secret(int fd, const char *path, GError **error)
{
    g_autofree char *bytes = g_malloc(PROGRAM_MAX_OUTPUT);
    gssize n = io_pread_all(fd, bytes, PROGRAM_MAX_OUTPUT, 0, error);
    Secret *secret;

    if (n < 0)
        return NULL;
    secret = first_line(bytes, (gsize)n, path, error);
    secret_wipe(bytes, (gsize)n);
    return secret;
}

/* The file must be the user's own and closed to all others: a password that others may have
 * read or written is refused, as ssh refuses such keys. */
static Secret *secret_of_file(const char *path, GError **error)
{
    /* O_NONBLOCK: a FIFO in its place must not hang the supervisor. */
    autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    g_autoptr(GError) reason = NULL;

    if (fd < 0 && errno == ELOOP) {
        mail_fail(error, MAIL_ERROR_LOCKED,
                  "password-file %s is a symbolic link; name the file itself", path);
        return NULL;
    }
    if (fd < 0) {
        mail_fail(error, MAIL_ERROR_LOCKED, "cannot open password-file %s: %s", path,
                  g_strerror(errno));
        return NULL;
    }
    if (!config_check_password_file(fd, path, &reason)) {
        mail_fail(error, MAIL_ERROR_LOCKED, "%s", reason->message);
        return NULL;
    }
    return read_secret(fd, path, error);
}

/* systemd owns the directory and its files' modes, so they are not looked at here. */
static Secret *secret_of_credential(const char *name, GError **error)
{
    const char *directory = g_getenv("CREDENTIALS_DIRECTORY");
    g_autofree char *path = NULL;
    g_autoptr(GError) reason = NULL;
    g_autoptr(Secret) secret = NULL;
    autofd int fd = -1;

    if (!directory || !g_path_is_absolute(directory)) {
        mail_fail(error, MAIL_ERROR_LOCKED,
                  "credential=%s is for a systemd unit with LoadCredential=%s:FILE; "
                  "there is no $CREDENTIALS_DIRECTORY here", name, name);
        return NULL;
    }
    if (strchr(name, '/') || name[0] == '.') {
        mail_fail(error, MAIL_ERROR_LOCKED, "credential=%s is not the name of a credential", name);
        return NULL;
    }
    path = g_build_filename(directory, name, NULL);
    fd = io_open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0, &reason);
    if (fd >= 0)
        secret = read_secret(fd, path, &reason);
    if (!secret)
        mail_fail(error, MAIL_ERROR_LOCKED, "%s", reason->message);
    return g_steal_pointer(&secret);
}

static void start_command(Credentials *credentials, Keeper *keeper, char **argv, const char *kind)
{
    g_autofree char *what =
        g_strdup_printf("the %s of account %s", kind, keeper->account->id);
    g_autoptr(GError) error = NULL;

    keeper->command = program_start(what, (const char *const *)argv,
                                    deadline_in(LIMIT_SECRET_SECONDS), &error);
    if (!keeper->command)
        settle(credentials, keeper, NULL,
               g_error_new(MAIL_ERROR, MAIL_ERROR_LOCKED, "%s", error->message));
}

static void finish_command(Credentials *credentials, Keeper *keeper)
{
    g_autoptr(Program) command = g_steal_pointer(&keeper->command);
    g_autofree char *what =
        g_strdup_printf("the password command of account %s", keeper->account->id);
    GError *error = NULL;
    Secret *secret = NULL;
    const char *output;
    gsize length;

    output = program_output(command, &length);
    if (program_succeeded(command, MAIL_ERROR_LOCKED, &error))
        secret = first_line(output, length, what, &error);
    settle(credentials, keeper, secret, error);
}

/* Puts the next question, when one waits and none is open. */
static void ask_next(Credentials *credentials)
{
    for (guint i = 0; i < credentials->keepers->len && !credentials->terminal; i++) {
        Keeper *keeper = keeper_at(credentials, i);
        g_autofree char *question = NULL;

        if (!keeper->wants_prompt)
            continue;
        keeper->wants_prompt = FALSE;
        question = g_strdup_printf("Password of %s (%s): ", keeper->account->id,
                                   keeper->account->user ? keeper->account->user : "no user name");
        if (credentials->may_prompt)
            credentials->terminal = terminal_ask(question);
        if (credentials->terminal) {
            credentials->asked = keeper;
            credentials->prompt_deadline = deadline_in(CREDENTIALS_PROMPT_SECONDS);
        } else {
            settle(credentials, keeper, NULL,
                   g_error_new(MAIL_ERROR, MAIL_ERROR_AUTH,
                               "account %s has no password: add password-command=COMMAND or "
                               "password-file=FILE to its group in %s",
                               keeper->account->id, credentials->config_path));
        }
    }
}

static void finish_prompt(Credentials *credentials, Secret *secret, const char *failure)
{
    Keeper *keeper = g_steal_pointer(&credentials->asked);

    g_clear_pointer(&credentials->terminal, terminal_free);
    settle(credentials, keeper, secret,
           secret ? NULL
                  : g_error_new(MAIL_ERROR, MAIL_ERROR_LOCKED, "no password for account %s: %s",
                                keeper->account->id, failure));
    ask_next(credentials);
}

static void begin(Credentials *credentials, Keeper *keeper)
{
    const ConfigSecret *source = &keeper->account->secret;
    GError *error = NULL;
    Secret *secret;

    if (source->password_command) {
        start_command(credentials, keeper, source->password_command, "password-command");
    } else if (source->token_command) {
        start_command(credentials, keeper, source->token_command, "token-command");
    } else if (source->credential) {
        secret = secret_of_credential(source->credential, &error);
        settle(credentials, keeper, secret, error);
    } else if (source->password_file) {
        secret = secret_of_file(source->password_file, &error);
        settle(credentials, keeper, secret, error);
    } else {
        keeper->wants_prompt = TRUE;
        ask_next(credentials);
    }
}

void credentials_get(Credentials *credentials, const char *account, gboolean stale, guint32 id)
{
    Keeper *keeper = find_keeper(credentials, account);
    g_autoptr(GError) error = NULL;

    if (!keeper)
        mail_fail(&error, MAIL_ERROR_INVALID, "this mount has no account %s", account);
    else if (credentials->is_stopped)
        mail_fail(&error, MAIL_ERROR_CANCELLED, "mailfs is ending");
    else if (keeper->waiting->len >= CREDENTIALS_MAX_WAITING)
        mail_fail(&error, MAIL_ERROR_BUSY, "too many ask for the password of %s", account);
    if (error) {
        credentials->answer(id, NULL, error, credentials->user);
        return;
    }
    if (keeper->secret && !stale) {
        credentials->answer(id, keeper->secret, NULL, credentials->user);
        return;
    }
    g_array_append_val(keeper->waiting, id);
    if (!keeper->command && keeper != credentials->asked && !keeper->wants_prompt)
        begin(credentials, keeper);
}

void credentials_set_prompting(Credentials *credentials, gboolean may_prompt)
{
    credentials->may_prompt = may_prompt;
    if (!may_prompt && credentials->terminal)
        finish_prompt(credentials, NULL, "the terminal is no longer ours");
}

void credentials_stop(Credentials *credentials)
{
    credentials->is_stopped = TRUE;
    g_clear_pointer(&credentials->terminal, terminal_free);
    credentials->asked = NULL;
    for (guint i = 0; i < credentials->keepers->len; i++) {
        Keeper *keeper = keeper_at(credentials, i);

        g_clear_pointer(&keeper->command, program_free);
        keeper->wants_prompt = FALSE;
        settle(credentials, keeper, NULL,
               g_error_new(MAIL_ERROR, MAIL_ERROR_CANCELLED, "mailfs is ending"));
    }
}

gboolean credentials_is_prompting(const Credentials *credentials)
{
    return credentials->terminal != NULL;
}

void credentials_poll(const Credentials *credentials, GArray *fds)
{
    struct pollfd terminal = {.events = POLLIN};

    for (guint i = 0; i < credentials->keepers->len; i++)
        if (keeper_at(credentials, i)->command)
            program_poll(keeper_at(credentials, i)->command, fds);
    if (credentials->terminal) {
        terminal.fd = terminal_fd(credentials->terminal);
        g_array_append_val(fds, terminal);
    }
}

Deadline credentials_deadline(const Credentials *credentials)
{
    Deadline first = credentials->terminal ? credentials->prompt_deadline : DEADLINE_NEVER;

    for (guint i = 0; i < credentials->keepers->len; i++)
        if (keeper_at(credentials, i)->command)
            first = deadline_earlier(first, program_deadline(keeper_at(credentials, i)->command));
    return first;
}

void credentials_handle(Credentials *credentials)
{
    Secret *secret = NULL;

    for (guint i = 0; i < credentials->keepers->len; i++) {
        Keeper *keeper = keeper_at(credentials, i);

        if (!keeper->command)
            continue;
        program_handle(keeper->command);
        if (program_has_ended(keeper->command))
            finish_command(credentials, keeper);
    }
    if (credentials->terminal && terminal_answer(credentials->terminal, &secret))
        finish_prompt(credentials, secret, "nothing was entered");
    else if (credentials->terminal && deadline_passed(credentials->prompt_deadline))
        finish_prompt(credentials, NULL, "nobody answered");
}
