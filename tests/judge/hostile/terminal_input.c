// ends: exit
#include "hostile.h"

int main(void) {
    char c = 10;
    for (int f = 0; f < 3; f++) MUST_FAIL(ioctl(f, TIOCSTI, &c));
    MUST_FAIL(open("/dev/tty", O_RDWR));
    return 0;
}
