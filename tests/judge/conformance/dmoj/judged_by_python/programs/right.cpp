// expect: AC AC
#include <iostream>
#include <string>
int main() {
    int low = 1, high = 1000;
    for (std::string word; word != "found";) {
        int middle = (low + high) / 2;
        std::cout << middle << std::endl;
        std::cin >> word;
        (word == "more" ? low : high) = word == "more" ? middle + 1 : middle - 1;
    }
    std::cout << "bye" << std::endl;
}
