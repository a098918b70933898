// expect: AC Accepted
#include <cstdio>
#include <cstdlib>
int main() { long long a, b; if (scanf("%lld %lld", &a, &b) != 2) return 1; FILE* f = fopen("note", "w"); if (!f) return 1; fputs("x", f); fclose(f); printf("%lld\n", a + b); }
