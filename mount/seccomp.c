/* The seccomp filter: a classic BPF program, written by hand, over struct seccomp_data.
 *
 * It names what a mail reader never does and a burglar would want; everything else stays
 * allowed, for libraries (name service, TLS, iconv) change what they call.  A refusal is EPERM,
 * not a signal: a library that merely tries goes on.  See sandbox.h.
 */
#include "mount/sandbox.h"
#include "mount/harden.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define THIS_MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_MACHINE AUDIT_ARCH_AARCH64
#endif

#ifdef THIS_MACHINE

static const guint32 denied[] = {
    /* other programs, other processes */
    SYS_execve, SYS_execveat, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp,
    SYS_pidfd_getfd, SYS_personality,
#if !HARDEN_HAS_SANITIZER
    SYS_ptrace,
#endif
    /* mounts and name spaces */
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_unshare, SYS_open_tree,
    SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr,
    /* parts of the kernel with a history */
    SYS_bpf, SYS_userfaultfd, SYS_perf_event_open, SYS_io_uring_setup, SYS_io_uring_enter,
    SYS_io_uring_register, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    /* the machine; matters when root mounts */
    SYS_kexec_load, SYS_kexec_file_load, SYS_init_module, SYS_finit_module, SYS_delete_module,
    SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_settimeofday, SYS_clock_settime,
    SYS_sethostname, SYS_setdomainname, SYS_mknodat,
#ifdef SYS_mknod
    SYS_mknod,
#endif
#ifdef SYS_iopl
    SYS_iopl, SYS_ioperm,
#endif
};

static const guint32 allowed_families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

/* CLONE_NEWTIME shares its bit with the exit signal's mask and is not for clone(2). */
#define NAMESPACE_FLAGS                                                                           \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
     CLONE_NEWNET)

static void add(GArray *filter, struct sock_filter instruction)
{
    g_array_append_val(filter, instruction);
}

static void add_load(GArray *filter, gsize offset)
{
    add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (guint32)offset));
}

/* Ends with @answer when the loaded word compares so with @value; goes on otherwise. */
static void add_answer_if(GArray *filter, guint16 comparison, guint32 value, guint32 answer)
{
    add(filter, (struct sock_filter)BPF_JUMP((guint16)(BPF_JMP | comparison | BPF_K), value, 0, 1));
    add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, answer));
}

/* The low half of an argument; both machines are little-endian. */
static gsize argument(int i)
{
    return offsetof(struct seccomp_data, args) + (gsize)i * sizeof(guint64);
}

/* socket(2): only families that mail and name resolution need. */
static void add_socket_rule(GArray *filter)
{
    const guint8 n = G_N_ELEMENTS(allowed_families);

    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, n * 2 + 2));
    add_load(filter, argument(0));
    for (guint8 i = 0; i < n; i++)
        add_answer_if(filter, BPF_JEQ, allowed_families[i], SECCOMP_RET_ALLOW);
    add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT));
}

/* clone(2): threads and children, but no name spaces.  clone3(2) keeps its flags in memory,
 * where a filter cannot look: ENOSYS makes the C library use clone(2). */
static void add_clone_rules(GArray *filter)
{
    add_answer_if(filter, BPF_JEQ, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4));
    add_load(filter, argument(0));
    add_answer_if(filter, BPF_JSET, NAMESPACE_FLAGS, SECCOMP_RET_ERRNO | EPERM);
    add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

static GArray *write_filter(void)
{
    GArray *filter = g_array_new(FALSE, FALSE, sizeof(struct sock_filter));

    /* Numbers mean other calls on other machines (32-bit calls on x86-64). */
    add_load(filter, offsetof(struct seccomp_data, arch));
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_MACHINE, 1, 0));
    add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
    add_load(filter, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
    add_answer_if(filter, BPF_JGE, 0x40000000, SECCOMP_RET_ERRNO | EPERM); /* x32 */
#endif
    for (guint i = 0; i < G_N_ELEMENTS(denied); i++)
        add_answer_if(filter, BPF_JEQ, denied[i], SECCOMP_RET_ERRNO | EPERM);
    add_clone_rules(filter);
    add_socket_rule(filter);
    add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    return filter;
}

gboolean sandbox_deny_calls(const char **ret_why)
{
    g_autoptr(GArray) filter = write_filter();
    struct sock_fprog program = {.len = (guint16)filter->len,
                                 .filter = (struct sock_filter *)(void *)filter->data};

    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0)
        return TRUE;
    *ret_why = g_strerror(errno);
    return FALSE;
}

#else

gboolean sandbox_deny_calls(const char **ret_why)
{
    *ret_why = "not written for this machine";
    return FALSE;
}

#endif
