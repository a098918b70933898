// ends: exit signal
#include "hostile.h"

int main(void) {
    kill(-1, SIGKILL);
    kill(0, SIGKILL);
    return 0;
}
