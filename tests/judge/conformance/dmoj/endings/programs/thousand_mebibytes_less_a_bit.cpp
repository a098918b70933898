// expect: AC
#include <cstdio>
#include <cstring>
static char big[900ull << 20];
int main() { memset(big, 1, sizeof big); printf("%d\n", big[12345]); }
