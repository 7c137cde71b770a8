/* The effective configuration as text: what `mailfs config show` prints.
 *
 * It can be read again as a configuration, but for commands, whose arguments are starred because
 * passwords stand in them more often than one thinks.
 */
#include "config/config.h"
#include "config/key.h"
#include "config/value.h"

#include <stddef.h>
#include <string.h>

/* "/home/ali/Mail" tells who is asking; "~/Mail" does not. */
static char *without_home(const char *path)
{
    const char *home = config_home();
    gsize length = strlen(home);

    if (length > 1 && g_str_has_prefix(path, home) && (path[length] == '/' || !path[length]))
        return g_strconcat("~", path + length, NULL);
    return NULL;
}

static char *redacted(const ConfigKey *key, const char *text)
{
    const char *end;
    char *path = without_home(text);

    if (path)
        return path;
    if (!key->is_private)
        return g_strdup(text);
    end = g_str_equal(key->name, "imap") || g_str_equal(key->name, "pop3") ? strstr(text, "://")
                                                                           : NULL;
    if (end) { /* the scheme and the port say what is wrong, the host says where */
        const char *port = strrchr(text, ':');

        return g_strdup_printf("%.*s://REDACTED%s", (int)(end - text), text, port);
    }
    return g_strdup("REDACTED");
}

static void show_account(GString *out, const ConfigAccount *account, guint number,
                         gboolean redact)
{
    if (redact)
        g_string_append_printf(out, "\n[account account%u]\n", number);
    else
        g_string_append_printf(out, "\n[account %s]\n", account->id);
    for (const ConfigKey *key = config_keys; key->name; key++) {
        gboolean is_server = key->in_endpoint || key->offset == offsetof(ConfigAccount, endpoint);
        g_autofree char *text =
            is_server && !account->endpoint ? NULL : key->kind->show(key, account);
        gboolean is_default = g_strcmp0(text, key->fallback) == 0;

        if (!text)
            continue;
        if (redact && !is_default) {
            char *hidden = redacted(key, text);

            g_free(text);
            text = hidden;
        }
        g_string_append_printf(out, "%s%s=%s\n", is_default ? "# " : "", key->name, text);
    }
}

char *config_show(const Config *config, gboolean redact)
{
    GString *out = g_string_new("# ");
    g_autofree char *path = redact ? without_home(config->path) : NULL;

    g_string_append_printf(out, "%s; lines that begin with # show the defaults\n",
                           path ? path : config->path);
    for (guint i = 0; i < config->accounts->len; i++)
        show_account(out, g_ptr_array_index(config->accounts, i), i + 1, redact);
    return g_string_free(out, FALSE);
}
