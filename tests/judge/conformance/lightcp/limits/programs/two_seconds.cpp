// expect: AC Accepted
// tests: AC AC
#include <ctime>
#include <cstdio>
#include <cstdlib>
int main() { long long a, b; if (scanf("%lld %lld", &a, &b) != 2) return 1; while (clock() < 1.8 * CLOCKS_PER_SEC); printf("%lld\n", a + b); }
