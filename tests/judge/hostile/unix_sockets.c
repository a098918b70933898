// ends: exit
#include "hostile.h"

int main(void) {
    MUST_FAIL(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST_FAIL(socket(AF_UNIX, SOCK_DGRAM, 0));
    return 0;
}
