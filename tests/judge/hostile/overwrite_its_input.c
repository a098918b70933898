// ends: exit
#include "hostile.h"

int main(void) {
    MUST_FAIL(write(0, "x", 1));
    int f = open("/proc/self/fd/0", O_RDWR);
    if (f >= 0) {
        MUST_FAIL(write(f, "x", 1));
        MUST_FAIL(ftruncate(f, 0));
        MUST_FAIL(ftruncate(f, 1 << 20));
        MUST_FAIL(fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1));
        char* p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
        if (p != MAP_FAILED) ESCAPED("the input is writable memory");
        MUST_FAIL(fcntl(f, 1033, 0) & 8 ? -1 : 0);
    }
    char first;
    if (pread(0, &first, 1, 0) != 1 || first != 'i') ESCAPED("the input changed");
    return 0;
}
