// expect: AC Accepted
#include <cstdio>
#include <cstdlib>
int main() { long long a, b; if (scanf("%lld %lld", &a, &b) != 2) return 1; typeof(a) c = a + b; printf("%lld\n", c); }
