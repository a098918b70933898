// ends: exit
#include "hostile.h"

int main(void) {
    static const char* const PATHS[] = {"/etc/passwd", "/etc/shadow", "/root", "/home", "/work", "/var", "/proc/1/environ",
        "/proc/1/fd", "/proc/1/cwd/", "/proc/1/root/root", "/proc/1/maps", "/proc/kcore", "/proc/kmsg", "/dev/mem",
        "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/tty", "/dev/ptmx", "/sys/kernel", "/run", "/mnt", "/tmp/../etc/hosts"};
    for (unsigned i = 0; i < sizeof PATHS / sizeof *PATHS; i++) {
        int f = open(PATHS[i], O_RDONLY);
        char byte;
        struct stat s;
        if (f >= 0 && !fstat(f, &s) && (S_ISDIR(s.st_mode) || read(f, &byte, 1) == 1)) ESCAPED("%s", PATHS[i]);
    }
    return 0;
}
