#include "testlib.h"
#include <unistd.h>
int main(int argc, char* argv[]) {
    registerTestlibCmd(argc, argv);
    int want = ans.readInt(), code = ouf.readInt();
    if (code == 99) abort();
    if (code == 98) for (;;);
    if (code == 97) _exit(4);
    if (code == 7) quitp(0.5, "half");
    if (code == 2) ouf.readToken();
    if (code == 5) quitf(_ok, "but something is left unread");
    quitf(code == 0 ? _ok : code == 3 ? _fail : _wa, "asked for %d, given %d", want, code);
}
