// expect: AC
#include <cstdio>
#include <thread>
int main() { int x = 0; std::thread t([&] { x = 1; }); t.join(); printf("%d\n", x); }
