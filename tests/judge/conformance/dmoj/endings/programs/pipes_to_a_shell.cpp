// expect: RTE RTE
// fixed: AC AC
#include <cstdio>
int main() { char text[9]; FILE* pipe = popen("echo 1", "r"); fgets(text, 9, pipe); pclose(pipe); puts("1"); }
