// expect: AC
#include <cstdio>
#include <ctime>
int main() { while (clock() < 9 * CLOCKS_PER_SEC); puts("1"); }
