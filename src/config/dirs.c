/* Where mailfs keeps things: the XDG base directories, with "/mailfs" appended.
 *
 * A mount started by systemd or mount(8) has no environment, so the fallback is the home of the
 * user database and never $HOME, which under sudo is another user's.
 */
#include "config/config.h"
#include "config/value.h"

#include <sys/stat.h>
#include <unistd.h>

static char *xdg_dir(const char *variable, const char *below_home)
{
    const char *base = g_getenv(variable);

    if (base && base[0] == '/') /* the specification: relative paths are ignored */
        return g_build_filename(base, "mailfs", NULL);
    return g_build_filename(config_home(), below_home, "mailfs", NULL);
}

char *config_cache_dir(void)
{
    return xdg_dir("XDG_CACHE_HOME", ".cache");
}

char *config_state_dir(void)
{
    return xdg_dir("XDG_STATE_HOME", ".local/state");
}

char *config_data_dir(void)
{
    return xdg_dir("XDG_DATA_HOME", ".local/share");
}

/* Without a login session there is no /run/user/UID (a mount at boot): the cache serves then. */
char *config_runtime_dir(void)
{
    const char *base = g_getenv("XDG_RUNTIME_DIR");
    g_autofree char *session = g_strdup_printf("/run/user/%u", (guint)geteuid());
    struct stat st;

    if (base && base[0] == '/')
        return g_build_filename(base, "mailfs", NULL);
    if (stat(session, &st) == 0 && st.st_uid == geteuid())
        return g_build_filename(session, "mailfs", NULL);
    g_free(session);
    session = config_cache_dir();
    return g_build_filename(session, "run", NULL);
}
