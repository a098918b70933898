// ends: exit
#include "hostile.h"

int main(int argc, char** argv, char** environment) {
    for (char** e = environment; *e; e++)
        if (strncmp(*e, "PATH=", 5) && strncmp(*e, "LANG=", 5) && strncmp(*e, "PWD=", 4)) ESCAPED("%s", *e);
    return argc == 1 && argv ? 0 : 1;
}
