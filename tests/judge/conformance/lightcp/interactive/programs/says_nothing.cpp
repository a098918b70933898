// expect: WA Wrong Answer
int main() {}
