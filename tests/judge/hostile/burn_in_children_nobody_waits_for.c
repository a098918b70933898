// ends: cpu wall memory
#include "hostile.h"

int main(void) {
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        if (!fork()) { for (volatile int i = 0; i < 2000000; i = i + 1); _exit(0); }
        usleep(500);
    }
    return 0;
}
