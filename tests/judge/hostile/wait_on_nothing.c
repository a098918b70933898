// ends: wall
#include "hostile.h"

int main(void) {
    pause();
    return 0;
}
