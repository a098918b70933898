// expect: TLE Time Limit Exceeded
#include <unistd.h>
int main() { sleep(5); }
