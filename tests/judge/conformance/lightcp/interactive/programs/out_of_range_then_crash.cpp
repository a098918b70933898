// expect: RTE Signalled
// fixed: WA Wrong Answer
#include <cstdio>
#include <cstdlib>
int main() {
    int low = 1, high = 1000;
    for (;;) {
        int middle = (low + high) / 2;
        char word[4];
        printf("%d\n", 5000); fflush(stdout);
        if (scanf("%3s", word) != 1) abort();
        if (*word == '=') abort();
        if (*word == '<') low = middle + 1; else high = middle - 1;
    }
}
