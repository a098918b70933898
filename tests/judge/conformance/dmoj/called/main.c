#include "valid.h"
#include <stdio.h>

static int n;

int main() {
    scanf("%d", &n);
    puts(is_even(n) ? "even" : "odd");
    return 0;
}
