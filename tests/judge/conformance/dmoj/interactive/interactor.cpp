#include "testlib.h"
int main(int argc, char* argv[]) {
    registerInteraction(argc, argv);
    int secret = inf.readInt();
    for (int turn = 1; turn <= 12; turn++) {
        int guess = ouf.readInt();
        if (guess < 1 || guess > 1000) quitf(_wa, "guess %d is out of range", guess);
        printf("%s\n", guess == secret ? "=" : guess < secret ? "<" : ">");
        fflush(stdout);
        if (guess == secret) {
            tout << turn << std::endl;
            quitf(_ok, "found in %d turns", turn);
        }
    }
    quitf(_wa, "too many turns");
}
