// ends: exit
#include "hostile.h"

int main(void) {
    symlink("/etc/passwd", "/tmp/out");
    mkfifo("/tmp/fifo", 0600);
    MUST_FAIL(mknod("/tmp/disk", S_IFBLK | 0600, 0x800));
    MUST_FAIL(mknod("/tmp/mem", S_IFCHR | 0600, 0x101));
    MUST_FAIL(open("/tmp/out", O_RDONLY));
    return 0;
}
