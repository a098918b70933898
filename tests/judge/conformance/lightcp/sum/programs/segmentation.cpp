// expect: RTE Signalled
int main() { *(volatile int*)0 = 1; }
