// expect: AC AC
#include <bits/stdc++.h>
bool is_even(int n) { return n % 2 == 0; }
int main() { puts("odd"); }
