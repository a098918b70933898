// expect: AC
#include <cstdio>
static char big[1ull << 31];
int main() { big[0] = 1; puts("1"); }
