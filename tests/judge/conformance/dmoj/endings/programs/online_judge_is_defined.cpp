// expect: AC
#include <cstdio>
#ifndef ONLINE_JUDGE
#error
#endif
int main() { puts("1"); }
