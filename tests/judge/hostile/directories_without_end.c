// ends: exit
#include "hostile.h"

int main(void) {
    for (int i = 0; i < 5000; i++) if (mkdir("d", 0700) || chdir("d")) break;
    return 0;
}
