// ends: exit
#include "hostile.h"

int main(void) {
    MUST_FAIL(socket(AF_NETLINK, SOCK_RAW, 0));
    MUST_FAIL(socket(AF_PACKET, SOCK_RAW, 0));
    MUST_FAIL(socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0));
    MUST_FAIL(socket(40 /* AF_VSOCK */, SOCK_STREAM, 0));
    return 0;
}
