// ends: cpu wall
#include "hostile.h"

int main(void) {
    for (;;) kill(1, SIGCHLD);
    return 0;
}
