// ends: wall
#include "hostile.h"

int main(void) {
    raise(SIGSTOP);
    return 0;
}
