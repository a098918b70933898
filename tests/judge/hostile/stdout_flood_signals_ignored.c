// ends: output cpu wall
#include "hostile.h"

int main(void) {
    signal(SIGXFSZ, SIG_IGN);
    static char line[1 << 16];
    for (;;) write(1, line, sizeof line);
    return 0;
}
