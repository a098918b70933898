#include <cstdio>
int main(int argc, char* argv[]) {
    int x = 0;
    if (fscanf(fopen(argv[2], "r"), "%d", &x) != 1) return 1;
    if (x > 10) return x - 10;
    fprintf(stderr, "partial %d/%d\n", x, 5);
    return 7;
}
