// ends: exit
#include "hostile.h"

int main(void) {
    static const char* const PATHS[] = {"/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory", "/proc/sysrq-trigger",
        "/proc/sys/kernel/hostname", "/proc/irq/default_smp_affinity", "/proc/1/oom_score_adj", "/proc/1/cgroup",
        "/proc/self/uid_map", "/proc/self/setgroups", "/sys/fs/cgroup/cgroup.procs", "/proc/self/timerslack_ns_"};
    for (unsigned i = 0; i < sizeof PATHS / sizeof *PATHS; i++) {
        int f = open(PATHS[i], O_WRONLY);
        if (f >= 0 && write(f, "1", 1) == 1) ESCAPED("%s", PATHS[i]);
    }
    return 0;
}
