// ends: exit
#include "hostile.h"

int main(void) {
    int f = open("/proc/self/oom_score_adj", O_WRONLY);
    MUST_FAIL(write(f, "-1000", 5));
    MUST_FAIL(write(f, "-1", 2));
    return 0;
}
