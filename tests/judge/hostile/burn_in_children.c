// ends: cpu wall
#include "hostile.h"

int main(void) {
    for (int i = 0; i < 4; i++) if (!fork()) burn();
    while (wait(0) > 0);
    return 0;
}
