// expect: MLE MLE
#include <cstdlib>
#include <cstring>
int main() { for (;;) { void* p = malloc(1 << 24); if (p) memset(p, 1, 1 << 24); } }
