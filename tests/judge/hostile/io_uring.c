// ends: exit
#include "hostile.h"

int main(void) {
    char p[256] = {0};
    MUST_FAIL(syscall(SYS_io_uring_setup, 8, p));
    return 0;
}
