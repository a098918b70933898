// ends: exit
#include "hostile.h"

int main(void) {
    DIR* d = opendir("/proc");
    int others = 0;
    for (struct dirent* e; d && (e = readdir(d));) others += e->d_name[0] > '0' && e->d_name[0] <= '9';
    if (others > 2) ESCAPED("%d processes in sight", others);
    return 0;
}
