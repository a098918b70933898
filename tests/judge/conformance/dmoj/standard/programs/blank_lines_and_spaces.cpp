// expect: AC
#include <cstdio>
int main() { long long a, b; scanf("%lld %lld", &a, &b); printf("\n  %lld \t %lld  \n\n\n %lld\n\n", a + b, a * b, b > 10 ? a - b : b - a); }
