// expect: RTE Signalled
#include <cstdio>
#include <cstdlib>
int main() { long long a, b; if (scanf("%lld %lld", &a, &b) != 2) return 1; abort(); }
