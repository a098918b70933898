// ends: memory exit
#include "hostile.h"

int main(void) {
    for (int i = 0; i < 20; i++) if (!fork()) { for (int j = 0; j < 20; j++) { volatile char* p = malloc(1 << 20); for (int k = 0; p && k < 1 << 20; k += 4096) p[k] = 1; }; pause(); }
    sleep(60);
    return 0;
}
