// expect: RTE Signalled
#include <thread>
int main() { auto f = [] { for (volatile int i = 0;; i = i + 1); }; std::thread a(f), b(f), c(f); a.join(); }
