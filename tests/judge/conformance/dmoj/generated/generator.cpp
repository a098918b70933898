#include "sizes.h"
#include "testlib.h"
int main(int argc, char* argv[]) {
    registerGen(argc, argv, 1);
    int n = atoi(argv[1]), most = argc > 2 ? atoi(argv[2]) : MOST;
    long long sum = 0;
    printf("%d\n", n);
    for (int i = 0; i < n; i++) {
        int x = rnd.next(1, most);
        printf("%d\n", x);
        sum += x;
    }
    fprintf(stderr, "%lld\n", FACTOR * sum);
}
