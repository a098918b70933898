#include "testlib.h"
int main(int argc, char* argv[]) {
    registerTestlibCmd(argc, argv);
    long long wanted = ans.readLong(), found = ouf.readLong();
    quitf(wanted == found ? _ok : _wa, "%lld for %lld", found, wanted);
}
