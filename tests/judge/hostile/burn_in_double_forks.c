// ends: cpu wall memory
#include "hostile.h"

int main(void) {
    for (;;) {
        if (!fork()) { if (!fork()) { for (volatile int i = 0; i < 5000000; i = i + 1); } _exit(0); }
        wait(0);
        usleep(1000);
    }
    return 0;
}
