// expect: AC
#include <cstdio>
int depth(volatile int n) { volatile char pad[64]; pad[0] = 1; return n ? depth(n - 1) + pad[0] : 0; }
int main() { printf("%d\n", depth(2000000) > 0); }
