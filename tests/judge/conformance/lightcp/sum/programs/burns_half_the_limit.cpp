// expect: AC Accepted
#include <ctime>
#include <cstdio>
#include <cstdlib>
int main() { long long a, b; if (scanf("%lld %lld", &a, &b) != 2) return 1; while (clock() < CLOCKS_PER_SEC / 4); printf("%lld\n", a + b); }
