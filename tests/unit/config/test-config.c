/* Whole files: what they mean, and for bad ones the exact text of every error. */
#include "config/config.h"
#include "base/error.h"
#include "base/limits.h"
#include "client/sasl.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

static char *directory, *file;

#define WORK                                                                                       \
    "[account work]\nimap=imaps://mail.example.org\nuser=ali\npassword-command=pass show w\n"
#define PIN_A "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define PIN_B "sha256:BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static Config *load_text(const char *text, GError **error)
{
    g_assert_true(g_file_set_contents(file, text, -1, NULL));
    g_assert_cmpint(g_chmod(file, 0600), ==, 0);
    return config_load(file, error);
}

static Config *load_good(const char *text)
{
    g_autoptr(GError) error = NULL;
    Config *config = load_text(text, &error);

    g_assert_no_error(error);
    return config;
}

static const ConfigAccount *first(const Config *config)
{
    return g_ptr_array_index(config->accounts, 0);
}

/* No server, no user, no password. */
static void test_maildir(void)
{
    g_autoptr(Config) config = load_good("[account local]\nmaildir=~/Mail\n");
    const ConfigAccount *account = first(config);
    g_autofree char *shown = config_show(config, FALSE), *redacted = config_show(config, TRUE);

    g_assert_cmpint(account->protocol, ==, CONFIG_MAILDIR);
    g_assert_true(g_str_has_suffix(account->maildir, "/Mail"));
    g_assert_true(g_path_is_absolute(account->maildir));
    g_assert_null(account->endpoint);
    g_assert_nonnull(strstr(shown, "\nmaildir=/"));
    g_assert_null(strstr(shown, "imap"));
    g_assert_nonnull(strstr(redacted, "\nmaildir=~/Mail\n"));
}

static void test_defaults(void)
{
    g_autoptr(Config) config = load_good(WORK);
    const ConfigAccount *account = first(config);

    g_assert_cmpuint(config->accounts->len, ==, 1);
    g_assert_cmpstr(config->path, ==, file);
    g_assert_cmpstr(account->id, ==, "work");
    g_assert_null(account->name);
    g_assert_cmpint(account->protocol, ==, CONFIG_IMAP);
    g_assert_cmpint(account->endpoint->security, ==, SECURITY_TLS);
    g_assert_cmpstr(account->endpoint->host, ==, "mail.example.org");
    g_assert_cmpuint(account->endpoint->port, ==, 993);
    g_assert_null(account->endpoint->tls_pins[0]);
    g_assert_cmpstr(account->user, ==, "ali");
    g_assert_cmpstr(account->auth, ==, "auto");
    g_assert_cmpstr(account->secret.password_command[0], ==, "pass");
    g_assert_cmpstr(account->secret.password_command[2], ==, "w");
    g_assert_null(account->secret.password_command[3]);
    g_assert_null(account->mountpoint);
    g_assert_cmpstr(account->folders[0], ==, "*");
    g_assert_cmpint(account->prefetch, ==, CONFIG_PREFETCH_HEADERS);
    g_assert_cmpuint(account->cache_max, ==, G_GUINT64_CONSTANT(2) << 30);
    g_assert_cmpint(account->names, ==, CONFIG_NAMES_FULL);
    g_assert_cmpuint(account->poll_seconds, ==, 60);
    g_assert_cmpuint(account->connections, ==, 4);
    g_assert_cmpstr(account->no_fetch_for[1], ==, "tracker-extract");
    g_assert_false(account->xattr);
    g_assert_false(account->compress);
}

static void test_everything(void)
{
    g_autoptr(Config) config = load_good(
        "# two accounts\r\n"
        "  [account work]  \n"
        "name = \xda\xa9\xd8\xa7\xd8\xb1 # not a comment \n"
        "email=ali@example.org\n"
        "imap=imap://[2001:db8::1]:1143/\n"
        "auth=SCRAM-SHA-256\n"
        "password-command=secret-tool lookup 'a b' \"#;\\\\$HOME\"\n"
        "credential=work.password\n"
        "tls-pin=" PIN_A "; " PIN_B ";\n"
        "tls-cert=/etc/a.pem\ntls-key=/etc/../etc/a.key\n"
        "mountpoint=~/Mail/work/\n"
        "folders=*;!Spam;inbox/x\n"
        "prefetch=recent:30d\ncache-max=300M\nnames=uid\npoll=5m\nconnections=16\n"
        "charset-fallback=windows-1256\nno-fetch-for=\nxattr=on\ncompress=on\n"
        "\n"
        "[account x-1.y_Z]\n"
        "tunnel=ssh host 'exec imap'\n");
    const ConfigAccount *work = first(config), *other = g_ptr_array_index(config->accounts, 1);

    g_assert_cmpstr(work->name, ==, "\xda\xa9\xd8\xa7\xd8\xb1 # not a comment");
    g_assert_cmpstr(work->user, ==, "ali@example.org");
    g_assert_cmpint(work->endpoint->security, ==, SECURITY_STARTTLS);
    g_assert_cmpstr(work->endpoint->host, ==, "2001:db8::1");
    g_assert_cmpuint(work->endpoint->port, ==, 1143);
    g_assert_cmpstr(work->auth, ==, "scram-sha-256");
    g_assert_cmpstr(work->secret.password_command[2], ==, "a b");
    g_assert_cmpstr(work->secret.password_command[3], ==, "#;$HOME");
    g_assert_cmpstr(work->secret.credential, ==, "work.password");
    g_assert_cmpstr(work->endpoint->tls_pins[0], ==, PIN_A);
    g_assert_cmpstr(work->endpoint->tls_pins[1], ==, PIN_B);
    g_assert_cmpstr(work->endpoint->tls_key, ==, "/etc/a.key");
    g_assert_true(g_str_has_suffix(work->mountpoint, "/Mail/work"));
    g_assert_cmpstr(work->folders[2], ==, "INBOX/x");
    g_assert_cmpint(work->prefetch, ==, CONFIG_PREFETCH_RECENT);
    g_assert_cmpuint(work->prefetch_days, ==, 30);
    g_assert_cmpuint(work->cache_max, ==, 300 << 20);
    g_assert_cmpint(work->names, ==, CONFIG_NAMES_UID);
    g_assert_cmpuint(work->poll_seconds, ==, 300);
    g_assert_cmpuint(work->connections, ==, 16);
    g_assert_cmpstr(work->charset_fallback, ==, "windows-1256");
    g_assert_null(work->no_fetch_for[0]);
    g_assert_true(work->xattr && work->compress);

    g_assert_cmpint(other->endpoint->security, ==, SECURITY_TUNNEL);
    g_assert_cmpstr(other->endpoint->host, ==, "ssh");
    g_assert_cmpstr(other->tunnel[2], ==, "exec imap");
    g_assert_null(other->user);
}

static void test_pop3(void)
{
    static const struct {
        const char *keep;
        ConfigPop3Keep pop3_keep;
        guint days;
    } cases[] = {
        {"", CONFIG_POP3_KEEP_FOREVER, 0},
        {"pop3-keep=forever\n", CONFIG_POP3_KEEP_FOREVER, 0},
        {"pop3-keep=fetched\n", CONFIG_POP3_KEEP_FETCHED, 0},
        {"pop3-keep=14d\n", CONFIG_POP3_KEEP_DAYS, 14},
        {"pop3-keep=48h\n", CONFIG_POP3_KEEP_DAYS, 2},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strconcat("[account a]\npop3=pop3s://ali@example.org@h/\n",
                                            "auth=APOP\n", cases[i].keep, NULL);
        g_autoptr(Config) config = load_good(text);
        const ConfigAccount *account = first(config);

        g_assert_cmpint(account->protocol, ==, CONFIG_POP3);
        g_assert_cmpint(account->endpoint->security, ==, SECURITY_TLS);
        g_assert_cmpstr(account->endpoint->host, ==, "h");
        g_assert_cmpuint(account->endpoint->port, ==, 995);
        g_assert_cmpstr(account->user, ==, "ali@example.org");
        g_assert_cmpstr(account->auth, ==, "apop");
        g_assert_cmpint(account->pop3_keep, ==, cases[i].pop3_keep);
        g_assert_cmpuint(account->pop3_keep_days, ==, cases[i].days);
    }
}

static void test_tunnel_protocol(void)
{
    g_autoptr(Config) config = load_good("[account a]\nprotocol=pop3\ntunnel=x\n"
                                         "[account b]\ntunnel=x\nprotocol=imap\n"
                                         "[account c]\ntunnel=x\n");
    static const ConfigProtocol protocols[] = {CONFIG_POP3, CONFIG_IMAP, CONFIG_IMAP};

    for (guint i = 0; i < G_N_ELEMENTS(protocols); i++) {
        const ConfigAccount *account = g_ptr_array_index(config->accounts, i);

        g_assert_cmpint(account->protocol, ==, protocols[i]);
        g_assert_cmpint(account->endpoint->security, ==, SECURITY_TUNNEL);
    }
}

/* %s stands for the file's name. */
static const struct {
    const char *text, *error;
} bad[] = {
    {"", "%s:1: there is no [account ID] in the file"},
    {"name=x\n" WORK, "%s:1: 'name=x' stands before the first [account ID]"},
    {WORK "hello\n", "%s:5: 'hello' is neither KEY=VALUE, [group] nor # comment"},
    {WORK "=x\n", "%s:5: '=x' is neither KEY=VALUE, [group] nor # comment"},
    {WORK "name=\xff\n", "%s:5: the line is not UTF-8 text"},
    {"[account work\n" "imap=imaps://h\nuser=a\npassword-file=/x\n",
     "%s:1: the group '[account work' has no ']' at its end"},
    {"[acount work]\n", "%s:1: unknown group 'acount work' (did you mean 'account work'?)"},
    {"[defaults]\n",
     "%s:1: unknown group 'defaults'; the groups of this file are [account ID]"},
    {"[account]\n", "%s:1: unknown group 'account'; the groups of this file are [account ID]"},
    {"[account a b]\n",
     "%s:1: 'a b' is no account id: 1 to 64 letters (a-z, A-Z), digits, '-', '_' and '.', not "
     "beginning with '.'; name= takes any text"},
    {WORK "\n" WORK, "%s:6: the account 'work' is there already"},
    {WORK "passwordcommand=x\n",
     "%s:5: unknown key 'passwordcommand' (did you mean 'password-command'?)"},
    {WORK "Poll=5m\n", "%s:5: unknown key 'Poll' (did you mean 'poll'?)"},
    {WORK "name[fa]=x\n", "%s:5: unknown key 'name[fa]'; mailfs.conf(5) lists them"},
    {WORK "frobnicate=x\n", "%s:5: unknown key 'frobnicate'; mailfs.conf(5) lists them"},
    {WORK "smtp=submissions://x\n",
     "%s:5: 'smtp' is not built in this version of mailfs; remove the line"},
    {WORK "pop3=pop3s://x\n", "%s:1: account work: imap= and pop3= are both set; keep one"},
    {"[account a]\npop3=pop3s://u@x\ntunnel=y\n",
     "%s:1: account a: pop3= and tunnel= are both set; keep one"},
    {"[account a]\ntunnel=y\nimap=imaps://u@x\npop3=pop3s://x\n",
     "%s:1: account a: imap= and pop3= are both set; keep one\n"
     "%s:1: account a: imap= and tunnel= are both set; keep one"},
    {WORK "protocol=imap\n",
     "%s:5: protocol: it is for tunnel=; imap= and pop3= say it themselves"},
    {"[account a]\ntunnel=y\nprotocol=smtp\n",
     "%s:3: protocol: 'smtp' is none of: imap, pop3"},
    {"[account a]\npop3=pop3s://h\npassword-file=/x\n",
     "%s:1: account a: the user is missing; add user= or email="},
    {"[account a]\npop3=pop3+plain://u@localhost\ntls-ca=/x\n",
     "%s:3: tls-ca: there is no TLS with pop3+plain://"},
    {"[account a]\npop3=pop3+plain://u@h\n",
     "%s:2: pop3: pop3+plain:// is for localhost, 127.0.0.1 and [::1] only, for it would show the "
     "password to the network; use pop3s:// or pop3://"},
    {"[account a]\npop3=imaps://u@h\n",
     "%s:2: pop3: 'imaps://u@h' does not begin with pop3s:// (TLS), pop3:// (STLS) or "
     "pop3+plain:// (clear text, this machine only)"},
    {"[account a]\npop3=pop3s://u@h\npop3-keep=12h\n",
     "%s:3: pop3-keep: '12h' is none of: forever, 14d (whole days), fetched"},
    {"[account a]\npop3=pop3s://u@h\npop3-keep=0d\n",
     "%s:3: pop3-keep: '0d' is none of: forever, 14d (whole days), fetched"},
    {WORK "pop3-keep=fetched\n", "%s:5: pop3-keep: the account is not a POP3 account"},
    {WORK "auth=apop\n", "%s:5: auth: 'apop' is for POP3 alone"},
    {WORK "user=b\n", "%s:5: user: it is set in line 3 already"},
    {WORK "name=\n", "%s:5: name: the value is empty; remove the line instead"},
    {WORK "name=a\\x\n",
     "%s:5: name: a backslash begins one of \\s \\n \\t \\r \\\\ only; write \\\\ for itself"},
    {WORK "folders= ; \n", "%s:5: folders: the list is empty; remove the line instead"},
    {WORK "folders=!\n", "%s:5: folders: '!' excludes nothing; write !NAME"},
    {WORK "cache-max=2Q\n", "%s:5: cache-max: '2Q' is no size such as 300M or 2G"},
    {WORK "cache-max=10K\n", "%s:5: cache-max: '10K' is not between 1M and 1024T"},
    {WORK "poll=60\n", "%s:5: poll: '60' is no time such as 60s, 5m, 2h or 30d"},
    {WORK "poll=0s\n", "%s:5: poll: '0s' is not between 1s and 1d"},
    {WORK "connections=0\n", "%s:5: connections: '0' is not between 1 and 16"},
    {WORK "connections=1K\n", "%s:5: connections: '1K' is no number"},
    {WORK "connections=-1\n", "%s:5: connections: '-1' is no number"},
    {WORK "names=short\n", "%s:5: names: 'short' is none of: full, uid"},
    {WORK "xattr=true\n", "%s:5: xattr: 'true' is none of: off, on"},
    {WORK "prefetch=recent:12h\n",
     "%s:5: prefetch: 'recent:12h' is none of: headers, recent:30d (whole days), all"},
    {WORK "auth=gssapi\n",
     "%s:5: auth: 'gssapi' is none of: auto, scram-sha-256, scram-sha-1, cram-md5, plain, login, "
     "oauthbearer, xoauth2, apop, external"},
    {WORK "charset-fallback=klingon\n",
     "%s:5: charset-fallback: 'klingon' is no charset that iconv knows"},
    {WORK "mountpoint=Mail\n", "%s:5: mountpoint: 'Mail' is no path from / or ~/"},
    {WORK "mountpoint=~root/Mail\n", "%s:5: mountpoint: '~root/Mail' is no path from / or ~/"},
    {WORK "credential=../x\n",
     "%s:5: credential: '../x' is no name of a file in $CREDENTIALS_DIRECTORY"},
    {WORK "tls-pin=sha256:AAAA\n",
     "%s:5: tls-pin: 'sha256:AAAA' is no sha256:BASE64 of a public key; mailfs check shows the "
     "server's"},
    {WORK "tls-pin=" PIN_A ";" PIN_B ";" PIN_A "\n",
     "%s:5: tls-pin: at most 2 pins: the old and the new one"},
    {WORK "tls-cert=/x\n", "%s:1: account work: tls-cert= and tls-key= go together"},
    {WORK "auth=external\n", "%s:5: auth: 'external' needs tls-cert= and tls-key="},
    {WORK "tunnel=ssh x\n", "%s:1: account work: imap= and tunnel= are both set; keep one"},
    {WORK "maildir=/x\n", "%s:1: account work: imap= and maildir= are both set; keep one"},
    {"[account a]\nmaildir=x\n", "%s:2: maildir: 'x' is no path from / or ~/"},
    {"[account a]\nmaildir=/x\ntls-ca=/x\n", "%s:3: tls-ca: there is no TLS in a folder"},
    {"[account a]\ntunnel=ssh x\ntls-ca=/x\n", "%s:3: tls-ca: there is no TLS in a tunnel"},
    {"[account a]\ntunnel=ssh 'x\n",
     "%s:2: tunnel: a quote is not closed, or nothing follows the last backslash"},
    {"[account a]\nuser=a\npassword-file=/x\n",
     "%s:1: account a: the server is missing; add imap=imaps://HOST or pop3=pop3s://HOST"},
    {"[account a]\nimap=imaps://h\npassword-file=/x\n",
     "%s:1: account a: the user is missing; add user= or email="},
    {"[account a]\nimap=imaps://b@h\nuser=a\npassword-file=/x\n",
     "%s:3: user: it is in the URL already; keep one of them"},
    {"[account a]\nuser=a\nimap=imaps://b@h\npassword-file=/x\n",
     "%s:3: imap: the user is in user= already; keep one of them"},
    /* all of them, by line */
    {"[account a]\nimap=pop3s://h\nnope-nope=1\npoll=x\ntls-key=/x\n",
     "%s:1: account a: tls-cert= and tls-key= go together\n"
     "%s:2: imap: 'pop3s://h' does not begin with imaps:// (TLS), imap:// (STARTTLS) or "
     "imap+plain:// (clear text, this machine only)\n"
     "%s:3: unknown key 'nope-nope'; mailfs.conf(5) lists them\n"
     "%s:4: poll: 'x' is no time such as 60s, 5m, 2h or 30d"},
};

static char *with_file(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "%s", -1);

    return g_strjoinv(file, parts);
}

static void test_bad(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *expected = with_file(bad[i].error);

        if (load_text(bad[i].text, &error))
            g_error("taken for good: %s", bad[i].text);
        g_assert_error(error, MAIL_ERROR, MAIL_ERROR_INVALID);
        g_assert_cmpstr(error->message, ==, expected);
    }
}

/* config may not ask client which mechanisms there are, so its list could differ. */
static void test_auth(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) names = NULL;

    g_assert_null(load_text(WORK "auth=x\n", &error));
    names = g_strsplit(strstr(error->message, "none of: ") + strlen("none of: "), ", ", -1);
    g_assert_cmpuint(g_strv_length(names), >, 1);
    for (char **name = names; *name; name++)
        g_assert_true(g_str_equal(*name, "apop") || sasl_is_known(*name));
}

static void test_permissions(void)
{
    g_autofree char *link = g_build_filename(directory, "link.conf", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = NULL;

    g_assert_true(g_file_set_contents(file, WORK, -1, NULL));
    g_chmod(file, 0664);
    g_assert_null(config_load(file, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_DENIED);
    g_assert_nonnull(strstr(error->message, "chmod go-w"));
    g_clear_error(&error);

    g_chmod(file, 0644);
    g_assert_cmpint(symlink(file, link), ==, 0);
    config = config_load(link, &error);
    g_assert_no_error(error);
    g_assert_nonnull(config);

    g_assert_null(config_load(directory, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_INVALID);
    g_unlink(link);
}

static void test_too_large(void)
{
    g_autofree char *text = g_malloc(LIMIT_CONFIG + 2);
    g_autoptr(GError) error = NULL;

    memset(text, '#', LIMIT_CONFIG + 1);
    text[LIMIT_CONFIG + 1] = '\0';
    g_assert_null(load_text(text, &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_TOOBIG);
}

static void test_password_file(void)
{
    g_autofree char *secret = g_build_filename(directory, "secret", NULL);
    g_autofree char *text = g_strdup_printf(
        "[account a]\nimap=imaps://h\nuser=u\npassword-file=%s\n", secret);
    g_autoptr(Config) config = NULL;

    g_assert_true(g_file_set_contents(secret, "x", -1, NULL));
    g_chmod(secret, 0600);
    config = load_good(text); /* a warning would end the test */
    g_clear_pointer(&config, config_free);

    g_chmod(secret, 0640);
    g_test_expect_message("config", G_LOG_LEVEL_WARNING,
                          "account a: others have access to the password file *");
    config = load_good(text);
    g_test_assert_expected_messages();
    g_unlink(secret);
}

static void test_find(void)
{
    g_autoptr(Config) config = load_good(WORK "[account home]\ntunnel=x\n");
    g_autoptr(GError) error = NULL;
    g_autofree char *near = with_file("there is no account 'hame' in %s (did you mean 'home'?)");
    g_autofree char *far = with_file("there is no account 'zzz' in %s; it has: work, home");

    g_assert_cmpstr(config_find(config, "home", &error)->id, ==, "home");
    g_assert_null(config_find(config, "hame", &error));
    g_assert_error(error, MAIL_ERROR, MAIL_ERROR_GONE);
    g_assert_cmpstr(error->message, ==, near);
    g_clear_error(&error);
    g_assert_null(config_find(config, "zzz", &error));
    g_assert_cmpstr(error->message, ==, far);
}

static void test_wants_folder(void)
{
    static const struct {
        const char *folders, *wanted, *unwanted;
    } cases[] = {
        {"*", "INBOX/Projects", NULL},
        {"*;!Spam", "INBOX", "Spam"},
        {"*;!Spam", "Spam/old", NULL},
        {"*;!Spam*", "INBOX", "Spam/old"},
        {"*;!Lists/*;Lists/lkml", "Lists/lkml", "Lists/git"},
        {"!Spam", "INBOX", "Spam"},
        {"Inbox;Sent", "INBOX", "Trash"},
        {"INBOX*", "INBOX/a/b", "Inbox2"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strconcat(WORK "folders=", cases[i].folders, NULL);
        g_autoptr(Config) config = load_good(text);

        g_assert_true(config_wants_folder(first(config), cases[i].wanted));
        if (cases[i].unwanted)
            g_assert_false(config_wants_folder(first(config), cases[i].unwanted));
    }
}

static void test_show(void)
{
    g_autoptr(Config) config = load_good(
        WORK "name=Ali \\\\ B\nemail=ali@example.org\nfolders=a\\;b;!c d\nnames=uid\n"
             "charset-fallback=windows-1256\ntls-pin=" PIN_A "\ntls-ca=/srv/ca.pem\n"
             "[account home]\ntunnel=sshpass -p hunter2 ssh mx.example.net\nprotocol=pop3\n"
             "[account old]\npop3=pop3://ali@pop.example.net\npop3-keep=14d\n");
    g_autofree char *shown = config_show(config, FALSE);
    g_autofree char *redacted = config_show(config, TRUE);
    g_autofree char *again = NULL;
    g_autofree char *expected = with_file(
        "# %s; lines that begin with # show the defaults\n\n"
        "[account work]\nname=Ali \\\\ B\nemail=ali@example.org\n"
        "imap=imaps://mail.example.org:993\nuser=ali\n# auth=auto\npassword-command=pass ***\n"
        "tls-ca=/srv/ca.pem\ntls-pin=" PIN_A "\nfolders=a\\;b;!c d\n# prefetch=headers\n"
        "# cache-max=2G\nnames=uid\ncharset-fallback=windows-1256\n# poll=1m\n# connections=4\n"
        "# no-fetch-for=tumblerd;tracker-extract;baloo_file_extr\n# xattr=off\n"
        "# delete=trash\n# offline=error\n# commit=close\n# mark-seen=never\n# layout=eml\n"
        "# compress=off\n");
    g_autoptr(Config) reread = NULL;

    g_assert_true(g_str_has_prefix(shown, expected));
    g_assert_null(strstr(shown, "hunter2"));
    g_assert_nonnull(strstr(shown, "\ntunnel=sshpass ***\nprotocol=pop3\n"));
    g_assert_nonnull(strstr(shown, "\npop3=pop3://pop.example.net:110\nuser=ali\n"));
    g_assert_nonnull(strstr(shown, "\npop3-keep=14d\n"));

    /* what is shown can be read, and means the same */
    reread = load_good(shown);
    again = config_show(reread, FALSE);
    g_assert_cmpstr(shown, ==, again);

    g_assert_nonnull(strstr(redacted, "\n[account account1]\n"));
    g_assert_nonnull(strstr(redacted, "\nimap=imaps://REDACTED:993\n"));
    g_assert_nonnull(strstr(redacted, "\npop3=pop3://REDACTED:110\n"));
    for (const char *const *word = (const char *const[]){"Ali", "ali", "example", "srv", "work]",
                                                         PIN_A, "hunter2", "c d", NULL};
         *word; word++)
        g_assert_null(strstr(redacted, *word));
}

/* The sample must be right as it stands, and with all its commented keys set. */
static void test_sample(void)
{
    g_autofree char *path = g_build_filename(g_getenv("MAILFS_SOURCE_ROOT"), "contrib",
                                             "mailfs.conf", NULL);
    g_autoptr(GRegex) commented = g_regex_new("^#(?=[a-z])", G_REGEX_MULTILINE, 0, NULL);
    g_autofree char *text = NULL, *full = NULL;
    g_autoptr(Config) config = NULL, config_full = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    config = load_good(text);
    g_assert_cmpuint(config->accounts->len, ==, 4);
    full = g_regex_replace_literal(commented, text, -1, 0, "", 0, NULL);
    config_full = load_good(full);
    g_assert_cmpstr(first(config_full)->charset_fallback, ==, "windows-1256");
}

static void test_dirs(void)
{
    g_autofree char *cache = NULL, *state = NULL, *data = NULL, *runtime = NULL, *found = NULL;
    g_autofree char *config_file = g_build_filename(directory, "mailfs", "mailfs.conf", NULL);
    g_autofree char *config_dir = g_path_get_dirname(config_file);
    g_autoptr(GError) error = NULL;

    g_setenv("XDG_CACHE_HOME", "/x/cache", TRUE);
    g_setenv("XDG_STATE_HOME", "relative/is/ignored", TRUE);
    g_setenv("XDG_RUNTIME_DIR", "/x/run", TRUE);
    g_unsetenv("XDG_DATA_HOME");
    g_setenv("HOME", "/nobody/asks/it", TRUE);
    cache = config_cache_dir();
    state = config_state_dir();
    data = config_data_dir();
    runtime = config_runtime_dir();
    g_assert_cmpstr(cache, ==, "/x/cache/mailfs");
    g_assert_cmpstr(runtime, ==, "/x/run/mailfs");
    g_assert_true(g_str_has_suffix(state, "/.local/state/mailfs"));
    g_assert_true(g_str_has_suffix(data, "/.local/share/mailfs"));
    g_assert_false(g_str_has_prefix(state, "/nobody"));

    g_setenv("XDG_CONFIG_HOME", directory, TRUE);
    if (!g_file_test("/etc/mailfs/mailfs.conf", G_FILE_TEST_EXISTS)) {
        g_assert_null(config_find_file(&error));
        g_assert_error(error, MAIL_ERROR, MAIL_ERROR_GONE);
        g_assert_nonnull(strstr(error->message, config_file));
    }
    g_assert_cmpint(g_mkdir(config_dir, 0700), ==, 0);
    g_assert_true(g_file_set_contents(config_file, WORK, -1, NULL));
    found = config_find_file(NULL);
    g_assert_cmpstr(found, ==, config_file);
    g_unlink(config_file);
    g_rmdir(config_dir);
}

static void test_did_you_mean(void)
{
    static const char *const words[] = {"folders", "poll", "xattr", NULL};

    g_assert_cmpstr(config_did_you_mean("fodlers", words), ==, "folders");
    g_assert_cmpstr(config_did_you_mean("POL", words), ==, "poll");
    g_assert_null(config_did_you_mean("foo", words));
    g_assert_null(config_did_you_mean("", words));
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    directory = g_dir_make_tmp("mailfs-config-XXXXXX", NULL);
    file = g_build_filename(directory, "test.conf", NULL);
    g_test_add_func("/config/defaults", test_defaults);
    g_test_add_func("/config/maildir", test_maildir);
    g_test_add_func("/config/everything", test_everything);
    g_test_add_func("/config/pop3", test_pop3);
    g_test_add_func("/config/tunnel-protocol", test_tunnel_protocol);
    g_test_add_func("/config/bad", test_bad);
    g_test_add_func("/config/auth", test_auth);
    g_test_add_func("/config/permissions", test_permissions);
    g_test_add_func("/config/too-large", test_too_large);
    g_test_add_func("/config/password-file", test_password_file);
    g_test_add_func("/config/find", test_find);
    g_test_add_func("/config/wants-folder", test_wants_folder);
    g_test_add_func("/config/show", test_show);
    g_test_add_func("/config/sample", test_sample);
    g_test_add_func("/config/dirs", test_dirs);
    g_test_add_func("/config/did-you-mean", test_did_you_mean);
    result = g_test_run();
    g_unlink(file);
    g_rmdir(directory);
    g_free(file);
    g_free(directory);
    return result;
}
