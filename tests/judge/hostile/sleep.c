// ends: wall
#include "hostile.h"

int main(void) {
    sleep(60);
    return 0;
}
