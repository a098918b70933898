// ends: exit
#include "hostile.h"

int main(void) {
    MUST_FAIL(open("/x", O_CREAT | O_WRONLY, 0600));
    MUST_FAIL(open("/box/x", O_CREAT | O_WRONLY, 0600));
    MUST_FAIL(open("/usr/bin/x", O_CREAT | O_WRONLY, 0600));
    MUST_FAIL(open("/dev/x", O_CREAT | O_WRONLY, 0600));
    MUST_FAIL(mkdir("/home", 0700));
    MUST_FAIL(rename("/usr/bin/true", "/usr/bin/false"));
    return 0;
}
