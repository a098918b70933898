// expect: TLE TLE
#include <cstdio>
int main() { for (;;) { puts("1"); fflush(stdout); } }
