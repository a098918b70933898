// expect: WA WA
// tests: AC WA
bool is_even(int) { return true; }
