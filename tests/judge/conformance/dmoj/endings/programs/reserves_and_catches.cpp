// expect: AC AC
// fixed: AC AC
#include <cstdio>
#include <cstring>
#include <new>
int main() {
    try { char* much = new char[1100 << 20]; memset(much, 1, 1100 << 20); puts(much[5] ? "2" : "3"); }
    catch (std::bad_alloc&) { puts("1"); }
}
