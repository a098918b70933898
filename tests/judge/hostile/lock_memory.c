// ends: exit memory
#include "hostile.h"

int main(void) {
    char* p = mmap(0, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST_FAIL(mlock(p, 32 << 20));
    MUST_FAIL(mlockall(MCL_CURRENT | MCL_FUTURE));
    return 0;
}
