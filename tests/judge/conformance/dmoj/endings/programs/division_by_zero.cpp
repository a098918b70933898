// expect: RTE RTE
#include <cstdio>
int main() { int x; scanf("%d", &x); volatile int z = x - 1; return 7 / z; }
