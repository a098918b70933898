// ends: memory exit signal
#include "hostile.h"

int main(void) {
    for (int i = 0; i < 64; i++) {
        char* p = mmap(0, 8 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (p != MAP_FAILED) memset(p, 1, 8 << 20);
    }
    usleep(100000);
    return 0;
}
