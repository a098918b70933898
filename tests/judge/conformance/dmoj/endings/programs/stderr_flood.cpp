// expect: OLE OLE
#include <cstdio>
int main() { puts("1"); for (int i = 0; i < 1 << 16; i++) fputs("and on and on and on and on and on", stderr); }
