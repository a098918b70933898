// ends: exit
#include "hostile.h"

int main(void) {
    MUST_FAIL(syscall(SYS_shmget, 0x7e57, 1 << 20, 01666));
    MUST_FAIL(syscall(SYS_msgget, 0x7e57, 01666));
    MUST_FAIL(syscall(SYS_semget, 0x7e57, 1, 01666));
    MUST_FAIL(syscall(SYS_mq_open, "left", O_CREAT | O_RDWR, 0666, 0));
    MUST_FAIL(syscall(SYS_memfd_create, "left", 0));
    MUST_FAIL(open("/dev/shm/left", O_CREAT | O_RDWR, 0666));
    return 0;
}
