// ends: exit
#include "hostile.h"

int main(void) {
    _exit(0);
    return 0;
}
