// expect: TLE TLE
// fixed: AC AC
#include <cstdio>
#include <unistd.h>
int main() { sleep(11); puts("1"); }
