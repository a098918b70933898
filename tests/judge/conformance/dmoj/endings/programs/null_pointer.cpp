// expect: RTE RTE
int main() { *(volatile int*)0 = 1; }
