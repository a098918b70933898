// ends: cpu
#include "hostile.h"

int main(void) {
    burn();
    return 0;
}
