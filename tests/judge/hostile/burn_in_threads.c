// ends: cpu wall
#include "hostile.h"
static void* work(void* x) { burn(); return x; }
int main(void) {
    pthread_t t;
    for (int i = 0; i < 4; i++) pthread_create(&t, 0, work, 0);
    burn();
    return 0;
}
