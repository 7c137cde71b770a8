/* The table of keys and the kinds of their values.  See key.h. */
#include "config/key.h"
#include "base/error.h"
#include "base/limits.h"
#include "config/value.h"

#include <stddef.h>
#include <string.h>

static gpointer field(const ConfigKey *key, const ConfigAccount *account)
{
    char *base = key->in_endpoint ? (char *)account->endpoint : (char *)account;

    return base + key->offset;
}

/* Which word of @words is @raw; -1 with a sentence that lists them. */
static int parse_word(const char *const *words, const char *raw, GError **error)
{
    g_autofree char *all = NULL;

    for (int i = 0; words[i]; i++)
        if (g_str_equal(words[i], raw))
            return i;
    all = g_strjoinv(", ", (char **)words);
    mail_fail(error, MAIL_ERROR_INVALID, "'%s' is none of: %s", raw, all);
    return -1;
}

/* -- Text, paths, commands, lists -------------------------------------------------------------- */

/* user= may stand in the URL already; no other text can be there twice. */
static gboolean text_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                           GError **error)
{
    char **text = field(key, account);

    if (*text)
        return mail_fail(error, MAIL_ERROR_INVALID, "it is in the URL already; keep one of them");
    return config_value_text(raw, text, error);
}

static char *text_show(const ConfigKey *key, const ConfigAccount *account)
{
    char **text = field(key, account);

    return *text ? config_value_escape(*text, FALSE) : NULL;
}

static gboolean path_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                           GError **error)
{
    return config_value_path(raw, field(key, account), error);
}

static gboolean argv_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                           GError **error)
{
    return config_value_argv(raw, field(key, account), error);
}

/* People write `echo PASSWORD` and `sshpass -p PASSWORD ssh ...`. */
static char *argv_show(const ConfigKey *key, const ConfigAccount *account)
{
    char ***argv = field(key, account);
    g_autofree char *shown = NULL;

    if (!*argv)
        return NULL;
    shown = config_value_escape((*argv)[0], FALSE);
    return (*argv)[1] ? g_strconcat(shown, " ***", NULL) : g_steal_pointer(&shown);
}

static gboolean list_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                           GError **error)
{
    return config_value_list(raw, field(key, account), error);
}

static char *list_show(const ConfigKey *key, const ConfigAccount *account)
{
    char ***list = field(key, account);
    g_autoptr(GString) out = g_string_new(NULL);

    if (!*list)
        return NULL;
    for (char **p = *list; *p; p++) {
        g_autofree char *element = config_value_escape(*p, TRUE);

        g_string_append_printf(out, "%s%s", p == *list ? "" : ";", element);
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

/* A file's name in a directory that systemd has made for us: it must not lead out of it. */
static gboolean credential_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                                 GError **error)
{
    if (raw[0] == '.' || strchr(raw, '/'))
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "'%s' is no name of a file in $CREDENTIALS_DIRECTORY", raw);
    return text_parse(key, account, raw, error);
}

static const ConfigKind kind_credential = {credential_parse, text_show};
static const ConfigKind kind_text = {text_parse, text_show};
static const ConfigKind kind_path = {path_parse, text_show};
static const ConfigKind kind_argv = {argv_parse, argv_show};

/* -- Numbers, sizes, times, choices ------------------------------------------------------------ */

static gboolean in_range(const ConfigKey *key, guint64 number, const char *raw,
                         char *(*show)(guint64 number), GError **error)
{
    g_autofree char *min = show(key->min);
    g_autofree char *max = show(key->max);

    if (number >= key->min && number <= key->max)
        return TRUE;
    return mail_fail(error, MAIL_ERROR_INVALID, "'%s' is not between %s and %s", raw, min, max);
}

static char *number_text(guint64 number)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT, number);
}

static char *duration_text(guint64 number)
{
    return config_value_duration_show((guint)number);
}

static gboolean number_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                             GError **error)
{
    guint *number = field(key, account);
    guint64 value;
    gboolean is_plain = raw[0] != '\0' && raw[strspn(raw, "0123456789")] == '\0';

    if (!is_plain || !config_value_size(raw, &value, NULL))
        return mail_fail(error, MAIL_ERROR_INVALID, "'%s' is no number", raw);
    if (!in_range(key, value, raw, number_text, error))
        return FALSE;
    *number = (guint)value;
    return TRUE;
}

static char *number_show(const ConfigKey *key, const ConfigAccount *account)
{
    const guint *number = field(key, account);

    return number_text(*number);
}

static gboolean size_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                           GError **error)
{
    guint64 *size = field(key, account);
    guint64 value;

    if (!config_value_size(raw, &value, error) ||
        !in_range(key, value, raw, config_value_size_show, error))
        return FALSE;
    *size = value;
    return TRUE;
}

static char *size_show(const ConfigKey *key, const ConfigAccount *account)
{
    const guint64 *size = field(key, account);

    return config_value_size_show(*size);
}

static gboolean duration_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                               GError **error)
{
    guint *seconds = field(key, account);
    guint value;

    if (!config_value_duration(raw, &value, error) ||
        !in_range(key, value, raw, duration_text, error))
        return FALSE;
    *seconds = value;
    return TRUE;
}

static char *duration_show(const ConfigKey *key, const ConfigAccount *account)
{
    const guint *seconds = field(key, account);

    return config_value_duration_show(*seconds);
}

/* Enums and gboolean are of int's size, and their words stand in the order of their values. */
static gboolean choice_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                             GError **error)
{
    guint *choice = field(key, account);
    int word = parse_word(key->words, raw, error);

    if (word < 0)
        return FALSE;
    *choice = (guint)word;
    return TRUE;
}

static char *choice_show(const ConfigKey *key, const ConfigAccount *account)
{
    const guint *choice = field(key, account);

    return g_strdup(key->words[*choice]);
}

G_STATIC_ASSERT(sizeof(ConfigNames) == sizeof(guint));

static const ConfigKind kind_number = {number_parse, number_show};
static const ConfigKind kind_size = {size_parse, size_show};
static const ConfigKind kind_duration = {duration_parse, duration_show};
static const ConfigKind kind_choice = {choice_parse, choice_show};

/* -- Kinds of one key -------------------------------------------------------------------------- */

/* Where there is a server already, which is reported when the account is complete, this one is
 * only looked at. */
static gboolean server_parse(ConfigAccount *account, const ConfigScheme *scheme, const char *raw,
                             GError **error)
{
    g_autoptr(Endpoint) read = g_new0(Endpoint, 1);
    g_autofree char *user = NULL;

    if (!config_value_url(raw, scheme, read, &user, error))
        return FALSE;
    if (user && account->user)
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "the user is in user= already; keep one of them");
    if (user)
        account->user = g_steal_pointer(&user);
    if (account->endpoint->host)
        return TRUE;
    account->endpoint->security = read->security;
    account->endpoint->host = g_steal_pointer(&read->host);
    account->endpoint->port = read->port;
    return TRUE;
}

static char *server_show(const ConfigAccount *account, ConfigProtocol protocol, const char *name)
{
    if (account->tunnel || account->protocol != protocol)
        return NULL;
    return endpoint_describe(account->endpoint, name);
}

static gboolean imap_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                           GError **error)
{
    return server_parse(account, &config_scheme_imap, raw, error);
}

static char *imap_show(const ConfigKey *key, const ConfigAccount *account)
{
    return server_show(account, CONFIG_IMAP, "imap");
}

static gboolean pop3_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                           GError **error)
{
    account->protocol = CONFIG_POP3;
    return server_parse(account, &config_scheme_pop3, raw, error);
}

static char *pop3_show(const ConfigKey *key, const ConfigAccount *account)
{
    return server_show(account, CONFIG_POP3, "pop3");
}

/* The endpoint is for messages, so it gets the first word alone. */
static gboolean tunnel_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                             GError **error)
{
    if (!argv_parse(key, account, raw, error))
        return FALSE;
    if (account->endpoint->host) /* imap= as well: reported when the account is complete */
        return TRUE;
    account->endpoint->security = SECURITY_TUNNEL;
    account->endpoint->host = g_strdup(account->tunnel[0]);
    return TRUE;
}

/* What a tunnel speaks: its command does not tell. */
static gboolean protocol_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                               GError **error)
{
    int word = parse_word(key->words, raw, error);

    if (word < 0)
        return FALSE;
    account->protocol = (ConfigProtocol)word;
    return TRUE;
}

static char *protocol_show(const ConfigKey *key, const ConfigAccount *account)
{
    return account->tunnel && account->protocol == CONFIG_POP3 ? g_strdup("pop3") : NULL;
}

static gboolean pop3_keep_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                                GError **error)
{
    const guint day = 24 * 60 * 60;
    guint seconds;

    if (g_str_equal(raw, "forever")) {
        account->pop3_keep = CONFIG_POP3_KEEP_FOREVER;
    } else if (g_str_equal(raw, "fetched")) {
        account->pop3_keep = CONFIG_POP3_KEEP_FETCHED;
    } else if (config_value_duration(raw, &seconds, NULL) && seconds >= day &&
               seconds % day == 0) {
        account->pop3_keep = CONFIG_POP3_KEEP_DAYS;
        account->pop3_keep_days = seconds / day;
    } else {
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "'%s' is none of: forever, 14d (whole days), fetched", raw);
    }
    return TRUE;
}

/* Of an IMAP account there is nothing to show. */
static char *pop3_keep_show(const ConfigKey *key, const ConfigAccount *account)
{
    if (account->protocol != CONFIG_POP3)
        return NULL;
    if (account->pop3_keep == CONFIG_POP3_KEEP_DAYS)
        return g_strdup_printf("%ud", account->pop3_keep_days);
    return g_strdup(account->pop3_keep == CONFIG_POP3_KEEP_FETCHED ? "fetched" : "forever");
}

/* The mechanisms that the client floor knows; it is above this one and cannot be asked. */
static gboolean auth_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                           GError **error)
{
    g_autofree char *lower = g_ascii_strdown(raw, -1);

    if (parse_word(key->words, lower, error) < 0)
        return FALSE;
    account->auth = g_steal_pointer(&lower);
    return TRUE;
}

static gboolean pins_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                           GError **error)
{
    g_auto(GStrv) list = NULL;

    if (!config_value_list(raw, &list, error))
        return FALSE;
    if (g_strv_length(list) > ENDPOINT_MAX_PINS)
        return mail_fail(error, MAIL_ERROR_INVALID, "at most %u pins: the old and the new one",
                         ENDPOINT_MAX_PINS);
    for (guint i = 0; list[i]; i++) {
        if (!config_value_is_pin(list[i]))
            return mail_fail(error, MAIL_ERROR_INVALID,
                             "'%s' is no sha256:BASE64 of a public key; mailfs check shows the "
                             "server's",
                             list[i]);
        account->endpoint->tls_pins[i] = g_strdup(list[i]);
    }
    return TRUE;
}

static char *pins_show(const ConfigKey *key, const ConfigAccount *account)
{
    char *const *pins = account->endpoint->tls_pins;

    if (!pins[0])
        return NULL;
    return pins[1] ? g_strconcat(pins[0], ";", pins[1], NULL) : g_strdup(pins[0]);
}

/* INBOX alone is written in any case (RFC 9051 section 5.1), so patterns may do it as well. */
static gboolean folders_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                              GError **error)
{
    if (!list_parse(key, account, raw, error))
        return FALSE;
    for (char **p = account->folders; *p; p++) {
        char *name = **p == '!' ? *p + 1 : *p;
        gsize inbox = strlen("INBOX");

        if (name[0] == '\0')
            return mail_fail(error, MAIL_ERROR_INVALID, "'!' excludes nothing; write !NAME");
        if (g_ascii_strncasecmp(name, "INBOX", inbox) == 0 &&
            (name[inbox] == '\0' || name[inbox] == '/'))
            memcpy(name, "INBOX", inbox);
    }
    return TRUE;
}

/* The kernel keeps 15 bytes of a program's name (TASK_COMM_LEN), so more would never match. */
static gboolean programs_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                               GError **error)
{
    enum { COMM_BYTES = 15 };

    if (raw[0] == '\0') { /* none, instead of the default */
        account->no_fetch_for = g_new0(char *, 1);
        return TRUE;
    }
    if (!list_parse(key, account, raw, error))
        return FALSE;
    for (char **p = account->no_fetch_for; *p; p++)
        if (strlen(*p) > COMM_BYTES)
            (*p)[COMM_BYTES] = '\0';
    return TRUE;
}

static gboolean prefetch_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                               GError **error)
{
    const guint day = 24 * 60 * 60;
    guint seconds;

    if (g_str_equal(raw, "headers")) {
        account->prefetch = CONFIG_PREFETCH_HEADERS;
        return TRUE;
    }
    if (g_str_equal(raw, "all")) {
        account->prefetch = CONFIG_PREFETCH_ALL;
        return TRUE;
    }
    if (!g_str_has_prefix(raw, "recent:") ||
        !config_value_duration(raw + strlen("recent:"), &seconds, NULL) || seconds < day ||
        seconds % day != 0)
        return mail_fail(error, MAIL_ERROR_INVALID,
                         "'%s' is none of: headers, recent:30d (whole days), all", raw);
    account->prefetch = CONFIG_PREFETCH_RECENT;
    account->prefetch_days = seconds / day;
    return TRUE;
}

static char *prefetch_show(const ConfigKey *key, const ConfigAccount *account)
{
    if (account->prefetch == CONFIG_PREFETCH_RECENT)
        return g_strdup_printf("recent:%ud", account->prefetch_days);
    return g_strdup(account->prefetch == CONFIG_PREFETCH_ALL ? "all" : "headers");
}

static gboolean charset_parse(const ConfigKey *key, ConfigAccount *account, const char *raw,
                              GError **error)
{
    GIConv converter = g_iconv_open("UTF-8", raw);

    if (converter == (GIConv)-1) /* NOLINT: the C library's own idiom */
        return mail_fail(error, MAIL_ERROR_INVALID, "'%s' is no charset that iconv knows", raw);
    g_iconv_close(converter);
    return text_parse(key, account, raw, error);
}

static const ConfigKind kind_imap = {imap_parse, imap_show};
static const ConfigKind kind_pop3 = {pop3_parse, pop3_show};
static const ConfigKind kind_protocol = {protocol_parse, protocol_show};
static const ConfigKind kind_pop3_keep = {pop3_keep_parse, pop3_keep_show};
static const ConfigKind kind_tunnel = {tunnel_parse, argv_show};
static const ConfigKind kind_auth = {auth_parse, text_show};
static const ConfigKind kind_pins = {pins_parse, pins_show};
static const ConfigKind kind_folders = {folders_parse, list_show};
static const ConfigKind kind_programs = {programs_parse, list_show};
static const ConfigKind kind_prefetch = {prefetch_parse, prefetch_show};
static const ConfigKind kind_charset = {charset_parse, text_show};

/* -- The table --------------------------------------------------------------------------------- */

static const char *const switch_words[] = {"off", "on", NULL};
static const char *const delete_words[] = {"trash", "expunge", NULL};
static const char *const offline_words[] = {"error", "queue", NULL};
static const char *const commit_words[] = {"close", "release", NULL};
static const char *const mark_seen_words[] = {"never", "on-read", NULL};
static const char *const layout_words[] = {"eml", "maildir", NULL};
static const char *const names_words[] = {"full", "uid", NULL};
static const char *const auth_words[] = {"auto",     "scram-sha-256", "scram-sha-1", "cram-md5",
                                         "plain",    "login",         "oauthbearer", "xoauth2",
                                         "apop",     "external",      NULL};
static const char *const protocol_words[] = {"imap", "pop3", NULL};

#define AT(member) .offset = offsetof(ConfigAccount, member)
#define AT_ENDPOINT(member) .offset = offsetof(Endpoint, member), .in_endpoint = TRUE
#define PRIVATE .is_private = TRUE

const ConfigKey config_keys[] = {
    {"name", &kind_text, AT(name), PRIVATE},
    {"email", &kind_text, AT(email), PRIVATE},
    {"imap", &kind_imap, AT(endpoint), PRIVATE},
    {"pop3", &kind_pop3, AT(endpoint), PRIVATE},
    {"tunnel", &kind_tunnel, AT(tunnel)},
    {"maildir", &kind_path, AT(maildir), PRIVATE},
    {"protocol", &kind_protocol, AT(protocol), .words = protocol_words},
    {"user", &kind_text, AT(user), PRIVATE},
    {"auth", &kind_auth, AT(auth), .fallback = "auto", .words = auth_words},
    {"password-command", &kind_argv, AT(secret.password_command)},
    {"token-command", &kind_argv, AT(secret.token_command)},
    {"credential", &kind_credential, AT(secret.credential), PRIVATE},
    {"password-file", &kind_path, AT(secret.password_file), PRIVATE},
    {"tls-ca", &kind_path, AT_ENDPOINT(tls_ca), PRIVATE},
    {"tls-pin", &kind_pins, AT(endpoint), PRIVATE},
    {"tls-cert", &kind_path, AT_ENDPOINT(tls_cert), PRIVATE},
    {"tls-key", &kind_path, AT_ENDPOINT(tls_key), PRIVATE},
    {"mountpoint", &kind_path, AT(mountpoint), PRIVATE},
    {"folders", &kind_folders, AT(folders), PRIVATE, .fallback = "*"},
    {"prefetch", &kind_prefetch, AT(prefetch), .fallback = "headers"},
    {"cache-max", &kind_size, AT(cache_max), .fallback = "2G", .min = 1 << 20,
     .max = G_GUINT64_CONSTANT(1) << 50},
    {"names", &kind_choice, AT(names), .fallback = "full", .words = names_words},
    {"charset-fallback", &kind_charset, AT(charset_fallback)},
    {"poll", &kind_duration, AT(poll_seconds), .fallback = "1m", .min = 1,
     .max = 24 * 60 * 60},
    {"connections", &kind_number, AT(connections), .fallback = "4", .min = 1, .max = 16},
    {"no-fetch-for", &kind_programs, AT(no_fetch_for),
     .fallback = "tumblerd;tracker-extract;baloo_file_extr"},
    {"xattr", &kind_choice, AT(xattr), .fallback = "off", .words = switch_words},
    {"delete", &kind_choice, AT(delete), .fallback = "trash", .words = delete_words},
    {"trash", &kind_text, AT(trash), PRIVATE},
    {"offline", &kind_choice, AT(offline), .fallback = "error", .words = offline_words},
    {"commit", &kind_choice, AT(commit), .fallback = "close", .words = commit_words},
    {"mark-seen", &kind_choice, AT(mark_seen), .fallback = "never", .words = mark_seen_words},
    {"layout", &kind_choice, AT(layout), .fallback = "eml", .words = layout_words},
    {"pop3-keep", &kind_pop3_keep, AT(pop3_keep), .fallback = "forever"},
    {"compress", &kind_choice, AT(compress), .fallback = "off", .words = switch_words},
    {NULL},
};

const ConfigKey *config_key_find(const char *name)
{
    for (const ConfigKey *key = config_keys; key->name; key++)
        if (g_str_equal(key->name, name))
            return key;
    return NULL;
}

gboolean config_key_is_of_later_version(const char *name)
{
    static const char *const later[] = {"smtp", "eol", NULL};

    return g_strv_contains(later, name);
}

const char *config_key_did_you_mean(const char *name)
{
    const char *names[G_N_ELEMENTS(config_keys)];

    for (gsize i = 0; i < G_N_ELEMENTS(config_keys); i++)
        names[i] = config_keys[i].name;
    return config_did_you_mean(name, names);
}
