// expect: CE Judge Failed
int main() { return x; }
