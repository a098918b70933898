// ends: exit
#include "hostile.h"

int main(void) {
    if (getuid() == 0 || geteuid() == 0) ESCAPED("it is root");
    MUST_FAIL(setuid(0));
    MUST_FAIL(setgid(0));
    MUST_FAIL(setresuid(0, 0, 0));
    gid_t group = 0;
    MUST_FAIL(syscall(SYS_setgroups, 1, &group));
    MUST_FAIL(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    if (!fork()) { execl("/usr/bin/su", "su", "-c", "id", (char*)0); _exit(0); }
    int status;
    wait(&status);
    if (status == 0) ESCAPED("su worked");
    return 0;
}
