// expect: OLE Output Limit Exceeded
#include <cstdio>
#include <cstring>
static char line[1 << 20];
int main() { memset(line, 65, sizeof line); for (int i = 0; i < 80; i++) fwrite(line, 1, sizeof line, stderr); }
