// ends: exit
#include "hostile.h"

int main(void) {
    for (int s = 1; s < 65; s++) kill(1, s);
    kill(getppid(), SIGKILL);
    usleep(20000);
    return 0;
}
