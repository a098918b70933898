// ends: exit signal cpu wall
#include "hostile.h"

int main(void) {
    timer_t t;
    long made = 0;
    while (made < 2000000 && !timer_create(CLOCK_MONOTONIC, 0, &t)) made++;
    return 0;
}
