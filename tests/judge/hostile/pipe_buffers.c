// ends: exit memory signal
#include "hostile.h"

int main(void) {
    static char block[1 << 20];
    for (int i = 0; i < 200; i++) {
        int p[2];
        if (pipe2(p, O_NONBLOCK)) break;
        fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
        write(p[1], block, sizeof block);
    }
    return 0;
}
