// expect: WA Nonzero Exit Status
int main() {}
