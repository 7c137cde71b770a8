/* Values of configuration keys: what each kind looks like in the file, and what it means.
 *
 * All answer FALSE with INVALID and a sentence that shows how to write it right; the caller adds
 * file, line and key.  @raw is the value as it stands in the file.
 */
#pragma once

#include <glib.h>

#include "base/endpoint.h"

/* GKeyFile's escapes taken off: \s \n \t \r \\.  An empty value is INVALID.  The caller owns it. */
gboolean config_value_text(const char *raw, char **ret_text, GError **error);

/* "a;b;c": blanks around the elements and empty elements go; "\;" is a semicolon. */
gboolean config_value_list(const char *raw, char ***ret_list, GError **error);

/* The reverse of the two above. */
char *config_value_escape(const char *text, gboolean in_list);

/* A command line with shell quoting but without a shell. */
gboolean config_value_argv(const char *raw, char ***ret_argv, GError **error);

/* "~" and "~/x" are taken from the home in getpwuid(); other paths must be absolute. */
gboolean config_value_path(const char *raw, char **ret_path, GError **error);

/* "512K", "300M", "2G", "1T" (powers of 1024) or plain bytes. */
gboolean config_value_size(const char *raw, guint64 *ret_bytes, GError **error);
char *config_value_size_show(guint64 bytes);

/* "60s", "5m", "2h", "30d". */
gboolean config_value_duration(const char *raw, guint *ret_seconds, GError **error);
char *config_value_duration_show(guint seconds);

/* A protocol's URLs: "imaps://" is TLS, "imap://" is TLS begun by a command, "imap+plain://" is
 * clear text. */
typedef struct {
    const char *name;    /* "imap" */
    const char *command; /* "STARTTLS" */
    guint16 tls_port, port;
} ConfigScheme;

extern const ConfigScheme config_scheme_imap, config_scheme_pop3;

/* SCHEME://[USER@]HOST[:PORT].  Sets security, host and port of @endpoint; *ret_user is NULL when
 * none is given. */
gboolean config_value_url(const char *raw, const ConfigScheme *scheme, Endpoint *endpoint,
                          char **ret_user, GError **error);

/* "sha256:" and the base64 form of 32 bytes. */
gboolean config_value_is_pin(const char *text);

/* The home directory by getpwuid(), or $HOME where the user has no entry.  Static. */
const char *config_home(void);
