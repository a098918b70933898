// ends: exit signal
#include "hostile.h"

int main(void) {
    int f = open("/tmp/x", O_CREAT | O_RDWR, 0600);
    MUST_FAIL(ftruncate(f, 1l << 40));
    return 0;
}
