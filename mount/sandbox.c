/* Landlock by its raw system calls (landlock(7)); the C library has no wrappers, and the headers
 * of Debian 12 know only its first versions, so later rights are written out here.
 *
 * A kernel knows the rights up to its own version and refuses others, so the version is asked
 * first and what it lacks is left out: an old kernel locks less, and `status` says which version
 * it was.
 */
#include "mount/sandbox.h"

#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From linux/landlock.h; the numbers are the kernel's and never change. */
enum {
    CREATE_RULESET_VERSION = 1 << 0,
    RULE_PATH_BENEATH = 1,
    RULE_NET_PORT = 2,
};

#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_REMOVE_DIR (1ULL << 4)
#define FS_REMOVE_FILE (1ULL << 5)
#define FS_MAKE_DIR (1ULL << 7)
#define FS_MAKE_REG (1ULL << 8)
#define FS_ALL_1 ((1ULL << 13) - 1) /* all rights of version 1 */
#define FS_REFER (1ULL << 13)       /* version 2: rename between directories */
#define FS_TRUNCATE (1ULL << 14)    /* version 3 */
#define FS_IOCTL_DEV (1ULL << 15)   /* version 5 */
#define NET_BIND_TCP (1ULL << 0)    /* version 4 */
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_SOCKET (1ULL << 0) /* version 6 */
#define SCOPE_SIGNAL (1ULL << 1)

#define READ_RIGHTS (FS_READ_FILE | FS_READ_DIR)
#define WRITE_RIGHTS                                                                              \
    (READ_RIGHTS | FS_WRITE_FILE | FS_TRUNCATE | FS_REFER | FS_REMOVE_DIR | FS_REMOVE_FILE |      \
     FS_MAKE_DIR | FS_MAKE_REG)
#define FILE_RIGHTS (FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE) /* those that files can have */

typedef struct {
    guint64 handled_access_fs;
    guint64 handled_access_net; /* version 4 */
    guint64 scoped;             /* version 6 */
} RulesetAttr;

typedef struct {
    guint64 allowed_access;
    gint32 parent_fd;
} __attribute__((packed)) PathAttr;

typedef struct {
    guint64 allowed_access;
    guint64 port;
} PortAttr;

SandboxRules *sandbox_rules_new(void)
{
    SandboxRules *rules = g_new0(SandboxRules, 1);

    rules->read_paths = g_ptr_array_new_with_free_func(g_free);
    rules->write_paths = g_ptr_array_new_with_free_func(g_free);
    rules->ports = g_array_new(FALSE, FALSE, sizeof(guint16));
    return rules;
}

void sandbox_rules_free(SandboxRules *rules)
{
    if (!rules)
        return;
    g_ptr_array_unref(rules->read_paths);
    g_ptr_array_unref(rules->write_paths);
    g_array_unref(rules->ports);
    g_free(rules);
}

void sandbox_allow_read(SandboxRules *rules, const char *path)
{
    if (path)
        g_ptr_array_add(rules->read_paths, g_strdup(path));
}

void sandbox_allow_write(SandboxRules *rules, const char *path)
{
    if (path)
        g_ptr_array_add(rules->write_paths, g_strdup(path));
}

void sandbox_allow_port(SandboxRules *rules, guint16 port)
{
    g_array_append_val(rules->ports, port);
}

void sandbox_allow_system(SandboxRules *rules)
{
    static const char *const read[] = {
        "/usr", "/lib", "/lib32", "/lib64", "/libx32", /* iconv and name service modules */
        "/nix/store", "/gnu/store",                    /* the same, elsewhere */
        "/etc",                     /* resolv.conf, hosts, nsswitch.conf, certificates */
        "/run",                     /* what resolv.conf links to */
        "/var/lib/ca-certificates", /* where some systems keep them */
        "/proc",                    /* who asks: names of programs; pending signals */
        "/sys/devices/system/cpu",  /* the number of processors */
        "/dev/urandom",
    };

    for (guint i = 0; i < G_N_ELEMENTS(read); i++)
        sandbox_allow_read(rules, read[i]);
    sandbox_allow_write(rules, "/dev/null");
    sandbox_allow_port(rules, 53); /* answers that are too long for UDP */
}

/* -- Landlock -------------------------------------------------------------------------------- */

static int landlock_version(void)
{
    return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
}

static guint64 fs_rights(int version)
{
    guint64 rights = FS_ALL_1;

    if (version >= 2)
        rights |= FS_REFER;
    if (version >= 3)
        rights |= FS_TRUNCATE;
    if (version >= 5)
        rights |= FS_IOCTL_DEV;
    return rights;
}

static int create_ruleset(int version)
{
    RulesetAttr attr = {.handled_access_fs = fs_rights(version)};
    gsize size = sizeof attr.handled_access_fs;

    if (version >= 4) {
        attr.handled_access_net = NET_BIND_TCP | NET_CONNECT_TCP;
        size = G_STRUCT_OFFSET(RulesetAttr, scoped);
    }
    if (version >= 6) {
        attr.scoped = SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL;
        size = sizeof attr;
    }
    return (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
}

/* What does not exist needs no rule. */
static gboolean add_paths(int ruleset, GPtrArray *paths, guint64 rights)
{
    for (guint i = 0; i < paths->len; i++) {
        autofd int fd = open(g_ptr_array_index(paths, i), O_PATH | O_CLOEXEC);
        PathAttr attr = {.allowed_access = rights, .parent_fd = fd};
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
            continue;
        if (!S_ISDIR(st.st_mode))
            attr.allowed_access &= FILE_RIGHTS;
        if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr, 0) < 0)
            return FALSE;
    }
    return TRUE;
}

static gboolean add_ports(int ruleset, GArray *ports)
{
    for (guint i = 0; i < ports->len; i++) {
        PortAttr attr = {.allowed_access = NET_CONNECT_TCP,
                         .port = g_array_index(ports, guint16, i)};

        if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &attr, 0) < 0)
            return FALSE;
    }
    return TRUE;
}

/* The version in force; 0 with *@ret_why. */
static int landlock_apply(const SandboxRules *rules, const char **ret_why)
{
    int version = landlock_version();
    guint64 known = fs_rights(version);
    autofd int ruleset = -1;

    *ret_why = "the kernel has no Landlock";
    if (version < 1)
        return 0;
    ruleset = create_ruleset(version);
    if (ruleset < 0 || !add_paths(ruleset, rules->read_paths, READ_RIGHTS & known) ||
        !add_paths(ruleset, rules->write_paths, WRITE_RIGHTS & known) ||
        (version >= 4 && !add_ports(ruleset, rules->ports)) ||
        syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) {
        *ret_why = g_strerror(errno);
        return 0;
    }
    return version;
}

/* -- All together ---------------------------------------------------------------------------- */

static guint count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *entry;
    guint n = 0;

    while (tasks && (entry = readdir(tasks)))
        n += entry->d_name[0] != '.';
    if (tasks)
        (void)closedir(tasks);
    return n;
}

char *sandbox_apply(const SandboxRules *rules)
{
    GString *status = g_string_new(NULL);
    const char *why;
    guint n_threads = count_threads();
    int version;

    if (n_threads > 1)
        g_string_append_printf(status, "%u threads outside, ", n_threads - 1);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        g_string_append_printf(status, "none: no_new_privs: %s", g_strerror(errno));
        return g_string_free(status, FALSE);
    }
    version = landlock_apply(rules, &why);
    if (version > 0)
        g_string_append_printf(status, "landlock %d", version);
    else
        g_string_append_printf(status, "no landlock (%s)", why);
    if (sandbox_deny_calls(&why))
        g_string_append(status, ", seccomp");
    else
        g_string_append_printf(status, ", no seccomp (%s)", why);
    g_string_append(status, ", no_new_privs");
    return g_string_free(status, FALSE);
}
