// ends: exit cpu wall memory
#include "hostile.h"

int main(void) {
    for (int i = 0; i < 100000; i++) if (!fork()) _exit(0);
    usleep(50000);
    return 0;
}
