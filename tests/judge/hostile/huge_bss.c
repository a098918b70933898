// ends: memory signal
#include "hostile.h"

static char big[1l << 30];

int main(void) {
    for (long i = 0; i < (long)sizeof big; i += 4096) big[i] = 1;
    return big[77] == 0;
}
