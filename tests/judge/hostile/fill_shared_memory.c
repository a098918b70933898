// ends: exit signal
#include "hostile.h"

// What stays in /dev/shm would be seen by `hostile_runner.py`, and by the next program here.
int main(void) {
    static char block[1 << 16];
    struct stat found;
    long written = 0;
    int made = 0;
    DIR *shared = opendir("/dev/shm");
    if (!shared) ESCAPED("there is no /dev/shm, so this shows nothing");
    for (struct dirent *one; shared && (one = readdir(shared));)
        if (one->d_name[0] != '.') ESCAPED("%s was there before", one->d_name);
    MUST_FAIL(mknod("/dev/shm/device", S_IFCHR | 0600, 1 << 8 | 3));
    MUST_FAIL(mount("tmpfs", "/dev/shm", "tmpfs", MS_REMOUNT, "size=1g"));
    MUST_FAIL(open("/box/x", O_CREAT | O_WRONLY, 0600));
    MUST_FAIL(rename("/dev/shm", "/dev/other"));
    int script = open("/dev/shm/left", O_CREAT | O_WRONLY, 0700);
    if (script < 0 || write(script, "#!/bin/sh\necho ESCAPED: a script ran\n", 37) != 37)
        ESCAPED("nothing can be written to /dev/shm, so this shows nothing");
    close(script);
    if (!fork()) {
        execl("/dev/shm/left", "left", NULL);
        _exit(0);
    }
    for (int i = 0; i < 100000; i++) {
        char name[40];
        sprintf(name, "/dev/shm/left_%d", i);
        int file = open(name, O_CREAT | O_WRONLY, 0600);
        if (file < 0) break;
        made++;
        for (long n = 1; n > 0;) written += (n = write(file, block, sizeof block)) > 0 ? n : 0;
        close(file);
    }
    if (made > 1024) ESCAPED("%d files", made);
    if (written > 1 << 20) ESCAPED("%ld bytes", written);
    if (stat("/dev/shm/left", &found) || found.st_uid == 0) ESCAPED("a file of root's");
    return 0;
}
