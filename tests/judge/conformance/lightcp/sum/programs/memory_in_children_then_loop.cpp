// expect: MLE Memory Limit Exceeded
#include <cstdlib>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>
int main() {
    for (int i = 0; i < 4; i++)
        if (!fork()) { char* p = (char*)malloc(40 << 20); memset(p, 1, 40 << 20); usleep(300000); _exit(p[i * 77]); }
    while (wait(0) > 0);
    for (volatile int i = 0;; i = i + 1);
}
