// ends: exit
#include "hostile.h"

int main(void) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < 8; i++) if (!fork()) { if (!fork()) burn(); _exit(0); }
    usleep(20000);
    return 0;
}
