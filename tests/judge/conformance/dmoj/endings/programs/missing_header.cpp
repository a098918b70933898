// expect: CE CE
#include <no/such/header>
int main() {}
