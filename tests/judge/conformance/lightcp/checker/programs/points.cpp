// expect: WA Wrong Answer
#include <cstdio>
int main() { puts("7"); }
