// expect: RTE Signalled
#include <vector>
#include <cstdio>
int main() { std::vector<char> v(80 << 20, 1); printf("%d\n", v[5]); }
