/* Process 1 of every sandbox, and of every run in it.
 *
 * bubblewrap builds a sandbox once: user, network, UTS, IPC and cgroup namespaces, a read-only root. Its
 * process 1 (`room`) waits there for orders. Each run gets pid and mount namespaces of its own, with a fresh
 * /proc, /box and /tmp, and a process 1 of its own (`box`) that gives up all privilege, sets the limits
 * bubblewrap has no word for, runs one program, accounts for its whole tree, kills what is left and reports.
 * Nothing of a run outlives its process 1, and none sees the room's. The IPC namespace is shared because no
 * program can put anything there (`filter.h`).
 *
 * As process 1 of a pid namespace it cannot be killed from inside, inherits every orphan (so no CPU time
 * gets away unseen), and takes the whole tree with it when it ends. It is not dumpable, so programs under
 * it, which run as the same user, can neither trace it nor reach its descriptors through /proc.
 *
 *   init drop UID GID PROGRAM [ARG...]     become an ordinary user, then exec (for callers that are root)
 *   init room CONTROL                      take orders from the SEQPACKET socket of that descriptor
 *   init deep PROGRAM [ARG...]             exec with as much stack as may be had
 *
 * Built as a library (-DLIBRARY) it is the same for an interpreter that is the room's process 1: `room` then also
 * returns in each run's program, a fork of that interpreter that stands where an exec'ed program would, with
 * the words that would have been executed. No program has run in the process that is forked, and the fork can reach
 * neither the report nor any descriptor of the room.
 *
 * Orders are words, each ended by a NUL: KEY=VALUE... -- PROGRAM [ARG...]. With them come descriptors: standard
 * input, output, error, the kept ones, the files. Keys (0 or absent: no such limit): cpu_ms, wall_ms (less the
 * time the program stood ready and got no CPU), rss (sum over the tree), as, stack, fsize, nofile, nproc, tmp,
 * inodes (of a private /tmp), shm (of a private /dev/shm), keep (how many descriptors the program gets, from 3
 * on), solo (1: `refuse_company` of filter.h, and no /dev/stdin, stdout, stderr, fd), ignore (a bit for each signal
 * that the program ignores at first, the lowest for signal 1), hold (1: what it was given stays open until it ends,
 * whatever it closes), file (a path in /box; repeatable,
 * read-only and executable), link (PATH=TARGET: a symbolic link in /box or /tmp; repeatable), env (NAME=VALUE;
 * repeatable). Sizes are bytes.
 *
 * The room says "here" first. Answers to an order: "fail WHY" (our fault), or once nothing of the run is left
 * "end REASON WAIT_STATUS CPU_US WALL_US QUEUED_US MAIN_RSS TREE_RSS"; REASON: exit, cpu, wall, rss. A run
 * whose process 1 was killed ends as "killed". Then the room takes orders again.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "filter.h"

typedef long long i64;

#ifdef LIBRARY
enum { LEAVES = 1 };
#else
enum { LEAVES = 0 };
#endif

enum { CONTROL = 100, LONGEST = 1 << 16, REPORT = 160, MOST_WORDS = 1024, MOST_FILES = 32, MOST_DESCRIPTORS = 64,
       MOST_SHARED = 1024 /* files of a private /dev/shm */ };

static struct {
    i64 cpu_ms, wall_ms, rss, as, stack, fsize, nofile, nproc, tmp, inodes, shm, keep, solo, ignore, hold;
    char *files[MOST_FILES], *links[MOST_FILES], *envs[MOST_FILES];
    int file_count, link_count, env_count;
} want;

static struct {
    char text[LONGEST];
    int fds[MOST_DESCRIPTORS], count;
} orders;

static char *report; /* of the present run, REPORT bytes its process 1 shares with the room's, and no program */

static const i64 SCAN_US = 10000; /* how often the tree is measured: the overshoot of a kill */
static const i64 PATIENCE = 5;    /* real time a busy machine may take, in multiples of wall_ms */

/* Every failure here is the sandbox's, never the program's: say so where the supervisor listens. */
static void die(const char *what) {
    char message[200];
    int length = snprintf(message, sizeof message, "fail %s: %s", what, strerror(errno));
    if (send(CONTROL, message, length, 0) < 0) dprintf(2, "init: %s\n", message);
    _exit(125);
}

static i64 now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void parse(char *word) {
    static const struct { const char *key; i64 *value; } KEYS[] = {
        {"cpu_ms", &want.cpu_ms}, {"wall_ms", &want.wall_ms}, {"rss", &want.rss}, {"as", &want.as},
        {"stack", &want.stack}, {"fsize", &want.fsize}, {"nofile", &want.nofile}, {"nproc", &want.nproc},
        {"tmp", &want.tmp}, {"inodes", &want.inodes}, {"shm", &want.shm}, {"keep", &want.keep}, {"solo", &want.solo},
        {"ignore", &want.ignore}, {"hold", &want.hold}};
    static const struct { const char *key; char **list; int *count; } LISTS[] = {
        {"file", want.files, &want.file_count}, {"link", want.links, &want.link_count},
        {"env", want.envs, &want.env_count}};
    char *eq = strchr(word, '=');
    size_t length = eq ? (size_t)(eq - word) : 0;
    for (size_t i = 0; i < sizeof LISTS / sizeof *LISTS; i++)
        if (strlen(LISTS[i].key) == length && !strncmp(LISTS[i].key, word, length) && *LISTS[i].count < MOST_FILES) {
            LISTS[i].list[(*LISTS[i].count)++] = eq + 1;
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

/* Leaves the room for good, by hand what an exec does: nothing of it is open or mapped any more. */
static void leave(void) {
    if (munmap(report, REPORT) || syscall(__NR_close_range, 3 + want.keep, ~0U, 0)) _exit(125);
}

static void become_program(char **argv) {
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* its own again: /proc/self is closed to it otherwise */
    write_file("/proc/self/oom_score_adj", "1000"); /* memory runs out: the program dies, not its judge */
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_MEMLOCK, 65536);
    limit(RLIMIT_MSGQUEUE, 0);
    limit(RLIMIT_STACK, want.stack ? want.stack : (i64)RLIM_INFINITY);
    if (want.as) limit(RLIMIT_AS, want.as);
    if (want.fsize) limit(RLIMIT_FSIZE, want.fsize);
    if (want.nofile) limit(RLIMIT_NOFILE, want.nofile);
    if (want.nproc) limit(RLIMIT_NPROC, want.nproc + 2); /* both processes 1 count too */
    /* The lowest numbers were free when these came, so each lies above the place it goes to. */
    for (int i = 0; i < 3 + want.keep; i++)
        if (dup2(orders.fds[i], i) < 0) die("descriptors");
    if (syscall(__NR_close_range, 3 + want.keep, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */)) die("close_range");
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++)
        if (want.ignore >> (number - 1) & 1) signal(number, SIG_IGN);
    for (int i = 0; !LEAVES && i < want.env_count; i++) putenv(want.envs[i]);
    unsigned long long first = 0; /* this exec, among all that a filter sees */
    if (want.solo && !LEAVES && getrandom(&first, sizeof first, 0) != sizeof first) die("getrandom");
    if ((want.solo && refuse_company(first)) || filter_syscalls()) die("seccomp");
    if (LEAVES) {
        leave();
        return;
    }
    syscall(__NR_execveat, first, argv[0], argv, environ, 0);
    if (errno == ENOMEM) raise(SIGKILL); /* a program too big for its own limit */
    die(argv[0]);
}

/* Reads /proc/PID/NAME as text; 0 if the process is gone. */
static int read_proc(const char *pid, const char *name, char *text, size_t size) {
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, size - 1);
    if (fd >= 0) close(fd);
    text[length > 0 ? length : 0] = 0;
    return length > 0;
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
        char text[1024];
        if (!isdigit((unsigned char)entry->d_name[0]) || !strcmp(entry->d_name, "1")) continue;
        if (!read_proc(entry->d_name, "stat", text, sizeof text)) continue;
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

/* How long the program's first thread, dead or alive, stood in the run queue: the machine's fault. The kernel
 * counts a wait when it ends; one that goes on is the time since the thread was last seen to have run. */
static i64 queued_us(pid_t program) {
    static i64 last_ran = -1, since;
    i64 ran = 0, queued = 0;
    char pid[16], text[1024];
    snprintf(pid, sizeof pid, "%d", program);
    if (read_proc(pid, "schedstat", text, sizeof text)) sscanf(text, "%lld %lld", &ran, &queued);
    int ready = read_proc(pid, "stat", text, sizeof text) && strrchr(text, ')') && strrchr(text, ')')[2] == 'R';
    if (ran != last_ran || !ready) last_ran = ran, since = now_us();
    return queued / 1000 + now_us() - since;
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
    snprintf(report, REPORT, "end %s %d %lld %lld %lld %lld %lld", reason, status, reaped_cpu_us(), end - start,
             queued, main_rss, tree_rss);
}

static void place(const char *path, int content) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0555);
    ssize_t written = fd < 0 ? -1 : 1;
    for (off_t offset = 0; written > 0;) written = sendfile(fd, content, &offset, 1 << 30);
    if (written < 0) die(path);
    close(fd);
}

/* Links in /box are made while it can be written to, those in /tmp when it is there. */
static void make_links(const char *below) {
    for (int i = 0; i < want.link_count; i++) {
        char *path = want.links[i], *eq = strchr(path, '=');
        if (strncmp(path, below, strlen(below))) continue;
        if (!eq) errno = EINVAL, die(path);
        *eq = 0;
        for (char *slash = path + strlen(below); (slash = strchr(slash, '/')); *slash++ = '/')
            if (*slash = 0, mkdir(path, 0755) && errno != EEXIST) die(path);
        if (symlink(eq + 1, path)) die(path);
    }
}

static void mount_fresh(void) {
    const int plain = MS_NOSUID | MS_NODEV;
    if (mount("proc", "/proc", "proc", plain | MS_NOEXEC, NULL)) die("/proc");
    if (mount("tmpfs", "/box", "tmpfs", plain, "mode=0755") || chdir("/box")) die("/box");
    for (int i = 0; i < want.file_count; i++) place(want.files[i], orders.fds[3 + want.keep + i]);
    if (!want.solo && (symlink("/proc/self/fd/0", "/box/.stdin") || symlink("/proc/self/fd/1", "/box/.stdout") ||
                       symlink("/proc/self/fd/2", "/box/.stderr") || symlink("/proc/self/fd", "/box/.fd")))
        die("/box"); /* where those of /dev lead */
    if (want.shm && mkdir("/box/.shm", 0755)) die("/box"); /* where /dev/shm leads, if anywhere */
    make_links("/box/");
    if (mount(NULL, "/box", NULL, plain | MS_REMOUNT | MS_RDONLY, NULL)) die("/box");
    char options[96];
    snprintf(options, sizeof options, "size=%lld,nr_inodes=%d,mode=0700", want.shm, MOST_SHARED);
    if (want.shm && mount("tmpfs", "/box/.shm", "tmpfs", plain | MS_NOEXEC, options)) die("/dev/shm");
    if (!want.tmp) return;
    snprintf(options, sizeof options, "size=%lld,nr_inodes=%lld,mode=0700", want.tmp, want.inodes);
    if (mount("tmpfs", "/tmp", "tmpfs", plain, options) || chdir("/tmp")) die("/tmp");
    make_links("/tmp/");
}

/* An interpreter's handlers are the program's business, and process 1 hears only signals it has handlers for. */
static void ignore_handlers(void) {
    for (int number = 1; number < NSIG; number++)
        if (number != SIGCHLD) signal(number, SIG_DFL);
}

static void close_given(void) {
    for (int i = 0; i < orders.count; i++) close(orders.fds[i]);
}

/* Runs a program and reports; returns in the program only, if that is a fork of this process. */
static char **box(char **words) {
    for (; *words && strcmp(*words, "--"); words++) parse(*words);
    if (!*words || !words[1] || orders.count != 3 + want.keep + want.file_count) errno = EINVAL, die("orders");
    mount_fresh();
    drop_capabilities();
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    pid_t program = fork();
    if (program < 0) die("fork");
    if (!program) {
        become_program(words + 1);
        return words + 1;
    }
    ignore_handlers();
    if (!want.hold) close_given(); /* the other end of a pipe must hear when the program lets go of it */
    supervise(program);
    _exit(0);
}

/* Waits for orders and returns their length; 0 when the caller has no more. */
static ssize_t receive(void) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof orders.fds)];
    } extra;
    struct iovec text = {orders.text, sizeof orders.text - 1};
    struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = &extra, .msg_controllen = sizeof extra};
    ssize_t length = recvmsg(CONTROL, &message, MSG_CMSG_CLOEXEC);
    if (length <= 0) return 0;
    struct cmsghdr *first = CMSG_FIRSTHDR(&message);
    if (!first || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) errno = E2BIG, die("orders");
    orders.count = (first->cmsg_len - CMSG_LEN(0)) / sizeof *orders.fds;
    memcpy(orders.fds, CMSG_DATA(first), orders.count * sizeof *orders.fds);
    orders.text[length] = 0;
    return length;
}

static void split(char **words, ssize_t length) {
    int count = 0;
    for (char *at = orders.text; at < orders.text + length; at += strlen(at) + 1) {
        if (count == MOST_WORDS) errno = E2BIG, die("orders");
        words[count++] = at;
    }
    words[count] = NULL;
}

/* The end of a run; or, when the caller hangs up, of the room and with it of all that is in it. */
static void await(pid_t one) {
    struct pollfd either[] = {{syscall(__NR_pidfd_open, one, 0), POLLIN, 0}, {CONTROL, 0, 0}};
    if (either[0].fd < 0) die("pidfd_open");
    while (poll(either, 2, -1) < 0 && errno == EINTR);
    if (either[1].revents) _exit(0);
    close(either[0].fd);
    while (waitpid(one, NULL, 0) < 0 && errno == EINTR);
}

char **room(int control) {
    if (control != CONTROL && dup3(control, CONTROL, O_CLOEXEC) < 0) die("control");
    if (syscall(__NR_close_range, 3, CONTROL - 1, 0)) die("close_range");
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    umask(0);
    setsid();
    report = mmap(NULL, REPORT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED || send(CONTROL, "here", 4, 0) < 0) die("room");
    for (ssize_t length; (length = receive()) > 0;) {
        strcpy(report, "killed");
        pid_t one = syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
        if (one < 0) die("clone");
        if (!one) {
            static char *words[MOST_WORDS + 1];
            split(words, length);
            return box(words);
        }
        close_given();
        await(one);
        if (send(CONTROL, report, strlen(report), MSG_NOSIGNAL) < 0) break;
    }
    return NULL;
}

#ifndef LIBRARY

static void drop(char **argv) {
    uid_t uid = atoi(argv[0]), gid = atoi(argv[1]);
    if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid)) die("drop");
    execv(argv[2], argv + 2);
    die(argv[2]);
}

int main(int argc, char **argv) {
    ignore_handlers(); /* nor is what the caller ignores, as a shell's background jobs do, ignored in here */
    if (argc > 4 && !strcmp(argv[1], "drop")) drop(argv + 2);
    if (argc > 2 && !strcmp(argv[1], "deep")) {
        limit(RLIMIT_STACK, (i64)RLIM_INFINITY);
        execv(argv[2], argv + 2);
        die(argv[2]);
    }
    if (argc == 3 && !strcmp(argv[1], "room")) {
        room(atoi(argv[2]));
        return 0;
    }
    errno = EINVAL;
    die("usage");
}
#endif
