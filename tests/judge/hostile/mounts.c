// ends: exit
#include "hostile.h"

int main(void) {
    MUST_FAIL(mount("none", "/tmp", "tmpfs", 0, 0));
    MUST_FAIL(mount(0, "/", 0, MS_REMOUNT, 0));
    MUST_FAIL(mount("/usr", "/tmp", 0, MS_BIND, 0));
    MUST_FAIL(umount2("/usr", MNT_DETACH));
    MUST_FAIL(umount2("/tmp", MNT_DETACH));
    MUST_FAIL(chroot("/tmp"));
    MUST_FAIL(syscall(SYS_pivot_root, "/tmp", "/tmp"));
    MUST_FAIL(syscall(SYS_open_tree, -100, "/", 1));
    MUST_FAIL(syscall(SYS_fsopen, "tmpfs", 0));
    return 0;
}
