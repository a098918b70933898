// ends: exit
#include "hostile.h"

int main(void) {
    MUST_FAIL(syscall(SYS_init_module, "", 0, ""));
    MUST_FAIL(syscall(SYS_finit_module, 0, "", 0));
    MUST_FAIL(syscall(SYS_kexec_load, 0, 0, 0, 0));
    MUST_FAIL(syscall(SYS_reboot, 0xfee1dead, 672274793, 0x1234567, 0));
    MUST_FAIL(syscall(SYS_swapon, "/tmp/x", 0));
    MUST_FAIL(sethostname("owned", 5));
    MUST_FAIL(acct("/tmp/x"));
    return 0;
}
