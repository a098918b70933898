// ends: exit cpu wall memory
#include "hostile.h"

int main(void) {
    for (;;) if (!fork()) { for (;;) fork(); } else wait(0);
    return 0;
}
