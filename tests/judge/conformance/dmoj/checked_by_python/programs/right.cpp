// expect: AC AC
#include <cstdio>
int main() { puts("15 15"); }
