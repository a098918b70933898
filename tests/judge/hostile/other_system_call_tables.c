// ends: signal
#include "hostile.h"

int main(void) {
#ifdef __x86_64__
    if (!fork()) {
        long result;
        __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
        ESCAPED("32-bit getpid gave %ld", result);
        _exit(0);
    }
    wait(0);
    syscall(0x40000000 | SYS_getpid);
    ESCAPED("x32 system calls work");
#else
    raise(SIGSYS);
#endif
    return 0;
}
