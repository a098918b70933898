// expect: AC Accepted
#include <cstdio>
int main() { puts("0"); }
