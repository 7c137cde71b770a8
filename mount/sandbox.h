/* What the worker may still do once it has begun: read its libraries and certificates, write its
 * own cache, speak to its own servers.
 *
 * The worker reads what strangers send, so a hole in it must not open the rest of the home.  The
 * locks are no_new_privs, Landlock (files and TCP ports) and a seccomp filter (no programs, no
 * mounts, no tracing).  They hold for the calling thread and its later children: call it before
 * there is another thread.
 */
#pragma once

#include <glib.h>

typedef struct {
    GPtrArray *read_paths;  /* of char *; those that do not exist are passed over */
    GPtrArray *write_paths; /* of char *; likewise */
    GArray *ports;          /* of guint16: TCP ports that may be connected to */
} SandboxRules;

SandboxRules *sandbox_rules_new(void);
void sandbox_rules_free(SandboxRules *rules); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SandboxRules, sandbox_rules_free)

/* Copies @path; NULL is ignored. */
void sandbox_allow_read(SandboxRules *rules, const char *path);
void sandbox_allow_write(SandboxRules *rules, const char *path);
void sandbox_allow_port(SandboxRules *rules, guint16 port);

/* What every worker needs of the system, whatever its accounts: libraries, name resolution,
 * certificates, /proc, port 53. */
void sandbox_allow_system(SandboxRules *rules);

/* Locks the process in as far as this kernel can, for good.  Answers what was done, for
 * `status`: "landlock 4, seccomp, no_new_privs", and names what is missing and why.  The caller
 * owns it. */
char *sandbox_apply(const SandboxRules *rules);

/* The seccomp part alone: FALSE with a reason in *@ret_why (static) where there is none for this
 * machine.  no_new_privs must be set. */
gboolean sandbox_deny_calls(const char **ret_why);
