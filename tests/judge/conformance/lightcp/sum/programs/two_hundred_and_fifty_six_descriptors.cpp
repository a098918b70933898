// expect: AC Accepted
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>
int main() { long long a, b; if (scanf("%lld %lld", &a, &b) != 2) return 1; int last = 0; for (int fd; (fd = open("/dev/null", O_RDONLY)) >= 0;) last = fd; close(last); printf("%lld\n", last == 255 ? a + b : last); }
