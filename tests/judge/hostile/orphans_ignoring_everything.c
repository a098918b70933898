// ends: exit
#include "hostile.h"

int main(void) {
    for (int i = 0; i < 10; i++)
        if (!fork()) {
            for (int s = 1; s < 65; s++) signal(s, SIG_IGN);
            setsid();
            burn();
        }
    usleep(20000);
    return 0;
}
