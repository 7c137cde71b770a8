/* Passwords and tokens of the accounts, kept by the supervisor.
 *
 * A secret is got when it is first asked for, kept in memory that is locked and never dumped, and
 * got again only when the server has refused it.  Its source is the first that the account has
 * of: password-command or token-command (argv, no shell, 30 s), a systemd credential, a file
 * that only its owner can read, the terminal while there is one.
 *
 * Nothing blocks: answers come through a callback, at once or from credentials_handle().
 * Commands of several accounts run side by side; those who ask for one account meanwhile share
 * its answer.
 */
#pragma once

#include <glib.h>
#include <poll.h>

#include "base/deadline.h"
#include "base/secret.h"
#include "config/config.h"

/* How long a person may take to answer. */
#define CREDENTIALS_PROMPT_SECONDS 60
/* What one account may have waiting; its connections are at most 16. */
#define CREDENTIALS_MAX_WAITING 64

typedef struct Credentials Credentials;

/* Exactly one of @secret (borrowed) and @error is set.  @id is that of credentials_get(). */
typedef void (*CredentialsAnswer)(guint32 id, Secret *secret, const GError *error, gpointer user);

/* @accounts (of ConfigAccount) and @config_path, the file to name in advice, are borrowed. */
Credentials *credentials_new(GPtrArray *accounts, const char *config_path,
                             CredentialsAnswer answer, gpointer user);
/* Ends commands that still run; wipes.  NULL is fine. */
void credentials_free(Credentials *credentials);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Credentials, credentials_free)

/* Asks for the secret of @account, which need not exist; @stale: the last one was refused.
 * Failures are LOCKED (the command failed, the file is missing or too open) and AUTH (nothing
 * is configured, and there is no terminal). */
void credentials_get(Credentials *credentials, const char *account, gboolean stale, guint32 id);

/* Whether the terminal may be asked; FALSE at first, and takes back an open question. */
void credentials_set_prompting(Credentials *credentials, gboolean may_prompt);

/* The end has come: whoever waits is told CANCELLED, now and later, and commands are ended. */
void credentials_stop(Credentials *credentials);

gboolean credentials_is_prompting(const Credentials *credentials);

void credentials_poll(const Credentials *credentials, GArray *fds); /* appends struct pollfd */
Deadline credentials_deadline(const Credentials *credentials);
void credentials_handle(Credentials *credentials); /* after the poll */
