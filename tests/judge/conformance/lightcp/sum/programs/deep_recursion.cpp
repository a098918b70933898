// expect: AC Accepted
#include <cstdio>
#include <cstdlib>
int depth(volatile int n) { volatile char pad[32]; pad[0] = 1; return n ? depth(n - 1) + pad[0] : 0; }
int main() { long long a, b; if (scanf("%lld %lld", &a, &b) != 2) return 1; depth(300000); printf("%lld\n", a + b); }
