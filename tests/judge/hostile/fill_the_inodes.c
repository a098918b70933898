// ends: exit
#include "hostile.h"

int main(void) {
    int made = 0;
    for (int i = 0; i < 100000; i++) {
        char name[32];
        sprintf(name, "/tmp/%d", i);
        if (mkdir(name, 0700)) break;
        made++;
    }
    if (made > 1000) ESCAPED("%d directories", made);
    return 0;
}
