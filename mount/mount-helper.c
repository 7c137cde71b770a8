/* The same mount in mount(8)'s words: other options, other exit codes, and an environment that
 * may be empty (mount units have none, so the home comes from the user database).
 */
#include "mount/mount-helper.h"
#include "mount/log.h"
#include "mount/mount-command.h"

#include "base/mountinfo.h"

#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* mount(8), EXIT STATUS */
enum {
    MOUNT_OK = 0,
    MOUNT_USAGE = 1, /* incorrect invocation or permissions */
    MOUNT_SYSTEM = 2,
    MOUNT_FAILED = 32,
};

static int mount_code(int sysexit)
{
    switch (sysexit) {
    case EX_OK:
        return MOUNT_OK;
    case EX_USAGE:
    case EX_NOPERM:
        return MOUNT_USAGE;
    case EX_OSERR:
    case EX_OSFILE:
    case EX_SOFTWARE:
        return MOUNT_SYSTEM;
    default:
        return MOUNT_FAILED;
    }
}

static void find_home(void)
{
    const struct passwd *user = g_getenv("HOME") ? NULL : getpwuid(getuid());

    if (user)
        g_setenv("HOME", user->pw_dir, TRUE);
}

/* Password commands are looked up here, and systemd's mount units have no PATH. */
static void find_path(void)
{
    if (!g_getenv("PATH"))
        g_setenv("PATH", "/usr/local/bin:/usr/bin:/bin", TRUE);
}

static int usage(void)
{
    fprintf(stderr, "usage: mount.mailfs ACCOUNT DIR [-sfnv] [-o OPTIONS]\n");
    return MOUNT_USAGE;
}

int mount_helper_run(int argc, char **argv)
{
    MountRequest request = {.config_path = NULL};
    g_autoptr(GError) error = NULL;
    gboolean is_fake = FALSE;
    const char *spec;
    int option, verbosity = 0, code;

    log_init(0);
    while ((option = getopt(argc, argv, "sfnvN:t:o:")) != -1) {
        if (option == 'f') {
            is_fake = TRUE;
        } else if (option == 'v') {
            log_set_verbosity(++verbosity);
        } else if (option == '?') {
            return usage();
        } else if (option == 'o' && !mount_options_parse(optarg, &request.options, &error)) {
            fprintf(stderr, "mount.mailfs: %s\n", error->message);
            return MOUNT_USAGE;
        }
    }
    if (argc - optind != 2)
        return usage();
    spec = argv[optind];
    request.dir = argv[optind + 1];
    if (g_str_has_prefix(spec, MOUNTINFO_SOURCE_OF))
        spec += strlen(MOUNTINFO_SOURCE_OF);
    request.is_all = strcmp(spec, "*") == 0;
    request.account = request.is_all ? NULL : spec;
    if (is_fake)
        return MOUNT_OK;
    find_home();
    find_path();
    code = mount_code(mount_request_run(&request));
    mount_options_clear(&request.options);
    return code;
}
