// ends: exit
#include "hostile.h"

int main(void) {
    MUST_FAIL(socket(AF_INET, SOCK_STREAM, 0));
    MUST_FAIL(socket(AF_INET, SOCK_DGRAM, 0));
    MUST_FAIL(socket(AF_INET6, SOCK_STREAM, 0));
    return 0;
}
