// expect: OLE OLE
#include <cstdio>
int main() { for (;;) puts("and on and on and on and on and on and on and on and on"); }
