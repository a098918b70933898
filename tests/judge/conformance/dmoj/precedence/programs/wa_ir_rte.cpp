// expect: WA WA
// tests: WA RTE RTE AC
#include <cstdio>
#include <cstdlib>
int main() { int x; scanf("%d", &x); if (x == 2) return 1; if (x == 3) abort(); printf("%d\n", x == 4 ? 4 : 0); }
