// ends: exit
#include "hostile.h"

int main(void) {
    struct rlimit more = {RLIM_INFINITY, RLIM_INFINITY};
    MUST_FAIL(setrlimit(RLIMIT_FSIZE, &more));
    MUST_FAIL(setrlimit(RLIMIT_NOFILE, &more));
    MUST_FAIL(setrlimit(RLIMIT_NPROC, &more));
    MUST_FAIL(setrlimit(RLIMIT_CORE, &more));
    struct rlimit before;
    MUST_FAIL(prlimit(1, RLIMIT_FSIZE, &more, &before));
    return 0;
}
