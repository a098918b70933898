// ends: exit
#include "hostile.h"

int main(void) {
    int f = open("/proc/1/ns/mnt", O_RDONLY);
    MUST_FAIL(setns(f, 0));
    MUST_FAIL(setns(open("/proc/self/ns/user", O_RDONLY), 0));
    MUST_FAIL(syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, 1, 0), 0, 0));
    return 0;
}
