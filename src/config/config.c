/* Reads the configuration: finds the file, checks that it can be trusted, turns each group into
 * an account and collects everything that is wrong on the way.
 *
 * The syntax is scan.c's, the keys are key.c's; here is what concerns an account as a whole.
 */
#include "config/config.h"
#include "base/error.h"
#include "base/io.h"
#include "base/limits.h"
#include "config/key.h"
#include "config/scan.h"
#include "config/value.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP_PREFIX "account "

static void account_free(gpointer data)
{
    ConfigAccount *account = data;

    g_free(account->id);
    g_free(account->name);
    g_free(account->email);
    endpoint_free(account->endpoint);
    g_strfreev(account->tunnel);
    g_free(account->maildir);
    endpoint_free(account->smtp);
    g_free(account->user);
    g_free(account->auth);
    g_strfreev(account->secret.password_command);
    g_strfreev(account->secret.token_command);
    g_free(account->secret.credential);
    g_free(account->secret.password_file);
    g_free(account->mountpoint);
    g_strfreev(account->folders);
    g_free(account->charset_fallback);
    g_free(account->trash);
    g_strfreev(account->no_fetch_for);
    g_free(account);
}

void config_free(Config *config)
{
    if (!config)
        return;
    g_ptr_array_unref(config->accounts);
    g_free(config->path);
    g_free(config);
}

/* -- The file ---------------------------------------------------------------------------------- */

static char *user_file(void)
{
    const char *base = g_getenv("XDG_CONFIG_HOME");

    if (base && base[0] == '/')
        return g_build_filename(base, "mailfs", "mailfs.conf", NULL);
    return g_build_filename(config_home(), ".config", "mailfs", "mailfs.conf", NULL);
}

char *config_find_file(GError **error)
{
    g_autofree char *path = user_file();
    const char *const system_path = "/etc/mailfs/mailfs.conf";

    if (access(path, F_OK) == 0)
        return g_steal_pointer(&path);
    if (access(system_path, F_OK) == 0)
        return g_strdup(system_path);
    mail_fail(error, MAIL_ERROR_GONE,
              "there is no configuration; write %s, for example with these lines:\n"
              "    [account work]\n"
              "    imap=imaps://mail.example.org\n"
              "    user=ali\n"
              "    password-command=secret-tool lookup account work\n"
              "mailfs.conf(5) tells the rest",
              path);
    return NULL;
}

/* Who may write here may have commands run as us: password-command.  A symlink is fine (people
 * keep their dot files so), it is the file behind it that counts. */
static GBytes *read_trusted(const char *path, GError **error)
{
    autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    g_autofree char *text = NULL;
    struct stat st;
    gssize n;

    if (fd < 0 || fstat(fd, &st) < 0) {
        mail_fail_errno(error, errno, "cannot read the configuration %s", path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        mail_fail(error, MAIL_ERROR_INVALID, "%s is not a file", path);
        return NULL;
    }
    if (st.st_uid != geteuid() && st.st_uid != 0) {
        mail_fail(error, MAIL_ERROR_DENIED,
                  "%s belongs to another user, who could have commands run as you; use a copy of "
                  "your own",
                  path);
        return NULL;
    }
    if (st.st_mode & 0022) {
        mail_fail(error, MAIL_ERROR_DENIED,
                  "others may write to %s and could have commands run as you; correct it with: "
                  "chmod go-w '%s'",
                  path, path);
        return NULL;
    }
    text = g_malloc(LIMIT_CONFIG + 1);
    n = io_pread_all(fd, text, LIMIT_CONFIG + 1, 0, error);
    if (n < 0)
        return NULL;
    if (n > LIMIT_CONFIG) {
        mail_fail(error, MAIL_ERROR_TOOBIG, "%s is larger than %d bytes", path, LIMIT_CONFIG);
        return NULL;
    }
    return g_bytes_new(text, (gsize)n);
}

gboolean config_check_password_file(int fd, const char *path, GError **error)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return mail_fail_errno(error, errno, "cannot look at the password file %s", path);
    if (!S_ISREG(st.st_mode))
        return mail_fail(error, MAIL_ERROR_DENIED, "the password file %s is not a file", path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return mail_fail(error, MAIL_ERROR_DENIED,
                         "the password file %s belongs to another user; use one of your own",
                         path);
    if (st.st_mode & 0077)
        return mail_fail(error, MAIL_ERROR_DENIED,
                         "others have access to the password file %s; correct it with: "
                         "chmod 600 '%s'",
                         path, path);
    return TRUE;
}

/* -- One account ------------------------------------------------------------------------------- */

static gboolean is_account_id(const char *id)
{
    gsize length = strlen(id);

    return length >= 1 && length <= LIMIT_ACCOUNT_ID && id[0] != '.' &&
           strspn(id, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.") == length;
}

/* The id in "account work"; NULL after an error. */
static const char *group_id(const ConfigGroup *group, ConfigErrors *errors)
{
    const char *const known[] = {"account", NULL};
    g_autofree char *first = g_strndup(group->name, strcspn(group->name, " "));
    const char *id = group->name + strlen(first);

    id += strspn(id, " ");
    if (!g_str_has_prefix(group->name, GROUP_PREFIX) || id[0] == '\0') {
        if (config_did_you_mean(first, known) && id[0] != '\0')
            config_errors_add(errors, group->line,
                              "unknown group '%s' (did you mean 'account %s'?)", group->name, id);
        else
            config_errors_add(errors, group->line,
                              "unknown group '%s'; the groups of this file are [account ID]",
                              group->name);
        return NULL;
    }
    if (!is_account_id(id)) {
        config_errors_add(errors, group->line,
                          "'%s' is no account id: 1 to %d letters (a-z, A-Z), digits, '-', '_' "
                          "and '.', not beginning with '.'; name= takes any text",
                          id, LIMIT_ACCOUNT_ID);
        return NULL;
    }
    return id;
}

static void unknown_key(const ConfigEntry *entry, ConfigErrors *errors)
{
    const char *meant = config_key_did_you_mean(entry->name);

    if (config_key_is_of_later_version(entry->name))
        config_errors_add(errors, entry->line,
                          "'%s' is not built in this version of mailfs; remove the line",
                          entry->name);
    else if (meant)
        config_errors_add(errors, entry->line, "unknown key '%s' (did you mean '%s'?)",
                          entry->name, meant);
    else
        config_errors_add(errors, entry->line, "unknown key '%s'; mailfs.conf(5) lists them",
                          entry->name);
}

/* @seen: line by key, for those that are set. */
static void read_entries(ConfigAccount *account, const ConfigGroup *group, GHashTable *seen,
                         ConfigErrors *errors)
{
    for (guint i = 0; i < group->entries->len; i++) {
        const ConfigEntry *entry = g_ptr_array_index(group->entries, i);
        const ConfigKey *key = config_key_find(entry->name);
        guint before = GPOINTER_TO_UINT(g_hash_table_lookup(seen, entry->name));
        g_autoptr(GError) reason = NULL;

        if (!key) {
            unknown_key(entry, errors);
            continue;
        }
        if (before) {
            config_errors_add(errors, entry->line, "%s: it is set in line %u already",
                              entry->name, before);
            continue;
        }
        g_hash_table_insert(seen, entry->name, GUINT_TO_POINTER(entry->line));
        if (!key->kind->parse(key, account, entry->raw, &reason))
            config_errors_add(errors, entry->line, "%s: %s", entry->name, reason->message);
    }
}

static void set_defaults(ConfigAccount *account, GHashTable *seen)
{
    for (const ConfigKey *key = config_keys; key->name; key++)
        if (key->fallback && !g_hash_table_contains(seen, key->name)) {
            gboolean ok = key->kind->parse(key, account, key->fallback, NULL);

            g_assert(ok);
        }
    if (!account->user && account->email)
        account->user = g_strdup(account->email);
}

static gboolean is_set(GHashTable *seen, const char *name)
{
    return g_hash_table_contains(seen, name);
}

static guint line_of(GHashTable *seen, const char *name)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(seen, name));
}

/* One server, and one alone.  FALSE where there is none. */
static gboolean check_server(const ConfigAccount *account, GHashTable *seen, guint line,
                             ConfigErrors *errors)
{
    static const char *const keys[] = {"imap", "pop3", "tunnel", "maildir", NULL};
    const char *first = NULL;

    for (const char *const *key = keys; *key; key++) {
        if (!is_set(seen, *key))
            continue;
        if (first)
            config_errors_add(errors, line, "account %s: %s= and %s= are both set; keep one",
                              account->id, first, *key);
        first = first ? first : *key;
    }
    if (!first)
        config_errors_add(errors, line,
                          "account %s: the server is missing; add imap=imaps://HOST or "
                          "pop3=pop3s://HOST",
                          account->id);
    return first != NULL;
}

/* Keys that mean something for POP3 alone, or for a tunnel alone. */
static void check_protocol(const ConfigAccount *account, GHashTable *seen, ConfigErrors *errors)
{
    if (is_set(seen, "protocol") && !account->tunnel)
        config_errors_add(errors, line_of(seen, "protocol"),
                          "protocol: it is for tunnel=; imap= and pop3= say it themselves");
    if (account->protocol == CONFIG_POP3)
        return;
    if (is_set(seen, "pop3-keep"))
        config_errors_add(errors, line_of(seen, "pop3-keep"),
                          "pop3-keep: the account is not a POP3 account");
    if (g_strcmp0(account->auth, "apop") == 0)
        config_errors_add(errors, line_of(seen, "auth"), "auth: 'apop' is for POP3 alone");
}

/* What no single key can know. */
static void check_account(const ConfigAccount *account, GHashTable *seen, guint line,
                          ConfigErrors *errors)
{
    static const char *const tls_keys[] = {"tls-ca", "tls-pin", "tls-cert", "tls-key", NULL};
    gboolean has_tunnel = is_set(seen, "tunnel"), has_maildir = is_set(seen, "maildir");
    gboolean is_external = g_strcmp0(account->auth, "external") == 0;
    const char *no_tls = has_tunnel                          ? "in a tunnel"
                         : account->protocol == CONFIG_POP3 ? "with pop3+plain://"
                                                             : "with imap+plain://";

    if (check_server(account, seen, line, errors))
        check_protocol(account, seen, errors);
    if (!has_tunnel && !account->user && account->endpoint->host)
        config_errors_add(errors, line, "account %s: the user is missing; add user= or email=",
                          account->id);
    if (is_set(seen, "tls-cert") != is_set(seen, "tls-key"))
        config_errors_add(errors, line, "account %s: tls-cert= and tls-key= go together",
                          account->id);
    if (is_external && !has_tunnel && !has_maildir && !is_set(seen, "tls-cert"))
        config_errors_add(errors, line_of(seen, "auth"),
                          "auth: 'external' needs tls-cert= and tls-key=");
    for (const char *const *key = tls_keys; *key; key++)
        if (is_set(seen, *key) && account->endpoint->host &&
            (has_tunnel || account->endpoint->security == SECURITY_PLAIN))
            config_errors_add(errors, line_of(seen, *key), "%s: there is no TLS %s", *key, no_tls);
        else if (is_set(seen, *key) && has_maildir)
            config_errors_add(errors, line_of(seen, *key), "%s: there is no TLS in a folder", *key);
}

/* An account whose mail is in a folder speaks to nobody. */
static void settle_protocol(ConfigAccount *account)
{
    if (!account->maildir)
        return;
    account->protocol = CONFIG_MAILDIR;
    g_clear_pointer(&account->endpoint, endpoint_free);
}

/* A warning only: the file may yet be corrected before it is used, and its use refuses it. */
static void warn_password_file(const ConfigAccount *account)
{
    const char *path = account->secret.password_file;
    autofd int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
    g_autoptr(GError) error = NULL;

    if (fd >= 0 && !config_check_password_file(fd, path, &error))
        g_warning("account %s: %s", account->id, error->message);
}

static void read_account(Config *config, const ConfigGroup *group, ConfigErrors *errors)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    const char *id = group_id(group, errors);
    ConfigAccount *account;

    if (!id)
        return;
    for (guint i = 0; i < config->accounts->len; i++) {
        const ConfigAccount *other = g_ptr_array_index(config->accounts, i);

        if (g_str_equal(other->id, id)) {
            config_errors_add(errors, group->line, "the account '%s' is there already", id);
            return;
        }
    }
    if (config->accounts->len == LIMIT_ACCOUNTS) {
        config_errors_add(errors, group->line, "more than %d accounts", LIMIT_ACCOUNTS);
        return;
    }
    account = g_new0(ConfigAccount, 1);
    account->id = g_strdup(id);
    account->protocol = CONFIG_IMAP;
    account->endpoint = g_new0(Endpoint, 1);
    g_ptr_array_add(config->accounts, account);
    read_entries(account, group, seen, errors);
    set_defaults(account, seen);
    check_account(account, seen, group->line, errors);
    settle_protocol(account);
}

/* -- The whole --------------------------------------------------------------------------------- */

static gboolean read_text(Config *config, GBytes *text, GError **error)
{
    g_autoptr(GPtrArray) groups = NULL;
    ConfigErrors errors;
    gsize length;
    const char *data = g_bytes_get_data(text, &length);
    gboolean ok;

    config_errors_init(&errors, config->path);
    groups = config_scan(data, length, &errors);
    for (guint i = 0; i < groups->len; i++)
        read_account(config, g_ptr_array_index(groups, i), &errors);
    if (groups->len == 0)
        config_errors_add(&errors, 1, "there is no [account ID] in the file");
    ok = config_errors_check(&errors, error);
    config_errors_clear(&errors);
    return ok;
}

Config *config_load(const char *path, GError **error)
{
    g_autoptr(Config) config = g_new0(Config, 1);
    g_autoptr(GBytes) text = NULL;

    config->accounts = g_ptr_array_new_with_free_func(account_free);
    config->path = path ? g_strdup(path) : config_find_file(error);
    if (!config->path)
        return NULL;
    text = read_trusted(config->path, error);
    if (!text || !read_text(config, text, error))
        return NULL;
    for (guint i = 0; i < config->accounts->len; i++)
        warn_password_file(g_ptr_array_index(config->accounts, i));
    return g_steal_pointer(&config);
}

const ConfigAccount *config_find(const Config *config, const char *id, GError **error)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new();
    g_autofree char *all = NULL;
    const char *meant;

    for (guint i = 0; i < config->accounts->len; i++) {
        const ConfigAccount *account = g_ptr_array_index(config->accounts, i);

        if (g_str_equal(account->id, id))
            return account;
        g_ptr_array_add(ids, account->id);
    }
    g_ptr_array_add(ids, NULL);
    meant = config_did_you_mean(id, (const char *const *)ids->pdata);
    all = g_strjoinv(", ", (char **)ids->pdata);
    if (meant)
        mail_fail(error, MAIL_ERROR_GONE, "there is no account '%s' in %s (did you mean '%s'?)",
                  id, config->path, meant);
    else
        mail_fail(error, MAIL_ERROR_GONE, "there is no account '%s' in %s; it has: %s", id,
                  config->path, all);
    return NULL;
}

gboolean config_uses_token(const ConfigAccount *account)
{
    return account->secret.token_command && !account->secret.password_command;
}

gboolean config_wants_folder(const ConfigAccount *account, const char *path)
{
    gboolean wanted = account->folders[0][0] == '!'; /* "!Spam" alone: all but Spam */

    for (char **p = account->folders; *p; p++) {
        gboolean excludes = **p == '!';

        if (g_pattern_match_simple(excludes ? *p + 1 : *p, path))
            wanted = !excludes;
    }
    return wanted;
}
