// ends: exit
#include "hostile.h"

int main(void) {
    int n = 0;
    while (open("/dev/null", O_RDONLY) >= 0) n++;
    if (n > 256) ESCAPED("%d descriptors", n);
    return 0;
}
