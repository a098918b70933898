// ends: exit
#include "hostile.h"

int main(void) {
    kill(1, SIGSTOP);
    kill(1, SIGTSTP);
    usleep(20000);
    return 0;
}
