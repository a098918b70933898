// expect: WA
// tests: AC AC WA WA WA AC WA AC AC WA WA WA WA WA AC WA WA WA
#include <cstdio>
int main() { for (int c; (c = getchar()) != EOF;) putchar(c); }
