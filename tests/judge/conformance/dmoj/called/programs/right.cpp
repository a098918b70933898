// expect: AC AC
bool is_even(int n) { return n % 2 == 0; }
