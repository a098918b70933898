// ends: exit
#include "hostile.h"

int main(void) {
    for (int f = 3; f < 4096; f++)
        if (fcntl(f, F_GETFD) >= 0) ESCAPED("descriptor %d is open", f);
    return 0;
}
