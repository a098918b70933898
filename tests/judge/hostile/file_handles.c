// ends: exit
#include "hostile.h"

int main(void) {
    char handle[64] = {0};
    int id;
    MUST_FAIL(syscall(SYS_name_to_handle_at, -100, "/usr", handle, &id, 0));
    MUST_FAIL(syscall(SYS_open_by_handle_at, -100, handle, 0));
    return 0;
}
