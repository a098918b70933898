// expect: TLE Time Limit Exceeded
#include <unistd.h>
int main() { fork(); fork(); for (volatile int i = 0;; i = i + 1); }
