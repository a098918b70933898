// expect: RTE IR
#include <cstdio>
int main() { puts("1"); return 3; }
