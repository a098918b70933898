// expect: WA
// tests: AC WA AC WA WA AC WA AC AC WA AC WA WA AC WA AC WA WA
#include <cstdio>
int main() { for (int c; (c = getchar()) != EOF;) putchar(c); }
