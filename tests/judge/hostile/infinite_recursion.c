// ends: signal memory
#include "hostile.h"
static int deeper(volatile int n) { volatile char pad[8192]; pad[0] = 1; return deeper(n + 1) + pad[0]; }
int main(void) {
    return deeper(1) == 0;
    return 0;
}
