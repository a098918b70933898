// expect: WA Wrong Answer
// fixed: IE Internal Error
#include <cstdio>
int main() { puts("3"); }
