// ends: cpu wall
#include "hostile.h"

int main(void) {
    execl("/proc/self/exe", "again", (char*)0);
    return 0;
}
