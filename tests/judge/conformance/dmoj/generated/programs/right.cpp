// expect: AC AC
#include <iostream>
int main() {
    long long n, sum = 0;
    std::cin >> n;
    for (long long x; std::cin >> x;) sum += x;
    std::cout << 2 * sum;
}
