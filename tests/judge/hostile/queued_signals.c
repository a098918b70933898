// ends: exit cpu wall
#include "hostile.h"

int main(void) {
    union sigval v = {0};
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, 0);
    for (long i = 0; i < 1000000; i++) if (sigqueue(getpid(), SIGRTMIN, v)) break;
    return 0;
}
