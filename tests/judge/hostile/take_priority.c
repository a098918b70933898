// ends: exit
#include "hostile.h"

int main(void) {
    MUST_FAIL(setpriority(PRIO_PROCESS, 0, -10));
    struct sched_param fifo = {10};
    MUST_FAIL(sched_setscheduler(0, SCHED_FIFO, &fifo));
    MUST_FAIL(setpriority(PRIO_PROCESS, 1, 19));
    struct sched_param idle = {0};
    MUST_FAIL(sched_setscheduler(1, SCHED_IDLE, &idle));
    cpu_set_t every;
    memset(&every, 255, sizeof every);
    MUST_FAIL(sched_setaffinity(0, sizeof every, &every));
    MUST_FAIL(sched_setaffinity(1, sizeof every, &every));
    return 0;
}
