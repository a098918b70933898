// ends: output signal
#include "hostile.h"

int main(void) {
    static char line[1 << 16];
    for (;;) write(1, line, sizeof line);
    return 0;
}
