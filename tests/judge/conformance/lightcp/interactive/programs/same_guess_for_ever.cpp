// expect: RTE Signalled
#include <cstdio>
int main() { for (;;) { puts("1"); fflush(stdout); } }
