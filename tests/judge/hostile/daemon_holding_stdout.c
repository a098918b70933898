// ends: exit
#include "hostile.h"

int main(void) {
    if (!fork()) {
        setsid();
        if (fork()) _exit(0);
        signal(SIGHUP, SIG_IGN);
        for (int i = 0; i < 600; i++) { usleep(100000); ESCAPED("the daemon lives"); }
    }
    usleep(20000);
    return 0;
}
