// ends: wall
#include "hostile.h"

int main(void) {
    int p[2];
    pipe(p);
    char x;
    read(p[0], &x, 1);
    return 0;
}
