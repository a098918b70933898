// ends: exit cpu wall memory
#include "hostile.h"

int main(void) {
    for (;;) if (!vfork()) { execl("/proc/self/exe", "again", (char*)0); _exit(1); }
    return 0;
}
