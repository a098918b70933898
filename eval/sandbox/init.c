/* Process 1 of every sandbox: sets the limits bubblewrap has no word for, runs one program, accounts for
 * its whole tree, kills what is left and reports.
 *
 * As process 1 of a pid namespace it cannot be killed from inside, inherits every orphan (so no CPU time
 * gets away unseen), and takes the whole tree with it when it ends. It is not dumpable, so programs under
 * it, which run as the same user, can neither trace it nor reach its descriptors through /proc.
 *
 *   init drop UID GID PROGRAM [ARG...]     become an ordinary user, then exec (for callers that are root)
 *   init box KEY=VALUE... -- PROGRAM [ARG...]
 *
 * Keys (0 or absent: no such limit): control (descriptor of a SEQPACKET socket), cpu_ms, wall_ms (less the
 * time the program stood ready and got no CPU), rss (sum over the tree), as, stack, fsize, nofile, nproc, tmp, inodes (of a private /tmp), core (CPU to run on),
 * keep (a descriptor the program gets; repeatable). Sizes are bytes.
 *
 * Over the control socket: "ready" out, any message in, then "fail WHY" (our fault), or at the end
 * "end REASON WAIT_STATUS CPU_US WALL_US QUEUED_US MAIN_RSS TREE_RSS". REASON: exit, cpu, wall, rss.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef long long i64;

static struct {
    i64 control, cpu_ms, wall_ms, rss, as, stack, fsize, nofile, nproc, tmp, inodes, core;
    int keep[16], kept;
} want = {.control = -1, .core = -1};

static const i64 SCAN_US = 10000; /* how often the tree is measured: the overshoot of a kill */
static const i64 PATIENCE = 5;    /* real time a busy machine may take, in multiples of wall_ms */

/* Every failure here is the sandbox's, never the program's: say so where the supervisor listens. */
static void die(const char *what) {
    char message[200];
    int length = snprintf(message, sizeof message, "fail %s: %s", what, strerror(errno));
    if (want.control < 0 || send(want.control, message, length, 0) < 0) dprintf(2, "init: %s\n", message);
    _exit(125);
}

static i64 now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void parse(const char *word) {
    static const struct { const char *key; i64 *value; } KEYS[] = {
        {"control", &want.control}, {"cpu_ms", &want.cpu_ms}, {"wall_ms", &want.wall_ms}, {"rss", &want.rss},
        {"as", &want.as}, {"stack", &want.stack}, {"fsize", &want.fsize}, {"nofile", &want.nofile},
        {"nproc", &want.nproc}, {"tmp", &want.tmp}, {"inodes", &want.inodes}, {"core", &want.core}};
    const char *eq = strchr(word, '=');
    size_t length = eq ? (size_t)(eq - word) : 0;
    if (length == 4 && !strncmp(word, "keep", 4) && want.kept < 16) {
        want.keep[want.kept++] = atoi(eq + 1);
        return;
    }
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        if (strlen(KEYS[i].key) == length && !strncmp(KEYS[i].key, word, length)) {
            *KEYS[i].value = atoll(eq + 1);
            return;
        }
    errno = EINVAL;
    die(word);
}

/* System calls no contest program needs: attack surface of the kernel, ways to new namespaces, memory that
 * outlives a mapping, every socket, and reach for more CPU or for process 1's. They fail with EPERM. */
static const int REFUSED[] = {
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

#if defined __x86_64__
#define NATIVE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define NATIVE AUDIT_ARCH_AARCH64
#else
#error "the sandbox knows the system calls of x86-64 and AArch64 only"
#endif
#define NEW_NAMESPACES 0x7E020000u /* the CLONE_NEW* bits of clone(2) */
#define X32 0x40000000u

static void filter_syscalls(void) {
    struct sock_filter code[32 + 2 * sizeof REFUSED / sizeof *REFUSED];
    size_t n = 0;
#define EMIT(...) code[n++] = (struct sock_filter)__VA_ARGS__
#define DENY(error) EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error)))
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0));
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1));
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, REFUSED[i], 0, 1));
        DENY(EPERM);
    }
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
    struct sock_fprog program = {.len = n, .filter = code};
    /* SPEC_ALLOW: without it older kernels slow filtered programs down, and times would be unfair. */
    if (syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program))
        die("seccomp");
}

static void drop_capabilities(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(__NR_capset, &header, none)) die("capset");
}

static void limit(int resource, i64 value) {
    struct rlimit both;
    if (getrlimit(resource, &both)) die("getrlimit");
    if ((rlim_t)value < both.rlim_max) both.rlim_max = value; /* raising a hard limit needs privilege */
    both.rlim_cur = both.rlim_max;
    if (setrlimit(resource, &both)) die("setrlimit");
}

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) die(path);
    close(fd);
}

static void become_program(char **argv) {
    sigset_t none;
    sigemptyset(&none);
    setsid();
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* its own again: /proc/self is closed to it otherwise */
    write_file("/proc/self/oom_score_adj", "1000"); /* memory runs out: the program dies, not its judge */
    if (want.core >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(want.core, &set);
        sched_setaffinity(0, sizeof set, &set); /* fails when the CPU went offline: run anywhere */
    }
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_MEMLOCK, 65536);
    limit(RLIMIT_MSGQUEUE, 0);
    limit(RLIMIT_STACK, want.stack ? want.stack : (i64)RLIM_INFINITY);
    if (want.as) limit(RLIMIT_AS, want.as);
    if (want.fsize) limit(RLIMIT_FSIZE, want.fsize);
    if (want.nofile) limit(RLIMIT_NOFILE, want.nofile);
    if (want.nproc) limit(RLIMIT_NPROC, want.nproc + 1); /* this process 1 counts too */
    if (syscall(__NR_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */)) die("close_range");
    for (int i = 0; i < want.kept; i++) fcntl(want.keep[i], F_SETFD, 0);
    sigprocmask(SIG_SETMASK, &none, NULL);
    filter_syscalls();
    execv(argv[0], argv);
    if (errno == ENOMEM) raise(SIGKILL); /* a program too big for its own limit */
    die(argv[0]);
}

/* CPU time (microseconds) and resident bytes of every live process but this one; children that were
 * waited for count through their parents. */
static void measure(i64 *cpu_us, i64 *rss) {
    static i64 tick_us, page;
    if (!tick_us) tick_us = 1000000 / sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
    *cpu_us = *rss = 0;
    DIR *proc = opendir("/proc");
    if (!proc) die("/proc");
    for (struct dirent *entry; (entry = readdir(proc));) {
        if (!isdigit((unsigned char)entry->d_name[0]) || !strcmp(entry->d_name, "1")) continue;
        char path[300], text[1024];
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        ssize_t length = read(fd, text, sizeof text - 1);
        close(fd);
        if (length <= 0) continue;
        text[length] = 0;
        char *fields = strrchr(text, ')'); /* the name before it may hold anything */
        i64 ut, st, cut, cst, pages;
        if (fields && sscanf(fields + 1,
                             " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld %lld %lld"
                             " %*d %*d %*d %*d %*u %*u %lld", &ut, &st, &cut, &cst, &pages) == 5) {
            *cpu_us += (ut + st + cut + cst) * tick_us;
            *rss += pages * page;
        }
    }
    closedir(proc);
}

static i64 reaped_cpu_us(void) {
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000LL + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

/* How long the program's first thread, dead or alive, stood in the run queue: the machine's fault. */
static i64 queued_us(pid_t program) {
    char path[64], text[128] = "";
    snprintf(path, sizeof path, "/proc/%d/schedstat", program);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    i64 queued = 0;
    if (fd >= 0 && read(fd, text, sizeof text - 1) > 0) sscanf(text, "%*d %lld", &queued);
    if (fd >= 0) close(fd);
    return queued / 1000;
}

static int over_wall(i64 wall_us, i64 queued) {
    return want.wall_ms && (wall_us - queued > want.wall_ms * 1000 || wall_us > PATIENCE * want.wall_ms * 1000);
}

static void supervise(pid_t program) {
    const char *reason = "exit";
    i64 start = now_us(), scanned = start, end = start, queued = 0, main_rss = 0, tree_rss = 0;
    int status = 0, alive = 1;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    while (alive) {
        struct timespec period = {0, SCAN_US * 1000};
        sigtimedwait(&child, NULL, &period);
        struct rusage usage;
        int one;
        siginfo_t info = {0};
        if (!waitid(P_PID, program, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid) queued = queued_us(program);
        for (pid_t pid; (pid = wait4(-1, &one, WNOHANG, &usage)) > 0;)
            if (pid == program) status = one, main_rss = usage.ru_maxrss * 1024LL, alive = 0;
        end = now_us();
        if (!alive || end - scanned < SCAN_US) continue;
        scanned = end;
        i64 cpu, rss;
        measure(&cpu, &rss);
        queued = queued_us(program);
        if (rss > tree_rss) tree_rss = rss;
        if (want.cpu_ms && cpu + reaped_cpu_us() > want.cpu_ms * 1000) reason = "cpu";
        else if (over_wall(end - start, queued)) reason = "wall";
        else if (want.rss && rss > want.rss) reason = "rss";
        else continue;
        break;
    }
    kill(-1, SIGKILL);
    struct rusage usage;
    int one;
    for (pid_t pid; (pid = wait4(-1, &one, 0, &usage)) > 0 || errno == EINTR;)
        if (pid == program) status = one, main_rss = usage.ru_maxrss * 1024LL;
    char report[160];
    int length = snprintf(report, sizeof report, "end %s %d %lld %lld %lld %lld %lld", reason, status,
                          reaped_cpu_us(), end - start, queued, main_rss, tree_rss);
    if (send(want.control, report, length, 0) < 0) die("report");
}

static void box(char **argv) {
    for (; *argv && strcmp(*argv, "--"); argv++) parse(*argv);
    if (!*argv || !argv[1] || want.control < 0) errno = EINVAL, die("usage");
    if (want.tmp) {
        char options[96];
        snprintf(options, sizeof options, "size=%lld,nr_inodes=%lld,mode=0700", want.tmp, want.inodes);
        if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, options) || chdir("/tmp")) die("/tmp");
    }
    drop_capabilities();
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    char go[8];
    if (send(want.control, "ready", 5, 0) < 0 || recv(want.control, go, sizeof go, 0) <= 0) die("control");
    pid_t program = fork();
    if (program < 0) die("fork");
    if (!program) become_program(argv + 1);
    supervise(program);
}

static void drop(char **argv) {
    uid_t uid = atoi(argv[0]), gid = atoi(argv[1]);
    if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid)) die("drop");
    execv(argv[2], argv + 2);
    die(argv[2]);
}

int main(int argc, char **argv) {
    if (argc > 4 && !strcmp(argv[1], "drop")) drop(argv + 2);
    if (argc > 3 && !strcmp(argv[1], "box")) {
        box(argv + 2);
        return 0;
    }
    errno = EINVAL;
    die("usage");
}
