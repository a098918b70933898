// expect: TLE Time Limit Exceeded
#include <cstdio>
#include <cstring>
static char line[1 << 20];
int main() { memset(line, 65, sizeof line); for (;;) fwrite(line, 1, sizeof line, stdout); }
