// ends: exit
#include "hostile.h"

int main(void) {
    MUST_FAIL(open("/proc/self/exe", O_WRONLY));
    MUST_FAIL(open("/box/main", O_WRONLY));
    MUST_FAIL(open("/box/main", O_RDWR | O_TRUNC));
    MUST_FAIL(unlink("/box/main"));
    MUST_FAIL(chmod("/box/main", 0777));
    MUST_FAIL(truncate("/box/main", 0));
    return 0;
}
