// ends: exit output signal
#include "hostile.h"

int main(void) {
    MUST_FAIL(ftruncate(1, 1l << 40));
    MUST_FAIL(fallocate(1, 0, 0, 1l << 40));
    MUST_FAIL(pwrite(1, "x", 1, 1l << 40));
    return 0;
}
