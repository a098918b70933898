// expect: AC Accepted
#include <cstring>
#include <cstdio>
#include <cstdlib>
int main() { long long a, b; if (scanf("%lld %lld", &a, &b) != 2) return 1; char* p = (char*)malloc(200 << 20); memset(p, 1, 200 << 20); printf("%lld\n", a + b + p[77] - 1); }
