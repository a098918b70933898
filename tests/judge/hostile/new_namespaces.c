// ends: exit
#include "hostile.h"

int main(void) {
    MUST_FAIL(unshare(CLONE_NEWUSER));
    MUST_FAIL(unshare(CLONE_NEWNS));
    MUST_FAIL(unshare(CLONE_NEWNET));
    MUST_FAIL(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    unsigned long long arguments[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
    MUST_FAIL(syscall(SYS_clone3, arguments, sizeof arguments));
    return 0;
}
