// ends: memory signal
#include "hostile.h"

int main(void) {
    for (;;) { char* p = malloc(1 << 20); if (p) memset(p, 1, 1 << 20); }
    return 0;
}
