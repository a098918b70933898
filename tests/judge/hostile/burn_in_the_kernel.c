// ends: cpu wall
#include "hostile.h"

int main(void) {
    int f = open("/dev/zero", O_RDONLY);
    static char big[1 << 20];
    for (;;) read(f, big, sizeof big);
    return 0;
}
