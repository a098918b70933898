// expect: WA
#include <cstdio>
int main() { long long a, b; scanf("%lld %lld", &a, &b); printf("0%lld %lld\n%lld\n", a + b, a * b, b > 10 ? a - b : b - a); }
