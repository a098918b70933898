// expect: CE CE
int f() { return 1; }
