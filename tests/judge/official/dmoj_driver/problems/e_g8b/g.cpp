#include <cstdio>
#include <cstdlib>
int main(int c,char**v){printf("%s\n",v[1]);fprintf(stderr,"%s\n",v[2]);}