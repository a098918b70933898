// ends: exit cpu wall memory
#include "hostile.h"

int main(void) {
    for (;;) fork();
    return 0;
}
