// ends: exit cpu wall memory signal
#include "hostile.h"
static void* idle(void* x) { for (;;) pause(); return x; }
int main(void) {
    for (;;) { pthread_t t; pthread_create(&t, 0, idle, 0); }
    return 0;
}
