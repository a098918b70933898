// expect: RTE RTE
#include <cstdlib>
int main() { abort(); }
