#ifndef VALID_H
#define VALID_H
bool is_even(int);
#endif
