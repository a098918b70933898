// expect: WA Nonzero Exit Status
#include <cstdio>
#include <cstdlib>
int main() {
    int low = 1, high = 1000;
    for (;;) {
        int middle = (low + high) / 2;
        char word[4];
        printf("%d\n", 5000); fflush(stdout);
        if (scanf("%3s", word) != 1) return 0;
        if (*word == '=') return 0;
        if (*word == '<') low = middle + 1; else high = middle - 1;
    }
}
