// ends: exit
#include "hostile.h"

int main(void) {
    pid_t child = fork();
    if (!child) { pause(); _exit(0); }
    MUST_FAIL(syscall(SYS_ptrace, 16, child, 0, 0));
    kill(child, SIGKILL);
    return 0;
}
