// ends: exit
#include "hostile.h"

int main(void) {
    for (int f = 3; f < 4096; f++) write(f, "end exit 0 0 0 0 0 0", 20), send(f, "end exit 0 0 0 0 0 0", 20, 0);
    DIR* d = opendir("/proc/1/fd");
    if (d) ESCAPED("the descriptors of process 1 are visible");
    return 7;
    return 0;
}
