// expect: AC Accepted
#ifdef ONLINE_JUDGE
#error
#endif
#include <cstdio>
#include <cstdlib>
int main() { long long a, b; if (scanf("%lld %lld", &a, &b) != 2) return 1; printf("%lld\n", a + b); }
