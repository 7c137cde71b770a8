/* The configuration: $XDG_CONFIG_HOME/mailfs/mailfs.conf over /etc/mailfs/mailfs.conf.
 *
 * GKeyFile syntax; one [account ID] group an account.  Unknown groups and keys, and values that
 * make no sense, are errors of the form "FILE:LINE: sentence" with a "did you mean".  The file is
 * never written by mailfs but for an append by `setup`.
 */
#pragma once

#include <glib.h>

#include "base/endpoint.h"

typedef enum { CONFIG_IMAP, CONFIG_POP3, CONFIG_MAILDIR } ConfigProtocol;
typedef enum {
    CONFIG_PREFETCH_HEADERS,
    CONFIG_PREFETCH_RECENT,
    CONFIG_PREFETCH_ALL
} ConfigPrefetch;
typedef enum { CONFIG_NAMES_FULL, CONFIG_NAMES_UID } ConfigNames;

/* Where the password (or token) comes from; the first that is set wins, in this order.  None at
 * all is no error: whoever needs the password may ask on a terminal. */
typedef struct {
    char **password_command; /* argv, run without a shell */
    char **token_command;    /* argv; gives an OAuth 2 access token */
    char *credential;        /* file name below $CREDENTIALS_DIRECTORY (systemd) */
    char *password_file;     /* must be 0600 and ours */
} ConfigSecret;

/* In the order of their words in key.c; the first is the default. */
typedef enum { CONFIG_DELETE_TRASH, CONFIG_DELETE_EXPUNGE } ConfigDelete;
typedef enum { CONFIG_OFFLINE_ERROR, CONFIG_OFFLINE_QUEUE } ConfigOffline;
typedef enum { CONFIG_COMMIT_CLOSE, CONFIG_COMMIT_RELEASE } ConfigCommit;
typedef enum { CONFIG_MARK_SEEN_NEVER, CONFIG_MARK_SEEN_ON_READ } ConfigMarkSeen;
typedef enum { CONFIG_LAYOUT_EML, CONFIG_LAYOUT_MAILDIR } ConfigLayout;

/* How long mail stays on a POP3 server. */
typedef enum {
    CONFIG_POP3_KEEP_FOREVER, /* until it is deleted */
    CONFIG_POP3_KEEP_DAYS,    /* pop3_keep_days after it was first seen */
    CONFIG_POP3_KEEP_FETCHED, /* until it was fetched */
} ConfigPop3Keep;

typedef struct {
    char *id;   /* ASCII letters, digits, '-', '_', '.'; 1 to 64; no leading '.' */
    char *name; /* free text for people */
    char *email;
    ConfigProtocol protocol; /* by imap=, pop3=, maildir=, or for a tunnel by protocol= */
    Endpoint *endpoint;  /* imap= or pop3= or tunnel=; NULL with maildir= */
    char **tunnel;       /* argv of tunnel=, or NULL */
    char *maildir;       /* path of maildir=, or NULL */
    ConfigPop3Keep pop3_keep;
    guint pop3_keep_days;
    Endpoint *smtp;      /* or NULL */
    char *user;          /* default: email; NULL is possible with a tunnel only */
    char *auth;          /* "auto" */
    ConfigSecret secret;
    char *mountpoint;    /* ~ expanded, or NULL */
    char **folders;      /* patterns in order; '!' excludes; default "*" */
    ConfigPrefetch prefetch;
    guint prefetch_days;
    guint64 cache_max;   /* bytes of bodies; default 2G */
    ConfigNames names;
    gboolean xattr;
    gboolean compress;   /* off by default: it costs more than it saves but on slow links */
    char *charset_fallback; /* or NULL */
    guint poll_seconds;  /* default 60 */
    guint connections;   /* 1 to 16; default 4 */
    ConfigDelete delete;   /* what rm does */
    char *trash;           /* shown path of the mailbox for delete=trash; NULL: by SPECIAL-USE */
    ConfigOffline offline; /* what a change gets while there is no connection */
    ConfigCommit commit;   /* when a written file is sent */
    ConfigMarkSeen mark_seen;
    ConfigLayout layout;
    char **no_fetch_for; /* program names, cut to the 15 bytes of /proc/PID/comm; may be empty */
} ConfigAccount;

typedef struct {
    GPtrArray *accounts; /* of ConfigAccount, in the file's order */
    char *path;          /* of the file that was read */
} Config;

/* @path NULL: the standard places.  INVALID with all its errors, a line each; GONE (with a
 * sentence on how to write one) when there is no file; DENIED when others may write to it. */
Config *config_load(const char *path, GError **error);
void config_free(Config *config); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)

/* Which file config_load(NULL) would read.  GONE as there.  The caller owns it. */
char *config_find_file(GError **error);

/* GONE with "did you mean" for an unknown account. */
const ConfigAccount *config_find(const Config *config, const char *id, GError **error);

/* TRUE when what ConfigSecret gives for @account is an OAuth 2 access token. */
gboolean config_uses_token(const ConfigAccount *account);

/* A password file, open as @fd, is one that nobody else can have read or written: a regular file
 * of ours (or root's) without any bit for group and others.  DENIED with the remedy otherwise. */
gboolean config_check_password_file(int fd, const char *path, GError **error);

/* The candidate that is nearest to @word, if it is near enough to be what was meant; else NULL.
 * @candidates is NULL-terminated; the answer is one of them. */
const char *config_did_you_mean(const char *word, const char *const *candidates);

/* The effective configuration as text in the file's own syntax, defaults as comments.  Secrets
 * never appear (of a command only its first word is shown), and with @redact neither do names,
 * hosts, users and addresses.  The caller owns it. */
char *config_show(const Config *config, gboolean redact);

/* XDG folders with "/mailfs" appended, from the environment or, without it, from the home in
 * getpwuid() (mount units have no environment).  The caller owns them. */
char *config_cache_dir(void);
char *config_state_dir(void);
char *config_data_dir(void);
char *config_runtime_dir(void);

/* folders=: TRUE if the mailbox with this shown path ("INBOX/Projects") is wanted.  The last
 * pattern that matches decides; '*' crosses '/'. */
gboolean config_wants_folder(const ConfigAccount *account, const char *path);
