// ends: signal
#include "hostile.h"

int main(void) {
    struct rlimit more = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &more);
    chdir("/tmp");
    abort();
    return 0;
}
