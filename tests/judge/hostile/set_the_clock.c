// ends: exit
#include "hostile.h"

int main(void) {
    struct timeval t = {0, 0};
    struct timespec s = {0, 0};
    MUST_FAIL(settimeofday(&t, 0));
    MUST_FAIL(clock_settime(CLOCK_REALTIME, &s));
    return 0;
}
