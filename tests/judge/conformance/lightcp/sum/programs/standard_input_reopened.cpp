// expect: AC Accepted
#include <cstdio>
int main() { long long a, b; if (!freopen("/dev/stdin", "r", stdin)) return 1; if (scanf("%lld %lld", &a, &b) != 2) return 2; printf("%lld\n", a + b); }
