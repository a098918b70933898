// ends: exit
#include "hostile.h"

int main(void) {
    MUST_FAIL(syscall(SYS_ptrace, 16, 1, 0, 0));
    char word[8];
    struct { void* at; size_t n; } here = {word, 8}, there = {(void*)0x400000, 8};
    MUST_FAIL(syscall(SYS_process_vm_readv, 1, &here, 1, &there, 1, 0));
    MUST_FAIL(syscall(SYS_process_vm_writev, 1, &here, 1, &there, 1, 0));
    MUST_FAIL(open("/proc/1/mem", O_RDWR));
    MUST_FAIL(syscall(SYS_kcmp, 1, getpid(), 0, 0, 0));
    return 0;
}
