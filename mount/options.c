/* See options.h.  What is ignored is listed word by word: an option that is silently not obeyed
 * must be one that cannot matter here.
 */
#include "mount/options.h"
#include "base/error.h"

#include <string.h>

static const char *const ignored[] = {
    /* what mailfs does in any case */
    "ro", "rw", "nosuid", "nodev", "noexec", "default_permissions", "defaults",
    /* for mount(8), systemd and autofs */
    "auto", "noauto", "nofail", "_netdev", "_rnetdev", "user", "nouser", "users", "nousers",
    "owner", "noowner", "group", "nogroup",
    /* without meaning for mail */
    "async", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime",
    "strictatime", "nostrictatime", "lazytime", "nolazytime",
};

static gboolean is_ignored(const char *word)
{
    for (guint i = 0; i < G_N_ELEMENTS(ignored); i++)
        if (strcmp(word, ignored[i]) == 0)
            return TRUE;
    return g_str_has_prefix(word, "x-") || g_str_has_prefix(word, "X-") ||
           g_str_has_prefix(word, "comment=") || g_str_has_prefix(word, "user=");
}

/* "NAME=VALUE" with a value; *@field is set to it. */
static gboolean take_value(const char *word, const char *name, char **field)
{
    gsize n = strlen(name);

    if (strncmp(word, name, n) != 0 || word[n] != '=' || word[n + 1] == '\0')
        return FALSE;
    g_free(*field);
    *field = g_strdup(word + n + 1);
    return TRUE;
}

gboolean mount_options_parse(const char *text, MountOptions *options, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);

    for (guint i = 0; words[i]; i++) {
        if (words[i][0] == '\0' || is_ignored(words[i]))
            continue;
        if (strcmp(words[i], "allow_other") == 0)
            options->allow_other = TRUE;
        else if (strcmp(words[i], "debug_fuse") == 0)
            options->debug_fuse = TRUE;
        else if (!take_value(words[i], "setuid", &options->setuid) &&
                 !take_value(words[i], "config", &options->config_path) &&
                 !take_value(words[i], "log", &options->log_path))
            return mail_fail(error, MAIL_ERROR_INVALID,
                             "unknown mount option '%s'; known are setuid=USER, allow_other, "
                             "config=FILE, log=FILE and debug_fuse", words[i]);
    }
    return TRUE;
}

void mount_options_clear(MountOptions *options)
{
    g_clear_pointer(&options->setuid, g_free);
    g_clear_pointer(&options->config_path, g_free);
    g_clear_pointer(&options->log_path, g_free);
}
