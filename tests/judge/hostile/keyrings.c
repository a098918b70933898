// ends: exit
#include "hostile.h"

int main(void) {
    MUST_FAIL(syscall(SYS_add_key, "user", "left", "secret", 6, -4));
    MUST_FAIL(syscall(SYS_keyctl, 0, -5, 1));
    MUST_FAIL(syscall(SYS_request_key, "user", "left", 0, -4));
    return 0;
}
