// ends: exit signal
#include "hostile.h"

int main(void) {
    static char block[1 << 16];
    long written = 0;
    for (int i = 0; i < 100; i++) {
        char name[32];
        sprintf(name, "/tmp/%d", i);
        int f = open(name, O_CREAT | O_WRONLY, 0600);
        for (int j = 0; j < 16; j++) { long n = write(f, block, sizeof block); if (n > 0) written += n; }
    }
    if (written > 16 << 20) ESCAPED("%ld bytes on disk", written);
    return 0;
}
