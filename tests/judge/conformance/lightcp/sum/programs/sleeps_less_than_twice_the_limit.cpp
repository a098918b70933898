// expect: AC Accepted
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
int main() { long long a, b; if (scanf("%lld %lld", &a, &b) != 2) return 1; usleep(700000); printf("%lld\n", a + b); }
