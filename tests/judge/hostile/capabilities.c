// ends: exit
#include "hostile.h"

int main(void) {
    unsigned header[2] = {0x20080522, 0}, data[6] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u};
    MUST_FAIL(syscall(SYS_capset, header, data));
    syscall(SYS_capget, header, data);
    if (data[0] | data[1] | data[3] | data[4]) ESCAPED("capabilities %x %x", data[0], data[1]);
    MUST_FAIL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0));
    return 0;
}
