/* The system calls that programs in the sandbox may not make. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Refused are those no contest program needs: attack surface of the kernel, ways to new namespaces, memory that
 * outlives a mapping, every socket, and reach for more CPU or for process 1's. They fail with EPERM. */
static int REFUSED[] = {
    __NR_ptrace, __NR_process_vm_readv, __NR_process_vm_writev, __NR_kcmp, __NR_process_madvise,
    __NR_pidfd_getfd, __NR_bpf, __NR_perf_event_open, __NR_userfaultfd, __NR_io_uring_setup,
    __NR_io_uring_enter, __NR_io_uring_register, __NR_io_setup, __NR_io_submit, __NR_unshare, __NR_setns,
    __NR_mount, __NR_umount2, __NR_pivot_root, __NR_chroot, __NR_open_tree, __NR_move_mount, __NR_fsopen,
    __NR_fsconfig, __NR_fsmount, __NR_fspick, __NR_mount_setattr, __NR_open_by_handle_at,
    __NR_name_to_handle_at, __NR_fanotify_init, __NR_keyctl, __NR_add_key, __NR_request_key,
    __NR_init_module, __NR_finit_module, __NR_delete_module, __NR_kexec_load, __NR_reboot, __NR_swapon,
    __NR_swapoff, __NR_acct, __NR_quotactl, __NR_syslog, __NR_settimeofday, __NR_clock_settime,
    __NR_adjtimex, __NR_clock_adjtime, __NR_sethostname, __NR_setdomainname, __NR_vhangup,
    __NR_lookup_dcookie, __NR_memfd_create, __NR_shmget, __NR_shmat, __NR_shmctl, __NR_msgget, __NR_msgsnd,
    __NR_semget, __NR_mq_open, __NR_socket, __NR_vmsplice, __NR_move_pages, __NR_migrate_pages,
    __NR_setpriority, __NR_sched_setscheduler, __NR_sched_setparam, __NR_sched_setattr,
    __NR_sched_setaffinity, __NR_ioprio_set,
#ifdef __NR_memfd_secret
    __NR_memfd_secret,
#endif
#ifdef __x86_64__
    __NR_iopl, __NR_ioperm, __NR_modify_ldt, __NR_kexec_file_load, __NR_uselib, __NR_ustat, __NR_sysfs,
#endif
};

/* What a program that has to work alone may not do either: sleep, set a timer, run another program, wait for a
 * child. It is killed. The first exec, of the program itself, is told apart by a number that stands in for a
 * directory, which an absolute path leaves unused: drawn for the run, and nowhere but in the process that the exec
 * replaces, and in the filter, which no program can read. */
static const int COMPANY[] = {
    __NR_clock_nanosleep, __NR_pselect6, __NR_setitimer, __NR_execve, __NR_wait4, __NR_waitid,
#ifdef __x86_64__
    __NR_alarm, __NR_pause,
#endif
};

#if defined __x86_64__
#define NATIVE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define NATIVE AUDIT_ARCH_AARCH64
#else
#error "the sandbox knows the system calls of x86-64 and AArch64 only"
#endif
#define NEW_NAMESPACES 0x7E020000u /* the CLONE_NEW* bits of clone(2) */
#define X32 0x40000000u

enum { COUNT = sizeof REFUSED / sizeof *REFUSED };
_Static_assert(2 * COUNT < 256, "a jump of the filter reaches no further");

static struct {
    struct sock_filter code[32 + 2 * COUNT];
    unsigned short length;
} filter;
#define EMIT(...) filter.code[filter.length++] = (struct sock_filter)__VA_ARGS__
#define DENY(error) EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error)))

static int ascending(const void *a, const void *b) {
    return *(const int *)a - *(const int *)b;
}

/* A decision tree over REFUSED[from, to): on to instruction `end` with every other number, one past it with
 * these. The kernel tries each new filter on every number there is, so a list would cost a run more. */
static void refuse(int from, int to, int end) {
    int middle = (from + to) / 2, rest = end - filter.length;
    if (to - from == 1) {
        EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, REFUSED[from], rest, rest - 1));
        return;
    }
    EMIT(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, REFUSED[middle], 2 * (middle - from) - 1, 0));
    refuse(from, middle, end);
    refuse(middle, to, end);
}

static int install(const struct sock_filter *code, unsigned short length) {
    struct sock_fprog program = {.len = length, .filter = (struct sock_filter *)code};
    /* SPEC_ALLOW: without it older kernels slow filtered programs down, and times would be unfair. */
    return syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
}

/* A filter of its own: of several the kernel obeys the strictest. Other architectures are the main one's. `first`
 * is the exec that is let through, 0 if none is. */
static int refuse_company(unsigned long long first) {
    enum { MOST = sizeof COMPANY / sizeof *COMPANY, REST = 7, DIRECTORY = offsetof(struct seccomp_data, args[0]) };
    struct sock_filter code[1 + MOST + REST] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    for (int i = 0; i < MOST; i++)
        code[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, COMPANY[i], MOST - i + 5, 0);
    const struct sock_filter rest[REST] = {
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_execveat, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DIRECTORY),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)first, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DIRECTORY + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(first >> 32), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    for (int i = 0; i < REST; i++) code[1 + MOST + i] = rest[i];
    if (!first) code[1 + MOST] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_execveat, 5, 4);
    return install(code, 1 + MOST + REST);
}

/* Puts this process, for good, under the filter; not 0 on failure. */
static int filter_syscalls(void) {
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0));
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1));
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    qsort(REFUSED, COUNT, sizeof *REFUSED, ascending);
    refuse(0, COUNT, filter.length + 2 * COUNT - 1);
    EMIT(BPF_STMT(BPF_JMP | BPF_JA, 1));
    DENY(EPERM);
    /* clone3 hides its flags behind a pointer; told it does not exist, libraries use clone. */
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone3, 0, 1));
    DENY(ENOSYS);
    /* A program may lower its own limits, but not those of process 1, which has the same user. */
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_prlimit64, 0, 4));
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0));
    DENY(EPERM);
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 3));
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NEW_NAMESPACES, 0, 1));
    DENY(EPERM);
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    return install(filter.code, filter.length);
}
