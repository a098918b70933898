// expect: WA WA
int main() {}
